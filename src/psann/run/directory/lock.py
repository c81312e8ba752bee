"""The lock of a run directory."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

from psann._strict_json import parse_strict
from psann.errors import RunLockedError
from psann.run.directory.files import open_plain, read_plain

_MAX_BYTES = 4096


def check_lock(path: Path) -> None:
    """Look whether a live process holds a lock file, and change nothing.

    Parameters
    ----------
    path : Path
        The lock file; a missing one is free.

    Raises
    ------
    RunLockedError
        If a live process holds the lock.
    OSError
        If it cannot be opened, or is no plain file.
    """
    try:
        with open_plain(path) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError:
        raise locked_error(path) from None
    except ValueError as problem:
        raise OSError(errno.EINVAL, str(problem), str(path)) from None


def locked_error(path: Path) -> RunLockedError:
    """The refusal to enter a directory that is in use, naming who uses it."""
    holder = read_holder(path)
    who = (
        f" (process {holder['pid']} on {holder['host']})" if {"pid", "host"} <= set(holder) else ""
    )
    return RunLockedError(
        f"The run directory {path.parent} belongs to a live process{who}. Wait until "
        "it ends or choose another --run-name."
    )


def read_holder(path: Path) -> dict[str, object]:
    """What a lock file says of who wrote it last; empty where it says nothing."""
    try:
        return parse_strict(read_plain(path, _MAX_BYTES))
    except (OSError, ValueError):
        return {}
