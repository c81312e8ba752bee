"""Whether a file is what an entry says of it: the only place that decides it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypedDict, TypeGuard

from psann._digest import sha256_of, sha256_of_file
from psann._plain_files import open_plain
from psann.run.directory.paths import RunPaths


class Entry(TypedDict):
    """What identifies the content of a file."""

    bytes: int
    sha256: str


def entry_of(path: Path) -> Entry:
    """Measure a file.

    Raises
    ------
    OSError, ValueError
        If it is not there, cannot be read, or is no plain file.
    """
    with open_plain(path) as file:
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


def departure(entry: Mapping[str, object], n_bytes: int, read: Callable[[], bytes | None]) -> str:
    """How a file departs from its entry, in words; empty if it does not.

    Parameters
    ----------
    entry : mapping
        `bytes` and `sha256`; one that it lacks says nothing.
    read : callable
        Its content, asked for only where the size is right; None if it cannot be read, which has
        been told then.

    Examples
    --------
    >>> departure({"bytes": 3}, 2, lambda: b"ab")
    'it has 2 bytes, not 3'
    """
    if entry.get("bytes") not in (None, n_bytes):
        said = entry["bytes"]  # by a list that may be a stranger's
        told = f"{said:,}" if isinstance(said, int) else repr(said)[:40]
        return f"it has {n_bytes:,} bytes, not {told}"
    if entry.get("sha256") is None or (data := read()) is None:
        return ""
    return "" if sha256_of(data) == entry["sha256"] else "another sha256"


def is_what(entry: Mapping[str, object], path: Path) -> bool:
    """Whether a file is there and is what its entry says."""
    try:
        found = entry_of(path)
    except (OSError, ValueError):
        return False
    return all(entry.get(name) in (None, value) for name, value in found.items())


def describe_artefacts(paths: RunPaths, *, leaving_out: Collection[Path] = ()) -> dict[str, Entry]:
    """Measure every file of a finished run, for `artefacts` in the last `metrics.json`.

    Returns
    -------
    dict
        By relative path; without `metrics.json` itself, the lock, what earlier starts left, and
        what others have put there.
    """
    found = {}
    for path in sorted((*paths.root.iterdir(), *paths.checkpoints.glob("*"))):
        name = path.relative_to(paths.root).as_posix()
        if paths.is_of_a_run(name) and path not in (paths.metrics, *leaving_out):
            found[name] = entry_of(path)
    return dict(sorted(found.items()))


def is_vouched_for(paths: RunPaths, artefacts: Mapping[str, object]) -> bool:
    """Whether every file that the record of a finished run names is there and is what it says."""
    found = describe_artefacts(paths)
    return all(found.get(name) == entry for name, entry in artefacts.items())
