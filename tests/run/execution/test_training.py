"""Kinds of training, and what each leaves: best, log, figures, status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trials
from faults import stopped_after
from psann._imports import ImportPolicy
from psann.estimators.dense import PSANNRegressor
from psann.estimators.wave_resnet import WaveResNetRegressor
from psann.run.directory.paths import RunPaths
from psann.run.verification.verify import verify_run
from trials import TROUBLE, finished, metrics_of, rows_of, trial


def test_supervised_training_has_losses_and_no_rewards(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso={enabled: false}", "training.batch_size=8")
    metrics = metrics_of(paths)
    assert (metrics["monitor"], metrics["episodes"]) == ("val_loss", 0)
    assert (metrics["reward_mean"], metrics["throughput_eps_per_sec"]) == (None, None)
    assert metrics["monitor_value"] == pytest.approx(metrics["val_loss"], abs=1e-6)
    assert {row["phase"] for row in rows_of(paths, "epoch")} == {"supervised"}


KINDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "an epoch": ([], {}),
    "epoch 0": (["hisso.reward=negative_mse"], {}),
    "several seeds": (["training.seeds=3"], {}),
    "several seeds, some at epoch 0": (["training.seeds=3", "hisso.reward=negative_mse"], {}),
    "a refit at a temperature": (["hisso.refit=true", "hisso.temperature_scaling=true"], {}),
    "several seeds, refitted": (["training.seeds=2", "hisso.refit=true"], {}),
    "folds and placebos": (
        ["evaluation={walk_forward: {folds: 2}, placebo: 1}", "data.loader=trials.continuous"],
        {},
    ),
    "a warm start": (["hisso.supervised=true"], {}),
    "early stopping": (["training.patience=1", "training.lr=5.0"], {}),
    "no test rows": (["data.kwargs={without: [X_test, y_test, prices_test, time_test]}"], {}),
    "an extractor": (["hisso.context_extractor=trials.cumulative_features"], {}),
    "fine-tuning": ([], {"mode": "fine_tune"}),
    "fine-tuning that keeps its parent": (["training.lr=1e4"], {"mode": "fine_tune"}),
    "an evaluation": ([], {"mode": "evaluate"}),
}
SPECIFIED = "train_loss val_loss best_epoch reward_mean reward_std episodes transition_penalty "
SPECIFIED += "device duration_seconds throughput_eps_per_sec"
OF_TRAINING = {"best_epoch", "episodes", "throughput_eps_per_sec"}


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("parent"), "training.epochs=2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_ends_well_leaves_no_field_of_the_specification_empty(
    kind: str, parent: RunPaths, tmp_path: Path
) -> None:
    overrides, how = KINDS[kind]
    if how:
        how = {**how, "init_from": str(parent.root)}
    metrics = metrics_of(finished(tmp_path, "training.epochs=2", *overrides, **how))
    is_evaluation = how.get("mode") == "evaluate"
    assert {name for name in SPECIFIED.split() if metrics[name] is None} == (
        OF_TRAINING if is_evaluation else set()
    )
    for entry in metrics["per_seed"] or [metrics]:
        assert {name for name in SPECIFIED.split() if name in entry and entry[name] is None} == (
            OF_TRAINING if is_evaluation else set()
        )
        of = "kept_weights" if not entry.get("best_epoch") else "best_epoch"
        assert entry["train_figures_of"] == of
    if kind in ("epoch 0", "fine-tuning that keeps its parent"):
        assert metrics["best_epoch"] == 0


def test_without_validation_rows_only_their_loss_is_empty(tmp_path: Path) -> None:
    overrides = "data.kwargs={without: [X_val, y_val, prices_val, time_val]}"
    metrics = metrics_of(finished(tmp_path, overrides))
    assert [name for name in SPECIFIED.split() if metrics[name] is None] == ["val_loss"]


def test_early_stopping_is_a_status_and_the_best_is_kept(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training={epochs: 50, patience: 2, lr: 5.0}")
    metrics = metrics_of(paths)
    assert metrics["status"] == "early_stopped"
    assert metrics["epoch"] == metrics["best_epoch"] + 2 < 50


def test_a_reward_of_targets_needs_no_prices(tmp_path: Path) -> None:
    paths = finished(
        tmp_path,
        "hisso={reward: negative_mse, primary_transform: identity, window: 6}",
        "data.kwargs={without: [prices_train, prices_val, prices_test]}",
    )
    data, metrics = trials.market(), metrics_of(paths)
    predicted = PSANNRegressor.load(paths.best).predict_actions(data["X_test"])
    loss = float(np.mean((predicted - data["y_test"]) ** 2))
    assert metrics["test_loss"] == pytest.approx(loss, rel=1e-5)


def test_a_reward_of_the_user_s_gets_its_arguments(tmp_path: Path) -> None:
    TROUBLE.plan(0)
    plain = finished(tmp_path, "hisso.reward=trials.log_growth", name="plain")
    scaled = finished(
        tmp_path,
        "hisso.reward={target: trials.log_growth, kwargs: {scale: 10.0}}",
        name="scaled",
    )
    judged = PSANNRegressor.load(scaled.best, allow=("trials",))
    data = trials.market()
    reward = judged.evaluate_reward(data["X_test"], data["prices_test"])
    assert metrics_of(scaled)["test_reward_mean"] == pytest.approx(reward)
    first = [float(rows_of(paths, "epoch")[0]["reward_mean"]) for paths in (plain, scaled)]
    assert first[1] == pytest.approx(10 * first[0], rel=0.5)


def test_a_context_extractor_stands_in_for_prices(tmp_path: Path) -> None:
    paths = finished(
        tmp_path,
        "hisso.context_extractor=trials.cumulative_features",
        "data.kwargs={without: [prices_train, prices_val]}",
    )
    metrics = metrics_of(paths)
    assert metrics["monitor"] == "val_reward"
    assert metrics["test_reward_mean"] is not None
    assert metrics["portfolio_metrics"] is not None


def test_a_network_with_context_reads_it_in_every_split(tmp_path: Path) -> None:
    overrides = [
        "estimator={target: psann.WaveResNetRegressor, params: {hidden_layers: 1, "
        "hidden_units: 4}}",
        "data.kwargs={context: true}",
    ]
    paths = finished(tmp_path, *overrides)
    data = trials.market(context=True)
    estimator = WaveResNetRegressor.load(paths.best)
    assert estimator.n_context_ == 2
    reward = estimator.evaluate_reward(
        data["X_test"], data["prices_test"], context=data["context_test"]
    )
    assert metrics_of(paths)["test_reward_mean"] == pytest.approx(reward, abs=1e-12)
    judged = finished(
        tmp_path, *overrides, name="judged", mode="evaluate", init_from=str(paths.root)
    )
    assert metrics_of(judged)["test_reward_mean"] == pytest.approx(reward, abs=1e-12)


def test_keep_checkpoints_keeps_epochs_beside_the_best(tmp_path: Path) -> None:
    paths = finished(tmp_path, keep_checkpoints=True)
    names = {path.name for path in paths.checkpoints.glob("epoch_*")}
    assert names == {f"epoch_00000{n}.safetensors" for n in (1, 2, 3, 4)}
    assert metrics_of(paths)["artefacts"].keys() >= {f"checkpoints/{name}" for name in names}


def test_a_non_finite_update_can_be_skipped_and_is_counted(tmp_path: Path) -> None:
    def once(rewards: Any) -> Any:
        TROUBLE.plan(0)
        return rewards * float("nan")

    TROUBLE.plan(3, once)
    paths = finished(tmp_path, "hisso.reward=trials.troubled", "training.on_nonfinite=skip")
    assert [row["skipped_updates"] for row in rows_of(paths, "epoch")] == ["0", "1", "1", "1"]


def test_nothing_outside_of_the_allowed_modules_is_imported(tmp_path: Path) -> None:
    outcome = trial(tmp_path, imports=ImportPolicy(only=("mine",)))
    assert outcome.exit_code == 1
    assert "'trials.market' is outside of --only-import mine" in str(outcome.message)
    finished(tmp_path, "training.epochs=1", imports=ImportPolicy(only=("trials",)))


def test_a_refit_leaves_its_weights_and_the_figures_of_the_choice(tmp_path: Path) -> None:
    settings = ("training.epochs=8", "hisso.refit=true")
    paths = finished(tmp_path, *settings, keep_checkpoints=True)
    usual = finished(tmp_path, settings[0], name="usual", keep_checkpoints=True)
    ours, theirs = metrics_of(paths), metrics_of(usual)
    assert 0 < ours["best_epoch"] < 8  # else the test would show little
    for name in ("best_epoch", "monitor", "monitor_value"):
        assert ours[name] == theirs[name], name
    assert ours["val_reward_mean"] == -ours["val_loss"] == ours["monitor_value"]
    assert ours["test_reward_mean"] != theirs["test_reward_mean"]
    assert ours["n_trials"] == theirs["n_trials"]

    def predicted(file: Path) -> np.ndarray:
        return PSANNRegressor.load(file, device="cpu").predict(trials.market()["X_test"])

    assert not np.array_equal(predicted(paths.best), predicted(usual.best))
    # The epochs of a refit are not kept in the place of those that were chosen from.
    np.testing.assert_array_equal(predicted(paths.epoch(1)), predicted(usual.epoch(1)))
    rows = [row for row in rows_of(paths) if row["event"] == "epoch" and row["phase"] == "refit"]
    assert [row["epoch"] for row in rows] == [str(n + 1) for n in range(ours["best_epoch"])]
    assert verify_run(paths.root).findings == ()


def test_best_is_kept_at_the_temperature_that_metrics_tell(tmp_path: Path) -> None:
    scaled = finished(tmp_path, "hisso.temperature_scaling=true")
    usual = finished(tmp_path, name="usual")
    ours, theirs = metrics_of(scaled), metrics_of(usual)
    X = trials.market()["X_test"]
    outputs = [PSANNRegressor.load(p.best, device="cpu").predict(X) for p in (scaled, usual)]
    assert theirs["temperature"] is None and ours["temperature"] != 1
    np.testing.assert_allclose(outputs[0] * ours["temperature"], outputs[1], rtol=1e-5)
    # The monitor is of the epoch; validation and test figures are of the weights that are kept.
    assert ours["monitor_value"] == theirs["monitor_value"]
    assert ours["val_reward_mean"] > theirs["val_reward_mean"]
    assert ours["n_trials"] == theirs["n_trials"] + 16
    assert verify_run(scaled.root).findings == ()


def test_seeds_tell_their_temperatures(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.seeds=3", "hisso.temperature_scaling=true")
    metrics = metrics_of(paths)
    temperatures = [entry["temperature"] for entry in metrics["per_seed"]]
    assert None not in temperatures
    assert metrics["temperature"] == pytest.approx(np.mean(temperatures))
    assert verify_run(paths.root).findings == ()


def test_a_run_that_gains_less_than_was_asked_keeps_epoch_0(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.min_improvement=1.0")
    metrics = metrics_of(paths)
    assert (metrics["best_epoch"], metrics["min_improvement"]) == (0, 1.0)
    actions = PSANNRegressor.load(paths.best, device="cpu").predict_actions(
        trials.market()["X_test"]
    )
    np.testing.assert_allclose(actions, 1 / actions.shape[1])
    assert (
        max(float(row["val_reward_mean"]) for row in rows_of(paths, "epoch"))
        > (metrics["monitor_value"])
    )
    assert verify_run(paths.root).findings == ()


def test_a_run_stopped_in_its_refit_keeps_the_policy_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = finished(tmp_path, name="usual")
    monkeypatch.setattr("psann.training.engine._LAUNCH_S", 1e-9)
    with stopped_after(13):  # three of three moments in each of four epochs, and one
        assert trial(tmp_path, "hisso.refit=true").exit_code == 143
    stopped = RunPaths(tmp_path / "out" / "run")
    assert metrics_of(stopped)["phase"] == "refit"
    X = trials.market()["X_test"]
    kept, chosen = (PSANNRegressor.load(p.best, device="cpu").predict(X) for p in (stopped, usual))
    np.testing.assert_array_equal(kept, chosen)
    more = ("hisso.refit=true", "training.epochs=9")
    refused = trial(tmp_path, *more, resume=True)
    assert refused.exit_code == 1 and "the refit goes by the epoch" in (refused.message or "")
