"""The temperature that a reward prefers, and what it does to the weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from psann.hisso.temperature import TEMPERATURES, is_at_the_edge, scaled_head, with_temperature
from psann.nn.dense import DenseNetwork
from psann.nn.units import UnitOptions
from psann.training.carry import WeightLayout
from psann.training.state import Best

NETWORK = DenseNetwork(
    3, 2, hidden_layers=1, hidden_units=4, w0=1.0, units=UnitOptions(), rng=np.random.default_rng(0)
)
LAYOUT = WeightLayout.of(NETWORK)
WEIGHTS = LAYOUT.flatten(dict(NETWORK.named_parameters()))


def chosen(reward_of: Any) -> Best:
    best = Best(value=0.5, epoch=3, weights=WEIGHTS, buffers={})
    return with_temperature(best, LAYOUT, reward_of)


def temperature_of(best: Best) -> float:
    """What the head of a candidate has been divided by."""
    head = LAYOUT.unflatten(best.weights)["head.weight"]
    return float((NETWORK.head.weight.detach() / head).mean())


def test_only_the_head_is_divided() -> None:
    scaled = LAYOUT.unflatten(scaled_head(WEIGHTS, LAYOUT, 0.5))
    for name, tensor in LAYOUT.unflatten(WEIGHTS).items():
        expected = 2 * tensor if name.startswith("head.") else tensor
        torch.testing.assert_close(scaled[name], expected, rtol=0, atol=0)
    torch.testing.assert_close(scaled_head(WEIGHTS, LAYOUT, 1.0), WEIGHTS, rtol=0, atol=0)


def test_temperatures_are_seventeen_from_a_quarter_to_four() -> None:
    assert TEMPERATURES[0] == 1
    assert sorted(TEMPERATURES) == pytest.approx(np.geomspace(0.25, 4, 17))


@pytest.mark.parametrize("wanted", [0.25, 0.5, 2**0.75, 4.0])
def test_the_temperature_with_the_highest_reward_is_taken(wanted: float) -> None:
    best = chosen(lambda candidate: -abs(math.log(temperature_of(candidate) / wanted)))
    assert best.temperature == pytest.approx(wanted)
    assert temperature_of(best) == pytest.approx(wanted, rel=1e-6)
    assert (best.value, best.epoch) == (0.5, 3)


def test_where_none_is_better_the_outputs_stay() -> None:
    best = chosen(lambda _: 0.1)
    assert best.temperature == 1
    assert torch.equal(best.weights, WEIGHTS)


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_a_reward_that_is_not_finite_never_wins(bad: float | None) -> None:
    best = chosen(lambda c: bad if temperature_of(c) < 0.9 else -temperature_of(c))
    assert best.temperature == 1
    assert chosen(lambda _: bad).temperature == 1


def test_a_reward_of_nothing_is_better_than_a_loss() -> None:
    best = chosen(lambda c: 0.0 if c.temperature == 4 else -1.0)
    assert best.temperature == 4


def test_only_the_ends_of_the_grid_are_at_its_edge() -> None:
    assert [t for t in sorted(TEMPERATURES) if is_at_the_edge(t)] == [0.25, 4.0]
