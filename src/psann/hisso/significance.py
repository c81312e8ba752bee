"""Whether an epoch did better than doing nothing by more than noise and choice explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from torch import Tensor

from psann._typing import Floats
from psann.accounting import Initial, growth_and_traded_weight
from psann.hisso.rewards import Penalty
from psann.holdings import Carry, held_weights, is_limited
from psann.metrics import mean_test
from psann.training.loop import Validation

FAMILY_WISE = 0.05
"""Share of trainings without a signal that may keep another epoch than 0 (`auto`)."""


def bound_of(asked: float | Literal["auto"], *, n_epochs: int) -> float:
    """Standard errors that a gain must reach, as of a normal number, one-sided.

    `auto` divides 5 % among the epochs that are compared (Bonferroni), whatever they have to do
    with each other.

    Examples
    --------
    >>> round(bound_of("auto", n_epochs=1), 3), round(bound_of("auto", n_epochs=60), 3)
    (1.645, 3.144)
    """
    if asked == "auto":
        return -NormalDist().inv_cdf(FAMILY_WISE / n_epochs)
    return asked


def net_log_growth(
    actions: Tensor,
    prices: Tensor,
    *,
    trans_cost: Penalty,
    initial: Initial,
    cash: bool,
    active: Tensor | None = None,
    carry: Carry | None = None,
) -> Floats:
    """``ln g_t - k c_t`` of each step ``(T - 1,)``, the terms of the reward ``portfolio``.

    Parameters
    ----------
    actions : torch.Tensor
        ``(T, M)``, float64.
    prices : torch.Tensor
        ``(T, M)`` or ``(T, 1)``, float64.
    trans_cost : float or torch.Tensor
        Cost per unit of traded weight, of all assets or of each, ``(M,)``.
    initial : {"invested", "cash"}
        Holdings before the first row.
    cash : bool
        Whether the remainder of the weights is cash; with `active` it is.
    active : torch.Tensor, optional
        ``(T, M)``, who can be held and traded, codes of `psann.holdings`.
    carry : Carry, optional
        What cash earns and shorts cost, and what may be traded.

    Returns
    -------
    ndarray of shape (T - 1,)
        Minus infinity or NaN where everything was lost.
    """
    if active is not None or is_limited(carry):
        quotes, cash = prices.expand_as(actions), True
        actions = held_weights(actions, quotes, active, carry=carry, initial=initial)
    growth, fee = growth_and_traded_weight(
        actions, prices, initial=initial, cash=cash, active=active, rates=trans_cost, carry=carry
    )
    steps: Floats = (growth.log() - fee).cpu().numpy()
    return steps


@dataclass(frozen=True, kw_only=True)
class SignificanceGate:
    """Lets an epoch pass whose growth over that of epoch 0 is beyond noise, on the same rows."""

    bound: float
    """Standard errors, as of a normal number; Student's t asks for more of few rows."""
    untrained: Mapping[int, Floats]
    """By seed, the net log growth of epoch 0 on the validation rows, step by step."""

    def __call__(self, seed: int, validation: Validation) -> bool:
        """Whether the epoch passes; never below `psann.metrics.means.MIN_STEPS` steps."""
        assert validation.net_log_growth is not None
        ours, theirs = validation.net_log_growth, self.untrained[seed]
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return bool(np.isfinite(ours).all())  # whoever survives beats who lost everything
        return mean_test(ours - theirs).p_value <= NormalDist().cdf(-self.bound)
