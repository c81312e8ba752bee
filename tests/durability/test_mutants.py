"""P2: each safeguard, taken away, is missed at once by the checks of this matrix."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.numpy

from faults import (
    SETTINGS,
    assert_notices_damage,
    assert_survives_kills,
    assert_survives_stops,
    kill_within,
    n_calls,
    stopped_after,
    unhurt,
)
from power_loss import Journal, assert_survives_power_loss, journal_of
from psann.errors import FileFormatError
from psann.run.directory.log import EventLog
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from psann.training.state import SavedState, TrainState
from trials import trial

# What a check says of a run that was not survived, and what pytest.raises says of damage that
# was not noticed.
MISSED = (AssertionError, pytest.fail.Exception)


@pytest.fixture(scope="module", autouse=True)
def _one_update_per_launch() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("psann.training.engine._LAUNCH_S", 1e-9)
        yield


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return unhurt(tmp_path_factory.mktemp("unhurt"), *SETTINGS)


def omitting(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    """Leave one value out of every resume state."""
    whole = TrainState.state_dict

    def state_dict(state: TrainState) -> SavedState:
        saved = whole(state)
        return SavedState(values={**saved.values, name: value}, tensors=saved.tensors)

    monkeypatch.setattr(TrainState, "state_dict", state_dict)


@pytest.mark.slow
def test_without_fsync_a_power_loss_is_not_survived(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "fsync", lambda self, fd: None)
    steps = journal_of(tmp_path / "journal")
    with pytest.raises(MISSED):
        assert_survives_power_loss(tmp_path, steps, expected, n_losses=30, draw=random.Random(1))


def test_without_rename_a_kill_is_not_survived(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(storage: Storage, path: Path, data: bytes) -> None:
        fd = storage._calls.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        storage._calls.write(fd, data)
        storage._calls.fsync(fd)
        storage._calls.close(fd)

    monkeypatch.setattr(Storage, "put", put)
    assert_kills_are_missed(tmp_path, expected)


def test_without_cutting_the_log_back_a_kill_is_not_survived(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventLog, "cut_back", lambda handler, size_bytes: None)
    assert_kills_are_missed(tmp_path, expected, from_the_end=74)  # right after a row


@pytest.mark.slow
def test_without_the_best_epoch_in_the_state_a_kill_is_not_survived(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    omitting(monkeypatch, "best", None)
    assert_kills_are_missed(tmp_path, expected)


def assert_kills_are_missed(
    tmp_path: Path, expected: dict[str, Any], *, from_the_end: int = 20
) -> None:
    total = n_calls(tmp_path / "counted", *SETTINGS)
    hits = [(place, kill_within) for place in range(total - from_the_end, total // 2, -9)]
    with pytest.raises(MISSED):
        assert_survives_kills(tmp_path, expected, hits, *SETTINGS)


def test_without_the_place_in_the_epoch_a_stop_is_not_survived(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    omitting(monkeypatch, "updates_in_epoch", 0)
    with pytest.raises(MISSED):
        assert_survives_stops(tmp_path, expected, range(1, 12), *SETTINGS)


def test_without_a_digest_damage_is_not_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped_after(8):
        assert trial(tmp_path, *SETTINGS).exit_code == 143

    def decode_arrays(data: bytes, *, who: str) -> Any:
        try:
            n_bytes = int.from_bytes(data[:8], "little")
            (text,) = json.loads(data[8 : 8 + n_bytes])["__metadata__"].values()
            return json.loads(text), safetensors.numpy.load(data)
        except (safetensors.SafetensorError, ValueError, KeyError, AttributeError) as error:
            raise FileFormatError(who) from error

    monkeypatch.setattr("psann.run.directory.resume_state.decode_arrays", decode_arrays)
    with pytest.raises(MISSED):
        assert_notices_damage(
            RunPaths(tmp_path / "out" / "run"), n_damages=100, draw=random.Random(1)
        )
