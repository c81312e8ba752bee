"""Files that are there as a whole or not at all, for what a user asks to be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends well, so that nobody opens half of it.

    Parameters
    ----------
    path : Path
        The file; its folder is made, what was there is replaced. A stream is written to instead:
        root could put a file in the place of ``/dev/null`` or ``/dev/stdout``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_stream(path):
        fd = _descriptor_of(path)
        # What is open already goes on where it is: opened anew, a file would begin again.
        with naming(path), open(path if fd is None else os.dup(fd), "wb") as file:
            yield file
        return
    # Not after the file: its name may be as long as names can be.
    temporary = path.with_name(f".psann-{os.urandom(8).hex()}.tmp")
    try:
        with naming(path, temporary), temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with naming(path, temporary):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether it is a pipe or device, or a name of something open, as ``/dev/stdout`` is."""
    if not path.exists():
        return False
    return _descriptor_of(path) is not None or not (path.is_file() or path.is_dir())


def _descriptor_of(path: Path) -> int | None:
    while True:
        folder = os.path.realpath(path.parent)
        if path.name.isdigit() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file by `whole_file`, and give its path back."""
    with whole_file(path) as file:
        file.write(data)
    return path


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Give an error of the system the file that it is of: a full disk knows none.

    Parameters
    ----------
    path : Path
        The file as its user knows it.
    temporary : Path, optional
        What it is called until it is whole.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
            if error.filename2 is not None:
                del error.filename2
        raise
