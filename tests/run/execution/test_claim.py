"""Directories that are taken: new, free, gone on with, set aside, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faults import lock_held
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from psann.run.execution.claim import claim_directory
from trials import finished, metrics_of, rows_of, tree_of, trial, write_config


def test_an_existing_run_is_refused_and_left_untouched(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    before = tree_of(paths.root)
    outcome = trial(tmp_path)
    assert outcome.exit_code == 2
    assert "exists. Choose another name, or give --resume" in str(outcome.message)
    assert tree_of(paths.root) == before


def test_a_directory_of_somebody_else_is_refused_and_left_untouched(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "run"
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("precious")
    before = tree_of(folder)
    assert trial(tmp_path).exit_code == 2
    assert tree_of(folder) == before


@pytest.mark.parametrize("status", ["completed", "running", "diverged", "preempted", "failed"])
def test_a_run_that_trained_is_never_taken_over(tmp_path: Path, status: str) -> None:
    paths = finished(tmp_path, "training.epochs=1")
    content = metrics_of(paths) | {"status": status, "phase": "hisso"}
    paths.metrics.write_text(json.dumps(content))
    before = tree_of(paths.root)
    assert trial(tmp_path).exit_code == 2
    assert tree_of(paths.root) == before


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"phase": "hisso"}'])
def test_a_record_that_says_nothing_is_not_taken_for_a_failed_start(
    tmp_path: Path, content: str
) -> None:
    folder = tmp_path / "out" / "run"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(content)
    assert trial(tmp_path).exit_code == 2


def test_an_empty_directory_is_free(tmp_path: Path) -> None:
    (tmp_path / "out" / "run").mkdir(parents=True)
    finished(tmp_path, "training.epochs=1")


def test_a_start_killed_at_its_first_step_leaves_its_name_free(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "run"
    folder.mkdir(parents=True)
    (folder / ".metrics.json.0123abcd.tmp").write_text("{")
    paths = finished(tmp_path, "training.epochs=1")
    assert not list(paths.root.glob(".*.tmp"))
    assert not paths.attempts.exists()


def test_a_run_that_failed_before_training_gives_its_name_away(tmp_path: Path) -> None:
    for n in (1, 2):
        outcome = trial(tmp_path, "data.loader=trials.raising")
        assert outcome.exit_code == 1, n
    paths = finished(tmp_path, "training.epochs=1")
    assert sorted(path.name for path in paths.attempts.iterdir()) == ["001", "002"]
    old = RunPaths(paths.attempts / "001")
    assert "the database is down" in metrics_of(old)["error"]
    assert rows_of(paths)[0]["message"].endswith("is now in attempts/002")
    assert rows_of(paths)[0]["seq"] == "1"
    assert not any(name.startswith("attempts") for name in metrics_of(paths)["artefacts"])


def test_overwrite_sets_the_old_run_aside_whole(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.epochs=1")
    before = tree_of(paths.root)
    again = finished(tmp_path, "training.epochs=2", overwrite=True)
    aside = [path for path in (tmp_path / "out").iterdir() if path.name != "run"]
    assert len(aside) == 1
    changed = {".lock"}  # names the process that set it aside
    after = tree_of(aside[0])
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert metrics_of(again)["epochs_total"] == 2
    assert rows_of(again)[0]["message"] == f"the old run is now in {aside[0].name}"


def test_overwrite_of_nothing_is_a_new_run(tmp_path: Path) -> None:
    finished(tmp_path, "training.epochs=1", overwrite=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_of_a_live_process_is_refused_and_not_touched(
    tmp_path: Path, overwrite: bool
) -> None:
    paths = RunPaths(tmp_path / "out" / "run")
    with lock_held(paths) as child:
        paths.metrics.write_text('{"status": "running", "phase": "hisso"}')
        config = write_config(tmp_path)
        before = tree_of(tmp_path / "out")
        outcome = trial(tmp_path, config=config, overwrite=overwrite)
        assert outcome.exit_code == 75
        assert f"belongs to a live process (process {child}" in str(outcome.message)
        assert tree_of(tmp_path / "out") == before
    assert trial(tmp_path).exit_code == 2  # what the killed process trained is not thrown away


def test_a_run_that_ended_while_we_waited_for_its_lock_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = RunPaths(tmp_path / "out" / "run")
    lock = Storage.lock

    def lock_late(self: Storage, path: Path) -> None:
        self.put(paths.metrics, b'{"status": "completed", "phase": "evaluation"}')
        lock(self, path)

    monkeypatch.setattr(Storage, "lock", lock_late)
    assert trial(tmp_path).exit_code == 2
    assert [path.name for path in paths.contents()] == ["metrics.json"]


def test_a_claimed_directory_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    paths = RunPaths.in_output(tmp_path / "out", "run")
    storage, note = claim_directory(paths, overwrite=False)
    assert note is None
    assert trial(tmp_path).exit_code == 75
    storage.close()
    finished(tmp_path, "training.epochs=1")


def test_overwrite_sets_nothing_aside_for_a_run_that_cannot_begin(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    before = tree_of(paths.root)
    assert trial(tmp_path, "training.lr=-1", overwrite=True).exit_code == 1
    outcome = trial(tmp_path, overwrite=True, mode="fine_tune", init_from=str(paths.checkpoints))
    assert outcome.exit_code == 2
    assert "--overwrite would set aside" in str(outcome.message)
    assert tree_of(paths.root) == before
    assert len(list(paths.root.parent.iterdir())) == 1
