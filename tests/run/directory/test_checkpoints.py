from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from psann.errors import FileFormatError
from psann.run.directory.checkpoints import Checkpoints
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage, SystemCalls


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


@pytest.fixture
def storage(tmp_path: Path) -> Any:
    with Storage(tmp_path) as storage:
        yield storage


def read_manifest(paths: RunPaths) -> dict[str, Any]:
    content = json.loads(paths.manifest.read_bytes())
    assert content["schema_version"] == 1
    return dict(content["files"])


def test_manifest_describes_every_file(storage: Storage, paths: RunPaths) -> None:
    checkpoints = Checkpoints(storage, paths)
    checkpoints.save("warm_start", b"warm", epoch=2, metric=None)
    checkpoints.save("best", b"best", epoch=0, metric=0.5)
    checkpoints.save("epoch", b"tenth", epoch=10, metric=math.nan)
    checkpoints.save_kept_state(b"state", epoch=10)
    files = read_manifest(paths)
    assert files["best.safetensors"] == {
        "sha256": hashlib.sha256(b"best").hexdigest(),
        "bytes": 4,
        "epoch": 0,
        "metric": 0.5,
    }
    assert list(files) == [
        "best.safetensors",
        "epoch_000010.safetensors",
        "state_000010.safetensors",
        "warm_start.safetensors",
    ]
    assert files["epoch_000010.safetensors"]["metric"] is None
    for name, entry in files.items():
        data = (paths.checkpoints / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])


def test_a_new_best_replaces_the_old_one(storage: Storage, paths: RunPaths) -> None:
    checkpoints = Checkpoints(storage, paths)
    checkpoints.save("best", b"first", epoch=1, metric=0.1)
    checkpoints.save("best", b"second", epoch=2, metric=0.2)
    assert paths.best.read_bytes() == b"second"
    assert read_manifest(paths)["best.safetensors"]["epoch"] == 2
    assert checkpoints.describe("best") == {
        "path": "checkpoints/best.safetensors",
        "sha256": hashlib.sha256(b"second").hexdigest(),
        "bytes": 6,
        "epoch": 2,
        "metric": 0.2,
    }


def test_manifest_of_an_earlier_start_is_continued(storage: Storage, paths: RunPaths) -> None:
    first = Checkpoints(storage, paths)
    first.save("warm_start", b"warm", epoch=2, metric=None)
    second = Checkpoints(storage, paths)
    second.save("best", b"best", epoch=3, metric=0.2)
    assert list(read_manifest(paths)) == ["best.safetensors", "warm_start.safetensors"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema_version": 2, "files": {}}'])
def test_foreign_manifest_is_refused(content: bytes, storage: Storage, paths: RunPaths) -> None:
    storage.make_directory(paths.checkpoints)
    paths.manifest.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"manifest\.json"):
        Checkpoints(storage, paths)


def test_resume_state_before_the_newest_is_kept(storage: Storage, paths: RunPaths) -> None:
    checkpoints = Checkpoints(storage, paths)
    for epoch in (1, 2, 3):
        checkpoints.save_last(b"state %d" % epoch, epoch=epoch)
    assert (paths.last.read_bytes(), paths.previous.read_bytes()) == (b"state 3", b"state 2")
    files = read_manifest(paths)
    assert files["last.safetensors"]["epoch"] == 3
    assert files["previous.safetensors"]["epoch"] == 2


@pytest.mark.parametrize("is_new_start", [False, True])
def test_damaged_resume_state_never_replaces_a_whole_one(
    storage: Storage, paths: RunPaths, is_new_start: bool
) -> None:
    checkpoints = Checkpoints(storage, paths)
    for epoch in (1, 2):
        checkpoints.save_last(b"state %d" % epoch, epoch=epoch)
    paths.last.write_bytes(b"damaged")
    if is_new_start:
        checkpoints = Checkpoints(storage, paths)
    checkpoints.save_last(b"state 3", epoch=3)
    assert (paths.last.read_bytes(), paths.previous.read_bytes()) == (b"state 3", b"state 1")
    assert read_manifest(paths)["previous.safetensors"]["epoch"] == 1


def test_full_disk_keeps_the_old_best_and_its_manifest(paths: RunPaths) -> None:
    calls = SystemCalls()
    with Storage(paths.root, calls) as storage:
        checkpoints = Checkpoints(storage, paths)
        checkpoints.save("best", b"first", epoch=1, metric=0.1)
        manifest = paths.manifest.read_bytes()

        def write(fd: int, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        calls.write = write
        with pytest.raises(OSError, match=r"No space left.*best\.safetensors"):
            checkpoints.save("best", b"second", epoch=2, metric=0.2)
    assert paths.best.read_bytes() == b"first"
    assert paths.manifest.read_bytes() == manifest
    assert sorted(os.listdir(paths.checkpoints)) == ["best.safetensors", "manifest.json"]
