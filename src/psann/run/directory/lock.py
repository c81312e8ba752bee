"""The lock of a run directory."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from psann.errors import RunLockedError


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
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise locked_error(path) from None
    finally:
        os.close(fd)


def locked_error(path: Path) -> RunLockedError:
    """The refusal to enter a directory that is in use, naming who uses it."""
    return RunLockedError(
        f"The run directory {path.parent} belongs to a live process{_holder(path)}. Wait until "
        "it ends or choose another --run-name."
    )


def _holder(path: Path) -> str:
    """Who holds a lock, as far as its file can tell."""
    try:
        holder = json.loads(path.read_bytes())
        return f" (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
