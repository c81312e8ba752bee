"""Digests of the files of a run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from psann.run.directory.digests import describe_artefacts, is_vouched_for
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


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    paths = RunPaths(tmp_path)
    paths.events.write_bytes(b"rows")
    paths.provenance.write_bytes(b"{}")
    return paths


def test_files_that_are_about_to_go_are_left_out(paths: RunPaths) -> None:
    assert list(describe_artefacts(paths, leaving_out=[paths.events])) == ["provenance.json"]


def test_record_vouches_for_files_that_are_what_it_says_and_no_longer(paths: RunPaths) -> None:
    record = describe_artefacts(paths)
    assert is_vouched_for(paths, record)
    (paths.root / "unheard_of").touch()  # nothing was said of it
    assert is_vouched_for(paths, record)
    paths.events.write_bytes(b"rowz")
    assert not is_vouched_for(paths, record)
    paths.events.unlink()
    assert not is_vouched_for(paths, record)
    assert is_vouched_for(paths, {"artefacts": None})
