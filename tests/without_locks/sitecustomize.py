"""A file system without locks, for every process: loaded by Python's start and by `conftest`.

`WITHOUT_LOCKS=ENOLCK pytest tests/durability` makes each attempt to lock a file fail with that
error, in the tests, in what they fork, and in what they start.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORCED = "WITHOUT_LOCKS"
_OF_LOCKS = {getattr(fcntl, f"F_OFD_{word}LK") for word in ("GET", "SET")}


def refusing(number: int, call: Callable[..., Any]) -> Callable[..., Any]:
    """`fcntl.fcntl` without the commands that lock."""

    def fcntl_without_locks(fd: int, command: int, *arguments: Any) -> Any:
        if command in _OF_LOCKS:
            raise OSError(number, os.strerror(number))
        return call(fd, command, *arguments)

    return fcntl_without_locks


def refusing_all(number: int) -> Callable[..., Any]:
    """`fcntl.flock` that locks nothing."""

    def flock_without_locks(fd: int, operation: int) -> Any:
        raise OSError(number, os.strerror(number))

    return flock_without_locks


def lock_nothing() -> None:
    """Take the locks away from this process and those that it starts, if that is asked for."""
    if not (name := os.environ.get(FORCED)) or "without_locks" in fcntl.fcntl.__name__:
        return
    fcntl.fcntl = refusing(getattr(errno, name), fcntl.fcntl)
    fcntl.flock = refusing_all(getattr(errno, name))
    here = str(Path(__file__).parent)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if here not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, paths)])


lock_nothing()
