"""The packing list of a run that came by archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psann._digest import Entry, is_entry
from psann._plain_files import read_plain
from psann._strict_json import parse_strict
from psann.run.directory.files import MAX_JSON_BYTES
from psann.run.directory.paths import RunPaths

SCHEMA_VERSION = 1
LIST_NAME = RunPaths(Path()).packing_list.name


@dataclass(frozen=True)
class PackingList:
    """What `packed.json` says."""

    files: Mapping[str, Entry]
    """By relative path."""
    left_out: tuple[str, ...]
    """Files of the run that were not packed."""


def parse_list(data: bytes) -> PackingList:
    """Read a `packed.json` that nobody vouches for.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    content = parse_strict(data)
    files, left_out = content.get("files"), content.get("left_out")
    if (
        content.get("schema_version") != SCHEMA_VERSION
        or not isinstance(files, dict)
        or not all(is_entry(entry) for entry in files.values())
        or not isinstance(left_out, list)
        or not all(isinstance(name, str) for name in left_out)
    ):
        raise ValueError(f"{LIST_NAME} is not a list of files of version {SCHEMA_VERSION}")
    return PackingList(files, tuple(left_out))


def left_out_of(packing_list: Path) -> list[str]:
    """Names of the files that an archive was made without.

    Parameters
    ----------
    packing_list : Path
        The `packed.json` of a run; none are left out of a run that has none.
    """
    try:
        return list(parse_list(read_plain(packing_list, MAX_JSON_BYTES)).left_out)
    except (OSError, ValueError):
        return []
