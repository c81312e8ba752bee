"""The stages of a run: data, the first estimator, fine-tuning, evaluation, kinds of training."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import trials
from faults import stopped_after
from psann.estimators.dense import PSANNRegressor
from psann.estimators.wave_resnet import WaveResNetRegressor
from psann.run.config.load import load_run_config
from psann.run.config.targets import check_targets
from psann.run.directory.paths import RunPaths
from psann.run.execution.setup import read_data, training_rows
from psann.run.verification.verify import verify_run
from trials import TROUBLE, finished, metrics_of, rows_of, tree_of, trial, write_config

SCALED = "estimator.params.scaler=standard"


# --- data ----------------------------------------------------------------------------------------

PROBLEMS: dict[str, tuple[list[str], list[str]]] = {
    "a validation monitor without validation": (
        [
            "training.monitor=val_loss",
            "data.kwargs={without: [X_val, y_val, prices_val, time_val]}",
        ],
        ["--set training.monitor=val_loss: training.monitor is 'val_loss', but the data have no"],
    ),
    "a reward to monitor where nothing is earned": (
        ["training.monitor=val_reward", "hisso={enabled: false}"],
        ["training.monitor is 'val_reward', but hisso.enabled is false. Write val_loss,"],
    ),
    "validation that could not be judged": (
        ["data.kwargs={without: [prices_val]}"],
        ["prices_val (validation) must be given with X_val, as prices_train is"],
    ),
    "nothing to maximise": (
        ["data.kwargs={without: [prices_train, prices_val, prices_test]}"],
        ["hisso.reward must say what to maximise: there are no prices"],
    ),
    "features in the place of prices": (
        ["data.kwargs={without: [prices_train, prices_val]}", "hisso.reward=sharpe"],
        ["prices_train must be given: the reward sharpe is earned on prices, and X_train"],
    ),
    "numbers in the place of weights": (
        ["hisso.primary_transform=identity"],
        ["reward portfolio needs portfolio weights, and primary_transform identity gives numbers"],
    ),
    "a penalty that is no cost": (
        ["hisso.transition_penalty=2", "hisso.reward=portfolio_target_l1"],
        ["evaluation.trans_cost must be given: hisso.transition_penalty, which takes its place"],
    ),
    "two kinds of targets": (
        [
            "hisso.reward={target: negative_mse}",
            "hisso.supervised={y_key: labels}",
            "data.kwargs={copies: {labels: y_train}}",
        ],
        ["hisso.supervised.y_key must be 'y_train' where the reward is negative_mse"],
    ),
    "no targets for a reward of targets": (
        ["hisso.reward={target: negative_mse}", "data.kwargs={without: [y_val]}"],
        ["y_val (validation) must be given with X_val: the targets are needed"],
    ),
    "several at once": (
        [
            "training.monitor=val_reward",
            "hisso.primary_transform=identity",
            "data.kwargs={without: [X_val, y_val, prices_val, time_val]}",
        ],
        ["the data have no X_val", "needs portfolio weights"],
    ),
}


@pytest.mark.parametrize(("overrides", "messages"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_a_run_would_stumble_over_late_is_refused_before_training(
    tmp_path: Path, overrides: list[str], messages: list[str]
) -> None:
    outcome = trial(tmp_path, *overrides)
    assert outcome.exit_code == 1
    said = str(outcome.message).splitlines()
    assert len(said) == len(messages)
    for message, problem in zip(messages, said, strict=True):
        assert message in problem
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["phase"] == "setup"


@pytest.mark.parametrize(
    "overrides",
    [
        ["hisso.transition_penalty=2", "evaluation.trans_cost=0.001"],
        ["hisso.transition_penalty=2", "evaluation.portfolio_prices_key=null"],
        ["data.kwargs={without: [prices_val]}", "hisso.reward=negative_mse"],
        [
            "data.kwargs={without: [prices_val]}",
            "hisso.context_extractor=trials.cumulative_features",
        ],
    ],
)
def test_what_is_no_problem_is_not_refused(tmp_path: Path, overrides: list[str]) -> None:
    config = load_run_config(write_config(tmp_path), overrides=overrides)
    read_data(config, check_targets(config))


def test_a_warm_start_on_other_targets_trains_on_them(tmp_path: Path) -> None:
    overrides = ["hisso.supervised={y_key: labels}", "data.kwargs={copies: {labels: prices_train}}"]
    config = load_run_config(write_config(tmp_path), overrides=overrides)
    splits = read_data(config, check_targets(config))
    rows = training_rows(config, splits)
    assert np.array_equal(rows["y"], splits.arrays["prices_train"])
    assert set(rows["validation_data"]) == {"X", "y", "prices"}
    other = finished(tmp_path, *overrides, name="other")
    usual = finished(tmp_path, "hisso.supervised=true", name="usual")
    assert other.warm_start.read_bytes() != usual.warm_start.read_bytes()


def test_odd_data_are_named_in_the_log_before_training(tmp_path: Path) -> None:
    paths = finished(tmp_path, "data.kwargs={copies: {prices_tset: prices_test}}")
    warned = [row for row in rows_of(paths, "data") if row["level"] == "WARNING"]
    assert [row["message"] for row in warned] == [
        "prices_tset is kept as an extra; nothing in this run reads it."
    ]
    (facts,) = (row for row in rows_of(paths, "data") if row["level"] == "DEBUG")
    assert metrics_of(paths)["data_sha256"] in facts["message"]
    assert "X_train (40, 3)" in facts["message"]


# --- fine-tuning ---------------------------------------------------------------------------------


def weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    network = PSANNRegressor.load(path).network_
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("source", ["run directory", "file of a run", "file on its own"])
def test_fine_tuning_goes_on_from_the_parent(tmp_path: Path, source: str) -> None:
    parent = finished(tmp_path, SCALED, name="parent")
    alone = tmp_path / "alone.safetensors"
    shutil.copy(parent.best, alone)
    init_from = {"run directory": parent.root, "file of a run": parent.best}.get(source, alone)
    config = write_config(tmp_path, {**trials.CONFIG, "estimator": {"target": "PSANNRegressor"}})
    child = finished(
        tmp_path,
        "training.epochs=1",
        "training.lr=1e-12",
        "data.kwargs={seed: 3}",
        config=config,
        name="child",
        mode="fine_tune",
        init_from=str(init_from),
    )
    metrics = metrics_of(child)
    assert metrics["parent"] == {
        "sha256": tree_of(parent.root)["checkpoints/best.safetensors"],
        "run_id": None if source == "file on its own" else metrics_of(parent)["run_id"],
        "best_epoch": 4,
    }
    # Architecture and scalers are the parent's; so are the weights, after a step of nearly nothing.
    ours, theirs = PSANNRegressor.load(child.best), PSANNRegressor.load(parent.best)
    assert ours.hidden_units == 8
    assert ours.lr == 1e-12
    assert np.array_equal(ours.scaler_.mean_, theirs.scaler_.mean_)
    for name, value in weights(child.best).items():
        assert value == pytest.approx(weights(parent.best)[name], abs=1e-6)
    resolved = yaml.safe_load(child.config_resolved.read_text())
    assert resolved["init_from"] == str(init_from)
    assert resolved["recorded"]["init_from_sha256"] == metrics["parent"]["sha256"]


def test_fine_tuning_trains_and_its_first_candidate_is_the_parent(tmp_path: Path) -> None:
    parent = finished(tmp_path, name="parent")
    tuned = finished(tmp_path, name="tuned", mode="fine_tune", init_from=str(parent.root))
    metrics, before = metrics_of(tuned), metrics_of(parent)
    assert (metrics["mode"], metrics["epochs_total"]) == ("fine_tune", 4)
    assert metrics["monitor_value"] > before["monitor_value"]
    assert not np.allclose(
        weights(tuned.best)["head.weight"], weights(parent.best)["head.weight"], atol=1e-3
    )
    # A step far too large helps nothing, so that the parent's own weights are kept.
    kept = finished(
        tmp_path, "training.lr=1e4", name="kept", mode="fine_tune", init_from=str(parent.root)
    )
    assert metrics_of(kept)["best_epoch"] == 0
    assert metrics_of(kept)["portfolio_metrics"] == pytest.approx(before["portfolio_metrics"])


def test_an_architecture_that_differs_is_refused_with_both_values(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    outcome = trial(
        tmp_path,
        "estimator.params.hidden_units=16",
        "estimator.params.activation=tanh",
        "estimator.params.weight_decay=0.5",
        "hisso.primary_transform=tanh",
        mode="fine_tune",
        init_from=str(parent.root),
    )
    assert outcome.exit_code == 1
    assert str(outcome.message).splitlines() == [
        "--set estimator.params.hidden_units=16: estimator.params.hidden_units is 16, but the "
        "estimator in init_from has 8; remove the key or train from scratch.",
        "--set estimator.params.activation=tanh: estimator.params.activation is 'tanh', but the "
        "estimator in init_from has 'psann'; remove the key or train from scratch.",
        "--set hisso.primary_transform=tanh: hisso.primary_transform is 'tanh', but the policy in "
        "init_from has 'softmax'; write that or train from scratch.",
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "hisso.primary_transform=softmax_cash",
            "hisso.enabled=false",
            "--set hisso.enabled=false: hisso.enabled is false, but the policy in init_from has "
            "primary_transform 'softmax_cash', whose network has an output for cash that no target "
            "goes with. Write hisso: {enabled: true, primary_transform: softmax_cash}, or mode: "
            "train without init_from.",
        ),
        (
            "hisso.enabled=false",
            "hisso.primary_transform=softmax_cash",
            "--set hisso.primary_transform=softmax_cash: hisso.primary_transform is "
            "'softmax_cash', which needs an output for cash, but the estimator in init_from was "
            "trained on targets and has none. Write another transform, such as softmax, or mode: "
            "train without init_from.",
        ),
    ],
)
def test_a_head_that_does_not_fit_is_told_in_words_of_the_configuration(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    parent = finished(tmp_path, "training.epochs=1", before, name="parent")
    outcome = trial(tmp_path, after, mode="fine_tune", init_from=str(parent.root))
    assert (outcome.exit_code, outcome.message) == (1, message)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("hisso.primary_transform=softmax", "hisso.enabled=false"),
        ("hisso.enabled=false", "hisso.primary_transform=tanh"),
    ],
)
def test_a_head_without_cash_serves_targets_and_episodes(
    tmp_path: Path, before: str, after: str
) -> None:
    parent = finished(tmp_path, "training.epochs=1", before, name="parent")
    child = finished(
        tmp_path, "training.epochs=1", after, mode="fine_tune", init_from=str(parent.root)
    )
    assert metrics_of(child)["mode"] == "fine_tune"


def test_training_keys_of_a_fine_tuning_apply(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    child = finished(
        tmp_path,
        "estimator.params.weight_decay=0.5",
        "estimator.params.optimizer=sgd",
        "training.epochs=2",
        name="child",
        mode="fine_tune",
        init_from=str(parent.root),
    )
    ours = PSANNRegressor.load(child.best)
    assert (ours.weight_decay, ours.optimizer, ours.epochs) == (0.5, "sgd", 2)


@pytest.mark.parametrize(
    ("init_from", "message"),
    [
        ("nowhere", "init_from must be a run directory or an estimator file"),
        ("trial.yaml", "trial.yaml"),
        (".", "holds no checkpoints/best.safetensors"),
    ],
)
def test_a_parent_that_is_none_is_refused(tmp_path: Path, init_from: str, message: str) -> None:
    outcome = trial(tmp_path, mode="fine_tune", init_from=str(tmp_path / init_from))
    assert outcome.exit_code == 1
    assert message in str(outcome.message)


def test_a_parent_of_another_class_is_refused(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    outcome = trial(
        tmp_path,
        "estimator={target: psann.ResPSANNRegressor}",
        mode="fine_tune",
        init_from=str(parent.root),
    )
    assert outcome.exit_code == 1
    message = str(outcome.message)
    assert "must be readable as estimator.target psann.ResPSANNRegressor" in message
    assert "PSANNRegressor" in message.partition(".safetensors")[2]


def test_a_parent_that_may_not_be_read_is_told_of_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")

    def load(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(PSANNRegressor, "load", load)
    outcome = trial(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    assert outcome.exit_code == 1
    assert "init_from must be readable" in str(outcome.message)
    assert f"Permission denied: '{parent.best}'" in str(outcome.message)


def test_a_resolved_configuration_refuses_a_parent_that_has_changed(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    child = finished(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    again = finished(tmp_path, name="again", config=child.config_resolved)
    assert again.best.read_bytes() == child.best.read_bytes()
    finished(tmp_path, "training.epochs=2", name="parent", overwrite=True)
    outcome = trial(tmp_path, name="changed", config=child.config_resolved)
    assert outcome.exit_code == 1
    assert "has changed since this configuration was written" in str(outcome.message)


# --- evaluation ----------------------------------------------------------------------------------


def test_an_evaluation_gives_the_parent_s_figures_and_writes_no_estimator(tmp_path: Path) -> None:
    parent = finished(tmp_path, SCALED, name="parent")
    judged = finished(tmp_path, name="judged", mode="evaluate", init_from=str(parent.root))
    assert not judged.checkpoints.exists()
    ours, theirs = metrics_of(judged), metrics_of(parent)
    for name in ("val_loss", "test_loss", "val_reward_mean", "test_reward_mean"):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-12)
    assert ours["portfolio_metrics"] == pytest.approx(theirs["portfolio_metrics"], abs=1e-12)
    assert (ours["status"], ours["mode"], ours["phase"]) == ("completed", "evaluate", "evaluation")
    assert ours["parent"]["run_id"] == theirs["run_id"]
    nothing = ("best", "best_epoch", "epoch", "episodes", "train_loss", "throughput_eps_per_sec")
    assert {ours[name] for name in nothing} == {None}


def test_an_evaluation_judges_by_its_own_configuration(tmp_path: Path) -> None:
    parent = finished(tmp_path, name="parent")
    dear = finished(
        tmp_path,
        "evaluation.trans_cost=0.05",
        "data.kwargs={seed: 9}",
        name="dear",
        mode="evaluate",
        init_from=str(parent.root),
    )
    estimator, data = PSANNRegressor.load(parent.best), trials.market(seed=9)
    expected = estimator.evaluate_reward(
        data["X_test"], data["prices_test"], evaluation={"trans_cost": 0.05}
    )
    assert metrics_of(dear)["test_reward_mean"] == pytest.approx(expected, abs=1e-12)


def test_an_evaluation_takes_the_reward_of_its_own_configuration(tmp_path: Path) -> None:
    parent = finished(tmp_path, name="parent")
    judged = finished(
        tmp_path,
        "hisso.reward={target: trials.log_growth, kwargs: {scale: 7.0}}",
        name="judged",
        mode="evaluate",
        init_from=str(parent.root),
    )
    free = finished(
        tmp_path,
        "evaluation={trans_cost: 0.0, initial: invested}",
        name="free",
        mode="evaluate",
        init_from=str(parent.root),
    )
    expected = 7 * metrics_of(free)["test_reward_mean"]
    assert metrics_of(judged)["test_reward_mean"] == pytest.approx(expected, rel=1e-9)


def test_an_evaluation_needs_test_rows_only(tmp_path: Path) -> None:
    parent = finished(tmp_path, name="parent")
    without = [f"{kind}_{s}" for kind in ("X", "y", "prices", "time") for s in ("train", "val")]
    judged = finished(
        tmp_path,
        f"data.kwargs={{without: {without}}}",
        name="judged",
        mode="evaluate",
        init_from=str(parent.root),
    )
    ours, theirs = metrics_of(judged), metrics_of(parent)
    assert ours["portfolio_metrics"] == theirs["portfolio_metrics"]
    assert ours["val_loss"] is None


def test_an_evaluation_without_figures_says_so(tmp_path: Path) -> None:
    parent = finished(tmp_path, name="parent")
    without = [f"{kind}_{s}" for kind in ("X", "y", "prices", "time") for s in ("test", "val")]
    judged = finished(
        tmp_path,
        f"data.kwargs={{without: {without}}}",
        name="judged",
        mode="evaluate",
        init_from=str(parent.root),
    )
    (row,) = rows_of(judged, "evaluation")
    assert row["level"] == "WARNING"
    assert row["message"].startswith("There are no validation or test figures")


def test_actions_of_an_estimator_trained_on_targets_are_refused(tmp_path: Path) -> None:
    parent = finished(tmp_path, "hisso={enabled: false}", name="parent")
    outcome = trial(tmp_path, mode="evaluate", init_from=str(parent.root))
    assert outcome.exit_code == 1
    assert "write hisso: {enabled: false}" in str(outcome.message)
    judged = finished(
        tmp_path,
        "hisso={enabled: false}",
        name="judged",
        mode="evaluate",
        init_from=str(parent.root),
    )
    assert metrics_of(judged)["test_loss"] == pytest.approx(metrics_of(parent)["test_loss"])


def test_an_estimator_trained_on_targets_can_be_tuned_by_reward(tmp_path: Path) -> None:
    parent = finished(tmp_path, "hisso={enabled: false}", name="parent")
    child = finished(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    assert metrics_of(child)["portfolio_metrics"] is not None


# --- kinds of training ---------------------------------------------------------------------------


def test_supervised_training_has_losses_and_no_rewards(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso={enabled: false}", "training.batch_size=8")
    metrics = metrics_of(paths)
    assert (metrics["monitor"], metrics["episodes"]) == ("val_loss", 0)
    assert (metrics["reward_mean"], metrics["throughput_eps_per_sec"]) == (None, None)
    assert metrics["monitor_value"] == pytest.approx(metrics["val_loss"], abs=1e-6)
    assert {row["phase"] for row in rows_of(paths, "epoch")} == {"supervised"}


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
    judged = PSANNRegressor.load(scaled.best)
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
    outcome = trial(tmp_path, only_import=("mine",))
    assert outcome.exit_code == 1
    assert "'trials.market' is outside of --only-import mine" in str(outcome.message)
    finished(tmp_path, "training.epochs=1", only_import=("trials",))


def test_a_parent_s_identity_is_read_from_a_run_directory_only(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    parent.metrics.write_text("not json")
    child = finished(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    assert metrics_of(child)["parent"]["run_id"] is None
    assert RunPaths(parent.root).best.exists()


# ---------------------------------------------------------------- a refit


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
