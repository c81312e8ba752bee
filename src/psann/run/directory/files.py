"""The files of a run directory, read as a stranger's: plain files only, within limits.

A directory may have come from anywhere. Nothing here follows a link, waits for a pipe, opens a
device, or reads more than its caller expects; what is wrong is raised as a fact, and the caller
says whose file it is and what to do.
"""

from __future__ import annotations

import os
from pathlib import Path

from psann._plain_files import read_plain
from psann._strict_json import parse_strict

MAX_JSON_BYTES = 16 * 2**20
MAX_LOG_BYTES = 2**27
MAX_FILE_BYTES = 4 * 2**30
MAX_ENTRIES = 100_000
_LIMITS = {".json": MAX_JSON_BYTES, ".csv": MAX_LOG_BYTES, ".yaml": 2**20}
_MAX_DEPTH = 4  # attempts/001/checkpoints holds the deepest


def limit_of(name: str) -> int:
    """Bytes that a file of a run may have, by the end of its name."""
    return _LIMITS.get(os.path.splitext(name)[1], MAX_FILE_BYTES)


def files_below(root: Path) -> tuple[list[str], list[str]]:
    """List the plain files of a directory, and what else there is but plain directories.

    Returns
    -------
    tuple of list of str
        Paths from the directory, sorted. A directory deeper than a run has any is of the others,
        and is not entered.

    Raises
    ------
    OSError
        If a directory cannot be listed.
    ValueError
        If it holds more files than any run.
    """
    plain: list[str] = []
    others: list[str] = []
    folders = [""]
    while folders:
        above = folders.pop()
        with os.scandir(root / above) as entries:
            for entry in entries:
                name = above + entry.name
                if entry.is_file(follow_symlinks=False):
                    plain.append(name)
                elif entry.is_dir(follow_symlinks=False) and name.count("/") < _MAX_DEPTH:
                    folders.append(f"{name}/")
                else:
                    others.append(name)
        if len(plain) + len(others) + len(folders) > MAX_ENTRIES:
            raise ValueError(f"it holds more than {MAX_ENTRIES:,} files")
    return sorted(plain), sorted(others)


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
