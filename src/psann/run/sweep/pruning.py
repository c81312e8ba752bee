"""When a trial that lags behind the others is stopped: the rules, and who applies them.

A curve is the best monitor so far by epoch, better if higher, told now and then; between two
reports it is at least what the earlier one told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from psann.run.sweep.config import PruneOptions, Sweep

if TYPE_CHECKING:
    from psann.run.sweep.queue import Queue

FEWEST_OTHERS = 4
"""Others that must be known at an epoch before anybody is stopped there."""
_FACTOR = 3
EVERY_S = 1.0
"""Seconds between two reports of a trial, at least."""

Curve = Mapping[int, float]


def is_behind(own: Curve, others: Mapping[int, Curve], options: PruneOptions) -> bool:
    """Whether a trial is stopped at the last epoch of its curve.

    Parameters
    ----------
    own : mapping
        Its curve, by epoch.
    others : mapping
        Curves of the other trials, by trial.
    """
    epoch = rung = max(own)
    if epoch < options.from_epoch:
        return False
    if options.by == "asha":
        rung = _rung(epoch, options.from_epoch)
        # Only at the first report on a rung: whoever was let past is not asked again.
        if any(rung <= earlier < epoch for earlier in own):
            return False
    known = [value for curve in others.values() if (value := _at(curve, rung)) is not None]
    if len(known) < FEWEST_OTHERS:
        return False
    if options.by == "median":
        return own[epoch] < statistics.median(known)
    n_kept = max(1, (len(known) + 1) // _FACTOR)
    return sum(value > own[epoch] for value in known) >= n_kept


def _rung(epoch: int, first: int) -> int:
    """The last of `first`, 3 `first`, 9 `first` ... that an epoch has reached."""
    rung = first
    while rung * _FACTOR <= epoch:
        rung *= _FACTOR
    return rung


def _at(curve: Curve, epoch: int) -> float | None:
    """The best so far at an epoch, of a trial that was seen there or beyond."""
    before = [each for each in curve if each <= epoch]
    if not before or max(curve) < epoch:
        return None
    return curve[max(before)]


@dataclass
class Lag:
    """What a trial's run asks at the end of its epochs; made in the worker, used in the child."""

    sweep: Sweep
    journal: Path
    storage: str | None
    number: int
    every_s: float = EVERY_S
    _asked_s: float = field(default=float("-inf"), repr=False)
    _queue: Queue | None = field(default=None, repr=False)

    def __call__(self, epoch: int, value: float) -> bool:
        """Report, and say whether the run is beyond hope; at most once in `every_s`."""
        now = time.monotonic()
        if now - self._asked_s < self.every_s:
            return False
        self._asked_s = now
        queue = self._opened()
        queue.report(self.number, epoch, value)
        curves = queue.curves()
        own, options = curves.pop(self.number), self.sweep.file.prune
        return options is not None and is_behind(own, curves, options)

    def _opened(self) -> Queue:
        if self._queue is None:
            from psann.run.sweep.queue import Queue, open_storage

            self._queue = Queue(self.sweep, open_storage(self.journal, self.storage))
        return self._queue
