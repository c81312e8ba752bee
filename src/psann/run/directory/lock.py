"""The lock of a run directory: taken by the run, only looked at by everybody else.

A lock of the kernel on `.lock`, freed by any death of the process. Where the file system has none
(Lustre, some NFS) the file `.lock.held` stands for it, made by the holder alone and aged out.
"""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

from psann._file_lock import is_taken
from psann._machine import is_alive, is_of_this_boot, this_process
from psann._plain_files import open_plain, read_plain
from psann._strict_json import parse_strict
from psann.errors import RunLockedError

STALE_AFTER_S = 300.0
"""A heartbeat from another machine that is older tells nothing of now; alive, it beats every 2 s,
but not while data are loaded or within one long update."""
_MAX_BYTES = 4096


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock of a lock file; nothing is taken for the look.

    Raises
    ------
    OSError
        If the file may not be opened.
    """
    if (held := held_file(path)).exists() and not is_left_over(held):
        return True
    try:
        with open_plain(path) as file:
            return is_taken(file.fileno())
    except FileNotFoundError:
        return False
    except ValueError as problem:
        raise OSError(errno.EINVAL, str(problem), str(path)) from None


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
    if is_locked(path):
        raise locked_error(path)


def held_file(lock: Path) -> Path:
    """The file that stands for the lock where the kernel has none."""
    return lock.with_name(f"{lock.name}.held")


def holder() -> bytes:
    """What the holder writes of itself."""
    return json.dumps(this_process()).encode() + b"\n"


def is_left_over(held: Path) -> bool:
    """Whether who made the file that stands for a lock is gone: by its process, else by its age."""
    who = read_holder(held)
    pid = who.get("pid")
    if is_of_this_boot(who) and type(pid) is int and pid > 0:
        return not is_alive(pid)
    try:
        return time.time() - held.stat().st_mtime > STALE_AFTER_S
    except FileNotFoundError:
        return True


def locked_error(path: Path) -> RunLockedError:
    """The refusal to enter a directory that is in use, naming who uses it."""
    known = read_holder(path)
    who = f" (process {known['pid']} on {known['host']})" if {"pid", "host"} <= set(known) else ""
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
