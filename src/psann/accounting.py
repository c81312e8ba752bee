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

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from psann._typing import Array, ArrayT, Floats
from psann.holdings import (
    HALTED,
    OUTSIDE,
    Carry,
    held_weights,
    is_limited,
    namespace_of,
    of_members,
    tradable,
)

Initial = Literal["cash", "invested"]
CostModel = Literal["drift", "exact", "target_l1"]


def carry_of(
    cash_rate: float | Floats,
    borrow_rate: float | Floats,
    *,
    periods_per_year: float,
    max_turnover: float | None = None,
) -> Carry | None:
    """Rates per year as rates per row, ``r / periods_per_year``; None where nothing is set.

    Rates are numbers, or one for each row ``(..., T)``.
    """
    carry = Carry(cash=cash_rate, borrow=borrow_rate, max_turnover=max_turnover)
    if not carry.earns:
        return carry if is_limited(carry) else None
    return replace(carry, cash=cash_rate / periods_per_year, borrow=borrow_rate / periods_per_year)


def simplest(rates: Any) -> Any:
    """Rates of rows in the least form that says the same, so that equal rates give equal bits.

    One number for equal numbers ``(T,)`` or ``(T, M)``, ``(M,)`` for equal rows.

    Examples
    --------
    >>> simplest(np.full((3, 2), 0.1)), simplest(np.array([[0.1, 0.2]] * 3))
    (0.1, array([0.1, 0.2]))
    """
    array = np.asarray(rates, dtype=np.float64)
    if not array.size:
        return rates
    if (array == array.flat[0]).all():
        return float(array.flat[0])
    return array[0] if array.ndim == 2 and (array == array[0]).all() else array


def executed_late(delay: int, decided: Any, *known: Any) -> tuple[Any, ...]:
    """Pair what is decided on each row with what is known of the row on which it is executed.

    Row ``t`` of `decided` goes with row ``t + delay`` of everything else, so that the last `delay`
    decisions, which are never executed, and the first `delay` rows of the rest, on which nothing
    is yet, fall away.

    Parameters
    ----------
    delay : int
        Rows that pass between the two, at least 0.
    decided : array or tensor of shape (T, ...)
        Actions, or whatever they are made from.
    *known : array or tensor of shape (T, ...), or None
        Prices, membership, targets; None stays None.

    Returns
    -------
    tuple of arrays or tensors of shape (T - delay, ...)

    Examples
    --------
    >>> executed_late(1, np.array(["a", "b", "c"]), np.array([1, 2, 3]))
    (array(['a', 'b'], dtype='<U1'), array([2, 3]))
    """
    if not delay:
        return (decided, *known)
    late = (None if each is None else each[delay:] for each in known)
    return (decided[: max(len(decided) - delay, 0)], *late)


def relatives(prices: ArrayT) -> ArrayT:
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


def weight_changes(actions: ArrayT, active: ArrayT | None = None, *, rates: Any = None) -> ArrayT:
    """Distance between successive targets, ``|a_{t+1} - a_t|_1``, whatever prices did between.

    Parameters
    ----------
    actions : array or tensor of shape (..., T, M)
        Target weights.
    active : array or tensor of shape (..., T, M), optional
        Who cannot be traded on the later row does not count.
    rates : float, array or tensor of shape (M,) or (..., T, M), optional
        What each unit costs, of all assets, of each, or of each on each row, which is the later
        one; None for the distance itself.

    Returns
    -------
    array or tensor of shape (..., T - 1)
    """
    changes = actions[..., 1:, :] - actions[..., :-1, :]
    if active is not None:
        changes = changes * tradable(active[..., 1:, :], like=changes)
    return _charged(changes, _rates_on(rates, slice(1, None)))


def gross_growth(
    actions: ArrayT, prices: ArrayT, *, cash: bool = False, carry: Carry | None = None
) -> ArrayT:
    """Gross growth of each step, ``g_t = a_t . x_t``, plus ``1 - sum(a_t)`` with cash.

    Parameters
    ----------
    actions, prices, cash, carry
        As for `growth_and_traded_weight`.

    Returns
    -------
    array or tensor of shape (..., T - 1)
        Growth factor, 1 for no change.
    """
    held = actions[..., :-1, :]
    return _growth_of(held, held * relatives(prices), cash=cash, carry=carry)


def _growth_of(held: ArrayT, grown: ArrayT, *, cash: bool, carry: Carry | None) -> ArrayT:
    """Growth ``(..., T - 1)`` of weights that became so much ``(..., T - 1, M)`` each."""
    growth: ArrayT = grown.sum(-1)
    if cash:
        growth = growth + (1 - held.sum(-1))
    if carry is None:
        return growth
    steps = carry.of_rows(slice(-1))
    earned = steps.cash * (1 - held.sum(-1)) if cash else 0.0
    paid: ArrayT = steps.borrow * (-held).clip(0.0).sum(-1)
    return growth + earned - paid


def growth_and_traded_weight(
    actions: ArrayT,
    prices: ArrayT,
    *,
    initial: Initial = "invested",
    cash: bool = False,
    least_growth: float | None = None,
    active: ArrayT | None = None,
    rates: Any = None,
    carry: Carry | None = None,
) -> tuple[ArrayT, ArrayT]:
    """Gross growth and traded weight of each step, or its cost, without a loop over time.

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
        Whether ``1 - sum(a_t)`` is held in cash, which costs nothing, and grows by `carry` alone.
    least_growth : float, optional
        Growth below it is divided by as if it were that, above 0: then weights and their gradients
        are finite also where everything was lost. It changes nothing where nothing falls so far.
    active : array or tensor of shape (..., T, M), optional
        Codes of `psann.holdings`; the actions are then what is held. Nothing halted or ended is
        traded.
    rates : float, array or tensor of shape (M,) or (..., T, M), optional
        What each unit of traded weight costs, ``k``, of all assets, of each, or of each on each
        row.
    carry : Carry, optional
        What cash earns and shorts cost; None for nothing.

    Returns
    -------
    growth : array or tensor of shape (..., T - 1)
        Gross growth factor, 1 for no change.
    traded : array or tensor of shape (..., T - 1)
        Traded weight, 2 for a full switch between two assets; with `rates` what it costs,
        ``sum_i k_i |a_i - d_i|``.
    """
    held = actions[..., :-1, :]
    grown = held * relatives(prices)  # (..., T - 1, M)
    growth = _growth_of(held, grown, cash=cash, carry=carry)
    worth = growth if least_growth is None else growth.clip(least_growth)
    drifted = grown[..., :-1, :] / worth[..., :-1, None]  # d_1 ... d_{T-2}
    trades = held[..., 1:, :] - drifted
    if active is not None:
        trades = trades * tradable(active[..., 1:-1, :], like=trades)
    later = _charged(trades, _rates_on(rates, slice(1, -1)))
    namespace = namespace_of(actions)
    nothing = namespace.zeros_like(growth[..., :1])
    first = _charged(held[..., :1, :], _rates_on(rates, slice(1))) if initial == "cash" else nothing
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

    @property
    def gross_wealth(self) -> Floats:
        """The same without costs, as ``trans_cost=0`` gives it to the models but ``exact``."""
        with np.errstate(invalid="ignore", over="ignore"):
            net, ruined_at = _until_ruin(self.gross, self.gross * (1 - 0.0 * self.traded))
        return replace(self, net=net, ruined_at=ruined_at).wealth


def net_growth(
    actions: Floats,
    prices: Floats,
    *,
    trans_cost: float | Floats = 0.0,
    initial: Initial = "invested",
    cost: CostModel = "drift",
    cash: bool = False,
    active: Array | None = None,
    carry: Carry | None = None,
) -> NetGrowth:
    """Growth after proportional costs ``k``, in float64.

    ``drift``: ``g_t (1 - k c_t)``. ``exact``: ``g_t m_t`` with the share ``m_t`` of wealth that
    remains when the fee is paid out of the very holdings that are bought, ``m_t = 1 - k |m_t a_t
    - d_t|_1``. ``target_l1``: ``g_t - k |a_{t+1} - a_t|_1``, plus ``k |a_0|_1`` in the first step
    when starting from cash. Wealth that falls to 0 or below is lost for good: every later factor
    is 0.

    With `active`, fees of ``drift`` and ``target_l1`` are paid by all holdings alike, those of
    ``exact`` by what is not halted, as long as there is any.

    Parameters
    ----------
    actions : float64 ndarray of shape (T, M)
        Target weights decided at each row.
    prices : float64 ndarray of shape (T, M)
        Prices, positive.
    trans_cost : float or ndarray of shape (M,) or (T, M)
        ``k``, cost per unit of traded weight, 0 <= k < 1 (0.001 is 10 basis points), of all assets,
        of each, or of each on each row.
    initial : {"invested", "cash"}
        Holdings before the first row.
    cost : {"drift", "exact", "target_l1"}
        Cost model.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash.
    active : ndarray of shape (T, M), optional
        Codes of `psann.holdings`: who can be held and traded on which row. The rest of every row is
        then in cash.
    carry : Carry, optional
        What cash earns and shorts cost; None for nothing. No part of the costs: also the gross
        growth has it. Where it limits what is traded, which the model ``exact`` cannot, the account
        comes as near to its targets as it may, and the rest of every row is in cash.

    Returns
    -------
    NetGrowth
    """
    # A portfolio worth nothing has undefined weights from then on; the curve ends before them.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if active is not None or is_limited(carry):
            targets, cash = actions if active is None else of_members(actions, active), True
            after_fee = partial(_left_on_a_row, trans_cost) if cost == "exact" else None
            trading: Any = {"carry": carry, "after_fee": after_fee, "initial": initial}
            actions = held_weights(targets, prices, active, **trading)
        how: Any = {"initial": initial, "cash": cash, "active": active, "carry": carry}
        gross, traded = growth_and_traded_weight(actions, prices, **how)
        if cost == "target_l1":
            net = gross - _fees_of_changes(actions, trans_cost, initial, active)
        elif cost == "exact":
            drifted = _weights_before_trading(actions, prices, gross, initial=initial)
            if active is None:
                kept = share_kept(actions[:-1], drifted, _rates_on(trans_cost, slice(-1)))
            else:
                rates = _rates_on(trans_cost, slice(-1))
                kept = _left_with_halts(rates, targets[:-1], drifted, active[:-1])[1]
            net = gross * kept
        else:
            if isinstance(trans_cost, np.ndarray):
                _, fees = growth_and_traded_weight(actions, prices, rates=trans_cost, **how)
            else:
                fees = trans_cost * traded
            net = gross * (1 - fees)
    net, ruined_at = _until_ruin(gross, net)
    return NetGrowth(gross=gross, traded=traded, net=net, ruined_at=ruined_at)


def _until_ruin(gross: Floats, net: Floats) -> tuple[Floats, int | None]:
    """Growth factors that are 0 from the step on that left nothing, and that step."""
    ruined = (gross <= 0) | (net <= 0)
    ruined_at = int(ruined.argmax()) if ruined.any() else None
    if ruined_at is not None:
        net[ruined_at:] = 0.0
    return net, ruined_at


def _fees_of_changes(
    actions: Floats, trans_cost: float | Floats, initial: Initial, active: Array | None
) -> Floats:
    """Fees of each step (T - 1,) in the model ``target_l1``."""
    each = isinstance(trans_cost, np.ndarray)
    changes = weight_changes(actions, active, rates=trans_cost if each else None)
    bought = _charged(actions[:1], _rates_on(trans_cost, slice(1)) if each else None)
    first = bought[0] if initial == "cash" else 0.0
    fees: Floats = np.append(changes[0] + first, changes[1:])
    return fees if each else trans_cost * fees


def _weights_before_trading(
    actions: Floats, prices: Floats, gross: Floats, *, initial: Initial
) -> Floats:
    """``d_0 ... d_{T-2}``, shape (T - 1, M)."""
    first = np.zeros_like(actions[:1]) if initial == "cash" else actions[:1]
    drifted = actions[:-2] * relatives(prices)[:-1] / gross[:-1, None]
    return np.concatenate((first, drifted))


def _left_with_halts(
    trans_cost: float | Floats, target: Floats, drifted: Floats, active: Array
) -> tuple[Floats, Floats]:
    """What fees leave of free wealth ``f = 1 - sum(d of the halted)``, which pays them, and of all.

    Where they take all that is free, or there is none, everything that can be sold is sold.
    """
    free = 1 - (drifted * (active == HALTED)).sum(-1)
    tradable_part = drifted * (active >= OUTSIDE)
    some = np.where(free > 0, free, 1.0)
    left = np.where(
        free > 0, free * share_kept(target, tradable_part / some[:, None], trans_cost), 0.0
    )
    is_spent = (left <= 0) & (free < 1)
    of_all = np.where(is_spent, 1 - np.abs(trans_cost * tradable_part).sum(-1), 1 - free + left)
    return np.where(is_spent, 0.0, left), of_all


def _left_on_a_row(
    trans_cost: float | Floats, row: int, target: Floats, drifted: Floats, active: Array
) -> tuple[float, float]:
    rates = _rates_on(trans_cost, slice(row, row + 1))
    free, wealth = _left_with_halts(rates, target[None], drifted[None], active[None])
    return float(free[0]), float(wealth[0])


def share_kept(target: Floats, drifted: Floats, trans_cost: float | Floats) -> Floats:
    """Share of wealth that remains when the fee is paid out of the very holdings that are bought.

    The largest root ``m <= 1`` of ``m + k |m a - d|_1 - 1``; 0 where there is none.

    Parameters
    ----------
    target, drifted : ndarray of shape (T, M)
        Weights after and before trading, ``a`` and ``d``.
    trans_cost : float or ndarray of shape (M,) or (T, M)
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
        excess = share + _charged(surplus, trans_cost) - 1
        if not (excess > 1e-15).any():
            break
        moved = target * np.sign(surplus)
        slope = 1 + _summed(moved, trans_cost)
        share = share - np.where(slope > 0, excess / slope, 0.0)
    # Where the slope turns before the excess is gone, no remaining wealth can pay the fee.
    return np.where(excess > 1e-12, 0.0, share)


def _rates_on(rates: Any, rows: slice) -> Any:
    """Rates of some rows, where there are any of rows."""
    return rates[..., rows, :] if getattr(rates, "ndim", 0) > 1 else rates


def _charged(weights: ArrayT, rates: Any) -> ArrayT:
    """``sum_i k_i |w_i|``; without rates the sizes alone."""
    return _summed(abs(weights), rates)


def _summed(values: ArrayT, rates: Any) -> ArrayT:
    total: ArrayT
    if rates is None:
        total = values.sum(-1)
    elif isinstance(rates, float | int):
        total = rates * values.sum(-1)
    else:
        total = (rates * values).sum(-1)
    return total
