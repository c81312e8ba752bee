"""Open files of ours that foreign code can neither inherit nor exchange.

Python's own files are safe from programs that are started; a process that is forked off has all
descriptors of its parent, and code that makes itself a daemon closes any that it finds.
"""

from __future__ import annotations

import errno
import os
import weakref
from contextlib import suppress
from pathlib import Path


def open_high(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """`os.open`, but never 0, 1 or 2: what a library writes to standard error would land there."""
    fd = os.open(path, flags, mode, dir_fd=dir_fd)
    if fd > 2:
        return fd
    import fcntl  # not on Windows, where runs are only read

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


class Descriptor:
    """An open file of this process; one that is forked off loses it.

    Parameters
    ----------
    fd : int
        Its number; -1 stands for none.
    """

    def __init__(self, fd: int = -1) -> None:
        self._fd = fd
        self._identity = _identity(fd)
        _all.add(self)

    @property
    def fd(self) -> int:
        """Its number.

        Raises
        ------
        OSError
            If it is closed, or the number is another file's by now.
        """
        if self._identity is None or _identity(self._fd) != self._identity:
            raise OSError(
                errno.EBADF,
                "the file is no longer open: code that the run called has closed descriptors that "
                "it did not open, as os.closerange does, or has forked",
            )
        return self._fd

    def let_go(self) -> int:
        """Give it up: its number for the caller to close, -1 where there is nothing to close."""
        fd, is_ours = self._fd, _identity(self._fd) == self._identity
        self._fd, self._identity = -1, None
        return fd if is_ours else -1


_all: weakref.WeakSet[Descriptor] = weakref.WeakSet()


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _close_in_child() -> None:
    for descriptor in list(_all):
        with suppress(OSError):
            os.close(descriptor.let_go())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
