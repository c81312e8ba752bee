"""What a run with several seeds finds: each seed, the mean, the spread, and the ensemble."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trials
from psann import PSANNRegressor
from psann.errors import TrainingInterrupted
from psann.metrics import portfolio_metrics
from psann.run.directory.fields import OF_PORTFOLIO, OF_TEST_ROWS
from psann.run.directory.paths import RunPaths
from psann.run.execution.observer import RunObserver
from psann.run.verification.verify import verify_run
from thinning import thinned
from trials import bit_differences, finished, metrics_of, rows_of, trial

SEEDS = (42, 43, 44)
THREE = ("training.seeds=3",)
SETTINGS = (*THREE, "training.epochs=5", "training.patience=2", "hisso.supervised={epochs: 1}")
RETURNS = {"initial": "cash", "trans_cost": 0.001}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("three"), *SETTINGS)


def best_of(paths: RunPaths, seed: int) -> PSANNRegressor:
    return PSANNRegressor.load(paths.of_seed(paths.best, seed))


def test_each_seed_leaves_its_files_and_the_best_is_one_of_them(three: RunPaths) -> None:
    names = {path.name for path in three.checkpoints.iterdir()}
    each = {f"{kind}_seed{seed}.safetensors" for kind in ("best", "warm_start") for seed in SEEDS}
    assert names == {*each, "best.safetensors", "manifest.json"}
    metrics = metrics_of(three)
    winner = max(metrics["per_seed"], key=lambda entry: entry["monitor_value"])
    kept = three.of_seed(three.best, winner["seed"]).read_bytes()
    assert three.best.read_bytes() == kept
    assert (metrics["best"]["seed"], metrics["best_epoch"]) == (
        *(winner["seed"], winner["best_epoch"]),
    )
    for entry in metrics["per_seed"]:
        estimator = best_of(three, entry["seed"])
        assert (estimator.random_state, estimator.seed_) == (entry["seed"], entry["seed"])
        assert estimator.best_epoch_ == entry["best_epoch"]


def test_flat_figures_are_means_and_the_spread_stands_beside_them(three: RunPaths) -> None:
    metrics = metrics_of(three)
    for name in ("monitor_value", "train_loss", "val_reward_mean", "test_reward_mean"):
        values = [entry[name] for entry in metrics["per_seed"]]
        mean = sum(values) / 3
        assert metrics[name] == pytest.approx(mean)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
        assert metrics["spread"][name] == pytest.approx(deviation)
    wealth = [1 + entry["portfolio_metrics"]["cum_return"] for entry in metrics["per_seed"]]
    assert 1 + metrics["portfolio_metrics"]["cum_return"] == pytest.approx(sum(wealth) / 3)
    assert len(set(wealth)) == 3
    rows = rows_of(three, "epoch")
    assert metrics["episodes"] == 4 * 2 * sum(row["phase"] == "hisso" for row in rows)
    assert metrics["n_trials"] == sum(entry["epoch"] + 1 for entry in metrics["per_seed"])


def test_the_ensemble_is_the_mean_of_the_seeds_actions(three: RunPaths) -> None:
    data = trials.market()
    actions = [best_of(three, seed).predict_actions(data["X_test"]) for seed in SEEDS]
    expected = portfolio_metrics(
        (actions[0] + actions[1] + actions[2]) / 3, data["prices_test"], **RETURNS
    )
    found = metrics_of(three)["ensemble"]["portfolio_metrics"]
    assert found == pytest.approx({k: v for k, v in expected.items() if math.isfinite(v)})
    with np.load(three.evaluation) as series:
        np.testing.assert_allclose(series["allocations"], np.mean(actions, axis=0), atol=1e-6)


def test_the_series_tell_of_mean_ensemble_and_seeds(three: RunPaths) -> None:
    with np.load(three.evaluation) as series:
        wealth = dict(zip(series["names"].tolist(), series["net"], strict=True))
    seeds = [wealth[f"seed_{seed}"] for seed in SEEDS]
    np.testing.assert_allclose(wealth["policy"], np.mean(seeds, axis=0))
    assert {"ensemble", "ensemble_delay_1", "seed_44_delay_1", "uniform"} <= set(wealth)


def test_the_log_has_a_row_for_each_seed_and_epoch(three: RunPaths) -> None:
    rows = rows_of(three, "epoch")
    done = {entry["seed"]: entry["epoch"] for entry in metrics_of(three)["per_seed"]}
    for seed in SEEDS:
        epochs = [int(r["epoch"]) for r in rows if (r["seed"], r["phase"]) == (str(seed), "hisso")]
        assert epochs == list(range(1, done[seed] + 1))
    order = [(row["phase"] == "hisso", int(row["epoch"]), int(row["seed"])) for row in rows]
    assert order == sorted(order)


def test_verification_accepts_the_run_and_sees_a_seed_that_was_changed(
    three: RunPaths, tmp_path: Path
) -> None:
    assert verify_run(three.root).findings == ()
    copy = RunPaths(shutil.copytree(three.root, tmp_path / "run"))
    assert bit_differences(three, copy) == []
    first, second = (copy.of_seed(copy.best, seed) for seed in SEEDS[:2])
    first.write_bytes(second.read_bytes())
    assert {finding.file for finding in verify_run(copy.root).errors} == {
        "checkpoints/best_seed42.safetensors"
    }
    assert "checkpoints/best_seed42.safetensors differs" in bit_differences(three, copy)


def test_a_run_of_one_seed_has_nothing_of_several(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.epochs=1")
    metrics = metrics_of(paths)
    assert metrics["per_seed"] is metrics["spread"] is metrics["ensemble"] is None
    assert "seed" not in metrics["best"]
    assert not list(paths.checkpoints.glob("*_seed*"))


@pytest.mark.parametrize("moment", thinned([4, 1, 10, 7]))
def test_a_stopped_run_of_several_seeds_goes_on_bit_for_bit(
    three: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    on_epoch, seen = RunObserver.on_epoch, []

    def stopping(observer: RunObserver, record: Any, state: Any) -> None:
        on_epoch(observer, record, state)
        seen.append(record)
        if len(seen) == moment:
            raise TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)

    monkeypatch.setattr(RunObserver, "on_epoch", stopping)
    assert trial(tmp_path, *SETTINGS).exit_code == 143
    assert verify_run(tmp_path / "out" / "run").errors == ()
    assert bit_differences(three, finished(tmp_path, *SETTINGS, resume=True)) == []


def test_supervised_seeds_have_losses_and_an_ensemble(tmp_path: Path) -> None:
    paths = finished(tmp_path, *THREE, "hisso={enabled: false}", "training.batch_size=8")
    metrics, data = metrics_of(paths), trials.market()
    outputs = np.mean([best_of(paths, seed).predict(data["X_test"]) for seed in SEEDS], axis=0)
    expected = float(np.mean((outputs - data["y_test"]) ** 2))
    assert metrics["ensemble"]["test_loss"] == pytest.approx(expected)
    assert metrics["ensemble"]["test_loss"] <= metrics["test_loss"]  # the square is convex
    assert verify_run(paths.root).errors == ()


def test_every_seed_of_a_fine_tuning_begins_at_the_same_parent(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    tuned = finished(
        tmp_path, *THREE, "training.epochs=2", "training.lr=1e-30", name="tuned",
        mode="fine_tune", init_from=str(parent.root),
    )  # fmt: skip
    per_seed = metrics_of(tuned)["per_seed"]
    # With such a learning rate no weight moves, so that all keep the parent.
    assert [entry["best_epoch"] for entry in per_seed] == [0, 0, 0]
    assert len({entry["val_loss"] for entry in per_seed}) == 1
    losses = [row["train_loss"] for row in rows_of(tuned, "epoch") if row["epoch"] == "1"]
    assert len(set(losses)) == 3
    assert verify_run(tuned.root).errors == ()


def test_the_seeds_of_a_run_can_be_evaluated_again(three: RunPaths, tmp_path: Path) -> None:
    judged = finished(tmp_path, *THREE, mode="evaluate", init_from=str(three.root))
    ours, theirs = metrics_of(judged), metrics_of(three)
    for name in ("test_reward_mean", "portfolio_metrics", "ensemble", "baselines"):
        assert ours[name] == theirs[name], name
    assert ours["n_trials"] == theirs["n_trials"]  # evaluating again is no trial
    assert [entry["seed"] for entry in ours["per_seed"]] == list(SEEDS)
    assert verify_run(judged.root).errors == ()
    best = finished(tmp_path, mode="evaluate", init_from=str(three.root), name="best")
    winner = max(theirs["per_seed"], key=lambda entry: entry["monitor_value"])
    assert metrics_of(best)["test_reward_mean"] == winner["test_reward_mean"]
    assert metrics_of(best)["per_seed"] is None


def test_seeds_that_a_run_does_not_have_cannot_be_evaluated(
    three: RunPaths, tmp_path: Path
) -> None:
    settings = ("training.seeds=4",)
    outcome = trial(tmp_path, *settings, mode="evaluate", init_from=str(three.root))
    assert outcome.exit_code == 1
    assert "training.seeds is 4, so that the seeds 42 ... 45 of the run in init_from" in (
        outcome.message or ""
    )
    assert "best_seed45.safetensors" in (outcome.message or "")


def test_a_seed_that_diverges_ends_the_run_and_is_named(tmp_path: Path) -> None:
    wild = "estimator.params={hidden_layers: 1, hidden_units: 8, optimizer: sgd, clip_norm: null}"
    outcome = trial(tmp_path, *THREE, wild, "training.lr=1e30")
    assert outcome.exit_code == 3
    assert re.search("diverged in phase hisso of seed 4[234], epoch", outcome.message or "")
    paths = RunPaths(tmp_path / "out" / "run")
    assert {f"best_seed{seed}.safetensors" for seed in SEEDS} <= {
        path.name for path in paths.checkpoints.iterdir()
    }
    assert verify_run(paths.root).errors == ()


def test_seeds_that_are_refitted_keep_the_figures_of_validation(tmp_path: Path) -> None:
    paths = finished(tmp_path, *THREE, "hisso.refit=true", "training.epochs=5")
    metrics = metrics_of(paths)
    for entry in metrics["per_seed"]:
        refit = [
            row for row in rows_of(paths, "epoch")
            if (row["phase"], row["seed"]) == ("refit", str(entry["seed"]))
        ]  # fmt: skip
        assert len(refit) == entry["best_epoch"] > 0
        assert entry["val_reward_mean"] == entry["monitor_value"]
    assert metrics["ensemble"]["val_loss"] is None
    assert metrics["ensemble"]["test_loss"] is not None
    assert verify_run(paths.root).findings == ()


def test_kept_epochs_are_those_of_every_seed(tmp_path: Path) -> None:
    paths = finished(tmp_path, *THREE, "training.epochs=2", keep_checkpoints=True)
    for seed in SEEDS:
        kept = PSANNRegressor.load(paths.of_seed(paths.epoch(2), seed))
        assert (kept.random_state, kept.best_epoch_) == (seed, 2)
    assert verify_run(paths.root).errors == ()


SHUT = "evaluation.withhold_test=true"


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_a_run_that_withholds_the_test_rows_has_no_figure_of_them_and_the_same_weights(
    tmp_path: Path, n_seeds: int
) -> None:
    seeds = f"training.seeds={n_seeds}"
    open_, shut = (
        finished(tmp_path, seeds, *more, name=name) for name, more in (("o", ()), ("s", (SHUT,)))
    )
    told, kept = metrics_of(open_), metrics_of(shut)
    for owner in (kept, *(kept["per_seed"] or ()), kept["ensemble"] or {}):
        assert not [name for name in (*OF_TEST_ROWS, *OF_PORTFOLIO) if owner.get(name) is not None]
    assert kept["judged"] == {"split": "test", "test_withheld": True}
    assert not shut.evaluation.exists() and open_.evaluation.exists()
    assert shut.best.read_bytes() == open_.best.read_bytes()
    for name in ("monitor_value", "val_reward_mean", "val_loss", "n_trials", "best_epoch"):
        assert kept[name] == told[name]
    assert len([row for row in rows_of(shut, "decision") if "withheld" in row["message"]]) == 1
    assert verify_run(shut.root).errors == ()


def test_verification_sees_a_test_figure_in_a_run_that_withholds_them(tmp_path: Path) -> None:
    paths = finished(tmp_path, SHUT, "training.seeds=2")
    record = metrics_of(paths)
    record["per_seed"][1]["test_reward_mean"] = 0.01
    trials.change_record(paths, test_loss=-0.02, per_seed=record["per_seed"])
    found = [str(each) for each in verify_run(paths.root).errors]
    assert any("test_loss must be null: evaluation.withhold_test" in text for text in found)
    assert any("per_seed.1.test_reward_mean must be null" in text for text in found)


def test_portfolio_figures_of_validation_rows_are_not_withheld(tmp_path: Path) -> None:
    paths = finished(tmp_path, SHUT, "evaluation.portfolio_prices_key=prices_val")
    record = metrics_of(paths)
    assert (record["judged"]["split"], record["judged"]["test_withheld"]) == ("val", True)
    assert record["portfolio_metrics"] is not None and record["test_reward_mean"] is None
    assert verify_run(paths.root).errors == ()


def test_an_evaluation_is_deflated_by_the_trials_that_it_is_told_of(tmp_path: Path) -> None:
    parent = finished(tmp_path, SHUT, name="parent")
    own, told = (
        metrics_of(
            finished(tmp_path, *more, name=name, mode="evaluate", init_from=str(parent.root))
        )
        for name, more in (("own", ()), ("told", ("evaluation.n_trials=732",)))
    )
    assert (own["n_trials"], told["n_trials"]) == (metrics_of(parent)["n_trials"], 732)
    assert told["deflated_sharpe"] < own["deflated_sharpe"]
    assert verify_run(tmp_path / "out" / "told").errors == ()
