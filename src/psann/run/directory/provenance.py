"""`provenance.json`: where each start of a run came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from psann._origin import versions
from psann.errors import FileFormatError
from psann.run.directory.files import read_json
from psann.run.directory.storage import Storage

SCHEMA_VERSION = 1


def save_start(storage: Storage, path: Path, entry: Mapping[str, object]) -> None:
    """Add one start to the list in `provenance.json`.

    Raises
    ------
    FileFormatError
        If the file is there and is not a list of starts of this version.
    """
    try:
        starts = read_starts(path) if path.exists() else []
    except ValueError as error:
        raise FileFormatError(
            f"{path} cannot be gone on with: {error}. Move the run directory away and start anew."
        ) from None
    content = {"schema_version": SCHEMA_VERSION, "starts": [*starts, dict(entry)]}
    storage.put(path, json.dumps(content, indent=2, allow_nan=False).encode() + b"\n")


def read_starts(path: Path) -> list[dict[str, object]]:
    """Read `provenance.json`: what `psann._origin` said of each start, the newest last.

    Raises
    ------
    OSError
        If the file is not there, or cannot be read.
    ValueError
        If it does not list the starts of a run.
    """
    return starts_of(read_json(path))


def starts_of(content: Mapping[str, object]) -> list[dict[str, object]]:
    """The starts that the content of a `provenance.json` lists; errors as of `read_starts`."""
    starts = content.get("starts")
    if (
        content.get("schema_version") != SCHEMA_VERSION
        or not isinstance(starts, list)
        or not all(isinstance(start, dict) for start in starts)
    ):
        raise ValueError(
            f"it must be of schema version {SCHEMA_VERSION} and list the starts of the run"
        )
    return starts


def told_of_release(path: Path) -> str:
    """Say which psann began a run, where it was another than this one and that is known."""
    try:
        known = read_starts(path)[0].get("versions")
    except (OSError, ValueError, IndexError):
        return ""
    theirs = known.get("psann") if isinstance(known, Mapping) else None
    ours = versions()["psann"]
    return "" if theirs in (None, ours) else f" The run is of psann {theirs!s:.20}; this is {ours}."
