"""What training leaves behind is plain, complete, and not shared between fits."""

from __future__ import annotations

import dataclasses
import json

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


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECORD.epoch = 2  # type: ignore[misc]


def test_two_fits_have_histories_of_their_own() -> None:
    first, second = result(), result()
    first.history.append(RECORD)
    assert second.history == []
