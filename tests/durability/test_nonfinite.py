"""Numbers that are not finite, planted in data, forward pass, reward and gradient of whole runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from psann.estimators.dense import PSANNRegressor
from psann.hisso.episodes import episode_table
from psann.run.directory.paths import RunPaths
from psann.run.execution.resume import read_resume_point
from thinning import thinned
from trials import ROWS, TROUBLE, finished, metrics_of, rows_of, trial

# One update in each epoch, each of them committed.
EACH_UPDATE = (
    "hisso.updates_per_epoch=1",
    "hisso.batch_episodes=1",
    "training.checkpoint_every_s=0.000001",
)
TROUBLED = ("hisso.reward=trials.troubled", *EACH_UPDATE)
BAD_UPDATE = 4
SEED = 42


def nan_value(rewards: Tensor) -> Tensor:
    return rewards * math.nan


def infinite_value(rewards: Tensor) -> Tensor:
    return rewards + math.inf


def nan_gradient(rewards: Tensor) -> Tensor:
    """Add 0, whose gradient is infinity times 0."""
    return rewards + (0.0 * rewards).abs().sqrt()


def assert_same_estimator(left: Path, right: Path) -> None:
    ours, theirs = (PSANNRegressor.load(path).network_.state_dict() for path in (left, right))
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def assert_kept(paths: RunPaths, whole: RunPaths) -> None:
    """Resume state and best epoch are those of a run that ended right before."""
    (found,), (expected,) = (read_resume_point(each)[0].saved for each in (paths, whole))
    assert found.values["update"] == expected.values["update"]
    for name in ("weights", "best.weights"):
        assert found.tensors[name].isfinite().all()
        assert torch.equal(found.tensors[name], expected.tensors[name]), name
    assert any(found.tensors["weights"] != 0)
    assert_same_estimator(paths.best, whole.best)
    ours, theirs = metrics_of(paths), metrics_of(whole)
    for name in ("best_epoch", "monitor_value", "epoch"):
        assert ours[name] == theirs[name], name


@pytest.mark.parametrize(
    ("key", "value"),
    thinned(
        itertools.product(
            ("X_train", "X_val", "X_test", "y_train", "prices_train", "prices_val", "prices_test"),
            ("nan", "-inf"),
        ),
        3,
    ),
)
def test_data_that_are_not_finite_are_refused_before_training(
    tmp_path: Path, key: str, value: str
) -> None:
    kwargs = f"{{key: {key}, value: '{value}'}}"
    outcome = trial(tmp_path, f"data={{loader: trials.planted, kwargs: {kwargs}}}")
    assert outcome.exit_code == 1
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["status"], metrics["phase"], metrics["best"]) == ("failed", "setup", None)
    assert f"{key} (" in metrics["error"]
    n_nan = int(value == "nan")
    assert (
        f"must be finite; got {n_nan} missing (NaN) and {1 - n_nan} infinite of" in metrics["error"]
    )
    assert "first at row 3, column 0" in metrics["error"]
    assert not outcome.paths.checkpoints.exists()


@pytest.fixture(scope="module")
def before_trouble(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run that ends right before the bad update; to be read only."""
    TROUBLE.plan(0)
    epochs = f"training.epochs={BAD_UPDATE - 1}"
    folder = tmp_path_factory.mktemp("before")
    return finished(folder, *TROUBLED, epochs, keep_checkpoints=True)


@pytest.mark.parametrize(
    ("action", "place"),
    [
        (nan_value, "the reward trials.troubled is not finite"),
        (infinite_value, "the reward trials.troubled is not finite"),
        (nan_gradient, "the gradient is not finite"),
    ],
)
def test_a_reward_or_gradient_that_is_not_finite_stops_before_the_weights_move(
    before_trouble: RunPaths, tmp_path: Path, action: Callable[[Tensor], Tensor], place: str
) -> None:
    TROUBLE.plan(BAD_UPDATE, action)
    outcome = trial(tmp_path, *TROUBLED, "training.epochs=8")
    assert outcome.exit_code == 3
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["status"], metrics["phase"]) == ("diverged", "hisso")
    told = f"Training diverged in phase hisso, epoch {BAD_UPDATE}, update 1: {place}."
    assert told in metrics["error"]
    assert told in rows_of(outcome.paths, "error")[0]["message"]
    assert_kept(outcome.paths, before_trouble)


def test_a_forward_pass_that_overflows_stops_before_the_weights_move(tmp_path: Path) -> None:
    """A feature that float32 can hold, but not w0 times what the first layer makes of it."""
    row, window = 20, 6
    table = episode_table([ROWS["train"]], window=window, batch_episodes=1, updates_per_epoch=1)
    starts = [int(table(SEED, epoch)[0][0]) for epoch in range(1, 40)]
    bad_epoch = 1 + next(k for k, start in enumerate(starts) if start <= row < start + window)
    assert bad_epoch > 1, "choose another row"
    kwargs = f"{{key: X_train, value: '3e38', row: {row}}}"
    settings = (*EACH_UPDATE, f"data={{loader: trials.planted, kwargs: {kwargs}}}")
    # The noise gives each window a forward pass of its own.
    settings = (*settings, "estimator.params.w0=100", "hisso.input_noise=0.01")
    before = f"training.epochs={bad_epoch - 1}"
    whole = finished(tmp_path, *settings, before, name="whole", keep_checkpoints=True)
    outcome = trial(tmp_path, *settings, f"training.epochs={bad_epoch + 2}")
    assert outcome.exit_code == 3
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert metrics["status"] == "diverged"
    place = f"phase hisso, epoch {bad_epoch}, update 1: the forward pass gave outputs that are not"
    assert place in metrics["error"]
    assert_kept(outcome.paths, whole)


@pytest.mark.parametrize("action", [nan_value, nan_gradient])
def test_skipped_updates_leave_the_weights_and_stop_at_their_limit(
    before_trouble: RunPaths, tmp_path: Path, action: Callable[[Tensor], Tensor]
) -> None:
    TROUBLE.plan(BAD_UPDATE, action)
    skip = ("training.on_nonfinite=skip", "training.max_skipped_updates=2")
    outcome = trial(tmp_path, *TROUBLED, *skip, "training.epochs=20")
    assert outcome.exit_code == 3
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert metrics["status"] == "diverged"
    place = f"3 updates were not finite by phase hisso, epoch {BAD_UPDATE + 2}, update 1"
    assert f"{place}, more than the 2 that may be skipped" in metrics["error"]
    counted = [int(row["skipped_updates"]) for row in rows_of(outcome.paths, "epoch")]
    assert counted == [0] * (BAD_UPDATE - 1) + [1, 2]
    (found,), (expected,) = (
        read_resume_point(each)[0].saved for each in (outcome.paths, before_trouble)
    )
    assert torch.equal(found.tensors["weights"], expected.tensors["weights"])
    assert_same_estimator(outcome.paths.best, before_trouble.best)


@pytest.mark.parametrize("action", [nan_value, nan_gradient])
def test_training_goes_on_after_an_update_that_was_skipped(
    tmp_path: Path, action: Callable[[Tensor], Tensor]
) -> None:
    def once(rewards: Tensor) -> Tensor:
        return action(rewards) if TROUBLE.n_updates == BAD_UPDATE else rewards

    TROUBLE.plan(BAD_UPDATE, once)
    skip = ("training.on_nonfinite=skip", "training.max_skipped_updates=1", "training.epochs=6")
    paths = finished(tmp_path, *TROUBLED, *skip, keep_checkpoints=True)
    counted = [int(row["skipped_updates"]) for row in rows_of(paths, "epoch")]
    assert counted == [0, 0, 0, 1, 1, 1]
    (saved,) = read_resume_point(paths)[0].saved
    assert saved.values["skipped_updates"] == 1
    assert saved.tensors["weights"].isfinite().all()
