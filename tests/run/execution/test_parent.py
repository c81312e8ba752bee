"""Estimators that a run begins from: fine-tuned, evaluated, or refused."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import trials
from psann._imports import ImportPolicy
from psann.estimators.dense import PSANNRegressor
from psann.run.directory.paths import RunPaths
from trials import bit_differences, finished, metrics_of, rows_of, tree_of, trial, write_config

SCALED = "estimator.params.scaler=standard"


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("parents"), name="parent")


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("scaled"), SCALED, name="parent")


def weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    network = PSANNRegressor.load(path).network_
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("source", ["run directory", "file of a run", "file on its own"])
def test_fine_tuning_goes_on_from_the_parent(tmp_path: Path, scaled: RunPaths, source: str) -> None:
    alone = tmp_path / "alone.safetensors"
    shutil.copy(scaled.best, alone)
    init_from = {"run directory": scaled.root, "file of a run": scaled.best}.get(source, alone)
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
        "sha256": tree_of(scaled.root)["checkpoints/best.safetensors"],
        "run_id": None if source == "file on its own" else metrics_of(scaled)["run_id"],
        "n_trials": None if source == "file on its own" else metrics_of(scaled)["n_trials"],
        "best_epoch": 4,
    }
    # An epoch, the parent, and what the parent was chosen from where that is known.
    assert metrics["n_trials"] == 2 + (metrics["parent"]["n_trials"] or 0)
    # Architecture and scalers are the parent's; so are the weights, after a step of nearly nothing.
    ours, theirs = PSANNRegressor.load(child.best), PSANNRegressor.load(scaled.best)
    assert ours.hidden_units == 8
    assert ours.lr == 1e-12
    assert np.array_equal(ours.scaler_.mean_, theirs.scaler_.mean_)
    for name, value in weights(child.best).items():
        assert value == pytest.approx(weights(scaled.best)[name], abs=1e-6)
    resolved = yaml.safe_load(child.config_resolved.read_text())
    assert resolved["init_from"] == str(init_from)
    assert resolved["recorded"]["init_from_sha256"] == metrics["parent"]["sha256"]


def test_fine_tuning_trains_and_its_first_candidate_is_the_parent(
    tmp_path: Path, parent: RunPaths
) -> None:
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


def test_an_architecture_that_differs_is_refused_with_both_values(
    tmp_path: Path, parent: RunPaths
) -> None:
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


def test_training_keys_of_a_fine_tuning_apply(tmp_path: Path, parent: RunPaths) -> None:
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


def test_a_parent_of_another_class_is_refused(tmp_path: Path, parent: RunPaths) -> None:
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
    tmp_path: Path, parent: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(PSANNRegressor, "load", load)
    outcome = trial(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    assert outcome.exit_code == 1
    assert "init_from must be readable" in str(outcome.message)
    assert f"Permission denied ({parent.best})" in str(outcome.message)


def test_a_resolved_configuration_refuses_a_parent_that_has_changed(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    child = finished(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    again = finished(tmp_path, name="again", config=child.config_resolved)
    assert again.best.read_bytes() == child.best.read_bytes()
    finished(tmp_path, "training.epochs=2", name="parent", overwrite=True)
    outcome = trial(tmp_path, name="changed", config=child.config_resolved)
    assert outcome.exit_code == 1
    assert "has changed since this configuration was written" in str(outcome.message)


def judged_anew(folder: Path, parent: RunPaths, *settings: str, name: str = "judged") -> RunPaths:
    """A run that only judges what another trained."""
    return finished(folder, *settings, name=name, mode="evaluate", init_from=str(parent.root))


def test_an_evaluation_gives_the_parent_s_figures_and_writes_no_estimator(
    tmp_path: Path, scaled: RunPaths
) -> None:
    judged = judged_anew(tmp_path, scaled)
    assert not judged.checkpoints.exists()
    ours, theirs = metrics_of(judged), metrics_of(scaled)
    for name in ("val_loss", "test_loss", "val_reward_mean", "test_reward_mean"):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-12)
    assert ours["portfolio_metrics"] == pytest.approx(theirs["portfolio_metrics"], abs=1e-12)
    assert (ours["status"], ours["mode"], ours["phase"]) == ("completed", "evaluate", "evaluation")
    assert ours["parent"]["run_id"] == theirs["run_id"]
    assert ours["train_figures_of"] == "kept_weights"
    nothing = ("best", "best_epoch", "epoch", "episodes", "throughput_eps_per_sec")
    assert {ours[name] for name in nothing} == {None}


def test_an_evaluation_judges_by_its_own_configuration(tmp_path: Path, parent: RunPaths) -> None:
    dear = judged_anew(
        tmp_path, parent, "evaluation.trans_cost=0.05", "data.kwargs={seed: 9}", name="dear"
    )
    estimator, data = PSANNRegressor.load(parent.best), trials.market(seed=9)
    expected = estimator.evaluate_reward(
        data["X_test"], data["prices_test"], evaluation={"trans_cost": 0.05}
    )
    assert metrics_of(dear)["test_reward_mean"] == pytest.approx(expected, abs=1e-12)


def test_an_evaluation_takes_the_reward_of_its_own_configuration(
    tmp_path: Path, parent: RunPaths
) -> None:
    judged = judged_anew(
        tmp_path, parent, "hisso.reward={target: trials.log_growth, kwargs: {scale: 7.0}}"
    )
    free = judged_anew(
        tmp_path, parent, "evaluation={trans_cost: 0.0, initial: invested}", name="free"
    )
    expected = 7 * metrics_of(free)["test_reward_mean"]
    assert metrics_of(judged)["test_reward_mean"] == pytest.approx(expected, rel=1e-9)


def test_an_evaluation_needs_test_rows_only(tmp_path: Path, parent: RunPaths) -> None:
    without = [f"{kind}_{s}" for kind in ("X", "y", "prices", "time") for s in ("train", "val")]
    judged = judged_anew(tmp_path, parent, f"data.kwargs={{without: {without}}}")
    ours, theirs = metrics_of(judged), metrics_of(parent)
    assert ours["portfolio_metrics"] == theirs["portfolio_metrics"]
    assert ours["val_loss"] is None


def test_an_evaluation_without_figures_says_so(tmp_path: Path, parent: RunPaths) -> None:
    without = [f"{kind}_{s}" for kind in ("X", "y", "prices", "time") for s in ("test", "val")]
    judged = judged_anew(tmp_path, parent, f"data.kwargs={{without: {without}}}")
    (row,) = rows_of(judged, "evaluation")
    assert row["level"] == "WARNING"
    assert row["message"].startswith("There are no validation or test figures")


def test_actions_of_an_estimator_trained_on_targets_are_refused(tmp_path: Path) -> None:
    parent = finished(tmp_path, "hisso={enabled: false}", name="parent")
    outcome = trial(tmp_path, mode="evaluate", init_from=str(parent.root))
    assert outcome.exit_code == 1
    assert "write hisso: {enabled: false}" in str(outcome.message)
    judged = judged_anew(tmp_path, parent, "hisso={enabled: false}")
    assert metrics_of(judged)["test_loss"] == pytest.approx(metrics_of(parent)["test_loss"])


def test_an_estimator_trained_on_targets_can_be_tuned_by_reward(tmp_path: Path) -> None:
    parent = finished(tmp_path, "hisso={enabled: false}", name="parent")
    child = finished(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    assert metrics_of(child)["portfolio_metrics"] is not None


def test_a_parent_s_identity_is_read_from_a_run_directory_only(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    parent.metrics.write_text("not json")
    child = finished(tmp_path, name="child", mode="fine_tune", init_from=str(parent.root))
    assert metrics_of(child)["parent"]["run_id"] is None
    assert RunPaths(parent.root).best.exists()


def test_a_loss_that_only_the_parents_file_names_is_run_when_the_command_names_it_again(
    tmp_path: Path,
) -> None:
    own = ("hisso.enabled=false", "training.epochs=1")
    loss = "estimator.params.loss=user_rewards.quartic"
    parent = finished(tmp_path, *own, loss, name="parent")
    config = write_config(tmp_path, {**trials.CONFIG, "estimator": {"target": "PSANNRegressor"}})
    child = {"config": config, "mode": "fine_tune", "init_from": str(parent.root), "name": "child"}
    outcome = trial(tmp_path, *own, **child)
    assert outcome.exit_code == 1
    assert "'user_rewards.quartic' was named by a file" in str(outcome.message)
    allowed = ImportPolicy(allow=("user_rewards",))
    finished(tmp_path, *own, **child | {"name": "other"}, imports=allowed)
    finished(
        tmp_path, *own, "estimator.params.loss=user_rewards.quartic", **child | {"name": "own"}
    )


@pytest.mark.usefixtures("own_prices")
def test_a_child_knows_until_when_its_ancestors_have_seen_its_assets(tmp_path: Path) -> None:
    def run(name: str, *settings: str, **how: Any) -> dict[str, Any]:
        table = Path("prices.csv").absolute()
        data = f"data={{prices: '{table}', split: {{val: 0.2, test: 0.2}}}}"
        return metrics_of(
            finished(tmp_path, "training.epochs=1", data, *settings, name=name, **how)
        )

    first = run("first")
    seen = first["spans"]["val"]["last"]
    root = tmp_path / "out"
    earlier = f"data.end='{first['spans']['test']['first']}'"
    child = run("child", earlier, mode="fine_tune", init_from=str(root / "first"))
    assert child["parent"]["seen_until"] == seen > child["judged"]["first"]
    grandchild = run("grandchild", mode="evaluate", init_from=str(root / "child"))
    assert grandchild["parent"]["seen_until"] == seen < grandchild["judged"]["first"]


@pytest.mark.usefixtures("own_prices")
def test_a_table_that_was_restated_is_refused_of_a_resolved_configuration_and_told_of_a_parent(
    tmp_path: Path,
) -> None:
    table = Path("prices.csv").absolute()
    given = ("training.epochs=1", f"data={{prices: '{table}', split: {{val: 0.2, test: 0.2}}}}")
    first = finished(tmp_path, *given, name="first")
    child = {"mode": "evaluate", "init_from": str(first.root)}

    def told(paths: RunPaths) -> list[str]:
        messages = [row["message"] for row in rows_of(paths, "data")]
        return [message for message in messages if "has changed since" in message]

    again = {"config": first.config_resolved, "name": "again"}
    assert bit_differences(first, finished(tmp_path, **again)) == []
    assert told(finished(tmp_path, *given, name="same", **child)) == []
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]))
    refused = trial(tmp_path, config=first.config_resolved, name="other")
    assert f"recorded.prices_sha256 does not fit: {table} has changed" in str(refused.message)
    (what,) = told(finished(tmp_path, *given, name="child", **child))
    assert what == "data.prices has changed since the run in init_from read it"


def test_fine_tuning_on_targets_knows_what_the_parent_loses(tmp_path: Path) -> None:
    targets = ("hisso.enabled=false", "training.epochs=1")
    parent = finished(tmp_path, *targets, name="parent")
    child = finished(tmp_path, *targets, name="child", mode="fine_tune", init_from=str(parent.root))
    assert metrics_of(child)["parent"]["val_loss"] == metrics_of(parent)["val_loss"]
    other = finished(tmp_path, name="other", mode="fine_tune", init_from=str(parent.root))
    assert "val_loss" not in metrics_of(other)["parent"]
