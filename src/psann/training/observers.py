"""Who may watch training: objects that read each decision, launch, epoch and phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from psann.training.history import Decision, EpochRecord

if TYPE_CHECKING:
    from psann.training.state import TrainState


class Observer(Protocol):
    """Watches a fit; override what you need. Observers may read the state, not change it.

    Where several seeds train together, each method but `on_decision` is called once for each of
    them (`state.seed`); all have moved by then, and `state.group` has them all. A seed that has
    stopped early is told of no more launches and epochs.

    An observer stops training by raising `psann.errors.TrainingInterrupted` from `on_launch` or
    `on_epoch`: every launch has ended by then and the state is whole. The methods return None in
    so many words, because a type checker takes an empty one for a gap that must be filled.
    """

    def on_decision(self, decision: Decision) -> None:
        """Training chose something on its own."""
        return None

    def on_phase_start(self, state: TrainState) -> None:
        """A phase is about to begin, or to go on."""
        return None

    def on_launch(self, state: TrainState) -> None:
        """A launch of updates has ended."""
        return None

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        """An epoch has ended, its validation pass included."""
        return None

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        """A phase has ended, for all seeds."""
        return None


def tell_all(observers: Sequence[Observer], *decisions: Decision) -> None:
    """Tell every observer of each decision.

    Raises
    ------
    ValueError
        If they are no observers.
    """
    told = [name for name in vars(Observer) if name.startswith("on_")]
    if not isinstance(observers, Sequence) or not all(
        hasattr(each, name) for each in observers for name in told
    ):
        raise ValueError(
            f"observers must be a list of objects like psann.training.observers.Observer; got "
            f"{observers!r}. Give each every method of it, best as a subclass."
        )
    for decision in decisions:
        for observer in observers:
            observer.on_decision(decision)
