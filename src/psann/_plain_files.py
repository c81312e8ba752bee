"""Plain files, opened as a stranger's: nothing waits for a pipe, and no device is read."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

# Windows, where runs are only read, has the third only, and no other system has that.
NO_FOLLOW, _NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def open_plain(path: Path, *, follow: bool = False) -> BufferedReader:
    """Open a file that is there and plain.

    Parameters
    ----------
    follow : bool
        Whether a link is followed: where a user named the file, not where a run holds it.

    Raises
    ------
    OSError
        If it is not there, or may not be read.
    ValueError
        If it is anything but a plain file.
    """
    try:
        # Non-blocking, so that a pipe with no writer does not hold us for ever.
        fd = os.open(path, os.O_RDONLY | _BINARY | _NO_WAIT | (0 if follow else NO_FOLLOW))
    except OSError:
        if path.is_symlink():
            raise ValueError("it is no plain file") from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("it is no plain file")
    return open(fd, "rb")


def read_plain(path: Path, max_bytes: int, *, follow: bool = False) -> bytes:
    """Read a whole file.

    Parameters
    ----------
    max_bytes : int
        What it may have at most.
    follow : bool
        As in `open_plain`.

    Raises
    ------
    OSError
        If it is not there, or cannot be read.
    ValueError
        If it is no plain file, or too large.
    """
    with open_plain(path, follow=follow) as file:
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > max_bytes:
            raise ValueError(f"it has {n_bytes:,} bytes, more than {max_bytes:,}")
        return file.read(n_bytes)  # a log may grow meanwhile
