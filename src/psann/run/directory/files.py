"""The files of a run directory, read as a stranger's: plain files only, within limits.

A directory may have come from anywhere. Nothing here follows a link, waits for a pipe, opens a
device, or reads more than its caller expects; what is wrong is raised as a fact, and the caller
says whose file it is and what to do.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from psann._strict_json import parse_strict

# Windows, where runs are only read, has neither.
NO_FOLLOW, NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
MAX_JSON_BYTES = 16 * 2**20
MAX_LOG_BYTES = 2**27
MAX_FILE_BYTES = 4 * 2**30
MAX_ENTRIES = 100_000
_LIMITS = {".json": MAX_JSON_BYTES, ".csv": MAX_LOG_BYTES, ".yaml": 2**20}
_MAX_DEPTH = 4  # attempts/001/checkpoints holds the deepest


def open_plain(path: Path) -> BufferedReader:
    """Open a file that is there and plain.

    Raises
    ------
    OSError
        If it is not there, or may not be read.
    ValueError
        If it is anything but a plain file.
    """
    try:
        # Non-blocking, so that a pipe with no writer does not hold us for ever.
        fd = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT | getattr(os, "O_BINARY", 0))
    except OSError:
        if path.is_symlink():
            raise ValueError("it is no plain file") from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("it is no plain file")
    return open(fd, "rb")


def read_plain(path: Path, max_bytes: int) -> bytes:
    """Read a whole file.

    Parameters
    ----------
    max_bytes : int
        What it may have at most.

    Raises
    ------
    OSError
        If it is not there, or cannot be read.
    ValueError
        If it is no plain file, or too large.
    """
    with open_plain(path) as file:
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > max_bytes:
            raise ValueError(f"it has {n_bytes:,} bytes, more than {max_bytes:,}")
        return file.read(n_bytes)  # a log may grow meanwhile


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
