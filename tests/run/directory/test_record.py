from __future__ import annotations

import json
import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psann._strict_json import finite_json
from psann.run.directory.fields import FIELDS, STATUSES
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import RunRecord
from psann.run.directory.storage import Storage


class Time:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


@pytest.fixture
def storage(tmp_path: Path) -> Any:
    with Storage(tmp_path) as storage:
        yield storage


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not strict JSON")


def read(paths: RunPaths) -> dict[str, Any]:
    return dict(json.loads(paths.metrics.read_bytes(), parse_constant=refuse))


def test_first_file_has_every_field(storage: Storage, paths: RunPaths) -> None:
    RunRecord().attach(storage, paths.metrics)
    content = read(paths)
    assert list(content) == list(FIELDS)
    assert (content["status"], content["schema_version"], content["nonfinite"]) == (
        "running",
        1,
        [],
    )
    assert content["train_loss"] is None
    assert content["started_utc"].endswith("Z")


def test_no_field_is_taken_for_a_secret() -> None:
    record = RunRecord()
    assert list(record.as_dict()) == list(FIELDS)
    values, _ = finite_json(dict.fromkeys(FIELDS, 1))
    assert set(values.values()) == {1}


def test_file_is_written_at_most_every_two_seconds(
    storage: Storage, paths: RunPaths, clock: Time
) -> None:
    record = RunRecord(clock=clock)
    record.attach(storage, paths.metrics)
    record.update(epoch=1)
    clock.s = 1.99
    record.flush()
    assert read(paths)["epoch"] is None
    clock.s = 2.0
    record.flush()
    assert read(paths)["epoch"] == 1
    record.update(epoch=2)
    record.flush()
    assert read(paths)["epoch"] == 1
    record.flush(force=True)
    assert read(paths)["epoch"] == 2


def test_change_of_status_is_written_at_once(
    storage: Storage, paths: RunPaths, clock: Time
) -> None:
    record = RunRecord(clock=clock)
    record.attach(storage, paths.metrics)
    record.update(status="completed")
    record.flush()
    assert read(paths)["status"] == "completed"


def test_flush_without_a_directory_does_nothing() -> None:
    RunRecord().flush(force=True)


def test_times_tell_start_change_life_and_end(
    storage: Storage, paths: RunPaths, clock: Time
) -> None:
    record = RunRecord(clock=clock, now=clock)
    record.attach(storage, paths.metrics)
    clock.s = 3
    record.update(epoch=1)
    clock.s = 5
    record.flush(force=True)
    content = read(paths)
    assert content["started_utc"] == "1970-01-01T00:00:00.000Z"
    assert content["updated_utc"] == "1970-01-01T00:00:03.000Z"
    assert content["heartbeat"] == "1970-01-01T00:00:05.000Z"
    assert content["finished_utc"] is None
    assert content["duration_seconds"] == 5
    clock.s = 7
    record.update(status="early_stopped")
    record.flush()
    assert read(paths)["finished_utc"] == "1970-01-01T00:00:07.000Z"


def test_resumed_run_counts_the_seconds_of_its_earlier_starts(clock: Time) -> None:
    earlier = RunRecord(clock=clock)
    earlier.update(run_id="f00", resumes=1, best_epoch=3, status="preempted")
    clock.s = 100.0
    content = earlier.as_dict()
    assert content["duration_seconds"] == 100.0
    clock.s = 5000.0  # what lies between the starts is not the run's
    record = RunRecord(clock=clock)
    record.go_on_from(content)
    clock.s = 5002.5
    content = record.as_dict()
    assert content["duration_seconds"] == 102.5
    assert (content["run_id"], content["resumes"], content["best_epoch"]) == ("f00", 2, 3)
    assert (content["status"], content["finished_utc"]) == ("running", None)


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_run_that_goes_on_has_no_end(status: str) -> None:
    record = RunRecord()
    record.update(status=status)
    assert (record.as_dict()["finished_utc"] is None) == (status == "running")


def test_unknown_field_status_or_own_time_is_our_bug() -> None:
    record = RunRecord()
    for fields in ({"loss": 1.0}, {"status": "done"}, {"heartbeat": "now"}, {"nonfinite": []}):
        with pytest.raises(KeyError, match=next(iter(fields))):
            record.update(**fields)
    assert record.as_dict()["status"] == "running"


def test_numbers_that_are_not_finite_are_null_and_named(storage: Storage, paths: RunPaths) -> None:
    record = RunRecord()
    record.update(
        val_loss=math.nan,
        reward_mean=np.float32("inf"),
        portfolio_metrics={"calmar": -math.inf, "cum_return": 0.5},
        per_seed=[{"reward": 1.0}, {"reward": math.nan}],
    )
    record.attach(storage, paths.metrics)
    content = read(paths)
    assert sorted(content["nonfinite"]) == [
        *("per_seed.1.reward", "portfolio_metrics.calmar", "reward_mean", "val_loss"),
    ]
    assert content["val_loss"] is None
    assert content["portfolio_metrics"] == {"calmar": None, "cum_return": 0.5}
    assert content["per_seed"] == [{"reward": 1.0}, {"reward": None}]


def test_numbers_come_back_with_the_same_bits(storage: Storage, paths: RunPaths) -> None:
    record = RunRecord()
    record.update(val_loss=1 / 3, train_loss=5e-324, seed=2**63, episodes=np.int64(7))
    record.attach(storage, paths.metrics)
    content = read(paths)
    assert content["val_loss"] == 1 / 3
    assert content["train_loss"] == 5e-324
    assert (content["seed"], content["episodes"]) == (2**63, 7)


def test_value_that_json_cannot_hold_is_our_bug() -> None:
    with pytest.raises(TypeError, match=r"hardware\.device"):
        RunRecord().update(hardware={"device": object()})


def test_a_figure_that_becomes_finite_is_no_longer_named() -> None:
    record = RunRecord()
    record.update(val_loss=math.nan, reward_mean=math.inf)
    record.update(val_loss=1.0)
    found = record.as_dict()
    assert (found["val_loss"], found["nonfinite"]) == (1.0, ["reward_mean"])


def test_hostile_text_is_legal_json(storage: Storage, paths: RunPaths) -> None:
    text = "\ud800 \0 \u2028 \x1b[31m </script> é"
    record = RunRecord()
    record.update(error=text, phase=Path("a/\udcff"))
    record.attach(storage, paths.metrics)
    assert paths.metrics.read_bytes().decode("utf-8")
    assert read(paths)["error"] == text.replace("\ud800", "\\ud800")


def test_secrets_are_masked_in_the_error_too(storage: Storage, paths: RunPaths) -> None:
    record = RunRecord()
    record.attach(storage, paths.metrics)
    try:
        raise ConnectionError("no answer from postgres://me:hunter2@db")
    except ConnectionError as error:
        record.fail(error)
    record.update(parent={"token": "hunter2"})
    record.flush(force=True)
    assert b"hunter2" not in paths.metrics.read_bytes()


def test_failure_keeps_the_whole_stack_trace_with_its_cause() -> None:
    record = RunRecord()
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise SystemExit(0) from error
    except SystemExit as error:
        record.fail(error, status="diverged")
    content = record.as_dict()
    assert content["status"] == "diverged"
    assert "KeyError: 'inner'" in content["error"]
    assert content["error"].rstrip().endswith("SystemExit: 0")
    assert "test_record.py" in content["error"]


def test_failed_write_keeps_the_old_file_and_the_next_one_is_due(paths: RunPaths) -> None:
    class Full(Storage):
        is_full = False

        def put(self, path: Path, data: bytes) -> None:
            if self.is_full:
                raise OSError(28, os.strerror(28), str(path))
            super().put(path, data)

    with Full(paths.root) as storage:
        record = RunRecord()
        record.attach(storage, paths.metrics)
        storage.is_full = True
        record.update(status="completed")
        with pytest.raises(OSError, match="No space left"):
            record.flush()
        assert read(paths)["status"] == "running"
        storage.is_full = False
        record.update(status="failed")
        record.flush()
    assert read(paths)["status"] == "failed"


def test_file_is_whole_and_strict_at_every_instant(storage: Storage, paths: RunPaths) -> None:
    record = RunRecord()
    record.attach(storage, paths.metrics)
    n_read, stop = 0, threading.Event()
    problems: list[str] = []

    def poll() -> None:
        nonlocal n_read
        while not stop.is_set():
            try:
                content = read(paths)
            except (ValueError, AssertionError, OSError) as error:
                problems.append(repr(error))
                return
            if set(content) != set(FIELDS):
                problems.append(str(content))
            n_read += 1

    reader = threading.Thread(target=poll)
    reader.start()
    epoch = 0
    while n_read < 50 and not problems:  # however slow the reader is
        epoch += 1
        error = "x" * (epoch % 100) * 100
        record.update(epoch=epoch, val_loss=math.nan if epoch % 3 else 0.5, error=error)
        record.flush(force=True)
    stop.set()
    reader.join()
    assert problems == []
    assert [path.name for path in paths.root.iterdir()] == ["metrics.json"]
