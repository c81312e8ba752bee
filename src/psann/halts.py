"""What short episodes hold where assets halt, without a loop over time, for training.

Letters: ``B`` episodes, ``T`` rows, ``M`` assets, ``C`` halted cells of an episode, ``K`` its rows
that have such cells, after one on which all trade. The rules are those of
`psann.holdings.held_weights`. Only halted cells need more than a product with a number for each
row: they and their rows are listed once for a series, and an episode takes those that lie in it.

Free wealth ``F`` (all but what halted positions are worth) follows from that of earlier rows: it
grows with its targets, loses those that halt, and gets back those that return, each in proportion
to the free wealth of the row on which it was bought. It is 1 on rows on which all trade, so that
numbers neither grow nor fade. That is a triangular system ``F = e + S F`` with few entries.

An update of a small network costs as much as it has operations, whatever their size. So all that
depends on nothing but the row on which an episode begins is looked up, not computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from psann.holdings import HALTED, LEAST_WEALTH, held_weights

# Halted rows up to which an episode is solved as one system, (K, K); others go row by row.
_MOST_ROWS_AT_ONCE = 512
# Debts are found one after the other between two rows on which all trade; more are not looked for.
_MOST_DEBTS = 3
# Cells and rows of all episodes, of about 60 bytes each, up to which every one has its own list.
_MOST_LISTED = 1 << 20


class _Lists(NamedTuple):
    """The halted rows and cells of episodes; all of those that only fill up are 0."""

    row: Tensor  # (B, K) its place in the episode
    before: Tensor  # (B, K) that of the row before
    links: Tensor  # (B, 2, K) which of the K that is; and what it changes in the flat system
    inside: Tensor  # (B, 2, K) 1, or 0 for those that only fill up; and the other way round
    cells: Tensor  # (B, 7, C) place in the flat weights, and where it was bought; on which of the K
    # that was, which is its own and the next one; what its halt and its return change in the system
    worth: Tensor  # (B, 3, C) per bought: now, at its halt, and minus that at its return


@dataclass(frozen=True, kw_only=True)
class Halts:
    """The halted cells of a series, and what episodes of it hold.

    Letters: ``N`` rows of the series, ``E = N - T + 1`` rows on which an episode can begin. Tables
    of n rows or m cells are views: from each on as many as an episode can have.
    """

    active: Tensor  # (N, M) codes of `psann.holdings`
    prices: Tensor  # (N, M)
    window: int  # T
    is_long_only: bool
    """Whether targets are never negative and never sum to more than 1, so that nothing is owed."""
    first_row: Tensor  # (E,) where in the list of rows an episode begins
    first_cell: Tensor  # (E,) where in the list of cells
    gains: Tensor  # (n, K, M) simple returns from the row before
    rows: Tensor  # (n, 2, K) its place in the series; which of the n the row before is, or 0
    cells: Tensor  # (m, 5, C) row, row on which it was bought, asset; which of the n those rows are
    worth: Tensor  # (m, 3, C) as in `_Lists`
    lists: _Lists | None = None
    """Those of every episode, where that is not too much."""

    @classmethod
    def of(
        cls, active: Tensor, prices: Tensor, *, window: int, is_long_only: bool = False
    ) -> Halts | None:
        """List the halted cells of a series; None where no episode holds a halted position.

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
        n_rows = len(active)
        every = torch.arange(n_rows, device=active.device)
        bought = torch.where(active == HALTED, -1, every[:, None]).cummax(0).values
        halted = (active == HALTED) & (bought >= 0)
        is_one = halted.any(1)
        # Up to each row; an episode begins with what comes after its first, of which it has none.
        upto, cells_upto = is_one.cumsum(0), halted.sum(1).cumsum(0)
        first, last = slice(n_rows + 1 - window), slice(window - 1, None)
        n_cells = int((cells_upto[last] - cells_upto[first]).max())
        if not n_cells:
            return None
        most = 1 + int((upto[last] - upto[first]).max())
        number = upto * is_one
        where = is_one.nonzero()[:, 0]
        row, asset = halted.nonzero(as_tuple=True)
        since = bought[row, asset]
        cells = torch.stack((row, since, asset, number[row], number[since]))
        worth = _worth(prices, halted, row=row, asset=asset, since=since)
        moves = prices[where] / prices[where - 1] - 1
        # Before the rows one that is none, and some behind them all that are in no episode.
        rows = torch.nn.functional.pad(torch.stack((where, number[where - 1])), (1, 0))
        return cls(
            active=active,
            prices=prices,
            window=window,
            is_long_only=is_long_only,
            first_row=upto[first],
            first_cell=cells_upto[first],
            gains=torch.nn.functional.pad(moves, (0, 0, 1, most)).unfold(0, most, 1).mT,
            rows=_from_each(rows, most, fill=n_rows + window),
            cells=_from_each(cells, n_cells, fill=n_rows + window),
            worth=_from_each(worth, n_cells),
        )._with_lists()

    def _with_lists(self) -> Halts:
        n_episodes = len(self.first_row)
        if n_episodes * (self.rows.shape[-1] + self.cells.shape[-1]) > _MOST_LISTED:
            return self
        every = torch.arange(n_episodes, device=self.first_row.device)
        return replace(self, lists=self._lists_of(every))

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
        if self.rows.shape[-1] > _MOST_ROWS_AT_ONCE:
            at = first[:, None] + torch.arange(self.window, device=first.device)
            return held_weights(actions, self.prices[at], self.active[at])
        gains = self.gains.index_select(0, self.first_row.index_select(0, first))
        debts = 0 if self.is_long_only else _MOST_DEBTS
        held: Tensor = _Held.apply(actions, debts, gains, *self._lists_of(first))[0]  # type: ignore[no-untyped-call]
        return held

    def _lists_of(self, first: Tensor) -> _Lists:
        """What lies in episodes that begin on these rows ``(B,)``."""
        if self.lists is not None:
            return _Lists(*(table.index_select(0, first) for table in self.lists))
        begins, (n_rows, n_assets) = (
            self.first_row[first],
            (self.rows.shape[-1], self.active.shape[1]),
        )
        row, link = self.rows.index_select(0, begins).unbind(1)  # (B, K)
        row = row - first[:, None]
        inside = (row > 0) & (row < self.window)
        link = (link - begins[:, None]).clamp_min(0)
        below = link + n_rows * torch.arange(n_rows, device=first.device)
        cells = self.cells.index_select(0, self.first_cell[first]).unbind(1)  # (B, C)
        at, since, asset = cells[0] - first[:, None], cells[1] - first[:, None], cells[2]
        own, bought = (number - begins[:, None] for number in cells[3:])
        bought = bought.clamp_min(0)
        # What was halted before the episode is not held in it, what returns after it not yet back.
        held = (since >= 0) & (at < self.window)
        back = held & (own < n_rows - 1) & (at < self.window - 1)
        flat, entry = (at * n_assets + asset, since * n_assets + asset), own * n_rows + bought
        worth = self.worth.index_select(0, self.first_cell[first])
        return _Lists(
            row=row * inside,
            before=(row - 1) * inside,
            links=torch.stack((link * inside, below * inside), 1),
            inside=torch.stack((inside, ~inside), 1).to(self.prices.dtype),
            cells=torch.stack(
                [each * held for each in (*flat, bought, own)]
                + [(own + 1) * back, entry * held, (entry + n_rows) * back],
                1,
            ),
            worth=worth * torch.stack((held, held, back), 1),
        )


class _Held(torch.autograd.Function):
    """Weights held ``(B, T, M)`` of target weights, with its gradient written out.

    The gradient of the solved system ``x = A^-1 e`` is one more solution, with the transpose, of
    which only the few entries that depend on the targets are wanted. The tensors are the gains on
    halted rows ``(B, K, M)`` and those of `_Lists`. The second output and those after it are what
    the gradient needs.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(actions: Tensor, debts: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        gains, row, before, links, inside, cells, worth = tensors
        (n_episodes, n_rows), window = row.shape, actions.shape[1]
        # Places of rows in the flat batch.
        begins = torch.arange(0, n_episodes * window, window, device=row.device)[:, None]
        row, before = (row + begins).flatten(), (before + begins).flatten()
        grown = _rows_of(actions, before, like=gains).mul_(gains).sum(-1)
        is_inside, is_outside = inside.unbind(1)
        passed = torch.addcmul(is_inside, is_inside, grown)  # (B, K)
        _, bought_place, bought, own = cells[:, :4].unbind(1)
        parts = worth * actions.flatten(1).gather(1, bought_place)[:, None]  # (B, 3, C)
        entries = passed.new_zeros((n_episodes, n_rows * n_rows))
        entries.scatter_add_(1, links[:, 1], -passed)
        entries.scatter_add_(1, cells[:, 5:].flatten(1), parts[:, 1:].flatten(1))
        system = linked = entries.view(n_episodes, n_rows, n_rows)
        free = _solved(linked, is_outside)
        if debts:
            # Nothing is bought on rows that owe; what is owed stays.
            owed = torch.zeros_like(entries).scatter_add_(1, links[:, 1], -is_inside)
            owed = owed.view_as(linked)
        for _ in range(debts):
            system = torch.where(free[:, None] > 0, linked, owed)
            free = _solved(system, is_outside)
        base = free.clamp_min(0.0) if debts else free
        at_purchase = base.gather(1, bought)
        locked = parts[:, 0] * at_purchase
        per_wealth = free.scatter_add(1, own, locked).clamp_min_(LEAST_WEALTH).reciprocal_()
        shares = locked * per_wealth.gather(1, own)
        of_rows = actions.new_ones(n_episodes * window)
        of_rows = of_rows.scatter(0, row, (base * per_wealth).flatten()).view(-1, window)
        held = actions * of_rows[..., None]
        held.flatten(1).scatter_add_(1, cells[:, 0], shares)
        solved = torch.stack((base, per_wealth), 1)
        return held, system, solved, of_rows, shares, parts[:, 0], at_purchase, row, before

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.debts = inputs[1]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(inputs[0], *inputs[2:], *output[1:])

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Letters: the gradient of x is `d_x`."""
        d_held = of_outputs[0]
        actions, gains, _, _, links, inside, cells, worth, *solved = ctx.saved_tensors
        system, of_system, of_rows, shares, part, at_purchase, row, before = solved
        base, per_wealth = of_system.unbind(1)
        place, bought_place, bought, own = cells[:, :4].unbind(1)
        is_inside = inside[:, 0]
        d_rows = _rows_of(d_held, row, like=gains).mul_(_rows_of(actions, row, like=gains))
        d_scale = is_inside * d_rows.sum(-1) * per_wealth  # (B, K)
        d_shares = d_held.flatten(1).gather(1, place)
        d_wealth = (d_scale * base).scatter_add(1, own, d_shares * shares)
        d_wealth = -d_wealth * per_wealth * (per_wealth < 1 / LEAST_WEALTH)
        d_locked = d_shares * per_wealth.gather(1, own) + d_wealth.gather(1, own)
        d_base = d_scale.scatter_add(1, bought, d_locked * part)
        d_free = d_wealth + (d_base * (base > 0) if ctx.debts else d_base)
        turned = torch.linalg.solve_triangular(
            system.mT, d_free[..., None], upper=True, unitriangular=True
        ).squeeze(-1)
        d_grown = is_inside * turned * base.gather(1, links[:, 0])
        d_system = turned.gather(1, cells[:, 3:5].flatten(1)).view_as(worth[:, 1:]) * worth[:, 1:]
        d_weight = at_purchase * (worth[:, 0] * d_locked - d_system.sum(1))
        d_actions = d_held * of_rows[..., None]
        growth = (d_grown[..., None] * gains).flatten(0, 1)
        d_actions.flatten(0, 1).index_add_(0, before, growth)
        d_actions.flatten(1).scatter_add_(1, bought_place, d_weight)
        return (d_actions, *(None,) * 8)


def _rows_of(values: Tensor, places: Tensor, *, like: Tensor) -> Tensor:
    """Rows at places in the flat batch ``(B * K,)``."""
    return values.flatten(0, 1).index_select(0, places).view_as(like)


def _from_each(lists: Tensor, size: int, *, fill: int = 0) -> Tensor:
    """``(L, n)`` as ``(n + 1, L, size)``: of each and of the end the next so many, then `fill`."""
    padded = torch.nn.functional.pad(lists, (0, size), value=fill)
    return padded.unfold(1, size, 1).transpose(0, 1)


def _worth(prices: Tensor, halted: Tensor, *, row: Tensor, asset: Tensor, since: Tensor) -> Tensor:
    """What each halted position is worth per what was bought of it, where it counts ``(3, n)``."""
    cost = prices[since, asset]
    now = prices[row, asset] / cost
    later = (row + 1).clamp_max(len(prices) - 1)
    # Where all trade, free wealth is 1 whatever comes back.
    is_back = ~halted[later, asset] & halted[later].any(1)
    at_halt = torch.where(since == row - 1, now, 0.0)
    return torch.stack((now, at_halt, torch.where(is_back, -prices[later, asset] / cost, 0.0)))


def _solved(system: Tensor, right: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(
        system, right[..., None], upper=False, unitriangular=True
    )
    return solved.squeeze(-1)
