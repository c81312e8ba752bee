"""What HISSO maximises: the mean reward of windows that are cut from a series."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from psann._seed import hashed_normal
from psann.accounting import Carry
from psann.hisso.rewards import Penalty, Reward
from psann.hisso.transforms import Transform
from psann.holdings import has_halts, held_weights_at_once
from psann.training.engine import Forward


@dataclass(frozen=True, kw_only=True)
class Series:
    """One span of the series on the device."""

    X: Tensor  # (N, F) float32
    reward_context: Tensor  # (N, M) or (N, 1), float64
    context: Tensor | None = None  # (N, C) the network's conditioning input
    active: Tensor | None = None  # (N, M) int8, codes of `psann.holdings`; None: all, always
    span_rows: tuple[int, ...] = ()
    """Rows of each span where there are several: no window crosses from one to the next."""

    def then(self, later: Series) -> Series:
        """One series of two spans, the second after the first."""
        context = None
        if self.context is not None and later.context is not None:
            context = torch.cat((self.context, later.context))
        active = None
        if self.active is not None and later.active is not None:
            active = torch.cat((self.active, later.active))
        return Series(
            X=torch.cat((self.X, later.X)),
            reward_context=torch.cat((self.reward_context, later.reward_context)),
            context=context,
            active=active,
            span_rows=(len(self.X), len(later.X)),
        )


@dataclass(frozen=True, kw_only=True)
class EpisodeObjective:
    """Minus the mean reward of windows of the series."""

    series: Series
    window: int
    transform: Transform
    reward: Reward
    transition_penalty: Penalty
    carry: Carry | None = None
    input_noise: float
    shares_rows: bool
    """Whether rows may be computed once and used in every window they lie in."""

    @functools.cached_property
    def _steps(self) -> Tensor:
        return torch.arange(self.window, device=self.series.X.device)

    @functools.cached_property
    def _has_halts(self) -> bool:
        """Whether weights that are held may differ from those asked for."""
        active = self.series.active
        return self.reward.takes_active and active is not None and has_halts(active)

    @functools.cached_property
    def _reward_context(self) -> Tensor:
        return self.series.reward_context.float()

    def __call__(
        self, forward: Forward, index: Tensor, key: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``()`` and the reward of each episode ``(B,)``, from start rows ``(B,)``."""
        rows = self._rows(index)
        active = self._active(rows)
        actions = self._actions(forward, rows, key, active)
        context = self._context(rows).expand_as(actions)
        if self._has_halts and active is not None:
            actions = held_weights_at_once(actions, context, active)
        rewards = self.reward(
            actions,
            context,
            transition_penalty=self.transition_penalty,
            initial="invested",
            cash=self.transform.holds_cash or active is not None,
            active=active,
            carry=self.carry,
        )
        return -rewards.mean(), rewards

    def _rows(self, index: Tensor) -> Tensor:
        return (index[:, None] + self._steps).reshape(-1)  # (B * T,)

    def _context(self, rows: Tensor) -> Tensor:
        judged = self._reward_context.index_select(0, rows)
        return judged.view(-1, self.window, judged.shape[1])  # (B, T, M)

    def _active(self, rows: Tensor) -> Tensor | None:
        """Who can be held in each window, ``(B, T, M)``."""
        active = self.series.active
        if active is None:
            return None
        return active.index_select(0, rows).view(-1, self.window, active.shape[1])

    def _actions(
        self, forward: Forward, rows: Tensor, key: Tensor | None, active: Tensor | None
    ) -> Tensor:
        """Actions ``(B, T, M)``, from one forward pass over distinct rows or all windows."""
        outputs = self._outputs(forward, rows, key)
        outputs = outputs.view(-1, self.window, outputs.shape[1])
        return self.transform.function(outputs, active)

    def _outputs(self, forward: Forward, rows: Tensor, key: Tensor | None) -> Tensor:
        """Network outputs ``(B * T, M)``."""
        series = self.series
        if self.shares_rows:
            return forward(series.X, series.context, None).index_select(0, rows)
        x = series.X.index_select(0, rows)  # (B * T, F)
        if self.input_noise and key is not None:
            x = x + self.input_noise * hashed_normal(key, x.shape)
        context = None if series.context is None else series.context.index_select(0, rows)
        return forward(x, context, key)

    def place_of_nonfinite(self, forward: Forward, index: Tensor, key: Tensor | None) -> str:
        """Name the first of data, forward pass, reward and gradient that is not finite."""
        rows = self._rows(index)
        if not (self.series.X[rows].isfinite().all() and self._context(rows).isfinite().all()):
            return "the data of this update are not finite"
        if not self._outputs(forward, rows, key).isfinite().all():
            return "the forward pass gave outputs that are not finite"
        if not self(forward, index, key)[0].isfinite():
            return f"the reward {self.reward.name} is not finite"
        return "the gradient is not finite"
