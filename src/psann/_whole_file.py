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
        The file; its folder is made, what was there is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not after the file: its name may be as long as names can be.
    temporary = path.with_name(f".psann-{os.urandom(8).hex()}.tmp")
    try:
        with naming(path), temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file by `whole_file`, and give its path back."""
    with whole_file(path) as file:
        file.write(data)
    return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the system the file that it is of; a full disk knows none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
