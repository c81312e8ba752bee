"""What an account really holds where assets are listed, halted and delisted.

Letters: ``B`` episodes, ``T`` rows, ``M`` assets. `active (..., T, M)` says of every asset on every
row what can be done with it there:

- `MEMBER`: it can be held from this row to the next.
- `OUTSIDE`: it has a price but does not belong here, or has no price yet. Who holds it sells it at
  its price, for the usual fee.
- `HALTED`: no price, but one before and one after. Who holds it keeps it; nobody buys or sells.
- `ENDED`: its price has ended. Who held it has money, at this row's price and without a fee.

Target weights ``a_t`` are parts of the *free* wealth, all but what halted positions are worth; what
is asked for others than members stays in cash. With locked weights ``l_t = d_t`` of the halted,
where ``d_t`` is what prices left of the weights before, the account holds
``h_t = l_t + max(0, 1 - sum(l_t)) a_t``: where halted positions are worth more than the whole
account, which leverage or a loss on shorts can bring about, nothing else is held, the difference is
owed, and no target turns into its opposite. Nothing here is known to a policy beyond who is a
member.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from psann._typing import Array, ArrayT, Bools, Floats

# The row, its target weights, weights before trading and codes (M,) -> what fees leave of the free
# wealth, nothing at least, and of all wealth.
AfterFee = Callable[[int, Any, Any, Any], tuple[Any, Any]]

MEMBER, OUTSIDE, HALTED, ENDED = 1, 0, -1, -2
CODES = (MEMBER, OUTSIDE, HALTED, ENDED)

NOTHING = 1e-12
"""What a total loss leaves of a price, which has to be positive; wealth is not that exact."""

LEAST_WEALTH = 1e-6
"""Wealth below it is divided by as if it were that, so that weights stay finite after a ruin."""


def codes_of(active: Bools, halted: Bools, ended: Bools) -> NDArray[np.int8]:
    """Put three tables `(T, M)` into the one that this module is about."""
    codes: NDArray[np.int8] = np.where(active, MEMBER, OUTSIDE).astype(np.int8)
    codes[halted], codes[ended] = HALTED, ENDED
    return codes


def code_problems(active: Array, *, who: str, shape: tuple[int, ...]) -> list[str]:
    """Say what keeps an array from telling who can be held, in one sentence.

    Parameters
    ----------
    active : ndarray
    who : str
        Its name as the user knows it.
    shape : tuple of int
        That of the prices that it goes with.
    """
    if active.shape != shape:
        return [f"{who} must be of the shape of the prices, {shape}; got {active.shape}."]
    odd = ~np.isin(active, CODES)
    if not odd.any():
        return []
    return [
        f"{who} must say of each asset 1 (can be held), 0 (cannot), -1 (is halted) or -2 (has "
        f"ended); got {active[odd][0]:g}."
    ]


def of_members(actions: ArrayT, active: ArrayT) -> ArrayT:
    """Target weights, 0 for all but members."""
    weights: ArrayT = actions * members(active, like=actions)
    return weights


def members(active: ArrayT, *, like: ArrayT) -> ArrayT:
    """1 for who can be held, 0 for all others, as numbers of the kind of others."""
    numbers: ArrayT = _as_numbers(active.clip(OUTSIDE, MEMBER), like)
    return numbers


def tradable(active: ArrayT, *, like: ArrayT) -> ArrayT:
    """1 for who can be bought or sold, 0 for halted and ended assets, as numbers."""
    numbers: ArrayT = _as_numbers(active.clip(HALTED, OUTSIDE) - HALTED, like)
    return numbers


def _as_numbers(codes: Any, like: Any) -> Any:
    # Cut codes, not compared ones: torch compares bytes, and turns truth into numbers, in many
    # times the time of this.
    return codes.astype(like.dtype) if isinstance(codes, np.ndarray) else codes.to(like.dtype)


def with_ends(prices: Array, active: Array, *, move: float) -> Floats:
    """Prices ``(T, M)`` as they would be if every end had cost so much.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
    active : ndarray of shape (T, M)
        Codes of this module.
    move : float
        Simple return after the last price, at least -1; a total loss leaves `NOTHING`.
    """
    moves = prices[1:] / prices[:-1]
    has_ended, is_over = active[1:] == ENDED, active[:-1] == ENDED
    told = np.where(has_ended & ~is_over, max(1.0 + move, NOTHING), moves)
    told[has_ended & is_over] = 1.0  # paid out on an earlier row
    path = np.concatenate([np.ones_like(moves[:1]), np.cumprod(told, axis=0)])
    return np.asarray(prices[0] * path, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Carry:
    """How holdings get from one row to the next: what they earn and cost, what may be traded."""

    cash: Any = 0.0
    """Earned by each unit of cash, paid for each that is owed: a number, or one for each row
    ``(..., T)``, which is that to the next."""
    borrow: Any = 0.0
    """Paid for each unit that is sold short, as `cash`."""
    max_turnover: float | None = None
    """Largest traded weight of a row; None for no limit."""

    @property
    def earns(self) -> bool:
        """Whether anything is earned or paid."""
        return not all(isinstance(rate, float | int) and rate == 0 for rate in self._rates)

    @property
    def _rates(self) -> tuple[Any, Any]:
        return self.cash, self.borrow

    def of_rows(self, rows: Any) -> Carry:
        """The same on some rows, as they are indexed in the last axis of the rates."""
        cash, borrow = (
            rate if isinstance(rate, float | int) else rate[..., rows] for rate in self._rates
        )
        return replace(self, cash=cash, borrow=borrow)

    def drifted(self, held: Any, moves: Any) -> Any:
        """Weights ``(..., M)`` that prices leave of those held, by relatives ``(..., M)``.

        Of one row, or with an axis of rows in rates and weights alike.
        """
        grown = held * moves
        total = grown.sum(-1) + 1 - held.sum(-1)
        if self.earns:
            earned = self.cash * (1 - held.sum(-1))
            total = total + earned - self.borrow * (-held).clip(0.0).sum(-1)
        return grown / total[..., None].clip(LEAST_WEALTH)

    def traded(
        self,
        target: Any,
        drifted: Any,
        active: Any = None,
        after_fee: Callable[[Any, Any, Any], tuple[Any, Any]] | None = None,
    ) -> Any:
        """Weights after trading from `drifted` towards `target`, all ``(..., M)``.

        What halted positions leave is the target's. Where more than `max_turnover` would be traded
        all trades shrink alike; an end is none, and happens as a whole.
        """
        if active is not None:
            target = _beside_halted(target, drifted, active, after_fee)
        if self.max_turnover is None:
            return target
        trades = target - drifted
        if active is not None:
            trades = trades * tradable(active, like=trades)
        size = abs(trades).sum(-1)[..., None]
        # The part that is left undone: exactly 0 where the limit does not bind.
        return target - trades * (1 - self.max_turnover / size.clip(self.max_turnover))


def _beside_halted(target: Any, drifted: Any, active: Any, after_fee: Any) -> Any:
    locked = drifted * (active == HALTED)
    free = (1 - locked.sum(-1)[..., None]).clip(0.0)
    if after_fee is not None:
        free, wealth = after_fee(target, drifted, active)
        locked, free = locked / wealth, free / wealth
    return locked + free * target


def is_limited(carry: Carry | None) -> bool:
    """Whether what may be traded on a row has a limit."""
    return carry is not None and carry.max_turnover is not None


def held_weights(
    actions: ArrayT,
    prices: ArrayT,
    active: ArrayT | None = None,
    *,
    carry: Carry | None = None,
    after_fee: AfterFee | None = None,
    initial: Literal["invested", "cash"] = "invested",
) -> ArrayT:
    """Weights that an account holds after trading on each row, row by row.

    Parameters
    ----------
    actions : array or tensor of shape (..., T, M)
        Target weights; the rest of each row is in cash.
    prices : array or tensor of shape (..., T, M)
        What one share that is held is worth, positive.
    active : array or tensor of shape (T, M) or (..., T, M), optional
        Codes of this module; None for members only.
    carry : Carry, optional
        What it earns, pays and may trade; None for nothing and everything.
    after_fee : callable, optional
        Where fees are paid by the free wealth alone: what they leave of it and of all. Else they
        are paid by all holdings alike, which changes no weight.
    initial : {"invested", "cash"}
        Holdings before the first row, which matter where trading is limited: its target, or cash.

    Returns
    -------
    array or tensor of shape (..., T, M)
    """
    carry = carry or Carry()
    targets = actions if active is None else of_members(actions, active)
    rows_traded = [True] * targets.shape[-2] if is_limited(carry) else _rows_with_halts(active)
    if not any(rows_traded):
        return targets
    first = targets[..., 0, :]
    if initial == "cash" and is_limited(carry):
        first = carry.traded(first, 0 * first, None if active is None else active[..., 0, :])
    moves = prices[..., 1:, :] / prices[..., :-1, :]
    if is_limited(carry) and after_fee is None and _is_traced(actions):
        scanned: ArrayT = _scanned(first, targets[..., 1:, :], moves, active, carry=carry)
        return scanned
    rows = [first]
    for row, is_traded in enumerate(rows_traded[1:], start=1):
        target = targets[..., row, :]
        if is_traded:
            drifted = carry.of_rows(row - 1).drifted(rows[-1], moves[..., row - 1, :])
            codes = None if active is None else active[..., row, :]
            fees = None if after_fee is None else partial(after_fee, row)
            target = carry.traded(target, drifted, codes, fees)
        rows.append(target)
    held: ArrayT = namespace_of(actions).stack(rows, -2)
    return held


def _is_traced(array: Any) -> bool:
    """Whether operations are written down for a program."""
    if isinstance(array, np.ndarray):
        return False
    from torch.fx.experimental.proxy_tensor import get_proxy_mode

    return get_proxy_mode() is not None


def _scanned(first: Any, targets: Any, moves: Any, active: Any, *, carry: Carry) -> Any:
    """What `held_weights` does row by row, as one operation: its program is that of one row."""
    import torch
    from torch._higher_order_ops.scan import scan_op

    rates = [name for name in ("cash", "borrow") if torch.is_tensor(getattr(carry, name))]
    by_row = [targets.movedim(-2, 0), moves.movedim(-2, 0)]
    by_row += [] if active is None else [active[..., 1:, :].movedim(-2, 0)]
    by_row += [getattr(carry, name)[..., : len(by_row[0])].movedim(-1, 0) for name in rates]

    def step(held: Any, target: Any, move: Any, *told: Any) -> list[Any]:
        codes, now = (None, told) if active is None else (told[0], told[1:])
        account = replace(carry, **dict(zip(rates, now, strict=True)))
        after = account.traded(target, account.drifted(held, move), codes)
        return [after, after.clone()]

    _, rest = scan_op(step, [first.contiguous()], [each.contiguous() for each in by_row], ())
    return torch.cat((first.unsqueeze(-2), rest.movedim(0, -2)), -2)


def _rows_with_halts(active: Any) -> list[bool]:
    """On which rows somebody is halted, in any of several episodes; empty if nobody ever is."""
    if active is None:
        return []
    some = (active == HALTED).any(-1)
    while some.ndim > 1:
        some = some.any(0)
    found: list[bool] = some.tolist()
    return found


def namespace_of(array: Any) -> Any:
    """NumPy or torch, whichever an array is of."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch
