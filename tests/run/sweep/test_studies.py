"""Folds and placebos trained by workers: the run takes them, and is the run that trained them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults import exit_code_of, in_child
from psann._imports import ImportPolicy
from psann.errors import TrainingInterrupted, UsageError
from psann.run.directory.paths import RunPaths
from psann.run.execution.resume import read_resume_point
from psann.run.execution.studies import StudyObserver
from psann.run.execution.study_folder import StudyFolder
from psann.run.sweep.child import Ending
from psann.run.sweep.studies import study_lines, take_studies, work_on_studies
from psann.run.verification.verify import verify_run
from psann.scripts.hisso_runs import main
from trials import bit_differences, finished, metrics_of, rows_of, tree_of, trial

OPTIONS = (
    "data.loader=trials.continuous",
    "evaluation.walk_forward={folds: 2, gap: 1}",
    "evaluation.placebo=2",
)
NAMES = ["fold_001", "fold_002", "placebo_001", "placebo_002"]
OF_TESTS = ImportPolicy(allow=("trials",), is_of_a_file=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run that trained all by itself."""
    return finished(tmp_path_factory.mktemp("runs"), *OPTIONS)


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the studies whose training began in this process."""
    names: list[str] = []
    init = StudyObserver.__init__

    def counting(observer: StudyObserver, signs: Any, study: Any, **how: Any) -> None:
        names.append(study.name)
        init(observer, signs, study, **how)

    monkeypatch.setattr(StudyObserver, "__init__", counting)
    return names


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run that was stopped in its first fold."""
    on_epoch = StudyObserver.on_epoch

    def stopping(observer: Any, record: Any, state: Any) -> None:
        on_epoch(observer, record, state)
        raise TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudyObserver, "on_epoch", stopping)
        outcome = trial(tmp_path_factory.mktemp("begun"), *OPTIONS)
    assert outcome.exit_code == 143 and outcome.paths is not None
    return outcome.paths


@pytest.fixture
def stopped(begun: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy of it."""
    return RunPaths(shutil.copytree(begun.root, tmp_path / "out" / "run"))


def folder_of(paths: RunPaths) -> StudyFolder:
    point, _ = read_resume_point(paths)
    return StudyFolder(paths, point.identity)


def test_a_run_takes_what_two_workers_left_and_is_the_run_that_trained_it(
    tmp_path: Path,
    stopped: RunPaths,
    whole: RunPaths,
    began: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Both have torch already; the chaos test starts the command itself.
    monkeypatch.setattr(
        "psann.run.sweep.studies.preloading_context", lambda: multiprocessing.get_context("fork")
    )
    paths = stopped
    before, looks = tree_of(paths.root), list[list[str]]()
    done = work_on_studies(
        paths.root,
        n_at_once=2,
        imports=OF_TESTS,
        look=lambda: looks.append(study_lines(paths.root)),
    )
    assert (done.exit_code, done.messages) == (0, [])
    assert looks[-1] == [f"4 done: {', '.join(NAMES)}", "0 in training: none"]
    assert done.told == "4 of 4 studies done"
    assert tree_of(paths.root) == before
    began.clear()
    assert finished(tmp_path, *OPTIONS, resume=True) == paths
    assert began == []
    assert bit_differences(whole, paths) == []
    assert verify_run(paths.root).findings == ()
    assert metrics_of(paths)["resume_exact"] is True
    told = [row["message"] for row in rows_of(paths, "resume")][1:]
    assert [text.partition(" was trained by process ")[0] for text in told] == NAMES


def test_what_a_killed_worker_was_at_is_trained_by_the_next(
    tmp_path: Path,
    stopped: RunPaths,
    whole: RunPaths,
    monkeypatch: pytest.MonkeyPatch,
    began: list[str],
) -> None:
    paths, on_epoch = stopped, StudyObserver.on_epoch

    def dying(observer: Any, record: Any, state: Any) -> None:
        if (observer._phase, record.epoch) == ("placebo", 2):
            os.kill(os.getpid(), signal.SIGKILL)
        on_epoch(observer, record, state)

    def work() -> int:
        monkeypatch.setattr(StudyObserver, "on_epoch", dying)
        return take_studies(paths, OF_TESTS)[0]

    assert exit_code_of(in_child(work)) == -signal.SIGKILL
    folder = folder_of(paths)
    assert [name for name in NAMES if folder.result(name)] == NAMES[:2]
    began.clear()
    assert take_studies(paths, OF_TESTS) == (0, "4 of 4 studies done")
    assert began == NAMES[2:]
    finished(tmp_path, *OPTIONS, resume=True)
    assert bit_differences(whole, paths) == []


def test_a_damaged_study_is_trained_by_the_run_and_another_machine_s_is_told(
    tmp_path: Path, stopped: RunPaths, whole: RunPaths, began: list[str]
) -> None:
    paths = stopped
    assert take_studies(paths, OF_TESTS)[0] == 0
    folder = folder_of(paths)
    damaged = folder.root / "fold_001" / "result.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    for name, changes in (
        ("fold_002", {"environment": {**folder.identity.environment, "torch": "1.0"}}),
        ("placebo_001", {"data_sha256": "0" * 64}),
        ("placebo_002", {"config": {**folder.identity.config, "training.lr": "0.06"}}),
    ):
        found = folder.result(name)
        assert found is not None
        with folder.claimed(name) as storage:
            identity = replace(folder.identity, **changes)
            folder.keep(storage, name, replace(found, identity=identity))
    began.clear()
    finished(tmp_path, *OPTIONS, resume=True)
    assert began == ["fold_001", "placebo_001", "placebo_002"]
    assert bit_differences(whole, paths) == []
    metrics = metrics_of(paths)
    assert metrics["resume_exact"] is False
    assert metrics["resume_differences"][0].startswith("torch was 1.0 and is ")
    messages = [row["message"] for row in rows_of(paths, "resume")]
    assert any(text.startswith("trained here, because ") for text in messages)


def test_a_worker_that_is_stopped_or_fails_says_so_and_leaves_the_study(
    tmp_path: Path, stopped: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = stopped
    code, message = take_studies(paths, ImportPolicy(is_of_a_file=True))
    assert code == 1 and message is not None and "--allow-import" in message
    launch = StudyObserver.on_launch

    def asking(observer: Any, state: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        launch(observer, state)

    with monkeypatch.context() as patch:
        patch.setattr(StudyObserver, "on_launch", asking)
        assert take_studies(paths, OF_TESTS) == (143, "The run was stopped by SIGTERM.")
    assert folder_of(paths).result("fold_001") is None
    with folder_of(paths).claimed("fold_001"):
        pass


def test_a_signal_stops_every_worker_of_a_command_and_one_that_is_killed_is_told_of(
    tmp_path: Path, stopped: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "psann.run.sweep.studies.preloading_context", lambda: multiprocessing.get_context("fork")
    )
    paths, on_epoch = stopped, StudyObserver.on_epoch

    def asking(number: int, of: Callable[[], int]) -> Any:
        def ask(observer: Any, record: Any, state: Any) -> None:
            os.kill(of(), number)
            on_epoch(observer, record, state)

        return ask

    monkeypatch.setattr(StudyObserver, "on_epoch", asking(signal.SIGTERM, os.getppid))
    done = work_on_studies(paths.root, n_at_once=2, imports=OF_TESTS)
    assert (done.exit_code, done.told, done.messages) == (143, "", [])
    monkeypatch.setattr(StudyObserver, "on_epoch", asking(signal.SIGKILL, os.getpid))
    done = work_on_studies(paths.root, n_at_once=1, imports=OF_TESTS)
    assert (done.exit_code, done.messages) == (1, ["a worker was ended (-9)"])


def test_what_is_trained_at_the_moment_is_told_of_a_run(tmp_path: Path, stopped: RunPaths) -> None:
    paths = stopped
    assert study_lines(paths.root) == ["0 done: none", "0 in training: none"]
    with folder_of(paths).claimed("fold_002"):
        assert study_lines(paths.root)[1] == "1 in training: fold_002"


def test_the_worker_that_saw_most_studies_done_is_believed(
    whole: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [Ending(0, f"{n} of 12 studies done") for n in (9, 12, 2)]
    monkeypatch.setattr("psann.run.sweep.studies.check_run", lambda paths: None)
    monkeypatch.setattr("psann.run.sweep.studies._ended", lambda *_: (told, []))
    done = work_on_studies(whole.root, n_at_once=3, imports=OF_TESTS)
    assert done.told == "12 of 12 studies done"


def test_only_a_run_that_goes_on_and_has_studies_is_worked_on(
    tmp_path: Path, whole: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="that has begun"):
        work_on_studies(tmp_path, n_at_once=1, imports=OF_TESTS)
    with pytest.raises(UsageError, match="has ended"):
        work_on_studies(whole.root, n_at_once=1, imports=OF_TESTS)
    plain = finished(tmp_path)
    plain.metrics.unlink()
    with pytest.raises(UsageError, match="has neither"):
        work_on_studies(plain.root, n_at_once=1, imports=OF_TESTS)
    assert main(["sweep", "s.yaml", "--study", str(tmp_path)]) == 2
    assert "must stand alone" in capsys.readouterr().err
    assert main(["sweep", "s.yaml"]) == 2
    assert "must have SWEEP and -o D, or --study RUN" in capsys.readouterr().err
