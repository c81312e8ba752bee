"""What HISSO maximises: the mean reward of windows that are cut from a series."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from psann._seed import hashed_normal
from psann.accounting import relatives
from psann.halts import Halts
from psann.hisso.own_weights import beside, first_memory, remembered
from psann.hisso.rewards import Penalty, Reward, is_ours, on_rows
from psann.hisso.transforms import Transform
from psann.holdings import Carry, held_weights, is_limited, of_members
from psann.training.work import Forward


@dataclass(frozen=True, kw_only=True)
class Series:
    """One span of the series on the device."""

    X: Tensor  # (N, F) float32
    reward_context: Tensor  # (N, M) or (N, 1), float64
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    """What the reward is given by name, (N, k) float64 each."""
    context: Tensor | None = None  # (N, C) the network's conditioning input
    active: Tensor | None = None  # (N, M) int8, codes of `psann.holdings`; None: all, always
    known_active: Tensor | None = None
    """`active` of the rows of X, where actions are executed on later ones; None: as `active`."""
    known_prices: Tensor | None = None
    """``(N, M)`` of the rows of X, where a policy sees what it holds; else None."""
    span_rows: tuple[int, ...] = ()
    """Rows of each span where there are several: no window crosses from one to the next."""

    def then(self, later: Series) -> Series:
        """One series of two spans, the second after the first."""
        both = self._mapped(lambda _, *parts: torch.cat(parts), later)
        return replace(both, span_rows=(len(self.X), len(later.X)))

    def last(self, n_rows: int) -> Series:
        """The newest rows of one span."""
        return self._mapped(lambda _, part: part[-n_rows:])

    def executed_late(self, delay: int) -> Series:
        """The series whose rows are judged so many rows later than they are decided."""
        if not delay:
            return self
        n_rows = max(len(self.X) - delay, 0)

        def cut(name: str, part: Tensor) -> Tensor:
            return part[delay:] if name in _OF_EXECUTION else part[:n_rows]

        return replace(self, known_active=self.active)._mapped(cut)

    def _mapped(self, change: Callable[..., Tensor], *others: Series) -> Series:
        """The series with every tensor changed: what is absent of one stays absent.

        Parameters
        ----------
        change : callable
            Takes the name of a field, and its tensors in this series and in the others.
        """
        spans = (self, *others)
        parts = {name: [getattr(span, name) for span in spans] for name in _TENSORS}
        changed: dict[str, Any] = {
            name: None if any(part is None for part in found) else change(name, *found)
            for name, found in parts.items()
        }
        inputs = {k: change("inputs", *(span.inputs[k] for span in spans)) for k in self.inputs}
        return replace(self, inputs=inputs, **changed)


_OF_EXECUTION = ("reward_context", "active", "inputs")
"""What is of the rows on which actions are executed; all else is known where they are decided."""
_TENSORS = ("X", "context", "known_active", "known_prices", *_OF_EXECUTION[:2])


def beside_actions(context: Tensor, actions: Tensor) -> Tensor:
    """The context ``(..., k)`` of a reward as it is given it: one column serves every action."""
    return context.expand_as(actions) if context.shape[-1] == 1 else context


@dataclass(frozen=True, kw_only=True)
class EpisodeObjective:
    """Minus the mean reward of windows of the series."""

    series: Series
    window: int
    transform: Transform
    reward: Reward
    transition_penalty: Penalty
    """A number, or a tensor of one per asset ``(M,)``, or of each row of the series ``(N, k)``."""
    carry: Carry | None = None
    input_noise: float
    shares_rows: bool
    """Whether rows may be computed once and used in every window they lie in."""

    @property
    def is_ours(self) -> bool:
        """Whether the reward is none of the user's."""
        return is_ours(self.reward.name)

    @functools.cached_property
    def _steps(self) -> Tensor:
        return torch.arange(self.window, device=self.series.X.device)

    @functools.cached_property
    def _halts(self) -> Halts | None:
        """What makes weights that are held differ from those asked for."""
        active = self.series.active
        if active is None or not self.reward.takes_active or is_limited(self.carry):
            return None
        return Halts.of(
            active,
            self._reward_context,
            window=self.window,
            is_long_only=self.transform.is_long_only,
        )

    @functools.cached_property
    def _reward_context(self) -> Tensor:
        return self.series.reward_context.float()

    @functools.cached_property
    def _carry(self) -> Carry | None:
        if self.carry is None:
            return None
        cash, borrow = (
            rate.float() if isinstance(rate, Tensor) else rate
            for rate in (self.carry.cash, self.carry.borrow)
        )
        return replace(self.carry, cash=cash, borrow=borrow)

    @functools.cached_property
    def _inputs(self) -> Mapping[str, Tensor]:
        return {name: self.series.inputs[name].float() for name in self.reward.inputs}

    def __call__(
        self, forward: Forward, index: Tensor, key: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``()`` and the reward of each episode ``(B,)``, from start rows ``(B,)``."""
        rows = self._rows(index)
        active = self._in_windows(self.series.active, rows)
        return self._judged(self._actions(forward, rows, key, active), rows, index, active)

    def remembering(
        self, forward: Forward, index: Tensor, key: Tensor | None, memory: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same of a policy that sees what it holds, and the memory ``(N, M)`` after it."""
        rows = self._rows(index)
        actions = self._actions(forward, rows, key, None, memory)
        loss, rewards = self._judged(actions, rows, index, None)
        in_windows = rows.view(-1, self.window)
        return loss, rewards, remembered(memory, in_windows, actions.detach(), self._moves)

    @functools.cached_property
    def _moves(self) -> Tensor:
        prices = self.series.known_prices
        assert prices is not None
        return relatives(prices).float()

    def _judged(
        self, actions: Tensor, rows: Tensor, index: Tensor, active: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        context, carry = beside_actions(self._context(rows), actions), self._carry
        if carry is not None:
            carry = carry.of_rows(rows.view(-1, self.window))
        if is_limited(carry):
            actions = held_weights(actions, context, active, carry=carry)
        elif self._halts is not None:
            actions = self._halts.held(actions, index)
        told = {name: self._windows(each, rows) for name, each in self._inputs.items()}
        rewards = self.reward.told(told)(
            actions,
            context,
            transition_penalty=on_rows(self.transition_penalty, rows.view(-1, self.window)),
            initial="invested",
            cash=self.transform.holds_cash or active is not None,
            active=active,
            carry=carry,
        )
        return -rewards.mean(), rewards

    def _rows(self, index: Tensor) -> Tensor:
        return (index.unsqueeze(1) + self._steps).view(-1)  # (B * T,)

    def _context(self, rows: Tensor) -> Tensor:
        return self._windows(self._reward_context, rows)

    def _windows(self, each: Tensor, rows: Tensor) -> Tensor:
        """Of all rows ``(N, k)`` those of each window, ``(B, T, k)``."""
        return each.index_select(0, rows).view(-1, self.window, each.shape[1])

    def _in_windows(self, active: Tensor | None, rows: Tensor) -> Tensor | None:
        """Who can be held in each window, ``(B, T, M)``."""
        return None if active is None else self._windows(active, rows)

    def _actions(
        self,
        forward: Forward,
        rows: Tensor,
        key: Tensor | None,
        active: Tensor | None,
        memory: Tensor | None = None,
    ) -> Tensor:
        """Actions ``(B, T, M)``, from one forward pass over distinct rows or all windows."""
        outputs = self._outputs(forward, rows, key, memory)
        outputs = outputs.view(-1, self.window, outputs.shape[1])
        known = self._in_windows(self.series.known_active, rows)
        if known is None or active is None:
            return self.transform.function(outputs, active)
        return of_members(self.transform.function(outputs, known), active)

    def _outputs(
        self, forward: Forward, rows: Tensor, key: Tensor | None, memory: Tensor | None = None
    ) -> Tensor:
        """Network outputs ``(B * T, M)``."""
        series = self.series
        if self.shares_rows:
            x = series.X if memory is None else beside(series.X, memory)
            return forward(x, series.context, None).index_select(0, rows)
        x = series.X.index_select(0, rows)  # (B * T, F)
        if memory is not None:
            x = beside(x, memory.index_select(0, rows))
        if self.input_noise and key is not None:
            x = x + self.input_noise * hashed_normal(key, x.shape)
        context = None if series.context is None else series.context.index_select(0, rows)
        return forward(x, context, key)

    def place_of_nonfinite(self, forward: Forward, index: Tensor, key: Tensor | None) -> str:
        """Name the first of data, forward pass, reward and gradient that is not finite."""
        rows, known = self._rows(index), self.series.known_prices
        memory = None if known is None else first_memory(known, self.transform)
        if not (self.series.X[rows].isfinite().all() and self._context(rows).isfinite().all()):
            return "the data of this update are not finite"
        if not self._outputs(forward, rows, key, memory).isfinite().all():
            return "the forward pass gave outputs that are not finite"
        active = self._in_windows(self.series.active, rows)
        actions = self._actions(forward, rows, key, active, memory)
        if not self._judged(actions, rows, index, active)[0].isfinite():
            return f"the reward {self.reward.name} is not finite"
        return "the gradient is not finite"
