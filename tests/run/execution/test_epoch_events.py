"""Epochs and decisions of training as rows of the log."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from event_log import attach, read_rows
from psann.run.execution.epoch_events import EpochEvents
from psann.training.history import Decision, EpochRecord


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.csv"


def test_epoch_is_a_row_with_every_value_that_the_record_has(
    logger: logging.Logger, path: Path
) -> None:
    attach(logger, path)
    observer = EpochEvents(logger, seed=7)
    record = EpochRecord(
        phase="hisso",
        epoch=3,
        epochs_total=60,
        update=12,
        episodes=96,
        lr=5e-4,
        train_loss=-0.125,
        reward_mean=0.125,
        is_best=True,
        step_s=0.5,
    )
    state = SimpleNamespace(phase="hisso", seed=7, history=[])
    state.group = [state]
    observer.on_phase_start(state)
    observer.on_launch(state)
    observer.on_epoch(record, state)
    observer.on_phase_end("hisso", state)
    row, end = read_rows(path)
    expected = {
        **{"event": "epoch", "level": "DEBUG", "phase": "hisso", "seed": "7", "epoch": "3"},
        **{"update": "12", "episodes": "96", "lr": "0.0005", "train_loss": "-0.125"},
        **{"reward_mean": "0.125", "val_loss": "", "is_best": "true", "step_s": "0.5"},
        **{"skipped_updates": "0", "message": "epoch 3 of 60"},
    }
    assert {name: row[name] for name in expected} == expected
    assert (end["phase"], end["seed"]) == ("hisso", "7")


def test_epochs_that_the_log_of_a_resumed_run_lacks_follow_again(
    logger: logging.Logger, path: Path
) -> None:
    handler = attach(logger, path)
    history = [
        EpochRecord(
            phase="hisso", epoch=k, epochs_total=3, update=k, episodes=k, lr=0.1, train_loss=-0.5
        )
        for k in (1, 2)
    ]
    state = SimpleNamespace(phase="hisso", seed=7, history=history)
    state.group = [state]
    EpochEvents(logger).on_epoch(history[0], state)
    assert handler.n_epochs() == {("hisso", 7): 1}
    again = EpochEvents(logger, n_logged=handler.n_epochs())
    again.on_phase_start(state)
    assert [row["epoch"] for row in read_rows(path)] == ["1", "2"]


def test_decision_is_a_row_with_its_reason(logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    EpochEvents(logger).on_decision(
        Decision(phase="warm_start", message="rows in order", shuffle=False, state_reset="epoch")
    )
    row = read_rows(path)[0]
    names = ("event", "phase", "shuffle", "state_reset", "message")
    assert tuple(row[name] for name in names) == (
        *("decision", "warm_start", "false", "epoch", "rows in order"),
    )
