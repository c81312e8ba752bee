"""Digests of the files of a run, and whether they are what its record says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from psann._digest import Entry, entry_of
from psann.run.directory.paths import RunPaths


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
