"""SHA-256, the one digest by which files, arrays and configurations are told apart."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Protocol


class Digest(Protocol):
    """A digest of what it has been given so far."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more."""

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""


def new_digest(data: bytes = b"") -> Digest:
    """Begin a digest of what comes in pieces."""
    return hashlib.sha256(data)


def sha256_of(data: bytes | memoryview) -> str:
    """Digest of a content, as 64 hexadecimal digits.

    Examples
    --------
    >>> sha256_of(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(file: BinaryIO) -> str:
    """Digest of the rest of an open file, however large."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
