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
    n_cells: int  # C, the most that an episode has
    is_long_only: bool
    """Whether targets are never negative and never sum to more than 1, so that nothing is owed."""
    gains: Tensor  # (N, M) simple return from this row to the next; the last row has 0
    opens: Tensor  # (N + 1,) 1 where nobody is halted, else 0
    first_cell: Tensor  # (N,) the number of cells on earlier rows
    places: Tensor  # (K + C, 4) of each cell, as if the series were one episode; see `_Cells`
    shifts: Tensor  # (4,) what to take from them for each row before an episode
    parts: Tensor  # (K + C, 3) worth per bought: now, what its halt takes, what its return gives
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
        places = torch.stack((row, since, since * n_assets + asset, row * n_assets + asset), 1)
        # Behind the last cell, some that lie in no episode.
        nowhere = torch.tensor([[n_rows + window, -1, 0, 0]], device=row.device)
        steps = torch.arange(window + 1, device=row.device)
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
            shifts=torch.tensor([1, 1, n_assets, n_assets], device=row.device),
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
        cells = self._cells(first)
        parts = cells.parts * actions.flatten(1).gather(1, cells.bought_place)[..., None]
        worth, *moved = parts.unbind(-1)  # (B, C) each
        gains = self.gains.index_select(0, rows[:, :-1].flatten()).view_as(actions)
        free = self._free_wealth(
            torch.cat(((actions * gains).sum(-1), *moved), 1), self.opens[rows], cells
        )
        base = free if self.is_long_only else free.clamp_min(0.0)
        locked = worth * base.gather(1, cells.bought)
        wealth = free.scatter_add(1, cells.row, locked).clamp_min(LEAST_WEALTH)  # (B, T + 1)
        held = (actions * (base / wealth)[:, :-1, None]).flatten(1)
        shares = locked / wealth.gather(1, cells.row)
        return held.scatter_add(1, cells.place, shares).view_as(actions)

    def _cells(self, first: Tensor) -> _Cells:
        """The halted cells in each episode."""
        cell = (self.first_cell[first][:, None] + self.order).flatten()
        shape = (len(first), self.n_cells, -1)
        places = self.places.index_select(0, cell).view(shape)
        places = places - first[:, None, None] * self.shifts
        # What was halted before the episode is not held in it.
        inside = (places[..., 1:2] >= 0) & (places[..., :1] < self.window)
        parts = self.parts.index_select(0, cell).view(shape) * inside
        return _Cells(*(places * inside).unbind(-1), parts)

    def _free_wealth(self, changes: Tensor, opens: Tensor, cells: _Cells) -> Tensor:
        """Free wealth ``(B, T + 1)``, 1 on rows on which all trade; the last row means nothing.

        It is solved without gradients; that of `changes` then comes from one more solution of the
        same system, without the matrix of gradients that a solver's own would fill.

        Parameters
        ----------
        changes : torch.Tensor
            ``(B, T + 2 C)``, per free wealth of the row on which it was bought: what targets gain
            on each row; what halts take, and returns give.
        opens : torch.Tensor
            ``(B, T + 1)``, 1 where all trade.
        cells : _Cells
        """
        side = self.window + 1
        with torch.no_grad():
            start = torch.maximum(opens, self.is_first)
            follows = 1 - start[:, 1:]
            bought = torch.cat((self.steps[:-1].expand_as(follows), cells.bought, cells.bought), 1)
            rows = torch.cat((self.steps[1:].expand_as(follows), cells.row, cells.row + 1), 1)
            places = rows * side + bought
            free = start
            # Nothing is bought on rows that owe.
            base = torch.ones_like(start)
            for _ in range(1 if self.is_long_only else 1 + _MOST_DEBTS):
                entries = changes * base.gather(1, bought)
                passed = follows * (1 + entries[:, : self.window])
                entries = torch.cat((passed, entries[:, self.window :]), 1)
                system = start.new_zeros((len(start), side * side)).scatter_add(1, places, -entries)
                system = system.view(-1, side, side)
                free = _solved(system, start)
                base = (free > 0).to(free.dtype)
            weight = (free * base).gather(1, bought)
            weight = torch.cat((follows * weight[:, : self.window], weight[:, self.window :]), 1)
        moved = torch.zeros_like(free).scatter_add(1, rows, changes * weight)
        slope = _solved(system, moved)
        return free + (slope - slope.detach())


class _Cells(NamedTuple):
    """Halted cells of episodes, each ``(B, C)``; those that only fill up have 0 everywhere."""

    row: Tensor
    bought: Tensor  # the row on which the position was bought
    bought_place: Tensor  # in the episode's flat weights
    place: Tensor
    parts: Tensor  # (B, C, 3) as of `Halts`


def _parts(
    prices: Tensor, opens: Tensor, *, row: Tensor, asset: Tensor, bought: Tensor, is_back: Tensor
) -> Tensor:
    """What each halted position is worth per what was bought of it: now, and where it counts."""
    cost = prices[bought, asset]
    now = prices[row, asset] / cost
    later = prices[(row + 1).clamp_max(len(prices) - 1), asset] / cost
    returns = torch.where(is_back & (opens[row + 1] == 0), later, 0.0)
    return torch.stack((now, torch.where(bought == row - 1, -now, 0.0), returns), 1)


def _solved(system: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(
        system, right[..., None], upper=False, unitriangular=True
    ).squeeze(-1)
