"""Plain files, opened as a stranger's: nothing waits for a pipe, and no device is read."""

from __future__ import annotations

import os
import select
import stat
from io import BufferedReader
from pathlib import Path

# Windows, where runs are only read, has the third only, and no other system has that.
NO_FOLLOW, _NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
PIPE_S = 60.0
_KINDS = {
    stat.S_IFREG: "is a file",
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


def open_plain(path: Path, *, max_bytes: int | None = None, follow: bool = False) -> BufferedReader:
    """Open a file that is there and plain.

    Parameters
    ----------
    max_bytes : int, optional
        What it may have at most.
    follow : bool
        Whether a link is followed: where a user named the file, not where a run holds it.

    Raises
    ------
    OSError
        If it is not there, or may not be read.
    ValueError
        If it is anything but a plain file, or too large.
    """
    try:
        # Non-blocking, so that a pipe with no writer does not hold us for ever.
        fd = os.open(path, os.O_RDONLY | _BINARY | _NO_WAIT | (0 if follow else NO_FOLLOW))
    except OSError:
        if path.is_symlink():
            raise ValueError("it is no plain file") from None
        raise
    status, problem = os.fstat(fd), ""
    if not stat.S_ISREG(status.st_mode):
        problem = "it is no plain file"
    elif max_bytes is not None and status.st_size > max_bytes:
        problem = f"it has {status.st_size:,} bytes, more than {max_bytes:,}"
    if problem:
        os.close(fd)
        raise ValueError(problem)
    return open(fd, "rb")


def read_plain(path: Path, max_bytes: int, *, follow: bool = False) -> bytes:
    """Read a whole file; parameters and errors are those of `open_plain`."""
    with open_plain(path, max_bytes=max_bytes, follow=follow) as file:
        return file.read(os.fstat(file.fileno()).st_size)  # a log may grow meanwhile


IS_ABSENT = "does not exist"


def read_given(path: str, max_bytes: int) -> bytes:
    """Read the beginning of a file that a user named, which may come by a pipe.

    Raises
    ------
    OSError
        If it is not there, or may not be read.
    ValueError
        If it is a pipe, and nothing comes by it for a minute.
    """
    fd = os.open(path, os.O_RDONLY | _BINARY | _NO_WAIT)
    with open(fd, "rb") as file:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            if not select.select([fd], [], [], PIPE_S)[0]:
                raise ValueError(f"nothing has come by this pipe for {PIPE_S:g} s")
            os.set_blocking(fd, True)
        return file.read(max_bytes)


def what_is(path: Path) -> str:
    """Say what stands where a file should be, without opening it: a pipe would block."""
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "is no file")
    except OSError as error:
        is_absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        return IS_ABSENT if is_absent else f"cannot be read: {error.strerror}"
