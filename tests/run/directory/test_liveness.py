"""The true status: what a record claims, held against lock, process, boot and heartbeat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from psann._machine import boot_id
from psann._text import utc_text
from psann.run.directory.liveness import Liveness, judge
from psann.run.directory.lock import STALE_AFTER_S
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage

NOW = float(round(time.time()))
HERE = os.uname().nodename


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


@pytest.fixture(scope="module")
def gone() -> int:
    """The id of a process that is over."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


@pytest.fixture
def other() -> Iterator[int]:
    """A living process that is not this one."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child.pid
    child.communicate(b"\n")


def starts(pid: object, *, host: object = HERE, boot: object = "") -> list[dict[str, Any]]:
    boot = boot_id() if boot == "" else boot
    return [{"machine": {"host": host}, "process": {"pid": pid, "boot_id": boot}}]


def judge_by(
    paths: RunPaths, metrics: Any, starts: list[dict[str, Any]], *, now: float | None = None
) -> Liveness:
    """Judge a run that has these starts on record."""
    paths.provenance.write_text(json.dumps({"schema_version": 1, "starts": starts}))
    return judge(paths, metrics, now=now)


def status_of(paths: RunPaths, starts: list[dict[str, Any]], *, status: str = "running") -> str:
    metrics = {"status": status, "heartbeat": utc_text(NOW)}
    return judge_by(paths, metrics, starts, now=NOW + 1).status


def hold(paths: RunPaths, pid: int, **more: object) -> None:
    paths.lock.write_text(json.dumps({"pid": pid, "host": HERE, **more}))


def test_run_whose_lock_is_held_is_running_whatever_the_record_says(paths: RunPaths) -> None:
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        for claimed in ("running", "preempted", "failed"):
            assert status_of(paths, [], status=claimed) == "running"
        assert status_of(paths, [], status="completed") == "completed"
    assert status_of(paths, [], status="preempted") == "preempted"


def test_run_whose_process_is_gone_is_dead(paths: RunPaths, gone: int) -> None:
    assert status_of(paths, starts(gone)) == "dead"


def test_lock_alone_tells_of_a_process_that_died_before_it_had_its_data(
    paths: RunPaths, gone: int
) -> None:
    hold(paths, gone)
    assert status_of(paths, []) == "dead"
    # The lock is newer than the last start that got as far as its data.
    assert status_of(paths, starts(os.getppid(), boot="another")) == "dead"


def test_lock_of_another_machine_of_this_name_tells_of_no_process_here(
    paths: RunPaths, gone: int
) -> None:
    hold(paths, gone, boot_id="another")
    assert status_of(paths, starts(gone)) == "running"


def test_zombie_is_dead(paths: RunPaths) -> None:
    child = subprocess.Popen(["true"])
    while not Path(f"/proc/{child.pid}/stat").read_text().rpartition(") ")[2].startswith("Z"):
        time.sleep(0.01)
    assert status_of(paths, starts(child.pid)) == "dead"
    child.wait()


def test_number_of_a_dead_process_that_another_has_got_is_no_life(
    paths: RunPaths, other: int
) -> None:
    long_ago = {"status": "running", "heartbeat": utc_text(NOW - 60)}
    assert judge_by(paths, long_ago, starts(other), now=NOW).status == "dead"


def test_run_before_this_boot_is_dead(paths: RunPaths, other: int) -> None:
    metrics = {"status": "running", "heartbeat": "2001-01-01T00:00:00.000Z"}
    verdict = judge_by(paths, metrics, starts(other, boot="another"))
    assert verdict.status == "dead"
    assert "started anew" in verdict.reason


def test_copy_of_a_living_run_is_running_while_it_is_fresh_and_then_stale(paths: RunPaths) -> None:
    metrics = {"status": "running", "heartbeat": utc_text(NOW)}
    for place in (starts(7, host="node7"), starts(os.getpid()), starts(7, boot="another"), []):
        assert judge_by(paths, metrics, place, now=NOW + STALE_AFTER_S).status == "running"
        verdict = judge_by(paths, metrics, place, now=NOW + STALE_AFTER_S + 10)
        assert verdict.status == "stale"
        assert "5 min ago" in verdict.reason


@pytest.mark.parametrize(
    ("age_s", "words"), [(-5, "0 s"), (65, "65 s"), (7200, "2 h"), (400_000, "5 days")]
)
def test_age_is_told_in_words(paths: RunPaths, age_s: float, words: str) -> None:
    metrics = {"status": "running", "heartbeat": utc_text(NOW)}
    assert f" {words} ago" in judge_by(paths, metrics, [], now=NOW + age_s).reason


@pytest.mark.parametrize(
    "facts",
    [
        [{"machine": "me", "process": [1]}],
        [{"process": {"pid": "7", "boot_id": 3}, "machine": {"host": 5}}],
        starts(-1),
        starts(2**40),
        starts(True),
    ],
)
def test_facts_that_make_no_sense_prove_nothing(
    paths: RunPaths, facts: list[dict[str, Any]]
) -> None:
    assert status_of(paths, facts) == "running"
    paths.lock.write_bytes(b"\xff[")
    assert status_of(paths, facts) == "running"


@pytest.mark.parametrize("heartbeat", [None, "yesterday", "9999-99-99"])
def test_record_without_a_time_is_stale(paths: RunPaths, heartbeat: str | None) -> None:
    metrics = {"status": "running", "heartbeat": heartbeat}
    assert judge_by(paths, metrics, []).status == "stale"


def test_record_without_a_status_is_unknown(paths: RunPaths) -> None:
    assert judge_by(paths, {"status": None, "heartbeat": None}, []).status == "unknown"


def test_a_heartbeat_from_the_future_proves_nothing_but_a_difference(
    paths: RunPaths,
) -> None:
    metrics: Any = {"status": "running", "heartbeat": utc_text(NOW + 600)}
    verdict = judge_by(paths, metrics, starts(1, host="elsewhere"), now=NOW)
    assert verdict.status == "stale"
    assert "elsewhere, whose clock was 10 min ahead of this one" in verdict.reason
    barely: Any = {"status": "running", "heartbeat": utc_text(NOW + 2)}
    assert judge_by(paths, barely, starts(1, host="elsewhere"), now=NOW).status == "running"
