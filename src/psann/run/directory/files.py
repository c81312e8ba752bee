"""The files of a run directory, read as a stranger's: plain files only, within limits.

A directory may have come from anywhere. Nothing here follows a link, waits for a pipe, opens a
device, or reads more than its caller expects; what is wrong is raised as a fact, and the caller
says whose file it is and what to do.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from psann._plain_files import read_plain
from psann._strict_json import parse_strict

MAX_JSON_BYTES = 16 * 2**20
MAX_LOG_BYTES = 2**27
MAX_FILE_BYTES = 4 * 2**30
_MAX_ENTRIES = 100_000
_LIMITS = {".json": MAX_JSON_BYTES, ".csv": MAX_LOG_BYTES, ".yaml": 2**20}

Tell = Callable[[str, str], None]
"""Takes the name of a file and the rest of a sentence about it."""


def limit_of(name: str) -> int:
    """Bytes that a file of a run may have, by the end of its name."""
    return _LIMITS.get(os.path.splitext(name)[1], MAX_FILE_BYTES)


def entries_below(root: Path, *, tell: Tell) -> Iterator[tuple[str, os.stat_result]]:
    """List what a directory holds, at any depth, but plain directories; no link is followed.

    Parameters
    ----------
    tell : callable
        Told of what cannot be looked at, which is passed over.

    Yields
    ------
    name : str
        Path from the directory.
    status : os.stat_result
        Of itself, where it is a link.
    """
    folders, n_entries = [""], 0
    while folders:
        above = folders.pop()
        try:
            names = sorted(os.listdir(root / above))
        except OSError as problem:
            tell(above.rstrip("/") or ".", f"cannot be listed: {problem.strerror}")
            continue
        n_entries += len(names)
        if n_entries > _MAX_ENTRIES:
            tell(".", f"holds more than {_MAX_ENTRIES:,} files; the rest is not looked at")
            return
        for name in (above + each for each in names):
            try:
                status = (root / name).lstat()
            except FileNotFoundError:
                continue  # a live process has just replaced it
            except OSError as problem:
                tell(name, f"cannot be looked at: {problem.strerror}")
                continue
            if stat.S_ISDIR(status.st_mode):
                folders.append(f"{name}/")
            else:
                yield name, status


def read_json(path: Path) -> dict[str, object]:
    """Read a file that holds one object of strict JSON.

    Raises
    ------
    OSError
        If it is not there, or cannot be read.
    ValueError
        If it is no plain file, too large, or anything but strict JSON.
    """
    data = read_plain(path, MAX_JSON_BYTES)
    try:
        return parse_strict(data)
    except ValueError as error:
        raise ValueError(f"it is not strict JSON ({error})") from None
