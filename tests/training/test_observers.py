"""Observers: those that override nothing see nothing, and change nothing."""

from __future__ import annotations

from psann.training.observers import Observer
from tiny_training import Diary, engine, phase, run, same


class Idle(Observer):
    """Overrides nothing."""


def test_an_observer_needs_to_override_only_what_it_wants() -> None:
    class Counter(Observer):
        epochs = 0

        def on_epoch(self, record: object, state: object) -> None:
            self.epochs += 1

    counter = Counter()
    run(phase(), engine(), Idle(), counter)
    assert counter.epochs == 3


def test_watching_changes_nothing() -> None:
    watched, _ = run(phase(), engine(), Idle(), Diary())
    assert same(watched.carry, run(phase())[0].carry)
