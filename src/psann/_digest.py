"""SHA-256, the one digest by which files, arrays and configurations are told apart.

Whether a file is what an entry of a list says of it is decided here alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, TypedDict, TypeGuard

from psann._plain_files import open_plain


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


class Entry(TypedDict):
    """What identifies the content of a file."""

    bytes: int
    sha256: str


def entry_of(path: Path, *, max_bytes: int | None = None) -> Entry:
    """Measure a file; parameters and errors are those of `open_plain`."""
    with open_plain(path, max_bytes=max_bytes) as file:
        sha256 = sha256_of_file(file)
        return {"bytes": file.tell(), "sha256": sha256}


def is_entry(value: object) -> TypeGuard[Entry]:
    """Whether a value that a file holds has the form of an entry."""
    return (
        isinstance(value, dict)
        and set(value) == {"bytes", "sha256"}
        and type(value["bytes"]) is int
        and isinstance(value["sha256"], str)
    )


def departure(entry: Mapping[str, object], n_bytes: int, digest: Callable[[], str | None]) -> str:
    """How a file departs from its entry, in words; empty if it does not.

    Parameters
    ----------
    entry : mapping
        `bytes` and `sha256`; one that it lacks says nothing.
    digest : callable
        Its SHA-256, asked for only where the size is right; None if it cannot be read, which has
        been told then.

    Examples
    --------
    >>> departure({"bytes": 3}, 2, lambda: None)
    'it has 2 bytes, not 3'
    """
    if entry.get("bytes") not in (None, n_bytes):
        said = entry["bytes"]  # by a list that may be a stranger's
        told = f"{said:,}" if isinstance(said, int) else repr(said)[:40]
        return f"it has {n_bytes:,} bytes, not {told}"
    if entry.get("sha256") is None or (found := digest()) is None:
        return ""
    return "" if found == entry["sha256"] else "another sha256"


def is_what(entry: Mapping[str, object], path: Path) -> bool:
    """Whether a file is there and is what its entry says."""
    try:
        found = entry_of(path)
    except (OSError, ValueError):
        return False
    return all(entry.get(name) in (None, value) for name, value in found.items())
