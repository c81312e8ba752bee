"""A run that came by archive: what `packed.json` promises of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from psann.run.archive import parse_list


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
