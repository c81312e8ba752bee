"""Digests of the files of a run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from psann.run.directory.digests import describe_artefacts
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import RunRecord
from psann.run.directory.storage import Storage


def test_artefacts_are_every_file_but_the_record_the_lock_and_the_archive(
    tmp_path: Path,
) -> None:
    paths = RunPaths(tmp_path)
    with Storage(tmp_path) as storage:
        storage.lock(paths.lock)
        for directory in (paths.checkpoints, paths.attempts):
            storage.make_directory(directory)
            storage.put(directory / "best.safetensors", b"weights")
        storage.put(paths.events, b"rows")
        RunRecord().attach(storage, paths.metrics)
    assert describe_artefacts(paths) == {
        "checkpoints/best.safetensors": {
            "bytes": 7,
            "sha256": hashlib.sha256(b"weights").hexdigest(),
        },
        "events.csv": {"bytes": 4, "sha256": hashlib.sha256(b"rows").hexdigest()},
    }
