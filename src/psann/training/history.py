"""What one epoch and one fit leave behind: plain values, no tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


# Slots: a long run keeps thousands.
@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRecord:
    """One epoch as observers see it; None marks a value that this phase does not have.

    `reward_*` are over the training episodes of the epoch (population standard deviation);
    `turnover`, `val_turnover` and `entropy` are of the actions in the validation pass; `*_s` are
    seconds.
    """

    phase: str
    epoch: int
    epochs_total: int
    update: int
    episodes: int
    lr: float
    train_loss: float | None
    val_loss: float | None = None
    reward_mean: float | None = None
    reward_std: float | None = None
    reward_min: float | None = None
    reward_max: float | None = None
    val_reward_mean: float | None = None
    turnover: float | None = None
    val_turnover: float | None = None
    entropy: float | None = None
    grad_norm: float | None = None
    amp_scale: float | None = None
    skipped_updates: int = 0
    monitor_value: float | None = None
    is_best: bool = False
    data_s: float = 0.0
    step_s: float = 0.0
    val_s: float = 0.0
    episodes_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A choice that training made on its own, with the reason, for the log."""

    phase: str
    message: str
    shuffle: bool | None = None
    state_reset: str | None = None
    seed: int | None = None
    """The seed that it is about; None where it is about all."""


@dataclass(kw_only=True)
class FitResult:
    """What a fit did: which epoch was kept, why it ended, and every epoch's record."""

    monitor: str | None
    best_epoch: int
    best_value: float | None
    epochs_done: int
    stopped_early: bool
    episodes: int
    skipped_updates: int
    temperature: float | None = None
    """What the outputs of the kept weights are divided by; None where that was not chosen."""
    history: list[EpochRecord] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    @property
    def is_best_the_last(self) -> bool:
        """Whether the best of several epochs is the last planned: more might have been better."""
        return self.best_epoch == self.epochs_done > 1 and not self.stopped_early

    @property
    def never_moved(self) -> bool:
        """Whether no update changed a weight: every gradient was exactly 0."""
        norms = [record.grad_norm for record in self.history if record.grad_norm is not None]
        return bool(norms) and not any(norms)

    @property
    def lost_every_epoch(self) -> bool:
        """Whether each epoch lost everything on the validation rows."""
        judged = [record.val_reward_mean for record in self.history if record.phase == "hisso"]
        return bool(judged) and all(value == -math.inf for value in judged)

    @property
    def has_single_updates(self) -> bool:
        """Whether an epoch is a single update, so that epochs say little of what was learnt."""
        return any(record.epoch == record.update == 2 for record in self.history)

    @property
    def is_refitted(self) -> bool:
        """Whether the kept weights were trained on the validation rows too."""
        return any(record.phase == "refit" for record in self.history)


def last_phase(history: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Epochs of the last phase that had any: of a refit where there was one."""
    return [record for record in history if record.phase == history[-1].phase]
