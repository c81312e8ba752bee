"""The figures of a run are those of the file it keeps."""

from __future__ import annotations

import dataclasses
import math
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import trials
from psann.baselines import buy_and_hold, uniform
from psann.estimators.dense import PSANNRegressor
from psann.evaluation.judgement import Terms, judge_baselines, judge_policy
from psann.hisso.options import EvaluationOptions
from psann.hisso.temperature import TEMPERATURES
from psann.metrics import portfolio_metrics
from psann.run.config.load import load_run_config
from psann.run.config.model import RunConfig
from psann.run.data.requirements import DataRequirements
from psann.run.data.splits import DataSplits, load_splits
from psann.run.directory.fields import EPOCH_FIGURES
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths
from psann.run.execution.figures import (
    best_figures,
    best_of,
    count_trials,
    figures_over_seeds,
    loses_training_rows,
    split_figures,
    training_figures,
)
from psann.run.execution.judging import is_ruined
from psann.run.reading.sentences import result_sentences
from psann.run.verification.replay import replay
from psann.run.verification.verify import verify_run
from psann.training.history import EpochRecord
from psann.training.state import Best
from trials import finished, metrics_of, rows_of, trial, write_config


def kept(paths: RunPaths) -> PSANNRegressor:
    estimator = PSANNRegressor.load(paths.best)
    assert isinstance(estimator, PSANNRegressor)
    return estimator


def splits_of(config: RunConfig, **kwargs: Any) -> DataSplits:
    requirements = DataRequirements(
        window=6,
        needs_targets=False,
        y_key=None,
        portfolio_prices_key=config.evaluation.portfolio_prices_key,
        mode="train",
    )
    return load_splits(
        config.data, load_function=lambda: trials.market(**kwargs), requirements=requirements
    )


@pytest.mark.parametrize("epochs", [1, 4])
def test_the_file_of_the_best_reproduces_every_figure(tmp_path: Path, epochs: int) -> None:
    paths = finished(
        tmp_path,
        f"training.epochs={epochs}",
        "evaluation={trans_cost: 0.002, initial: invested, periods_per_year: 52}",
    )
    data, estimator, metrics = trials.market(), kept(paths), metrics_of(paths)
    assert estimator.best_epoch_ == metrics["best_epoch"] == epochs
    for split in ("val", "test"):
        reward = estimator.evaluate_reward(data[f"X_{split}"], data[f"prices_{split}"])
        assert metrics[f"{split}_reward_mean"] == pytest.approx(reward, abs=1e-12)
    epoch = rows_of(paths, "epoch")[epochs - 1]
    assert metrics["val_reward_mean"] == pytest.approx(float(epoch["val_reward_mean"]), abs=1e-6)
    settings = {"trans_cost": 0.002, "initial": "invested", "periods_per_year": 52}
    expected = portfolio_metrics(
        estimator.predict_actions(data["X_test"]), data["prices_test"], **settings
    )
    assert metrics["portfolio_metrics"] == pytest.approx(expected, abs=1e-12)
    late = portfolio_metrics(
        estimator.predict_actions(data["X_test"][:-1]), data["prices_test"][1:], **settings
    )
    assert metrics["portfolio_metrics_delay_1"] == pytest.approx(late, abs=1e-12)
    assert late["n_steps"] == expected["n_steps"] - 1
    for name, rule in (("uniform", uniform), ("buy_and_hold", buy_and_hold)):
        weights = rule(data["prices_test"])
        beside = portfolio_metrics(weights, data["prices_test"], **settings)
        known = {key: value for key, value in beside.items() if np.isfinite(value)}
        figures = metrics["baselines"][name]
        assert {key: figures[key] for key in known} == pytest.approx(known, abs=1e-12)


def test_a_run_tells_how_far_chance_reaches_and_what_it_chose_from(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.epochs=3")
    metrics, data, estimator = metrics_of(paths), trials.market(), kept(paths)
    assert metrics["n_trials"] == 4  # three epochs and the untrained policy
    verdict = judge_policy(
        estimator.predict_actions(data["X_test"]),
        data["prices_test"],
        terms=Terms(trans_cost=0.001, initial="cash"),
        n_trials=4,
    )
    assert metrics["versus_uniform"] == dataclasses.asdict(verdict.versus_uniform)
    assert metrics["deflated_sharpe"] == verdict.deflated_sharpe
    growth = {name: metrics[name]["annual_log_growth"] for name in ("portfolio_metrics",)}
    growth |= {name: each["annual_log_growth"] for name, each in metrics["baselines"].items()}
    difference = growth["portfolio_metrics"] - growth["uniform"]
    assert metrics["versus_uniform"]["growth"] == pytest.approx(difference, abs=1e-9)
    earlier = [data[f"prices_{split}"] for split in ("train", "val")]
    judged = judge_baselines(
        data["prices_test"], terms=Terms(trans_cost=0.001, initial="cash"), earlier=earlier
    )
    assert list(judged) == list(metrics["baselines"])
    for name in ("best_asset", "bcrp"):
        assert growth[name] == judged[name].figures["annual_log_growth"]
    alone = finished(tmp_path, "mode=evaluate", name="judged", init_from=str(paths.root))
    # Evaluating again is no trial, and forgets none of those that there were.
    for name in ("n_trials", "deflated_sharpe", "deflated_skill"):
        assert metrics_of(alone)[name] == metrics[name]


def test_trials_are_epochs_further_temperatures_and_the_untrained_policy() -> None:
    def training(temperature: float | None) -> Any:
        return SimpleNamespace(epochs_done=7, temperature=temperature)

    assert count_trials(training(None), has_validation=False) == 7
    assert count_trials(training(None), has_validation=True) == 8
    # Of the temperatures that are tried, 1 is what the epochs were compared at.
    assert count_trials(training(0.5), has_validation=True) == 8 + len(TEMPERATURES) - 1


def test_without_validation_the_untrained_policy_is_no_trial(tmp_path: Path) -> None:
    without = "data.kwargs={without: [X_val, y_val, prices_val, time_val]}"
    assert metrics_of(finished(tmp_path, without))["n_trials"] == 4


def test_what_a_policy_does_not_invest_is_held_in_cash(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.primary_transform=softmax_cash")
    data = trials.market()
    actions = kept(paths).predict_actions(data["X_test"])
    assert actions.sum(axis=1).max() < 1
    settings = {"trans_cost": 0.001, "initial": "cash", "periods_per_year": 252}
    expected = portfolio_metrics(actions, data["prices_test"], cash=True, **settings)
    assert metrics_of(paths)["portfolio_metrics"] == pytest.approx(expected, abs=1e-12)


def test_where_no_epoch_helps_the_untrained_policy_is_kept_and_judged(tmp_path: Path) -> None:
    # Half of what is traded is lost, so that only a policy that never trades again survives.
    paths = finished(tmp_path, "hisso.transition_penalty=0.5", "hisso.primary_transform=softmax")
    metrics = metrics_of(paths)
    assert (metrics["best_epoch"], metrics["epoch"]) == (0, 4)
    assert metrics["train_figures_of"] == "kept_weights"
    assert metrics["train_loss"] == -metrics["reward_mean"]
    assert metrics["val_loss"] == -metrics["val_reward_mean"] == -metrics["monitor_value"]
    assert metrics["portfolio_metrics"] == metrics["baselines"]["uniform"]
    assert kept(paths).predict_actions(trials.market()["X_test"]) == pytest.approx(0.5)


def test_of_equal_epochs_the_earlier_is_kept(tmp_path: Path) -> None:
    # Where nothing can be earned every epoch is as good as the untrained candidate.
    paths = finished(tmp_path, "hisso.reward={target: trials.log_growth, kwargs: {scale: 0.0}}")
    assert metrics_of(paths)["best_epoch"] == 0
    paths = finished(
        tmp_path,
        "hisso.reward={target: trials.log_growth, kwargs: {scale: 0.0}}",
        "data.kwargs={without: [X_val, y_val, prices_val, time_val]}",
        name="without_validation",
    )
    assert metrics_of(paths)["best_epoch"] == 1


def test_prices_of_another_split_can_judge_the_policy(tmp_path: Path) -> None:
    paths = finished(tmp_path, "evaluation.portfolio_prices_key=prices_val")
    data = trials.market()
    expected = portfolio_metrics(
        kept(paths).predict_actions(data["X_val"]),
        data["prices_val"],
        trans_cost=0.001,
        initial="cash",
        periods_per_year=252,
    )
    assert metrics_of(paths)["portfolio_metrics"] == pytest.approx(expected, abs=1e-12)


def test_prices_under_a_name_of_their_own_belong_to_the_test_rows(tmp_path: Path) -> None:
    paths = finished(
        tmp_path,
        "evaluation.portfolio_prices_key=closing",
        "data.kwargs={copies: {closing: prices_test}}",
    )
    usual = finished(tmp_path, name="usual")
    assert metrics_of(paths)["portfolio_metrics"] == metrics_of(usual)["portfolio_metrics"]


def test_without_test_prices_there_are_no_portfolio_figures_and_one_warning(
    tmp_path: Path,
) -> None:
    paths = finished(tmp_path, "data.kwargs={without: [prices_test]}")
    metrics = metrics_of(paths)
    assert (metrics["portfolio_metrics"], metrics["baselines"]) == (None, None)
    assert (metrics["test_loss"], metrics["test_reward_mean"]) == (None, None)
    (row,) = (row for row in rows_of(paths) if row["level"] == "WARNING")
    assert row["message"].startswith("There are no portfolio metrics: the data hold no prices_test")


def test_portfolio_figures_that_nobody_wants_bring_no_warning(tmp_path: Path) -> None:
    paths = finished(tmp_path, "evaluation.portfolio_prices_key=null")
    assert metrics_of(paths)["portfolio_metrics"] is None
    assert not [row for row in rows_of(paths) if row["level"] == "WARNING"]


def test_actions_that_are_no_weights_have_no_portfolio_figures(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.reward=negative_mse", "hisso.primary_transform=identity")
    metrics = metrics_of(paths)
    assert metrics["portfolio_metrics"] is None
    (row,) = (row for row in rows_of(paths) if row["level"] == "WARNING")
    assert row["message"] == (
        "There are no portfolio metrics: primary_transform identity gives no weights."
    )


def test_prices_that_do_not_fit_the_actions_cost_no_finished_run(tmp_path: Path) -> None:
    paths = finished(
        tmp_path,
        "hisso.reward=trials.log_growth",
        "hisso.context_extractor=trials.cumulative_features",
        "evaluation.portfolio_prices_key=closing",
        "data.kwargs={assets: 3, copies: {closing: prices_test}, without: [y_train, y_val, y_test, "
        "prices_train, prices_val, prices_test]}",
    )
    assert metrics_of(paths)["portfolio_metrics"] is None
    (row,) = (row for row in rows_of(paths, "evaluation") if row["level"] == "WARNING")
    assert row["message"].endswith("closing has 3 columns, the policy 2 actions.")


def ruined(folder: Path, where: str, *more: str) -> RunPaths:
    """A run of a policy that goes short, which one split punishes; its exit code says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        loader = f"data={{loader: trials.rebound, kwargs: {{where: {where}}}}}"
        outcome = trial(folder, "hisso.primary_transform=tanh", loader, *more)
    assert outcome.exit_code == 4
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "ruined"
    assert verify_run(outcome.paths.root).errors == ()
    return outcome.paths


def test_a_policy_that_loses_everything_is_recorded_as_ruined_with_the_row(tmp_path: Path) -> None:
    paths = ruined(tmp_path, "test")
    metrics = metrics_of(paths)
    assert metrics["ruined_at"] == 8
    first = result_sentences(read_metrics(paths.metrics)[0])[0]
    assert first == "Ruin: nothing is left of the wealth at row 8 of the test rows."
    again = trial(tmp_path, resume=True)
    assert again.message.startswith("The run run is already complete: rui")
    assert again.exit_code == 4
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert not replay(paths.root, last_epochs=1, allow_import=["trials"]).differences
    assert metrics["portfolio_metrics"]["cum_return"] == -1.0
    assert metrics["portfolio_metrics"]["annual_log_growth"] is None
    assert "portfolio_metrics.annual_log_growth" in metrics["nonfinite"]
    assert any("wealth was lost" in row["message"] for row in rows_of(paths, "log"))


def test_a_run_whose_every_epoch_loses_everything_on_validation_is_ruined(tmp_path: Path) -> None:
    paths = ruined(tmp_path, "val")
    metrics = metrics_of(paths)
    assert (metrics["best_epoch"], metrics["ruined_at"]) == (0, None)
    assert metrics["cautions"] == ["every_epoch_ruined"]
    told = " ".join(result_sentences(read_metrics(paths.metrics)[0]))
    assert "Every epoch lost everything on the validation rows. Use the primary_transform" in told
    # The cure.
    again = finished(tmp_path, "data={loader: trials.rebound, kwargs: {where: val}}", name="cured")
    assert metrics_of(again)["cautions"] == [] or metrics_of(again)["best_epoch"] > 0


def test_weights_that_lose_everything_on_their_training_rows_are_ruin(tmp_path: Path) -> None:
    config = load_run_config(write_config(tmp_path), overrides=["hisso.primary_transform=tanh"])
    short = SimpleNamespace(evaluate_reward=lambda *_, **__: -math.inf)
    splits = splits_of(config)
    assert loses_training_rows(short, splits, config)
    softmax = load_run_config(write_config(tmp_path), overrides=["hisso.primary_transform=softmax"])
    assert not loses_training_rows(short, splits, softmax)  # it cannot
    fine = SimpleNamespace(evaluate_reward=lambda *_, **__: -0.5)
    assert not loses_training_rows(fine, splits, config)
    lost: Any = {"per_seed": None, "ensemble": None, "ruined_at": None}
    assert is_ruined({**lost, "cautions": ["ruined_in_training"]})
    assert not is_ruined({**lost, "cautions": ["never_moved"]})
    assert is_ruined({**lost, "ensemble": {"ruined_at": 3}, "cautions": []})


SHORT = (
    *("data={loader: trials.squeezed}", "hisso.primary_transform=tanh", "hisso.window=20"),
    *("hisso.batch_episodes=16", "hisso.updates_per_epoch=8", "hisso.transition_penalty=0"),
    *("estimator.params.hidden_units=16", "training.lr=0.02", "seed=2"),
    "evaluation.portfolio_prices_key=null",
)


@pytest.mark.filterwarnings("default")
def test_a_training_that_ends_short_of_a_squeeze_is_ruined_and_a_longer_one_is_not(
    tmp_path: Path,
) -> None:
    # The first weights are short on every row, and one small update does not change that.
    outcome = trial(tmp_path, *SHORT, "training.epochs=1", "training.lr=1e-6")
    assert outcome.exit_code == 4 and outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert metrics["status"] == "ruined" and metrics["cautions"][-1] == "ruined_in_training"
    assert verify_run(outcome.paths.root).errors == ()
    told = " ".join(result_sentences(read_metrics(outcome.paths.metrics)[0]))
    assert "The kept weights lose everything on the training rows. Train longer, or use" in told
    # Every update had a finite reward to learn from, and none was skipped.
    (row,) = rows_of(outcome.paths, "epoch")
    assert row["skipped_updates"] == "0" and float(row["reward_min"]) < -1
    # The cures.
    for cure in ("training.epochs=15", "hisso.primary_transform=softmax_cash"):
        cured = finished(tmp_path, *SHORT, cure, name=cure.partition("=")[2])
        assert metrics_of(cured)["status"] == "completed"
        assert "ruined_in_training" not in metrics_of(cured)["cautions"]


@pytest.mark.parametrize(("given", "expected"), [("null", 0.001), ("0.003", 0.003), ("0", 0.0)])
def test_the_judging_cost_is_the_evaluation_s_else_the_reward_s(
    tmp_path: Path, given: str, expected: float
) -> None:
    overrides = [f"evaluation.trans_cost={given}"]
    assert load_run_config(write_config(tmp_path), overrides=overrides).judging_cost == expected


def test_supervised_figures_are_losses_and_nothing_else(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso={enabled: false}", "training.epochs=3")
    metrics, data, estimator = metrics_of(paths), trials.market(), kept(paths)
    for split in ("val", "test"):
        predicted = estimator.predict(data[f"X_{split}"])
        loss = float(np.mean((predicted - data[f"y_{split}"]) ** 2))
        assert metrics[f"{split}_loss"] == pytest.approx(loss, abs=1e-9)
        assert metrics[f"{split}_reward_mean"] is None
    assert metrics["portfolio_metrics"] is None
    assert (metrics["transition_penalty"], metrics["trans_cost"]) == (None, None)
    assert not [row for row in rows_of(paths) if row["level"] == "WARNING"]


def test_splits_that_are_absent_have_no_figures(tmp_path: Path) -> None:
    config = load_run_config(write_config(tmp_path))
    estimator = PSANNRegressor(hidden_layers=1, hidden_units=4, epochs=1, random_state=0)
    data = trials.market()
    estimator.fit(data["X_train"], prices=data["prices_train"], hisso={"window": 6})
    splits = splits_of(config, without=["X_val", "y_val", "prices_val", "time_val"])
    figures = split_figures(estimator, splits, config)
    assert figures["val_loss"] is None
    assert figures["test_loss"] == -estimator.evaluate_reward(
        data["X_test"],
        data["prices_test"],
        evaluation=EvaluationOptions(),
    )


def test_figures_of_the_best_epoch_are_those_of_its_record() -> None:
    def epoch(number: int, loss: float) -> EpochRecord:
        return EpochRecord(
            phase="hisso",
            epoch=number,
            epochs_total=2,
            update=1,
            episodes=1,
            lr=0.1,
            train_loss=loss,
            val_loss=-loss,
            reward_mean=2 * loss,
            reward_std=3 * loss,
            val_reward_mean=4 * loss,
        )

    history = [epoch(1, 1.0), epoch(2, 10.0)]

    def best(number: int | None) -> dict[str, Any]:
        return best_figures(history, epoch=number, value=0.5, temperature=2.0)

    assert best(1) == {
        **{"best_epoch": 1, "monitor_value": 0.5, "temperature": 2.0},
        **{name: getattr(history[0], name) for name in EPOCH_FIGURES},
    }
    assert (best(1)["train_loss"], best(1)["reward_std"]) == (1.0, 3.0)
    assert best(2)["train_loss"] == 10.0
    assert {best(0)[name] for name in EPOCH_FIGURES} == {None}
    assert best(None)["best_epoch"] is None


def test_figures_are_means_and_spreads_key_by_key() -> None:
    entries = [
        {"seed": 4, "best_epoch": 2, "val_loss": 1.0, "portfolio_metrics": {"sharpe": 0.5}},
        {"seed": 5, "best_epoch": 9, "val_loss": 2.0, "portfolio_metrics": {"sharpe": 0.1}},
        {"seed": 6, "best_epoch": 0, "val_loss": 6.0, "portfolio_metrics": {"sharpe": 0.0}},
    ]
    found = figures_over_seeds(entries)
    assert found["val_loss"] == 3.0
    assert found["spread"]["val_loss"] == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert found["portfolio_metrics"]["sharpe"] == pytest.approx(0.2)
    assert found["spread"]["portfolio_metrics"]["sharpe"] == pytest.approx(math.sqrt(0.07))
    assert found["per_seed"] == entries
    assert set(found) == {"val_loss", "portfolio_metrics", "per_seed", "spread"}


@pytest.mark.parametrize("values", [(None, 1.0), (None, {"sharpe": 1.0}), (None, None)])
def test_what_one_seed_lacks_has_no_mean(values: Any) -> None:
    found = figures_over_seeds([{"val_loss": value} for value in values])
    assert found["val_loss"] is found["spread"]["val_loss"] is None


def state(seed: int, value: float | None, *, monitor: str = "val_reward", epoch: int = 3) -> Any:
    best = None
    if value is not None:
        best = Best(value=value, epoch=0, weights=None, buffers={})  # type: ignore[arg-type]
    return SimpleNamespace(
        **{"seed": seed, "best": best, "monitor": monitor, "epoch": epoch, "episodes": 10},
        **{"history": [], "best_epoch": 0},
    )


@pytest.mark.parametrize(
    ("monitor", "values", "winner"),
    [
        ("val_reward", (1.0, 3.0, 2.0), 1),
        ("val_loss", (1.0, 3.0, 0.5), 2),
        ("val_reward", (2.0, 2.0, 1.0), 0),
        ("val_loss", (None, 2.0, 2.0), 1),
    ],
)
def test_the_best_seed_is_the_first_with_the_best_monitor(
    monitor: str, values: Any, winner: int
) -> None:
    group = [state(seed, value, monitor=monitor) for seed, value in enumerate(values)]
    assert best_of(group) is group[winner]


def test_no_seed_is_best_where_none_was_judged() -> None:
    assert best_of([]) is best_of([state(0, None), state(1, None)]) is None


def test_a_group_is_as_far_as_its_furthest_seed_and_has_the_episodes_of_all() -> None:
    group = [state(0, 1.0, epoch=2), state(1, 3.0, epoch=5)]
    for each in group:
        each.history = [SimpleNamespace(phase="hisso")] * each.epoch
    figures = training_figures(group)
    assert (figures["epoch"], figures["episodes"], figures["monitor_value"]) == (5, 20, 2.0)
    assert [entry["epoch"] for entry in figures["per_seed"]] == [2, 5]


def test_a_single_seed_has_neither_list_nor_spread() -> None:
    figures = training_figures([state(0, 1.0)])
    assert not {"per_seed", "spread"} & set(figures)
