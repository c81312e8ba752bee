"""Who holds a run directory, as told to those who come second."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faults import lock_held
from psann.errors import RunLockedError
from psann.run.directory.lock import check_lock
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from trials import tree_of


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
