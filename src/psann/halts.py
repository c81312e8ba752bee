"""What short episodes hold where assets halt, without a loop over time, for training.

Letters: ``B`` episodes, ``T`` rows, ``M`` assets, ``C`` halted cells of an episode. The rules are
those of `psann.holdings.held_weights`. Only halted cells need more than a product with a number
for each row: they are listed once for a series, and what an episode holds is computed from those
that lie in it.

Free wealth ``F`` (all but what halted positions are worth) follows from that of earlier rows: it
grows with its targets, loses those that halt, and gets back those that return, each in proportion
to the free wealth of the row on which it was bought. Rows on which all trade start again from 1, so
that numbers neither grow nor fade. That is a triangular system ``F = e + S F`` with few entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
    is_long_only: bool
    """Whether targets are never negative and never sum to more than 1, so that nothing is owed."""
    gains: Tensor  # (N, M) simple return from this row to the next; the last row has 0
    chained: Tensor  # (N,) 1 where somebody is halted, else 0
    first_cell: Tensor  # (N + 1,) the number of cells on earlier rows
    n_cells: int  # C, the most that an episode has
    places: Tensor  # (K, 3): row, asset, and the row on which the position was bought
    parts: Tensor  # (K, 3): worth per bought: now, if halted first, if back on the next row

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
            Rows of every episode.
        is_long_only : bool
            Whether targets are never negative and never sum to more than 1.
        """
        prices = prices.expand_as(active)
        halted = active == HALTED
        rows = torch.arange(len(active), device=active.device)
        bought = torch.where(halted, -1, rows[:, None]).cummax(0).values
        row, asset = (halted & (bought >= 0)).nonzero(as_tuple=True)
        if not len(row):
            return None
        since, then = bought[row, asset], (row + 1).clamp_max(len(active) - 1)
        is_back = (then > row) & ~halted[then, asset]
        chained = halted.any(1)
        cost = prices[since, asset]
        now, later = prices[row, asset] / cost, prices[then, asset] / cost
        given = torch.where(is_back & chained[then], later, 0.0)
        taken = torch.where(since == row - 1, now, 0.0)
        first_cell = torch.searchsorted(row, torch.arange(len(active) + 1, device=row.device))
        last_start = max(0, len(active) - window)
        counts = first_cell[window:][: last_start + 1] - first_cell[: last_start + 1]
        return cls(
            active=active,
            prices=prices,
            window=window,
            is_long_only=is_long_only,
            gains=torch.nn.functional.pad(prices[1:] / prices[:-1] - 1, (0, 0, 0, 1)),
            chained=chained.to(prices.dtype),
            first_cell=first_cell,
            n_cells=max(1, int(counts.max())),
            places=torch.stack((row, asset, since), 1),
            parts=torch.stack((now, taken, given), 1),
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
        rows = first[:, None] + torch.arange(self.window, device=first.device)  # (B, T)
        if self.window > _MOST_ROWS_AT_ONCE:
            prices, active = (of_all[rows] for of_all in (self.prices, self.active))
            return held_weights(actions, prices, active)
        cells = self._cells(actions, first)
        gains = self.gains.index_select(0, rows[:, :-1].reshape(-1)).view_as(actions[:, :-1])
        growth = 1 + (actions[:, :-1] * gains).sum(-1)  # (B, T - 1)
        chained = self.chained[rows[:, 1:]]
        free = _free_wealth(growth, chained, cells, debts=0 if self.is_long_only else _MOST_DEBTS)
        base = free if self.is_long_only else free.clamp_min(0.0)
        locked = cells.worth * base.gather(1, cells.bought)
        wealth = free.scatter_add(1, cells.row, locked).clamp_min(LEAST_WEALTH)
        held = actions * (base / wealth)[..., None]
        locked = locked / wealth.gather(1, cells.row)
        return held.flatten(1).scatter_add(1, cells.place, locked).view_as(actions)

    def _cells(self, actions: Tensor, first: Tensor) -> _Cells:
        """The halted cells in each episode."""
        start, end = self.first_cell[first], self.first_cell[first + self.window]
        cell = start[:, None] + torch.arange(self.n_cells, device=first.device)  # (B, C)
        inside = cell < end[:, None]
        flat = cell.clamp_max(len(self.places) - 1).view(-1)
        shape = (*cell.shape, 3)
        row, asset, bought = self.places.index_select(0, flat).view(shape).unbind(-1)
        row, bought = row - first[:, None], bought - first[:, None]
        # What was halted before the episode is not held in it.
        inside = inside & (bought >= 0)
        row, bought = torch.where(inside, row, 0), torch.where(inside, bought, 0)
        n_assets = actions.shape[-1]
        weight = actions.flatten(1).gather(1, bought * n_assets + asset) * inside
        worth = self.parts.index_select(0, flat).view(shape) * weight[..., None]
        worth, halted, back = worth.unbind(-1)
        back = back * (row + 1 < self.window)
        after = (row + 1).clamp_max(self.window - 1)
        return _Cells(row, after, bought, row * n_assets + asset, worth, halted, back)


class _Cells(NamedTuple):
    """Halted cells of episodes, each ``(B, C)``; those that only fill up are worth 0."""

    row: Tensor
    after: Tensor  # the next row
    bought: Tensor  # the row on which the position was bought
    place: Tensor  # in the episode's flat weights
    worth: Tensor  # per free wealth when it was bought, also of the next two
    halted: Tensor  # what it takes from the free wealth on its first halted row, else 0
    back: Tensor  # what it gives on the next row, where it can be traded again, else 0


def _free_wealth(growth: Tensor, chained: Tensor, cells: _Cells, *, debts: int) -> Tensor:
    """Free wealth ``(B, T)``, 1 on rows on which all trade.

    It is solved without gradients, and then once more for what is left over, which is 0: that costs
    the backward pass one solution and no matrix of gradients.
    """
    start = torch.nn.functional.pad(1 - chained, (1, 0), value=1.0)  # (B, T)
    with torch.no_grad():
        owes = torch.zeros_like(start)
        for _ in range(1 + debts):
            system = _system(growth * chained, chained, cells, owes)
            free = _solved(system, start)
            owes = (free < 0).to(free.dtype)
    base = free if not debts else free.clamp_min(0.0)
    grown = chained * (growth * base[:, :-1] + (free - base)[:, :-1])
    found = start + torch.nn.functional.pad(grown, (1, 0))
    found = found.scatter_add(1, cells.row, -cells.halted * base.gather(1, cells.bought))
    found = found.scatter_add(1, cells.after, cells.back * base.gather(1, cells.bought))
    return free + _solved(system, found - free)


def _system(growth: Tensor, chained: Tensor, cells: _Cells, owes: Tensor) -> Tensor:
    """``I - S`` below its diagonal, ``(B, T, T)``; nothing is bought on rows that owe."""
    n_episodes, n_rows = owes.shape
    buys = 1 - owes
    each = torch.arange(1, n_rows, device=owes.device) * (n_rows + 1) - 1
    lower = torch.zeros((n_episodes, n_rows * n_rows), dtype=owes.dtype, device=owes.device)
    passed = growth * buys[:, :-1] + chained * owes[:, :-1]
    lower = lower.scatter_add(1, each.expand_as(passed), -passed)
    bought = buys.gather(1, cells.bought)
    places = torch.cat((cells.row, cells.after), 1) * n_rows + cells.bought.repeat(1, 2)
    parts = torch.cat((cells.halted * bought, -cells.back * bought), 1)
    return lower.scatter_add(1, places, parts).view(n_episodes, n_rows, n_rows)


def _solved(system: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(
        system, right[..., None], upper=False, unitriangular=True
    ).squeeze(-1)
