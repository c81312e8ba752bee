"""The temperature of a policy: one number, chosen on validation rows after the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from psann.training.carry import WeightLayout
from psann.training.state import Best

# Factors of 2^(1/4) around 1, which comes first: it wins where others are equal.
TEMPERATURES = tuple(2.0 ** (step / 4) for step in sorted(range(-8, 9), key=abs))


def is_at_the_edge(temperature: float) -> bool:
    """Whether a temperature is the lowest or highest of the grid: the best may lie beyond it."""
    return temperature in (min(TEMPERATURES), max(TEMPERATURES))


def scaled_head(weights: Tensor, layout: WeightLayout, temperature: float) -> Tensor:
    """Weights ``(P,)`` of the network whose outputs are divided by a temperature."""
    tensors = layout.unflatten(weights)
    for name in layout.names_of_head:
        tensors[name] = tensors[name] / temperature
    return layout.flatten(tensors)


def with_temperature(
    best: Best, layout: WeightLayout, reward_of: Callable[[Best], float | None]
) -> Best:
    """Divide the outputs of the best weights by the temperature that validation rewards most.

    ``a_t = softmax(z_t / T)`` with the ``T`` of ``2^(k/4), |k| <= 8`` whose validation reward is
    the highest.

    A penalty on weights, or one on trading, makes a policy say the right thing too quietly; one
    number learnt on rows that shaped no weight gives it its voice back, or lowers it.

    Parameters
    ----------
    best : Best
        What validation chose.
    layout : WeightLayout
        Of its weights.
    reward_of : callable
        Reward of such weights over the validation span, at the deployed cost.

    Returns
    -------
    Best
        With the temperature in its head and in `temperature`; its value stays that of the epoch.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (2017), who choose it
    by likelihood.
    """

    def at(temperature: float) -> Best:
        weights = scaled_head(best.weights, layout, temperature)
        return replace(best, weights=weights, temperature=temperature)

    rewards = {temperature: reward_of(at(temperature)) for temperature in TEMPERATURES}
    finite = {t: r for t, r in rewards.items() if r is not None and math.isfinite(r)}
    return at(max(finite, key=finite.__getitem__, default=1.0))
