"""What training leaves behind is plain, complete, and not shared between fits."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from psann.training.history import Decision, EpochRecord, FitResult

RECORD = EpochRecord(
    phase="hisso", epoch=1, epochs_total=3, update=4, episodes=128, lr=1e-3, train_loss=-0.5
)


def result() -> FitResult:
    return FitResult(
        monitor=None,
        best_epoch=1,
        best_value=None,
        epochs_done=1,
        stopped_early=False,
        episodes=128,
        skipped_updates=0,
    )


def test_what_a_phase_does_not_have_is_none_and_not_a_number() -> None:
    values = dataclasses.asdict(RECORD)
    for name in ("val_loss", "reward_mean", "turnover", "amp_scale", "episodes_per_s"):
        assert values[name] is None


def test_a_fit_can_be_written_as_strict_json() -> None:
    fit = result()
    fit.history.append(RECORD)
    fit.decisions.append(Decision(phase="hisso", message="as configured", shuffle=True))
    text = json.dumps(dataclasses.asdict(fit), allow_nan=False)
    assert json.loads(text)["history"][0]["train_loss"] == -0.5


def with_history(*records: dict[str, Any], **changes: Any) -> FitResult:
    fit = dataclasses.replace(result(), **changes)
    fit.history = [dataclasses.replace(RECORD, **record) for record in records]
    return fit


def test_a_best_epoch_that_is_the_last_of_several_planned_is_told() -> None:
    last = dataclasses.replace(result(), best_epoch=2, epochs_done=2)
    assert last.is_best_the_last
    assert not dataclasses.replace(last, epochs_done=3).is_best_the_last
    assert not dataclasses.replace(last, stopped_early=True).is_best_the_last
    # Of a single epoch there was none to choose.
    assert not dataclasses.replace(last, best_epoch=1, epochs_done=1).is_best_the_last
    assert not dataclasses.replace(result(), best_epoch=0, epochs_done=0).is_best_the_last


def test_updates_that_changed_nothing_are_told() -> None:
    assert with_history({"grad_norm": 0.0}, {"grad_norm": 0.0}).never_moved
    assert not with_history({"grad_norm": 0.0}, {"grad_norm": 1e-12}).never_moved
    assert not with_history({"grad_norm": None}).never_moved
    assert not result().never_moved


def test_epochs_of_a_single_update_are_told() -> None:
    assert with_history({"epoch": 1, "update": 1}, {"epoch": 2, "update": 2}).has_single_updates
    assert not with_history({"epoch": 1, "update": 2}, {"epoch": 2, "update": 4}).has_single_updates


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECORD.epoch = 2  # type: ignore[misc]


def test_two_fits_have_histories_of_their_own() -> None:
    first, second = result(), result()
    first.history.append(RECORD)
    assert second.history == []
