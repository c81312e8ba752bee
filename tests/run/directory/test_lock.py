"""Who holds a run directory, as told to those who come second."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import signal
import threading
import time
from pathlib import Path

import pytest

from faults import exit_code_of, in_child, lock_held
from psann._machine import boot_id
from psann.errors import RunLockedError
from psann.run.directory import storage as storage_module
from psann.run.directory.lock import STALE_AFTER_S, check_lock
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from psann.run.verification.verify import verify_run
from trials import finished, rows_of, tree_of


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "runs" / "first")


def test_second_process_is_told_who_holds_the_lock_and_kill_frees_it(paths: RunPaths) -> None:
    with Storage(paths.root) as storage:
        with lock_held(paths) as child:
            before = tree_of(paths.root)
            with pytest.raises(RunLockedError, match=f"process {child} on {os.uname().nodename}"):
                storage.lock(paths.lock)
            with pytest.raises(RunLockedError, match=f"process {child} on {os.uname().nodename}"):
                check_lock(paths.lock)
            assert tree_of(paths.root) == before
        storage.lock(paths.lock)
    assert str(os.getpid()) in paths.lock.read_text()


def test_lock_of_an_unreadable_holder_is_still_a_lock(paths: RunPaths) -> None:
    with Storage(paths.root) as storage, lock_held(paths):
        paths.lock.write_bytes(b"\xff not json")
        with pytest.raises(RunLockedError, match=r"a live process\. Wait"):
            storage.lock(paths.lock)


def test_looking_at_a_free_lock_changes_nothing_and_takes_nothing(paths: RunPaths) -> None:
    check_lock(paths.lock)
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
    before = paths.lock.read_bytes()
    check_lock(paths.lock)
    assert paths.lock.read_bytes() == before
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)


def test_readers_in_a_tight_loop_never_keep_a_starter_out(paths: RunPaths) -> None:
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with contextlib.suppress(RunLockedError):
                check_lock(paths.lock)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(300):
            with Storage(paths.root) as storage:
                storage.lock(paths.lock)
    finally:
        stop.set()
        for reader in readers:
            reader.join()


# ---------------------------------------------------------------- file systems without locks


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(storage_module, "take_lock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_a_file_stands_for_the_lock_and_is_gone_with_it(paths: RunPaths) -> None:
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        assert paths.lock_by_file.exists()
        assert ["the file system has no locks" in told for told in storage.weaker] == [True]
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} on"):
            check_lock(paths.lock)
        with Storage(paths.root) as second, pytest.raises(RunLockedError):
            second.lock(paths.lock)
        assert paths.lock_by_file.exists()
    assert not paths.lock_by_file.exists()
    check_lock(paths.lock)


@pytest.mark.usefixtures("no_locks")
def test_the_file_of_a_killed_process_is_taken_over(paths: RunPaths) -> None:
    with lock_held(paths):
        assert paths.lock_by_file.exists()
        with pytest.raises(RunLockedError):
            check_lock(paths.lock)
    assert paths.lock_by_file.exists()
    check_lock(paths.lock)
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        assert json.loads(paths.lock_by_file.read_bytes())["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("age_s", "who", "is_locked"),
    [
        (0, {"pid": 1, "host": "elsewhere"}, True),
        (STALE_AFTER_S - 30, {"pid": 1, "host": "elsewhere"}, True),
        (STALE_AFTER_S + 30, {"pid": 1, "host": "elsewhere"}, False),
        (STALE_AFTER_S + 30, {"pid": os.getpid(), "host": platform.node(), "boot_id": "x"}, False),
        (STALE_AFTER_S + 30, {"pid": os.getpid(), "host": platform.node()}, None),
        # Perhaps another machine of the same name, on a file system that both see.
        (0, {"pid": 1, "host": platform.node(), "boot_id": "x"}, True),
        (0, {}, True),
    ],
)
def test_the_file_of_another_machine_ages_out_and_a_living_process_here_does_not(
    paths: RunPaths, age_s: float, who: dict[str, object], is_locked: bool | None
) -> None:
    paths.root.mkdir(parents=True)
    if is_locked is None:
        who, is_locked = {**who, "boot_id": boot_id()}, True
    paths.lock_by_file.write_text(json.dumps(who))
    os.utime(paths.lock_by_file, (time.time() - age_s,) * 2)
    context = pytest.raises(RunLockedError) if is_locked else contextlib.nullcontext()
    with context:
        check_lock(paths.lock)


@pytest.mark.usefixtures("no_locks")
def test_every_file_that_is_written_is_a_sign_of_life(paths: RunPaths) -> None:
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        os.utime(paths.lock_by_file, (0, 0))
        storage.put(paths.metrics, b"x")
        assert time.time() - paths.lock_by_file.stat().st_mtime < 60


@pytest.mark.usefixtures("no_locks")
def test_a_whole_run_goes_on_without_locks_says_so_once_and_records_it(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    told = [row["message"] for row in rows_of(paths) if "no locks" in row["message"]]
    assert len(told) == 1
    assert told[0] in json.loads(paths.provenance.read_bytes())["starts"][-1]["weaker"]
    assert not paths.lock_by_file.exists()
    assert verify_run(paths.root).errors == ()


# ---------------------------------------------------------------- inherited descriptors


def test_a_process_that_is_forked_off_keeps_neither_lock_nor_log(paths: RunPaths) -> None:
    ready, tell = os.pipe()

    def run_and_leave_a_helper() -> int:
        storage = Storage(paths.root)
        storage.lock(paths.lock)
        log = storage.append(paths.events)
        helper = in_child(lambda: (os.write(tell, b"!") and signal.pause()) or 0)
        os.write(tell, f"{helper}\n".encode())
        log.write(b"x")
        return 0

    child = in_child(run_and_leave_a_helper)
    assert exit_code_of(child) == 0
    said = b""
    while b"!" not in said or b"\n" not in said:
        said += os.read(ready, 100)
    helper = int(said.replace(b"!", b""))
    try:
        check_lock(paths.lock)  # free, though the helper lives
        held = [os.path.realpath(link) for link in Path(f"/proc/{helper}/fd").iterdir()]
        assert not [path for path in held if path.startswith(str(paths.root))]
    finally:
        os.kill(helper, signal.SIGKILL)
    assert paths.events.read_bytes() == b"x"
