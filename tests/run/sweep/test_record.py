"""`sweep.json`: what a run's record says of a trial, and a disk that fails at every write."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from faults import FaultyCalls, in_child, lock_held
from made_sweeps import made_sweep
from psann.errors import FileFormatError, RunLockedError
from psann.run.directory.fields import FIELDS, Record
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from psann.run.sweep import record as sweep_record
from psann.run.sweep.ledger import join
from psann.run.sweep.record import (
    SweepPaths,
    best_row,
    candidates_of,
    claimed,
    is_settled,
    read_record,
    trial_row,
    value_of,
    write_record,
)


def metrics(**fields: Any) -> Record:
    return cast(Record, {**dict.fromkeys(FIELDS), **fields})


@pytest.mark.parametrize(
    ("fields", "settled", "value"),
    [
        ({"status": "completed", "monitor_value": 0.5}, True, 0.5),
        ({"status": "early_stopped", "monitor_value": 0.5}, True, 0.5),
        ({"status": "completed"}, False, None),
        ({"status": "running", "monitor_value": 0.5}, False, None),
        ({"status": "preempted", "monitor_value": 0.5}, False, None),
        ({"status": "interrupted", "monitor_value": 0.5}, False, None),
        ({"status": "failed", "error": "...\nValueError: no"}, True, None),
        ({"status": "diverged", "error": "x", "monitor_value": 0.5}, True, None),
        ({"status": "ruined", "error": "RuinedError: all"}, True, None),
        ({"status": "failed", "error": "...\nOSError: [Errno 28] No space left"}, False, None),
        ({}, False, None),
    ],
)
def test_what_the_end_of_a_run_means_for_its_trial(
    fields: dict[str, Any], settled: bool, value: float | None
) -> None:
    assert is_settled(metrics(**fields)) is settled
    assert value_of(metrics(**fields)) == value


@pytest.mark.parametrize(
    ("fields", "n"),
    [
        ({"status": "completed", "n_trials": 61}, 61),
        ({"status": "completed", "n_trials": 61, "parent": {"n_trials": 40}}, 21),
        ({"status": "completed", "n_trials": 61, "parent": {"n_trials": None}}, 61),
        ({"status": "failed", "epoch": 7}, 8),
        ({"status": "failed"}, 1),
        ({"status": "diverged", "per_seed": [{"epoch": 3}, {"epoch": 5}]}, 10),
        ({}, 0),
    ],
)
def test_every_candidate_counts_also_of_a_run_that_failed(fields: dict[str, Any], n: int) -> None:
    assert candidates_of(metrics(**fields)) == n


def test_the_best_row_has_the_highest_reward_or_the_lowest_loss_and_is_the_first() -> None:
    values = [0.1, None, 0.3, 0.3, -0.2]
    rows = [
        trial_row(n, {}, metrics(status="completed", monitor_value=value))
        for n, value in enumerate(values)
    ]
    best, least = best_row(rows, "val_reward"), best_row(rows, "val_loss")
    assert best is not None and least is not None
    assert (best["run"], least["run"]) == ("t0002", "t0004")
    assert best_row(rows[1:2], "val_reward") is None


def test_a_record_is_read_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    assert read_record(paths) is None
    join(sweep, paths)
    record = read_record(paths)
    assert record is not None and record["sweep_sha256"] == sweep.sha256
    whole = paths.record.read_bytes()
    row = {**trial_row(0, {}, metrics()), "run": "../../elsewhere"}
    stranger = json.dumps({**record, "trials": [row]}).encode()
    for damaged in (whole[:-20], b"{}", whole.replace(b'"schema_version": 1', b'"x": 1'), stranger):
        paths.record.write_bytes(damaged)
        with pytest.raises(
            FileFormatError, match=r"sweep\.json .*Remove it: the next start makes it anew"
        ):
            read_record(paths)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_write_leaves_the_record_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    before = read_record(paths)
    assert before is not None

    def fail(calls: FaultyCalls, name: str, call: Any, args: Any) -> None:
        if name == "close":  # what fails to close is closed all the same
            call()
        raise OSError(number, os.strerror(number))

    place, n_failed = 0, 0
    while True:
        place += 1
        calls = FaultyCalls(place, fail)
        monkeypatch.setattr(sweep_record, "Storage", lambda root, calls=calls: Storage(root, calls))
        try:
            with claimed(paths) as storage:
                write_record(storage, paths, {**before, "n_looks": place})
        except OSError:
            n_failed += 1
        assert read_record(paths) is not None
        if not calls.has_fired:
            break
    assert n_failed > 5
    after = read_record(paths)
    assert after is not None and after["n_looks"] == place


def test_who_holds_the_folder_for_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    monkeypatch.setattr(sweep_record, "_PATIENCE_S", 0.05)
    with (
        lock_held(RunPaths(paths.root)),
        pytest.raises(RunLockedError, match="live process"),
        claimed(paths),
    ):
        pass


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)

    def count() -> int:
        for _ in range(20):
            with claimed(paths) as storage:
                record = read_record(paths)
                assert record is not None
                write_record(storage, paths, {**record, "n_looks": record["n_looks"] + 1})
        return 0

    child = in_child(count)
    count()
    assert os.waitpid(child, 0)[1] == 0
    record = read_record(SweepPaths(paths.root))
    assert record is not None and record["n_looks"] == 40
