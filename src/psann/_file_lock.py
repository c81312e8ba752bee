"""Locks of the kernel on open files, freed by any death of the process that has them."""

from __future__ import annotations

import errno
import os
import struct

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""What a file system without locks answers."""
_BSD_LOCK = "qqihhq"  # start, length, process, kind, whence, system


def take_lock(fd: int) -> None:
    """Lock an open file for this process, at once or not at all.

    Raises
    ------
    BlockingIOError
        If another process has it.
    OSError
        If the file system has no locks; the number is one of `NO_LOCKS`.
    """
    import fcntl  # not on Windows, where runs are only read

    if hasattr(fcntl, "F_OFD_SETLK"):
        # Of the open file, as flock's; unlike those it can be looked at without taking it.
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
    else:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_taken(fd: int) -> bool:
    """Whether somebody else has the lock of an open file; nothing is taken for the look.

    Where there are no locks, nobody has one.
    """
    try:
        import fcntl
    except ImportError:
        return False
    try:
        if hasattr(fcntl, "F_OFD_GETLK"):
            found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_RDLCK))
            return bool(struct.unpack_from("h", found)[0] != fcntl.F_UNLCK)
        # macOS and the BSDs, which have none of those, tell of flock's here, as Linux does not.
        asked = struct.pack(_BSD_LOCK, 0, 0, 0, fcntl.F_RDLCK, os.SEEK_SET, 0)
        found = fcntl.fcntl(fd, fcntl.F_GETLK, asked)
        return bool(struct.unpack(_BSD_LOCK, found)[3] != fcntl.F_UNLCK)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return False


def _whole_file(kind: int) -> bytes:
    return struct.pack("hhqqi0q", kind, os.SEEK_SET, 0, 0, 0)
