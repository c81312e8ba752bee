"""What workers leave of a run's studies is read as it was written, by that very run alone."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from psann._tensor_file import encode
from psann.errors import FileFormatError, RunLockedError
from psann.run.directory.log import listening
from psann.run.directory.paths import RunPaths
from psann.run.directory.resume_state import RunIdentity
from psann.run.execution.study_folder import SharedResult, StudyFolder

IDENTITY = RunIdentity(
    config={"training.epochs": "4", "training.lr": "0.05", "device": '"cpu"'},
    data_sha256="d" * 64,
    init_from_sha256=None,
    environment={"torch": "2.0"},
)
RESULT = SharedResult(
    estimators=(b"first", b"second"),
    best=((3, 0.1), (0, None)),
    events=({"level": 10, "message": "epoch", "event": "epoch", "val_loss": -math.inf},),
    identity=IDENTITY,
    worker="process 1 on here",
)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(RunPaths(tmp_path / "run"), IDENTITY)


def keep(folder: StudyFolder, **changes: Any) -> None:
    with folder.claimed("fold_001") as storage:
        folder.keep(storage, "fold_001", replace(RESULT, **changes))


def test_a_study_is_read_as_it_was_left_beside_the_run(folder: StudyFolder) -> None:
    assert folder.result("fold_001") is None
    keep(folder)
    assert folder.result("fold_001") == RESULT
    assert folder.root.name == "run.studies"
    assert not folder.run.root.exists()


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"environment": {"torch": "1.0"}}, True),
        ({"config": {**IDENTITY.config, "device": '"cuda:0"'}}, True),
        ({"config": {**IDENTITY.config, "training.lr": "0.06"}}, False),
        ({"config": {**IDENTITY.config, "training.epochs": "5"}}, False),
        ({"data_sha256": "e" * 64}, False),
    ],
)
def test_a_study_of_other_data_or_another_configuration_is_none(
    folder: StudyFolder, changes: dict[str, Any], is_same: bool
) -> None:
    keep(folder, identity=replace(IDENTITY, **changes))
    assert (folder.result("fold_001") is not None) == is_same


def test_a_file_that_is_damaged_or_of_something_else_is_said_to_be(folder: StudyFolder) -> None:
    keep(folder)
    file = folder.root / "fold_001" / "result.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(FileFormatError):
        folder.result("fold_001")
    file.write_bytes(encode({"study": {}}, {}))
    with pytest.raises(FileFormatError, match="is no study of a run"):
        folder.result("fold_001")
    whole = {"level": 10, "message": "", "event": "epoch"}
    for rows in ({"event": "epoch"}, "epoch", {**whole, "x": 1}, {**whole, "event": "x"}):
        keep(folder, events=(rows,))
        with pytest.raises(FileFormatError, match="is no study of a run"):
            folder.result("fold_001")
    file.unlink()
    file.mkdir()
    with pytest.raises(FileFormatError, match="fold_001"):
        folder.result("fold_001")


def test_a_run_waits_for_the_worker_that_is_at_a_study_and_keeps_others_from_its_own(
    folder: StudyFolder,
) -> None:
    with folder.turn("fold_001", alive=lambda: None) as nothing:
        assert nothing is None  # no worker has been here
    assert not folder.root.exists()
    claim: Iterator[Any] = folder.claimed("fold_001").gen  # type: ignore[attr-defined]
    next(claim)
    calls = []

    def alive() -> None:
        calls.append("alive")
        if len(calls) == 2:
            next(claim, None)  # the worker is done

    told: list[str] = []
    with (
        listening(lambda record: told.append(record.getMessage())),
        folder.turn("fold_001", alive=alive) as storage,
    ):
        assert storage is not None and len(calls) == 2
        assert told == ["waiting for fold_001, which another process trains"]
        with pytest.raises(RunLockedError), folder.claimed("fold_001"):
            pass


def test_a_folder_that_takes_no_more_keeps_no_run_from_its_study(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(folder)

    def refusing(*arguments: Any, **how: Any) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("psann.run.directory.storage.take_lock", refusing)
    with folder.turn("fold_001", alive=lambda: None) as storage:
        assert storage is None
    assert folder.result("fold_001") == RESULT
