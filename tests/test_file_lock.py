"""Locks of open files: taken by one, seen by the others, free when that one is gone."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from psann._file_lock import NO_LOCKS, is_taken, take_lock


def test_a_lock_is_one_file_s_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with path.open("r+b") as other:
        with path.open("r+b") as own:
            assert not is_taken(other.fileno())
            take_lock(own.fileno())
            assert is_taken(other.fileno())
            assert not is_taken(own.fileno())
            with pytest.raises(BlockingIOError):
                take_lock(other.fileno())
        assert not is_taken(other.fileno())
        take_lock(other.fileno())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO])
def test_without_locks_nobody_has_one_and_a_broken_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with (tmp_path / "lock").open("wb") as file:
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            take_lock(file.fileno())
        assert (caught.value.errno in NO_LOCKS) is (number == errno.ENOLCK)
        if number == errno.ENOLCK:
            assert not is_taken(file.fileno())
        else:
            with pytest.raises(OSError, match=os.strerror(number)):
                is_taken(file.fileno())
