"""What is left of a fit that did not get to its end: everything as before, or the best so far."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from psann.training.history import FitResult
from psann.training.observers import Observer
from psann.training.state import TrainState

OnInterrupt = Literal["keep", "raise"]
Trained = list[tuple[TrainState, FitResult]]


@contextmanager
def transaction(estimator: object) -> Iterator[None]:
    """Leave an estimator exactly as it was if the block raises anything, Ctrl-C included."""
    before = dict(vars(estimator))
    is_done = False
    try:
        yield
        is_done = True
    finally:
        if not is_done:
            vars(estimator).clear()
            vars(estimator).update(before)


def train_or_keep(train: Callable[[Observer], Trained], *, on_interrupt: OnInterrupt) -> Trained:
    """Train; after Ctrl-C keep the best weights so far, once every seed has done an epoch.

    Parameters
    ----------
    train : callable
        Takes one more observer.

    Returns
    -------
    list of (TrainState, FitResult)
        By seed.

    Raises
    ------
    ValueError
        If `on_interrupt` is neither `keep` nor `raise`.
    KeyboardInterrupt
        If `on_interrupt` asks for it, or nothing can be kept yet.
    """
    if on_interrupt not in ("keep", "raise"):
        raise ValueError(f"on_interrupt must be 'keep' or 'raise'; got {on_interrupt!r}.")
    latest = _LatestStates()
    try:
        return train(latest)
    except KeyboardInterrupt:
        group = latest.group
        is_worth_keeping = group and all(
            state.best is not None and (state.epoch or state.phase == "refit") for state in group
        )
        if on_interrupt == "raise" or not is_worth_keeping:
            raise
    first = group[0]
    warnings.warn(
        f"fit was interrupted after {first.epoch} of {first.epochs_total} epochs; the best weights "
        "so far are kept. on_interrupt='raise' keeps none.",
        stacklevel=2,
    )
    return [(state, state.result(stopped_early=True, decisions=())) for state in group]


class _LatestStates(Observer):
    """Remembers the seeds of the latest phase, which say how far they are."""

    group: Sequence[TrainState] = ()

    def on_phase_start(self, state: TrainState) -> None:
        self.group = state.group
