"""How runs end: what is kept, recorded, and said to a person."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import trials
from psann._plain_files import read_plain
from psann.errors import DivergedError, RuinedError
from psann.estimators.dense import PSANNRegressor
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import SystemCalls
from psann.run.execution.endings import (
    exit_code_of,
    how_to_go_on,
    is_a_message,
    story_of,
    unwritable,
)
from psann.run.execution.runner import guarded
from psann.run.verification.verify import verify_run
from trials import TROUBLE, TROUBLED, finished, metrics_of, request_of, rows_of, tree_of, trial


@pytest.mark.parametrize(
    ("loader", "message", "cause"),
    [
        ("raising", "RuntimeError: the database is down", "RuntimeError: the database is down"),
        ("exiting", "ended Python: sys.exit(0)", "SystemExit: 0"),
        ("not_finite", "X_train (training) must be finite; got 1 missing (NaN)", "DataError"),
    ],
)
def test_a_loader_that_fails_ends_the_run_before_training(
    tmp_path: Path, loader: str, message: str, cause: str
) -> None:
    outcome = trial(tmp_path, f"data.loader=trials.{loader}")
    assert outcome.exit_code == 1
    assert message in str(outcome.message)
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["status"], metrics["phase"]) == ("failed", "setup")
    assert metrics["error"].startswith("Traceback (most recent call last):")
    assert cause in metrics["error"]
    assert not outcome.paths.checkpoints.exists()
    (row,) = rows_of(outcome.paths, "error")
    assert row["level"] == "ERROR"
    assert message in row["message"]


def test_a_directory_that_was_moved_away_is_not_said_to_be_intact(tmp_path: Path) -> None:
    paths, error = RunPaths(tmp_path / "run"), FileNotFoundError(2, "No such file or directory")
    given = {"request": request_of(tmp_path), "paths": paths}
    gone = str(unwritable(error, **given).message)
    assert "is gone: it was moved or removed" in gone and "intact" not in gone
    paths.root.mkdir()
    told = str(unwritable(error, **given).message)
    assert "What it held is intact. Once it can, the same command with --run-name run --" in told


def test_ruin_has_an_exit_code_of_its_own() -> None:
    assert exit_code_of(RuinedError("each epoch lost everything")) == 4
    assert exit_code_of(DivergedError("not finite")) == 3
    assert [exit_code_of(None, status=status) for status in ("ruined", "completed")] == [4, 0]


def test_a_run_of_which_nothing_can_be_kept_for_ruin_is_ruined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*args: Any, **kwargs: Any) -> None:
        raise RuinedError("Nothing can be kept: each epoch lost everything.")

    monkeypatch.setattr("psann.run.execution.training.fit_together", lose)
    outcome = trial(tmp_path)
    assert outcome.exit_code == 4
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "ruined"
    assert "each epoch lost everything" in metrics_of(outcome.paths)["error"]
    assert verify_run(outcome.paths.root).errors == ()
    # It has not got to its end, so that the name is no finished run's.
    assert trial(tmp_path, resume=True).exit_code != 0


def leave(rewards: Tensor) -> Tensor:
    raise SystemExit(0)


def stumble(rewards: Tensor) -> Tensor:
    raise ZeroDivisionError("no luck")


def break_off(rewards: Tensor) -> Tensor:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run that ends before the trouble begins."""
    TROUBLE.plan(0)
    return finished(tmp_path_factory.mktemp("whole"), TROUBLED, "training.epochs=2")


@pytest.mark.parametrize(
    ("action", "exit_code", "status", "message"),
    [
        (leave, 1, "failed", "ended Python: sys.exit(0)"),
        (stumble, 1, "failed", "ZeroDivisionError: no luck"),
        (None, 3, "diverged", "phase hisso, epoch 3, update 1: the reward trials.troubled is not"),
        (break_off, 130, "interrupted", "Left at once"),
    ],
)
def test_training_that_breaks_off_keeps_the_last_finite_best(
    whole: RunPaths, tmp_path: Path, action: Any, exit_code: int, status: str, message: str
) -> None:
    TROUBLE.plan(5, action)
    outcome = trial(tmp_path, TROUBLED)
    assert outcome.exit_code == exit_code
    assert message in str(outcome.message)
    assert outcome.paths is not None
    metrics, expected = metrics_of(outcome.paths), metrics_of(whole)
    assert (metrics["status"], metrics["phase"], metrics["epoch"]) == (status, "hisso", 2)
    assert (metrics["error"] is None) == (status == "interrupted")
    assert metrics["best_epoch"] == expected["best_epoch"] == 2
    for name in ("train_loss", "reward_mean", "monitor_value"):
        assert metrics[name] == expected[name]
    assert metrics["best"]["sha256"] == tree_of(outcome.paths.root)["checkpoints/best.safetensors"]
    kept, reference = PSANNRegressor.load(outcome.paths.best), PSANNRegressor.load(whole.best)
    for name, tensor in kept.network_.state_dict().items():
        assert tensor.equal(reference.network_.state_dict()[name])


def test_a_user_mistake_has_a_short_message_and_the_record_a_traceback(tmp_path: Path) -> None:
    outcome = trial(tmp_path, "hisso.windw=3", "training.epochs=none")
    assert outcome.exit_code == 1
    assert str(outcome.message).splitlines() == [
        "--set hisso.windw=3: hisso.windw is no known key. Did you mean 'window'?",
        "--set training.epochs=none: training.epochs must be a whole number of at least 1 "
        'and of at most 10000000; got "none".',
    ]
    assert outcome.paths is not None
    error = metrics_of(outcome.paths)["error"]
    assert error.startswith("Traceback")
    assert "ConfigError" in error


def test_a_missing_configuration_is_a_failure_with_a_record(tmp_path: Path) -> None:
    outcome = trial(tmp_path, config=tmp_path / "nowhere.yaml")
    assert outcome.exit_code == 1
    assert "nowhere.yaml" in str(outcome.message)
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "failed"


@pytest.mark.parametrize("event", [b",run_start,", b",epoch,hisso,", b",run_end,"])
def test_a_log_that_cannot_be_written_ends_the_run_and_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: bytes
) -> None:
    written = SystemCalls.write

    def write(fd: int, data: Any) -> int:
        if event in bytes(data):
            raise OSError(28, "No space left on device")
        return written(fd, data)

    monkeypatch.setattr(SystemCalls, "write", staticmethod(write))
    outcome = trial(tmp_path)
    assert outcome.exit_code == 1
    assert "No space left on device" in str(outcome.message)
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "failed"


def test_a_disk_that_takes_nothing_more_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = SystemCalls.write

    def write(fd: int, data: Any) -> int:
        if monkeypatch_is_on:
            raise OSError(28, "No space left on device")
        return written(fd, data)

    monkeypatch_is_on = True
    monkeypatch.setattr(SystemCalls, "write", staticmethod(write))
    outcome = trial(tmp_path)
    assert outcome.exit_code == 1
    assert "No space left on device" in str(outcome.message)
    monkeypatch_is_on = False
    finished(tmp_path, "training.epochs=1")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"run_name": "a"}, "with --resume goes"),
        ({"run_name": "a", "overwrite": True}, "with --resume instead of --overwrite goes"),
        ({}, "with --run-name a --resume goes"),
    ],
)
def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, request_: dict[str, Any], expected: str
) -> None:
    request = replace(request_of(tmp_path), **request_)
    assert expected in how_to_go_on(request, RunPaths(tmp_path / "a"))


@pytest.mark.parametrize("loader", ["raising", "exiting"])
def test_the_console_names_the_line_of_the_user_s_code_that_broke(
    tmp_path: Path, loader: str
) -> None:
    outcome = trial(tmp_path, f"data.loader=trials.{loader}")
    line = getattr(trials, loader).__code__.co_firstlineno + 1
    assert f" (at trials.py:{line} in {loader})" in str(outcome.message)


def outer() -> None:
    inner()


def inner() -> None:
    json.loads("{")


def test_a_story_names_the_last_line_of_the_user_s_code_and_none_of_a_library_s() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        outer()
    line = inner.__code__.co_firstlineno + 1
    assert story_of(caught.value).endswith(f" (at test_endings.py:{line} in inner)")


def test_a_file_that_the_system_refuses_psann_is_named_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 300)
    error = guarded(lambda: read_plain(file, 10))
    assert isinstance(error, OSError) and error.__traceback__ is not None
    assert not is_a_message(error)  # of a file that the lines of a user asked for, as these here
    assert "test_endings.py" in story_of(error)
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    ours = error.with_traceback(last)
    assert is_a_message(ours)
    assert story_of(ours) == f"File name too long ({file})"


def test_what_filled_the_memory_is_let_go_before_it_is_written_down() -> None:
    held = weakref.WeakSet()

    class Large:
        pass

    def fill() -> None:
        large = Large()
        held.add(large)
        raise MemoryError("Unable to allocate 745. GiB")

    error = guarded(fill)
    assert error is not None
    assert story_of(error).startswith("Memory does not suffice: Unable to allocate 745. GiB (at ")
    assert not held


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 32 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_memory_that_does_not_suffice_is_told_as_such(error: Exception) -> None:
    assert story_of(error).startswith("Memory does not suffice")
    assert not story_of(ValueError(str(error))).startswith("Memory")
