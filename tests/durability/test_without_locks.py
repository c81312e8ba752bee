"""The same on file systems that have no locks, or whose directories cannot be synced."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import without_locks.sitecustomize
from faults import (
    SETTINGS,
    FaultyCalls,
    Killed,
    assert_sound,
    assert_survives,
    calls_in_use,
    exit_code_of,
    fail_with,
    hurt,
    in_child,
    kill,
    kill_within,
    n_calls,
    unhurt,
)
from psann.errors import RunLockedError
from psann.run.directory.lock import is_locked
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage, SystemCalls
from psann.run.execution.context import RunRequest
from psann.run.execution.runner import check
from psann.run.verification.verify import verify_run
from thinning import thinned
from trials import finished, request_of, rows_of, trial
from without_locks.sitecustomize import FORCED, refusing

TESTS = Path(__file__).parents[1]


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `WITHOUT_LOCKS` has it, for what forks."""
    monkeypatch.setattr(fcntl, "fcntl", refusing(errno.ENOLCK, fcntl.fcntl))


class NoSync(SystemCalls):
    """A file system that cannot sync directories."""

    number = errno.EINVAL

    def fsync(self, fd: int) -> None:  # type: ignore[override]
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(self.number, os.strerror(self.number))
        os.fsync(fd)


@pytest.fixture
def no_sync() -> Iterator[NoSync]:
    calls = NoSync()
    with calls_in_use(calls):
        yield calls


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return unhurt(tmp_path_factory.mktemp("unhurt"), *SETTINGS)


def named(folder: Path) -> RunRequest:
    return replace(request_of(folder), run_name="run")


# ---------------------------------------------------------------- a sample of each kind of fault


@pytest.mark.usefixtures("no_locks")
def test_a_sample_of_kills_and_errors_loses_nothing_without_locks(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    total = n_calls(tmp_path / "counted", *SETTINGS)
    # The thirteenth is the first write to the file that stands for the lock.
    for place, act in ((13, fail_with(errno.ENOSPC)), (13, kill_within), (total // 2, kill_within)):
        folder = tmp_path / f"{place}-{act.__name__}"
        hurt(folder, *SETTINGS, place=place, act=act)
        assert_survives(folder, expected, *SETTINGS)


@pytest.mark.usefixtures("no_locks")
def test_a_run_that_was_killed_without_locks_goes_on_at_once(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    paths = RunPaths(tmp_path / "out" / "run")
    child = in_child(lambda: trial(tmp_path, *SETTINGS, "training.epochs=100000").exit_code)
    while not paths.last.exists():
        time.sleep(0.01)
    assert trial(tmp_path, *SETTINGS, resume=True).exit_code == 75
    os.kill(child, signal.SIGKILL)
    assert exit_code_of(child) == -signal.SIGKILL
    assert paths.lock_by_file.exists()
    more = (*SETTINGS, "training.epochs=100001")
    assert trial(tmp_path, *more, max_time_minutes=1e-9, resume=True).exit_code == 143
    assert not paths.lock_by_file.exists()
    assert_sound(paths)


@pytest.mark.chaos
@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP"])
def test_the_fast_matrix_passes_without_locks(error: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    subprocess.run(
        [*command, "tests/durability", "tests/run/directory"],
        cwd=TESTS.parent,
        env={**os.environ, FORCED: error},
        check=True,
    )


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP"])
def test_what_is_forced_reaches_every_process_that_is_started(error: str, tmp_path: Path) -> None:
    code = """
import subprocess, sys
from pathlib import Path
from psann.run.directory.storage import Storage
root = Path(sys.argv[1])
with Storage(root) as storage:
    storage.lock(root / ".lock")
    print((root / ".lock.held").exists())
if len(sys.argv) == 2:
    code = (root / "code").read_text()
    subprocess.run([sys.executable, "-c", code, str(root), "child"])
"""
    tmp_path.joinpath("code").write_text(code)
    environment = {**os.environ, FORCED: error, "PYTHONPATH": ""}
    as_conftest = f"import runpy; runpy.run_path({without_locks.sitecustomize.__file__!r})"
    command = [sys.executable, "-c", as_conftest + code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


# ---------------------------------------------------------------- the file that stands for a lock


@pytest.mark.usefixtures("no_locks")
def test_a_disk_that_has_no_room_for_the_file_keeps_nobody_out(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")

    with pytest.raises(OSError, match="No space"), Storage(paths.root, Full()) as storage:
        storage.lock(paths.lock)
    assert not paths.lock_by_file.exists()
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)


class Full(SystemCalls):
    """A disk without room for a byte."""

    @staticmethod
    def write(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("act", [kill, kill_within])
def test_a_start_that_is_killed_while_it_takes_the_lock_keeps_nobody_out(
    tmp_path: Path, act: Any
) -> None:
    for place in count(1):
        paths = RunPaths(tmp_path / str(place))
        calls = FaultyCalls(place, act)
        child = in_child(lambda paths=paths, calls=calls: lock_and_end(paths, calls))
        was_killed = exit_code_of(child) == 1
        with Storage(paths.root) as storage:
            storage.lock(paths.lock)
            storage.clean()
            assert set(paths.root.iterdir()) == {paths.lock, paths.lock_by_file}
        if not was_killed:
            break
    assert place > 10


def lock_and_end(paths: RunPaths, calls: SystemCalls) -> int:
    try:
        Storage(paths.root, calls).lock(paths.lock)
    except Killed:
        return 1
    return 0


class NoLinks(SystemCalls):
    """A file system that has no hard links."""

    @staticmethod
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.usefixtures("no_locks")
def test_one_of_two_has_the_lock_where_there_are_no_links_either(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    with Storage(paths.root, NoLinks()) as first, Storage(paths.root, NoLinks()) as second:
        first.lock(paths.lock)
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} on"):
            second.lock(paths.lock)
        first.put(paths.metrics, b"x")
        assert set(paths.root.iterdir()) == {paths.lock, paths.lock_by_file, paths.metrics}
    with Storage(paths.root, NoLinks()) as third:
        third.lock(paths.lock)


@pytest.mark.usefixtures("no_locks")
def test_a_second_start_is_told_who_has_the_run_that_cleaned_up_its_file(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    with Storage(paths.root) as first:
        first.lock(paths.lock)

        class CleanedUp(SystemCalls):
            @staticmethod
            def link(*names: str, **folders: int) -> None:
                first.clean()
                os.link(*names, **folders)

        with (
            Storage(paths.root, CleanedUp()) as second,
            pytest.raises(RunLockedError, match=f"process {os.getpid()} on"),
        ):
            second.lock(paths.lock)


@pytest.mark.usefixtures("no_locks")
def test_a_run_that_was_taken_for_dead_writes_no_more_and_leaves_the_other_its_lock(
    tmp_path: Path,
) -> None:
    paths = RunPaths(tmp_path / "run")
    slept = Storage(paths.root)
    slept.lock(paths.lock)
    slept.put(paths.metrics, b"mine")
    paths.lock_by_file.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    os.utime(paths.lock_by_file, (0, 0))  # on a machine that slept, seen from another
    with Storage(paths.root) as other:
        other.lock(paths.lock)
        other.put(paths.metrics, b"theirs")
        with pytest.raises(OSError, match="took this run for dead"):
            slept.put(paths.metrics, b"mine again")
        slept.close()
        assert paths.metrics.read_bytes() == b"theirs"
        assert is_locked(paths.lock)


@pytest.mark.usefixtures("no_locks")
def test_a_run_without_locks_goes_on_when_its_directory_is_moved(tmp_path: Path) -> None:
    paths, moved = RunPaths(tmp_path / "run"), RunPaths(tmp_path / "moved")
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        paths.root.rename(moved.root)
        storage.put(paths.metrics, b"x")
        assert is_locked(moved.lock)
    assert moved.metrics.read_bytes() == b"x"
    assert not moved.lock_by_file.exists()


# ---------------------------------------------------------------- locks that cannot be looked at


class Bsd:
    """`fcntl` as macOS has it: no locks of open files, but those of flock can be asked for."""

    F_GETLK, F_RDLCK, F_UNLCK, F_WRLCK = 7, 1, 2, 3
    LOCK_EX, LOCK_NB = 2, 4

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.made: list[str] = []

    def fcntl(self, fd: int, command: int, asked: bytes) -> bytes:
        assert command == self.F_GETLK
        start, length, _, kind, whence, _ = struct.unpack("qqihhq", asked)
        assert (start, length, kind, whence) == (0, 0, self.F_RDLCK, os.SEEK_SET)
        self.made.append("look")
        return struct.pack("qqihhq", 0, 0, -1, self.kind, 0, 0)

    def flock(self, fd: int, how: int) -> None:
        self.made.append("take")


@pytest.mark.parametrize(("kind", "expected"), [(Bsd.F_WRLCK, True), (Bsd.F_UNLCK, False)])
def test_a_look_takes_nothing_where_only_flock_is_there_either(
    kind: int, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / ".lock").touch()
    system = Bsd(kind)
    with patch.dict(sys.modules, {"fcntl": system}):
        assert is_locked(tmp_path / ".lock") is expected
        assert system.made == ["look"]
        if not expected:
            storage = Storage(tmp_path)
            storage.lock(tmp_path / ".lock")
            storage.close()
            assert system.made == ["look", "take"]


# ---------------------------------------------------------------- directories that cannot be synced


@pytest.mark.parametrize(
    "number", thinned([errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF])
)
def test_a_file_system_that_cannot_sync_directories_is_told_once_and_recorded(
    tmp_path: Path, number: int, no_sync: NoSync
) -> None:
    no_sync.number = number
    paths = finished(tmp_path, "training.epochs=1")
    told = [row["message"] for row in rows_of(paths) if "cannot sync" in row["message"]]
    assert told == [
        "the file system cannot sync directories: a power loss may take the newest files"
    ]
    weaker = json.loads(paths.provenance.read_bytes())["starts"][-1]["weaker"]
    assert [text for text in weaker if "cannot sync" in text] == told
    assert verify_run(paths.root).errors == ()


def test_a_disk_that_fails_at_a_directory_is_no_weakness_but_an_error(
    tmp_path: Path, no_sync: NoSync
) -> None:
    no_sync.number = errno.EIO
    outcome = trial(tmp_path)
    assert outcome.exit_code == 1
    assert "Input/output error" in str(outcome.message)


@pytest.mark.usefixtures("no_locks", "no_sync")
def test_a_check_on_such_a_file_system_is_a_plan_or_a_sentence(tmp_path: Path) -> None:
    plan = check(named(tmp_path))
    assert plan.exit_code == 0
    assert plan.plan is not None
    paths = finished(tmp_path, "training.epochs=1")
    told = check(named(tmp_path))
    assert (told.exit_code, "exists" in str(told.message)) == (2, True)
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        told = check(named(tmp_path))
    assert (told.exit_code, "a live process" in str(told.message)) == (75, True)
    assert "Traceback" not in str(told.message)


def test_a_check_is_a_sentence_where_the_lock_cannot_be_looked_at(tmp_path: Path) -> None:
    finished(tmp_path, "training.epochs=1")
    with patch("psann.run.directory.lock.open_plain", side_effect=PermissionError(13, "no")):
        told = check(named(tmp_path))
    assert told.exit_code == 1
    assert "Traceback" not in str(told.message)
