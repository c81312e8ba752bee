"""Where training stands: what an interrupted phase needs to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from psann.training.engine import Carry, EagerEngine, WeightLayout
from psann.training.history import Decision, EpochRecord, FitResult


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best monitored epoch so far."""

    value: float
    epoch: int
    weights: Tensor  # (P,)
    buffers: dict[str, Tensor]


@dataclass(kw_only=True)
class Tally:
    """Sums over the updates of the epoch that is under way."""

    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class TrainState:
    """One phase in progress. `epoch` counts finished epochs, `update` all updates of the phase."""

    phase: str
    epochs_total: int
    monitor: str | None
    layout: WeightLayout
    carry: Carry
    epoch: int = 0
    updates_in_epoch: int = 0
    update: int = 0
    episodes: int = 0
    skipped_updates: int = 0
    refused_in_a_row: int = 0
    stale_epochs: int = 0
    best: Best | None = None
    tally: Tally = field(default_factory=Tally)
    history: list[EpochRecord] = field(default_factory=list)

    @classmethod
    def at_start(
        cls, phase: str, *, epochs_total: int, monitor: str | None, engine: EagerEngine
    ) -> TrainState:
        """Before the first update, from the engine's network."""
        return cls(
            phase=phase,
            epochs_total=epochs_total,
            monitor=monitor,
            layout=engine.layout,
            carry=engine.initial_carry(),
        )

    def tensors(self, *, best: bool) -> dict[str, Tensor]:
        """Parameters and buffers by name, of the best epoch so far or of this moment."""
        source: Carry | Best = self.best if best and self.best is not None else self.carry
        return {**self.layout.unflatten(source.weights), **source.buffers}

    def result(self, *, stopped_early: bool, decisions: Sequence[Decision]) -> FitResult:
        """What the phase did, as plain values."""
        return FitResult(
            monitor=self.monitor,
            best_epoch=self.best_epoch,
            best_value=None if self.best is None else self.best.value,
            epochs_done=self.epoch,
            stopped_early=stopped_early,
            episodes=self.episodes,
            skipped_updates=self.skipped_updates,
            history=list(self.history),
            decisions=list(decisions),
        )

    @property
    def best_epoch(self) -> int:
        """Epoch of the best weights; the last finished one where nothing is monitored."""
        return self.epoch if self.best is None else self.best.epoch
