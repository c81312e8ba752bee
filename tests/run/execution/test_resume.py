"""A run that is stopped and resumed leaves what a run leaves that was never stopped."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults import stopped_after
from psann.errors import ConfigError, DataError, FileFormatError
from psann.run.directory.paths import RunPaths
from psann.run.directory.resume_state import RunIdentity
from psann.run.execution.resume import (
    check_resumable,
    differences,
    read_resume_point,
    run_identity,
)
from psann.run.verification.verify import verify_run
from thinning import thinned
from trials import finished, metrics_of, rows_of, trial

# What training makes of the same numbers is the same to the bit; times and sequence are not.
DETERMINISTIC = (
    *("phase", "seed", "epoch", "update", "episodes", "train_loss", "val_loss", "reward_mean"),
    *("reward_std", "reward_min", "reward_max", "val_reward_mean", "turnover", "entropy"),
    *("grad_norm", "lr", "is_best"),
)


def epoch_rows(paths: RunPaths) -> list[list[str]]:
    with paths.events.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["event"] == "epoch"]
    return [[row[name] for name in DETERMINISTIC] for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run that was never stopped; to be read only."""
    return finished(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("warmed"), *WARMED)


WARMED = ("hisso.supervised={epochs: 2}", "training.epochs=4")


@pytest.mark.parametrize("moment", thinned([1, 3, 8, 2, 5], 2))
def test_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, warmed: RunPaths, moment: int
) -> None:
    settings, whole = WARMED, warmed
    with stopped_after(moment):
        assert trial(tmp_path, *settings, name="cut").exit_code == 143
    cut = RunPaths(tmp_path / "out" / "cut")
    assert metrics_of(cut)["status"] == "preempted"
    assert metrics_of(cut)["last"]["path"] == "checkpoints/last.safetensors"
    finished(tmp_path, *settings, name="cut", resume=True)
    assert cut.best.read_bytes() == whole.best.read_bytes()
    assert cut.warm_start.read_bytes() == whole.warm_start.read_bytes()
    assert epoch_rows(cut) == epoch_rows(whole)
    ours, theirs = metrics_of(cut), metrics_of(whole)
    for name in ("best_epoch", "reward_mean", "episodes", "portfolio_metrics", "val_reward_mean"):
        assert ours[name] == theirs[name]
    assert (ours["resumes"], ours["resume_exact"], ours["resume_differences"]) == (1, True, [])
    assert (ours["status"], ours["last"]) == (theirs["status"], None)
    assert not cut.last.exists() and not cut.previous.exists()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    folder = tmp_path_factory.mktemp("stopped")
    with stopped_after(6):
        assert trial(folder, "training.checkpoint_every_s=0.000001").exit_code == 143
    return RunPaths(folder / "out" / "run")


@pytest.fixture
def interrupted(stopped: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy of a run that was stopped."""
    return RunPaths(shutil.copytree(stopped.root, tmp_path / "out" / "run"))


def test_finished_run_says_so_and_is_left_alone(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    before = {path: path.read_bytes() for path in paths.root.rglob("*") if path.is_file()}
    outcome = trial(tmp_path, resume=True)
    assert outcome.exit_code == 0
    assert "already complete" in str(outcome.message)
    assert {p: p.read_bytes() for p in paths.root.rglob("*") if p.is_file()} == before


def test_missing_directory_is_a_run_from_the_beginning(tmp_path: Path) -> None:
    paths = finished(tmp_path, resume=True)
    assert metrics_of(paths)["resumes"] == 0


def test_damaged_newest_state_falls_back_on_the_one_before(
    tmp_path: Path, whole: RunPaths, interrupted: RunPaths
) -> None:
    expected = whole.best.read_bytes()
    assert interrupted.previous.exists()
    data = bytearray(interrupted.last.read_bytes())
    data[-1] ^= 1
    interrupted.last.write_bytes(data)
    assert read_resume_point(interrupted)[1] == "previous.safetensors"
    finished(tmp_path, resume=True)
    assert interrupted.best.read_bytes() == expected


def test_without_a_readable_state_nothing_is_touched(tmp_path: Path, interrupted: RunPaths) -> None:
    for path in interrupted.resume_states:
        path.write_bytes(b"junk")
    before = interrupted.metrics.read_bytes(), interrupted.events.read_bytes()
    outcome = trial(tmp_path, resume=True)
    assert outcome.exit_code == 1
    assert "No resume state can be read" in str(outcome.message)
    assert (interrupted.metrics.read_bytes(), interrupted.events.read_bytes()) == before


def test_rows_of_lost_work_are_cut_and_kept(tmp_path: Path, interrupted: RunPaths) -> None:
    point, _ = read_resume_point(interrupted)
    lost = interrupted.events.read_bytes()[point.log_bytes :]
    assert lost
    finished(tmp_path, resume=True)
    kept = (interrupted.attempts / "001" / "events.csv").read_bytes()
    assert kept.startswith(lost)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda log: b"x" + log[1:], "its first line is another"),
        (lambda log: log[:900] + log[940:], "is damaged: line"),
        (lambda log: log[:-9] + b'"' + log[-8:], "is damaged: line"),
        (lambda log: log[:-9] + b"\xff" + log[-8:], "is damaged: line"),
        (lambda log: log.replace(b",epoch,hisso,", b",epoch,hisso,x", 1), "a whole number as seed"),
    ],
    ids=["header", "cells", "quotes", "bytes", "number"],
)
def test_a_log_that_is_damaged_is_named_and_moved_away_it_is_written_again(
    tmp_path: Path,
    whole: RunPaths,
    interrupted: RunPaths,
    damage: Callable[[bytes], bytes],
    why: str,
) -> None:
    interrupted.events.write_bytes(damage(interrupted.events.read_bytes()))
    before = {path: path.read_bytes() for path in interrupted.root.rglob("*.*")}
    outcome = trial(tmp_path, resume=True)
    assert outcome.exit_code == 1
    assert str(interrupted.events) in str(outcome.message) and why in str(outcome.message)
    assert {path: path.read_bytes() for path in interrupted.root.rglob("*.*")} == before
    interrupted.events.unlink()
    finished(tmp_path, resume=True)
    assert interrupted.best.read_bytes() == whole.best.read_bytes()
    assert epoch_rows(interrupted) == epoch_rows(whole)
    assert not verify_run(interrupted.root).errors


def test_another_configuration_is_refused_with_its_keys_and_changes_nothing(
    tmp_path: Path, interrupted: RunPaths
) -> None:
    before = interrupted.metrics.read_bytes(), interrupted.events.read_bytes()
    outcome = trial(tmp_path, "training.lr=0.5", "hisso.window=7", resume=True)
    assert outcome.exit_code == 1
    assert "training.lr was" in str(outcome.message)
    assert "hisso.window was 6 when this run began and is now 7" in str(outcome.message)
    assert (interrupted.metrics.read_bytes(), interrupted.events.read_bytes()) == before


def test_more_epochs_may_follow(tmp_path: Path, interrupted: RunPaths) -> None:
    planned = metrics_of(interrupted)["epochs_total"]
    longer = finished(tmp_path, f"training.epochs={planned + 2}", name="longer")
    finished(tmp_path, f"training.epochs={planned + 2}", resume=True)
    assert interrupted.best.read_bytes() == longer.best.read_bytes()
    assert metrics_of(interrupted)["resume_exact"] is True


@pytest.mark.parametrize(
    ("what", "value"),
    [("threads", 77), ("torch", "2.99.0"), ("device", "cpu another processor")],
)
def test_other_surroundings_are_gone_on_in_and_said_to_be_inexact(
    tmp_path: Path,
    interrupted: RunPaths,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    value: int | str,
) -> None:
    def elsewhere(*of: Any, **facts: Any) -> RunIdentity:
        identity = run_identity(*of, **facts)
        return replace(identity, environment={**identity.environment, what: value})

    monkeypatch.setattr("psann.run.execution.resume.run_identity", elsewhere)
    finished(tmp_path, "training.checkpoint_every_s=0.000001", resume=True)
    metrics = metrics_of(interrupted)
    assert (metrics["status"], metrics["resume_exact"]) == ("completed", False)
    (reason,) = metrics["resume_differences"]
    assert reason.startswith(f"{what} was ")
    assert reason.endswith(f" and is {value}")
    (warning,) = [row for row in rows_of(interrupted, "resume") if row["level"] == "WARNING"]
    assert warning["message"] == f"not exact to the last bit: {reason}"


IDENTITY = RunIdentity(
    config={"training.epochs": "4", "training.lr_schedule.name": '"cosine"', "seed": "1"},
    data_sha256="a" * 64,
    init_from_sha256=None,
    environment={"torch": "2.13.0", "threads": 2},
)


def changed(**changes: Any) -> RunIdentity:
    values = {**json.loads(json.dumps(vars(IDENTITY))), **changes}
    return RunIdentity(**values)


def test_other_data_and_fewer_epochs_are_refused() -> None:
    with pytest.raises(DataError, match="not those this run began with"):
        check_resumable(IDENTITY, changed(data_sha256="b" * 64))
    with pytest.raises(ConfigError, match=r"training\.epochs was 4 .* is now 3"):
        check_resumable(IDENTITY, changed(config={**IDENTITY.config, "training.epochs": "3"}))
    more = changed(config={**IDENTITY.config, "training.epochs": "5"})
    check_resumable(IDENTITY, more, phase="hisso")
    with pytest.raises(ConfigError, match="may not change any more, because the refit"):
        check_resumable(IDENTITY, more, phase="refit")
    with pytest.raises(ConfigError, match="another estimator"):
        check_resumable(IDENTITY, changed(init_from_sha256="c" * 64))
    check_resumable(IDENTITY, changed(config={**IDENTITY.config, "device": '"cuda"'}))


def test_another_environment_or_a_longer_schedule_is_told() -> None:
    assert differences(IDENTITY, IDENTITY) == []
    other = changed(environment={"torch": "2.14.0", "threads": 2})
    assert differences(IDENTITY, other) == ["torch was 2.13.0 and is 2.14.0"]
    longer = changed(config={**IDENTITY.config, "training.epochs": "9"})
    assert "cosine was planned for 4 epochs" in differences(IDENTITY, longer)[0]


def test_an_estimator_file_is_no_resume_state(tmp_path: Path, interrupted: RunPaths) -> None:
    for path in interrupted.resume_states:
        path.write_bytes(interrupted.best.read_bytes())
    with pytest.raises(FileFormatError, match="is no resume state"):
        read_resume_point(interrupted)
