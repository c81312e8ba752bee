"""Before training: data are read, checked against their use, and told of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trials
from faults import stopped_after
from psann._npz import read_npz
from psann.estimators.dense import PSANNRegressor
from psann.run.config.load import load_run_config
from psann.run.config.targets import check_targets
from psann.run.directory.resume_state import RunIdentity
from psann.run.execution import setup
from psann.run.execution.resume import run_identity
from psann.run.execution.setup import read_data, training_rows
from trials import finished, metrics_of, rows_of, trial, write_config


def test_a_run_says_what_it_loads_and_how_much(tmp_path: Path) -> None:
    rows = rows_of(finished(tmp_path, "training.epochs=1"))
    said = [row["message"] for row in rows if row["level"] == "INFO"]
    # What may be silent for long is named before it begins.
    silent = ["loading torch and scikit-learn", "loading data: trials.market"]
    silent.append("judging: backtest, baselines, intervals")
    assert [message for message in said if message.startswith(("loading", "judging"))] == silent
    (told,) = (message for message in said if message.startswith("rows: "))
    extent, untested = told.split(". ", 1)
    assert extent == "rows: 40 train, 20 val, 15 test; 3 features; 2 assets"
    assert untested.startswith("Not tested: whether features know the next move")


def test_prices_that_nothing_hangs_on_are_not_doubted(tmp_path: Path) -> None:
    given = ("training.epochs=1", "data={loader: trials.rebound}")
    assert "more than a factor of 10" in str(metrics_of(finished(tmp_path, *given))["doubts"])
    paths = finished(tmp_path, *given, "hisso={enabled: false}", name="on_targets")
    assert metrics_of(paths)["doubts"] == []
    (told,) = (r["message"] for r in rows_of(paths, "data") if r["message"].startswith("rows: "))
    assert "3 features; 2 targets. Not tested: whether features know what later rows bring" in told


@pytest.mark.usefixtures("own_prices")
def test_targets_that_were_made_of_prices_hang_on_them(tmp_path: Path) -> None:
    table = Path("prices.csv").absolute()
    data = f"data={{prices: '{table}', split: {{val: 0.2, test: 0.2}}}}"
    paths = finished(tmp_path, "training.epochs=1", "hisso={enabled: false}", data)
    (told,) = (r["message"] for r in rows_of(paths, "data") if r["message"].startswith("rows: "))
    assert "whether features know" not in told


@pytest.mark.usefixtures("own_prices")
def test_a_table_that_is_loaded_is_named(tmp_path: Path) -> None:
    table = Path("prices.csv").absolute()
    data = f"data={{prices: '{table}', split: {{val: 0.2, test: 0.2}}}}"
    rows = rows_of(finished(tmp_path, "training.epochs=1", data))
    assert "loading data: prices.csv" in [row["message"] for row in rows]


@pytest.mark.parametrize("mode", ["train", "evaluate"])
def test_rows_with_dates_are_told_with_them_in_log_series_and_record(
    tmp_path: Path, mode: str
) -> None:
    dated = "data={loader: trials.dated}"
    paths = finished(tmp_path, "training.epochs=1", dated)
    if mode == "evaluate":
        paths = finished(tmp_path, dated, name="again", mode=mode, init_from=str(paths.root))
    (told,) = (r["message"] for r in rows_of(paths, "data") if r["message"].startswith("rows: "))
    assert "40 train (2020-01-01 ... 2020-02-09), 20 val (2020-02-10" in told
    judged = {"split": "test", "n_rows": 15, "first": "2020-03-01", "last": "2020-03-15"}
    assert metrics_of(paths)["judged"] == judged
    series = read_npz(paths.evaluation).arrays
    assert series["time"][0] == np.datetime64("2020-03-01")
    assert series["assets"].tolist() == ["up", "down"]
    kept = tmp_path / "out/run/checkpoints/best.safetensors"
    assert PSANNRegressor.load(kept).asset_names_ == ("up", "down")


def test_a_parent_of_other_assets_is_refused_with_both_sides(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", "data={loader: trials.dated}")
    other = "data={loader: trials.dated, kwargs: {names: [down, up]}}"
    outcome = trial(tmp_path, other, name="child", mode="evaluate", init_from=str(parent.root))
    assert outcome.exit_code == 1
    assert "init_from holds up, down; asset_names are down, up" in str(outcome.message)
    # The cure: the same assets in the same order.
    assert finished(
        tmp_path,
        "data={loader: trials.dated}",
        name="cured",
        mode="evaluate",
        init_from=str(parent.root),
    )


def test_a_run_from_a_mapped_archive_is_the_run_from_memory(tmp_path: Path) -> None:
    import numpy

    numpy.savez(tmp_path / "market.npz", **trials.market())
    source = f"data={{npz: {tmp_path / 'market.npz'}"
    params = "estimator.params.scaler=standard"
    mapped, read = (
        finished(tmp_path, f"{source}, mmap: {mmap}}}", params, name=mmap)
        for mmap in ("true", "false")
    )
    assert mapped.best.read_bytes() == read.best.read_bytes()
    assert any("read as needed from disk: X_" in row["message"] for row in rows_of(mapped, "data"))
    figures = [metrics_of(paths) for paths in (mapped, read)]
    for name in ("config_sha256", "data_sha256", "portfolio_metrics", "test_reward_mean"):
        assert figures[0][name] == figures[1][name]


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
    told = {kind for kind, array in rows["validation_data"].items() if array is not None}
    assert told == {"X", "y", "prices", "reward_inputs"} and rows["reward_inputs"] == {}
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


def test_a_run_that_was_once_resumed_elsewhere_stays_inexact_and_says_each_reason_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: dict[str, Any] = {}

    def somewhere(*of: Any, **facts: Any) -> RunIdentity:
        identity = run_identity(*of, **facts)
        return replace(identity, environment={**identity.environment, **here})

    monkeypatch.setattr("psann.run.execution.resume.run_identity", somewhere)
    for threads in (1, 2, 1, 2):
        here["threads"] = threads
        with stopped_after(1):
            assert trial(tmp_path, resume=True).exit_code == 143
    metrics = metrics_of(finished(tmp_path, resume=True))
    assert (metrics["resumes"], metrics["resume_exact"]) == (4, False)
    assert metrics["resume_differences"] == ["threads was 1 and is 2", "threads was 2 and is 1"]


@pytest.mark.parametrize(
    ("hisso", "is_warned"),
    [
        ("reward: 'user_rewards:mean_first', primary_transform: tanh", True),
        ("reward: 'user_rewards:mean_first', primary_transform: tanh, n_actions: 2", False),
        ("reward: portfolio, primary_transform: tanh", False),
        ("reward: 'user_rewards:mean_first', primary_transform: softmax", False),
    ],
)
def test_actions_that_may_be_no_weights_are_said_to_be_judged_as_such(
    tmp_path: Path, hisso: str, is_warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [f"hisso={{window: 8, {hisso}}}"]
    config = load_run_config(write_config(tmp_path), overrides=overrides)
    said: list[str] = []
    monkeypatch.setattr(setup, "log_event", lambda *args: said.append(args[3]))
    read_data(config, check_targets(config))
    told = "actions are judged as weights of assets, by prices_test; if they are none, give"
    assert any(message.startswith(told) for message in said) is is_warned
