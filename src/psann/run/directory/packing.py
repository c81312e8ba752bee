"""The packing list of a run that came by archive."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from psann._strict_json import parse_strict
from psann.run.directory.paths import RunPaths

SCHEMA_VERSION = 1
MAX_LIST_BYTES = 64 * 2**20


def parse_list(data: bytes) -> dict[str, Any]:
    """Read a `packed.json` that nobody vouches for.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    dict
        `files` (bytes and sha256 by path) and `left_out` (paths).

    Raises
    ------
    ValueError
        If it is anything else.
    """
    content = parse_strict(data)
    files, left_out = content.get("files"), content.get("left_out")
    is_list = (
        content.get("schema_version") == SCHEMA_VERSION
        and isinstance(files, dict)
        and all(_is_entry(entry) for entry in files.values())
        and isinstance(left_out, list)
        and all(isinstance(name, str) for name in left_out)
    )
    if not is_list:
        raise ValueError(f"{list_name()} is not a list of files of version {SCHEMA_VERSION}")
    return content


def left_out_of(packing_list: Path) -> list[str]:
    """Names of the files that an archive was made without.

    Parameters
    ----------
    packing_list : Path
        The `packed.json` of a run; none are left out of a run that has none.
    """
    try:
        if packing_list.lstat().st_size > MAX_LIST_BYTES or packing_list.is_symlink():
            return []
        return list(parse_list(packing_list.read_bytes())["left_out"])
    except (OSError, ValueError):
        return []


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and set(entry) == {"bytes", "sha256"}
        and type(entry["bytes"]) is int
        and isinstance(entry["sha256"], str)
    )


def list_name() -> str:
    """Name of the list, from the run directory."""
    return RunPaths(Path()).packing_list.name


def check_packing(
    data: bytes,
    *,
    sizes: Mapping[str, int],
    read: Callable[[str], bytes | None],
    error: Callable[[str, str], None],
) -> frozenset[str]:
    """Hold every file against the list that was packed with it.

    Parameters
    ----------
    data : bytes
        `packed.json`.
    sizes : mapping
        Bytes of each file in the run directory by relative path.
    read : callable
        Content of a file; None if it cannot be read, which has been told then.
    error : callable
        Told file and message of each broken promise.

    Returns
    -------
    frozenset of str
        Files that the archive was made without, so that they may be missing.
    """
    try:
        content = parse_list(data)
    except ValueError as problem:
        error("packed.json", f"cannot be read: {problem}")
        return frozenset()
    for name, entry in content["files"].items():
        if name not in sizes:
            error(name, "is missing; packed.json lists it")
        elif sizes[name] != entry["bytes"]:
            error(name, f"must have {entry['bytes']} bytes by packed.json; it has {sizes[name]}")
        elif (found := read(name)) is not None and (
            hashlib.sha256(found).hexdigest() != entry["sha256"]
        ):
            error(name, "is not the file that was packed: another sha256")
    return frozenset(content["left_out"]) - sizes.keys()
