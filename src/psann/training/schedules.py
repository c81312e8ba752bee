"""Learning rates as pure functions of the epoch, so that a resumed run needs no state for them."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from psann._models import StrictModel

ScheduleName = Literal["constant", "linear", "cosine", "one_cycle", "step"]


class LRScheduleOptions(StrictModel):
    """How the learning rate moves from epoch to epoch."""

    name: ScheduleName = "constant"
    """Shape of the schedule."""
    lr_min: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Learning rate of the last epoch (linear, cosine, one_cycle); null means 0."""
    warmup_epochs: int = Field(default=0, ge=0)
    """Epochs of linear growth from lr / warmup_epochs to lr, before the schedule proper."""
    step_epochs: int | None = Field(default=None, ge=1)
    """Epochs between two drops (step); null means 30."""
    gamma: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    """Factor of each drop (step); null means 0.1."""

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> LRScheduleOptions:
        idle = [
            key
            for key, used in (
                ("lr_min", self.has_end),
                ("step_epochs", self.name == "step"),
                ("gamma", self.name == "step"),
            )
            if getattr(self, key) is not None and not used
        ]
        if self.warmup_epochs and self.name == "one_cycle":
            idle.append("warmup_epochs")
        if idle:
            raise ValueError(
                f"{', '.join(idle)} has no effect on the schedule {self.name!r}; remove it"
            )
        return self

    @property
    def has_end(self) -> bool:
        """Whether the rate depends on how many epochs there will be."""
        return self.name in ("linear", "cosine", "one_cycle")

    def check_fits(self, *, lr: float, epochs: int) -> None:
        """Refuse what cannot be meant in a training of `epochs` epochs at `lr`.

        Parameters
        ----------
        lr : float
            Peak learning rate, greater than 0.
        epochs : int
            Planned epochs, at least 1.

        Raises
        ------
        ValueError
            If the warm-up is longer than the training, or the rate would end above its peak.
        """
        problems = []
        if self.warmup_epochs > epochs:
            problems.append(
                f"warmup_epochs must be at most epochs, {epochs}, or lr is never reached; got "
                f"{self.warmup_epochs}"
            )
        if self.lr_min is not None and self.lr_min > lr:
            problems.append(
                f"lr_min must be at most lr, {lr:g}, from where the rate falls; got {self.lr_min:g}"
            )
        if problems:
            raise ValueError("; ".join(problems))


# The share of epochs in which one_cycle rises, and how far below lr it starts (Smith 2018).
_ONE_CYCLE_RISE = 0.3
_ONE_CYCLE_START = 1 / 25


def learning_rate(options: LRScheduleOptions, *, lr: float, epoch: int, epochs: int) -> float:
    """Learning rate of one epoch.

    With progress ``p`` going from 0 in the first epoch after the warm-up to 1 in the last:
    linear ``lr + (lr_min - lr) p``; cosine ``lr_min + (lr - lr_min) (1 + cos(pi p)) / 2``;
    step ``lr * gamma ** (epochs since the warm-up // step_epochs)``; one_cycle a cosine rise
    from ``lr / 25`` over the first 30 % of the epochs and a cosine fall to ``lr_min``.

    Parameters
    ----------
    options : LRScheduleOptions
        Shape of the schedule.
    lr : float
        Peak learning rate, greater than 0.
    epoch : int
        Number of the epoch, 1 to `epochs`.
    epochs : int
        Planned epochs.

    Returns
    -------
    float
        The learning rate of every update of that epoch.

    References
    ----------
    Loshchilov & Hutter 2017, "SGDR", https://arxiv.org/abs/1608.03983 (cosine);
    Smith & Topin 2018, "Super-convergence", https://arxiv.org/abs/1708.07120 (one_cycle).

    Examples
    --------
    >>> options = LRScheduleOptions(name="linear", lr_min=0.0)
    >>> [learning_rate(options, lr=1.0, epoch=e, epochs=3) for e in (1, 2, 3)]
    [1.0, 0.5, 0.0]
    """
    warmup = options.warmup_epochs
    if epoch <= warmup:
        return lr * epoch / warmup
    since = epoch - 1 - warmup
    progress = min(1.0, since / max(1, epochs - 1 - warmup))
    lr_min = options.lr_min or 0.0
    if options.name == "linear":
        return lr + (lr_min - lr) * progress
    if options.name == "cosine":
        return _cosine(lr, lr_min, progress)
    if options.name == "step":
        return lr * (options.gamma or 0.1) ** (since // (options.step_epochs or 30))
    if options.name == "one_cycle":
        if progress < _ONE_CYCLE_RISE:
            return _cosine(lr * _ONE_CYCLE_START, lr, progress / _ONE_CYCLE_RISE)
        return _cosine(lr, lr_min, (progress - _ONE_CYCLE_RISE) / (1 - _ONE_CYCLE_RISE))
    return lr


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
