"""Digests of the files of a run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from psann.run.directory.paths import RunPaths


def describe_artefacts(
    paths: RunPaths, *, leaving_out: Collection[Path] = ()
) -> dict[str, dict[str, Any]]:
    """Measure every file of a finished run, for `artefacts` in the last `metrics.json`.

    Parameters
    ----------
    paths : RunPaths
        The run directory.
    leaving_out : collection of Path
        Files that are about to go.

    Returns
    -------
    dict
        `bytes` and `sha256` by relative path; without `metrics.json` itself, the lock, and what
        earlier starts left.
    """
    found = {}
    for folder, _, names in os.walk(paths.root):
        for name in names:
            path = Path(folder) / name
            if path in (paths.metrics, paths.lock, *leaving_out) or path.is_relative_to(
                paths.attempts
            ):
                continue
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = path.stat().st_size
            relative = path.relative_to(paths.root).as_posix()
            found[relative] = {"bytes": size_bytes, "sha256": digest}
    return dict(sorted(found.items()))


def is_vouched_for(paths: RunPaths, record: Mapping[str, Any]) -> bool:
    """Whether every file that the record of a finished run names is there and is what it says.

    Parameters
    ----------
    paths : RunPaths
        The run directory.
    record : mapping
        Its `metrics.json`.
    """
    named = record.get("artefacts") or {}
    found = describe_artefacts(paths)
    return all(found.get(name) == entry for name, entry in named.items())
