"""What short episodes hold where assets halt, without a loop over time, for training.

Letters: ``B`` episodes, ``T`` rows, ``M`` assets, ``C`` halted cells of an episode. The rules are
those of `psann.holdings.held_weights`. Only halted cells need more than a product with a number
for each row: they are listed once for a series, and an episode takes those that lie in it.

Free wealth ``F`` (all but what halted positions are worth) follows from that of earlier rows: it
grows with its targets, loses those that halt, and gets back those that return, each in proportion
to the free wealth of the row on which it was bought. Rows on which all trade start again from 1, so
that numbers neither grow nor fade. That is a triangular system ``F = e + S F`` with few entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from psann.holdings import HALTED, LEAST_WEALTH, held_weights

# Rows up to which an episode is solved as one system, (T, T) for each; longer ones row by row.
_MOST_ROWS_AT_ONCE = 512
# Debts are found one after the other between two rows on which all trade; more are not looked for.
_MOST_DEBTS = 3


@dataclass(frozen=True, kw_only=True)
class Halts:
    """The halted cells of a series, and what episodes of it hold."""

    active: Tensor  # (N, M) codes of `psann.holdings`
    prices: Tensor  # (N, M)
    window: int  # T
    n_cells: int  # C, the most that an episode has
    is_long_only: bool
    """Whether targets are never negative and never sum to more than 1, so that nothing is owed."""
    gains: Tensor  # (N, M) simple return from this row to the next; the last row has 0
    opens: Tensor  # (N + 1,) 1 where nobody is halted, else 0
    first_cell: Tensor  # (N,) the number of cells on earlier rows
    places: Tensor  # (K + C, 6) of each cell, as if the series were one episode: its row, that on
    # which the position was bought, both with the asset in the flat weights, bought before now;
    # what its halt and its return change in the flat system (T + 1, T + 1)
    shifts: Tensor  # (6,) what to take from them for each row before an episode
    parts: Tensor  # (K + C, 3) worth per bought: now, at its halt, and minus that at its return
    steps: Tensor  # (T + 1,) 0, 1 ... T
    is_first: Tensor  # (T + 1,) 1, 0, 0 ...
    order: Tensor  # (C,) 0, 1 ...

    @classmethod
    def of(
        cls, active: Tensor, prices: Tensor, *, window: int, is_long_only: bool = False
    ) -> Halts | None:
        """List the halted cells of a series; None where no position can be halted.

        Parameters
        ----------
        active : torch.Tensor
            ``(N, M)``, codes of `psann.holdings`.
        prices : torch.Tensor
            ``(N, M)`` or ``(N, 1)``, positive.
        window : int
            Rows of every episode, at most those of the series.
        is_long_only : bool
            Whether targets are never negative and never sum to more than 1.
        """
        prices = prices.expand_as(active)
        n_rows, n_assets = active.shape
        halted = active == HALTED
        rows = torch.arange(n_rows + 1, device=active.device)
        bought = torch.where(halted, -1, rows[:-1, None]).cummax(0).values
        row, asset = (halted & (bought >= 0)).nonzero(as_tuple=True)
        if not len(row):
            return None
        since = bought[row, asset]
        first_cell = torch.searchsorted(row, rows)
        n_cells = int((first_cell[window:] - first_cell[: n_rows + 1 - window]).max())
        opens = 1 - torch.nn.functional.pad(halted.any(1), (0, 1)).to(prices.dtype)
        is_back = ~torch.nn.functional.pad(halted, (0, 0, 0, 1), value=True)[row + 1, asset]
        parts = _parts(prices, opens, row=row, asset=asset, bought=since, is_back=is_back)
        side = window + 1
        flat = (since * n_assets + asset, row * n_assets + asset)
        entry = row * side + since
        places = torch.stack((row, since, *flat, entry, entry + side), 1)
        # Behind the last cell, some that lie in no episode.
        nowhere = torch.tensor([[n_rows + window, -1, 0, 0, 0, 0]], device=row.device)
        steps = torch.arange(side, device=row.device)
        return cls(
            active=active,
            prices=prices,
            window=window,
            n_cells=n_cells,
            is_long_only=is_long_only,
            gains=torch.nn.functional.pad(prices[1:] / prices[:-1] - 1, (0, 0, 0, 1)),
            opens=opens,
            first_cell=first_cell[:-1],
            places=torch.cat((places, nowhere.expand(n_cells, -1))),
            shifts=torch.tensor([1, 1, n_assets, n_assets, side + 1, side + 1], device=row.device),
            parts=torch.nn.functional.pad(parts, (0, 0, 0, n_cells)),
            steps=steps,
            is_first=(steps == 0).to(prices.dtype),
            order=torch.arange(n_cells, device=row.device),
        )

    def held(self, actions: Tensor, first: Tensor) -> Tensor:
        """Weights that episodes hold ``(B, T, M)``, as of `psann.holdings.held_weights`.

        Parameters
        ----------
        actions : torch.Tensor
            Target weights ``(B, T, M)``, 0 for all but members.
        first : torch.Tensor
            ``(B,)``, the row of the series on which each begins.
        """
        actions = actions.to(self.prices.dtype)
        rows = first[:, None] + self.steps  # (B, T + 1)
        if self.window > _MOST_ROWS_AT_ONCE:
            at = rows[:, :-1]
            return held_weights(actions, self.prices[at], self.active[at])
        if not self.n_cells:
            return actions
        cell = (self.first_cell[first][:, None] + self.order).flatten()
        shape = (len(first), self.n_cells, -1)
        places = self.places.index_select(0, cell).view(shape) - first[:, None, None] * self.shifts
        # What was halted before the episode is not held in it.
        inside = (places[..., 1:2] >= 0) & (places[..., :1] < self.window)
        held: Tensor = _Held.apply(  # type: ignore[no-untyped-call]
            actions,
            self.gains.index_select(0, rows[:, :-1].flatten()).view_as(actions),
            torch.maximum(self.opens[rows], self.is_first),
            places * inside,
            self.parts.index_select(0, cell).view(shape) * inside,
            0 if self.is_long_only else _MOST_DEBTS,
        )[0]
        return held


class _Held(torch.autograd.Function):
    """Weights held ``(B, T, M)`` of target weights, with its gradient written out.

    The gradient of the solved system ``x = A^-1 e`` is one more solution, with the transpose, of
    which only the few entries that depend on the targets are wanted. In `places (B, C, 6)` and
    `parts (B, C, 3)` are the columns of `Halts`, 0 for cells that only fill up. The second output
    and those after it are what the gradient needs.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        actions: Tensor, gains: Tensor, start: Tensor, places: Tensor, parts: Tensor, debts: int
    ) -> tuple[Tensor, ...]:
        row, bought, bought_place, place = places[..., :4].unbind(-1)
        parts = parts * actions.flatten(1).gather(1, bought_place)[..., None]
        passed = (1 - start[:, 1:]) * (1 + (actions * gains).sum(-1))
        system = _system(passed, places, parts[..., 1:])
        free = _solved(system, start)
        for _ in range(debts):
            # Nothing is bought on rows that owe; what is owed stays.
            buys = (free > 0).to(free.dtype)
            kept = (1 - start[:, 1:]) * (1 - buys[:, :-1])
            system = _system(
                passed * buys[:, :-1] + kept,
                places,
                parts[..., 1:] * buys.gather(1, bought)[..., None],
            )
            free = _solved(system, start)
        base = free.clamp_min(0.0) if debts else free
        locked = parts[..., 0] * base.gather(1, bought)
        per_wealth = 1 / free.scatter_add(1, row, locked).clamp_min(LEAST_WEALTH)  # (B, T + 1)
        shares = locked * per_wealth.gather(1, row)
        scale = base * per_wealth
        held = (actions * scale[:, :-1, None]).flatten(1).scatter_add(1, place, shares)
        return held.view_as(actions), system, base, per_wealth, scale, shares

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.debts = inputs[5]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[:5], *output[1:])

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Letters: the gradient of x is `d_x`."""
        d_held = of_outputs[0]
        actions, gains, start, places, parts, *solved = ctx.saved_tensors
        system, base, per_wealth, scale, shares = solved
        row, bought, bought_place, place = places[..., :4].unbind(-1)
        worth, halts, returns = parts.unbind(-1)
        weight = actions.flatten(1).gather(1, bought_place)
        d_scale = torch.nn.functional.pad((d_held * actions).sum(-1), (0, 1))  # (B, T + 1)
        d_shares = d_held.flatten(1).gather(1, place)
        is_positive = per_wealth < 1 / LEAST_WEALTH
        d_wealth = (
            -per_wealth * is_positive * (d_scale * scale).scatter_add(1, row, d_shares * shares)
        )
        d_locked = d_shares * per_wealth.gather(1, row) + d_wealth.gather(1, row)
        d_base = (d_scale * per_wealth).scatter_add(1, bought, d_locked * worth * weight)
        d_free = d_wealth + (d_base * (base > 0) if ctx.debts else d_base)
        turned = torch.linalg.solve_triangular(
            system.mT, d_free[..., None], upper=True, unitriangular=True
        ).squeeze(-1)
        d_growth = turned[:, 1:] * (1 - start[:, 1:]) * base[:, :-1]
        d_weight = base.gather(1, bought) * (
            worth * d_locked - halts * turned.gather(1, row) - returns * turned.gather(1, row + 1)
        )
        direct = d_held * scale[:, :-1, None] + d_growth[..., None] * gains
        d_actions = direct.flatten(1).scatter_add(1, bought_place, d_weight).view_as(actions)
        return d_actions, None, None, None, None, None


def _system(passed: Tensor, places: Tensor, parts: Tensor) -> Tensor:
    """``I - S`` below its diagonal, ``(B, T + 1, T + 1)``."""
    side = passed.shape[1] + 1
    system = passed.new_zeros((len(passed), side * side))
    system.scatter_add_(1, places[..., 4:].flatten(1), parts.flatten(1))
    system = system.view(-1, side, side)
    system.diagonal(-1, 1, 2).sub_(passed)
    return system


def _parts(
    prices: Tensor, opens: Tensor, *, row: Tensor, asset: Tensor, bought: Tensor, is_back: Tensor
) -> Tensor:
    """What each halted position is worth per what was bought of it: now, and where it counts."""
    cost = prices[bought, asset]
    now = prices[row, asset] / cost
    later = prices[(row + 1).clamp_max(len(prices) - 1), asset] / cost
    returns = torch.where(is_back & (opens[row + 1] == 0), later, 0.0)
    return torch.stack((now, torch.where(bought == row - 1, now, 0.0), -returns), 1)


def _solved(system: Tensor, right: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(
        system, right[..., None], upper=False, unitriangular=True
    )
    return solved.squeeze(-1)
