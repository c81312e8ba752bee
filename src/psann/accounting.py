"""What a portfolio earns and what it trades: one arithmetic for training, validation and metrics.

Where assets come, halt and end, weights are those of `psann.holdings.held_weights`, and `active`
says what can be traded; without it everything can, on every row.

Letters: ``B`` episodes, ``T`` rows, ``M`` assets. Prices ``p (..., T, M)``, target weights
``a (..., T, M)`` decided at row ``t``, relatives ``x_t = p_{t+1} / p_t``. The last row earns
nothing, so ``T`` rows make ``T - 1`` steps.

The first three functions are written with operators that NumPy arrays and torch tensors share:
the same lines are differentiated in training and give the float64 figures of `psann.metrics`.
torch is imported only when a tensor comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from psann.holdings import HALTED, OUTSIDE, held_weights, of_members, tradable

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
Array = TypeVar("Array", Floats, "torch.Tensor")
Initial = Literal["cash", "invested"]
CostModel = Literal["drift", "exact", "target_l1"]


def relatives(prices: Array) -> Array:
    """Growth of each asset over each step, ``x_t = p_{t+1} / p_t``.

    Parameters
    ----------
    prices : array or tensor of shape (..., T, M)
        Prices, positive.

    Returns
    -------
    array or tensor of shape (..., T - 1, M)
    """
    return prices[..., 1:, :] / prices[..., :-1, :]


def weight_changes(actions: Array, active: Array | None = None) -> Array:
    """Distance between successive targets, ``|a_{t+1} - a_t|_1``, whatever prices did between.

    Parameters
    ----------
    actions : array or tensor of shape (..., T, M)
        Target weights.
    active : array or tensor of shape (..., T, M), optional
        Who cannot be traded on the later row does not count.

    Returns
    -------
    array or tensor of shape (..., T - 1)
    """
    changes = actions[..., 1:, :] - actions[..., :-1, :]
    return _l1(changes if active is None else changes * tradable(active[..., 1:, :], like=changes))


def gross_growth(actions: Array, prices: Array, *, cash: bool = False) -> Array:
    """Gross growth of each step, ``g_t = a_t . x_t``, plus ``1 - sum(a_t)`` with cash.

    Parameters
    ----------
    actions, prices, cash
        As for `growth_and_traded_weight`.

    Returns
    -------
    array or tensor of shape (..., T - 1)
        Growth factor, 1 for no change.
    """
    held = actions[..., :-1, :]
    return _growth_of(held, held * relatives(prices), cash=cash)


def _growth_of(held: Array, grown: Array, *, cash: bool) -> Array:
    """Growth ``(..., T - 1)`` of weights that became so much ``(..., T - 1, M)`` each."""
    growth: Array = grown.sum(-1)
    return growth + (1 - held.sum(-1)) if cash else growth


def growth_and_traded_weight(
    actions: Array,
    prices: Array,
    *,
    initial: Initial = "invested",
    cash: bool = False,
    least_growth: float | None = None,
    active: Array | None = None,
) -> tuple[Array, Array]:
    """Gross growth and traded weight of each step, without a loop over time.

    ``g_t`` as of `gross_growth`; ``c_t = |a_t - d_t|_1`` with the weights that prices left behind,
    ``d_t = a_{t-1} * x_{t-1} / g_{t-1}``. There is no epsilon in the division: a portfolio that is
    worth nothing has no weights, unless `least_growth` gives it some.

    Parameters
    ----------
    actions : array or tensor of shape (..., T, M)
        Target weights decided at each row; the last row is not used.
    prices : array or tensor of shape (..., T, M) or (..., T, 1)
        Prices; a single column stands for every asset.
    initial : {"invested", "cash"}
        Holdings before the first row: the first target, so ``c_0 = 0``, or all cash, so
        ``c_0 = |a_0|_1``.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash, which neither grows nor costs.
    least_growth : float, optional
        Growth below it is divided by as if it were that, above 0: then weights and their gradients
        are finite also where everything was lost. It changes nothing where nothing falls so far.
    active : array or tensor of shape (..., T, M), optional
        Codes of `psann.holdings`; the actions are then what is held. Nothing halted or ended is
        traded.

    Returns
    -------
    growth : array or tensor of shape (..., T - 1)
        Gross growth factor, 1 for no change.
    traded : array or tensor of shape (..., T - 1)
        Traded weight, 2 for a full switch between two assets.
    """
    held = actions[..., :-1, :]
    grown = held * relatives(prices)  # (..., T - 1, M)
    growth = _growth_of(held, grown, cash=cash)
    worth = growth if least_growth is None else growth.clip(least_growth)
    drifted = grown[..., :-1, :] / worth[..., :-1, None]  # d_1 ... d_{T-2}
    trades = held[..., 1:, :] - drifted
    later = _l1(trades if active is None else trades * tradable(active[..., 1:-1, :], like=trades))
    namespace = _namespace(actions)
    nothing = namespace.zeros_like(growth[..., :1])
    first = _l1(held[..., :1, :]) if initial == "cash" else nothing
    return growth, namespace.concatenate((first, later), -1)


@dataclass(frozen=True)
class NetGrowth:
    """What each step earned, traded and kept."""

    gross: Floats
    """Growth factors before costs, shape (T - 1,)."""
    traded: Floats
    """Traded weights ``c_t``, shape (T - 1,)."""
    net: Floats
    """Growth factors after costs, shape (T - 1,); 0 from the step on that ruined the portfolio."""
    ruined_at: int | None
    """The step that left nothing, None when wealth stayed positive."""

    @property
    def wealth(self) -> Floats:
        """Wealth path from the initial 1, shape (T,)."""
        return np.concatenate(([1.0], np.cumprod(self.net)))


def net_growth(
    actions: Floats,
    prices: Floats,
    *,
    trans_cost: float = 0.0,
    initial: Initial = "invested",
    cost: CostModel = "drift",
    cash: bool = False,
    active: NDArray[Any] | None = None,
) -> NetGrowth:
    """Growth after proportional costs ``k``, in float64.

    ``drift``: ``g_t (1 - k c_t)``. ``exact``: ``g_t m_t`` with the share ``m_t`` of wealth that
    remains when the fee is paid out of the very holdings that are bought, ``m_t = 1 - k |m_t a_t
    - d_t|_1``. ``target_l1``: ``g_t - k |a_{t+1} - a_t|_1``, plus ``k |a_0|_1`` in the first step
    when starting from cash. Wealth that falls to 0 or below is lost for good: every later factor
    is 0.

    With `active`, fees of ``drift`` and ``target_l1`` are paid by all holdings alike, those of
    ``exact`` by what is not halted.

    Parameters
    ----------
    actions : float64 ndarray of shape (T, M)
        Target weights decided at each row.
    prices : float64 ndarray of shape (T, M)
        Prices, positive.
    trans_cost : float
        ``k``, cost per unit of traded weight, 0 <= k < 1 (0.001 is 10 basis points).
    initial : {"invested", "cash"}
        Holdings before the first row.
    cost : {"drift", "exact", "target_l1"}
        Cost model.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash.
    active : ndarray of shape (T, M), optional
        Codes of `psann.holdings`: who can be held and traded on which row. The rest of every row is
        then in cash.

    Returns
    -------
    NetGrowth
    """
    # A portfolio worth nothing has undefined weights from then on; the curve ends before them.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if active is not None:
            targets, cash = of_members(actions, active), True
            after_fee = partial(_free_kept, trans_cost) if cost == "exact" else None
            actions = held_weights(targets, prices, active, after_fee=after_fee)
        gross, traded = growth_and_traded_weight(
            actions, prices, initial=initial, cash=cash, active=active
        )
        if cost == "target_l1":
            changes = weight_changes(actions, active)
            first = _l1(actions[0]) if initial == "cash" else 0.0
            net = gross - trans_cost * np.append(changes[0] + first, changes[1:])
        elif cost == "exact":
            drifted = _weights_before_trading(actions, prices, gross, initial=initial)
            if active is None:
                kept = share_kept(actions[:-1], drifted, trans_cost)
            else:
                kept = _kept_with_halts(targets[:-1], drifted, active[:-1], trans_cost)
            net = gross * kept
        else:
            net = gross * (1 - trans_cost * traded)
    ruined = (gross <= 0) | (net <= 0)
    ruined_at = int(ruined.argmax()) if ruined.any() else None
    if ruined_at is not None:
        net[ruined_at:] = 0.0
    return NetGrowth(gross=gross, traded=traded, net=net, ruined_at=ruined_at)


def _weights_before_trading(
    actions: Floats, prices: Floats, gross: Floats, *, initial: Initial
) -> Floats:
    """``d_0 ... d_{T-2}``, shape (T - 1, M)."""
    first = np.zeros_like(actions[:1]) if initial == "cash" else actions[:1]
    drifted = actions[:-2] * relatives(prices)[:-1] / gross[:-1, None]
    return np.concatenate((first, drifted))


def _kept_with_halts(
    target: Floats, drifted: Floats, active: NDArray[Any], trans_cost: float
) -> Floats:
    """What fees leave where only the free wealth ``f = 1 - sum(d of the halted)`` pays them."""
    free = 1 - (drifted * (active == HALTED)).sum(-1)
    in_free = drifted * (active >= OUTSIDE) / np.where(free > 0, free, 1.0)[:, None]
    kept: Floats = 1 - free + free * share_kept(target, in_free, trans_cost)
    return kept


def _free_kept(trans_cost: float, target: Floats, drifted: Floats) -> float:
    return float(share_kept(target[None], drifted[None], trans_cost)[0])


def share_kept(target: Floats, drifted: Floats, trans_cost: float) -> Floats:
    """Share of wealth that remains when the fee is paid out of the very holdings that are bought.

    The largest root ``m <= 1`` of ``m + k |m a - d|_1 - 1``; 0 where there is none.

    Parameters
    ----------
    target, drifted : ndarray of shape (T, M)
        Weights after and before trading, ``a`` and ``d``.
    trans_cost : float
        ``k``, cost per unit of traded weight.

    Returns
    -------
    ndarray of shape (T,)

    Notes
    -----
    The left side is convex and piecewise linear in ``m`` and not negative at 1, so Newton's
    iterates come down from 1 from kink to kink and stand still at the root: at most one per asset.
    """
    share = np.ones(len(target))
    for _ in range(target.shape[1] + 2):
        surplus = share[:, None] * target - drifted
        excess = share + trans_cost * _l1(surplus) - 1
        if not (excess > 1e-15).any():
            break
        slope = 1 + trans_cost * (target * np.sign(surplus)).sum(-1)
        share = share - np.where(slope > 0, excess / slope, 0.0)
    # Where the slope turns before the excess is gone, no remaining wealth can pay the fee.
    return np.where(excess > 1e-12, 0.0, share)


def _l1(weights: Array) -> Array:
    total: Array = abs(weights).sum(-1)
    return total


def _namespace(array: Array) -> Any:
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch
