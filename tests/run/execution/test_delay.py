"""Runs whose actions are executed late: trained, judged, verified, resumed, and gone on from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trials
from faults import stopped_after
from psann._npz import read_npz
from psann.estimators.dense import PSANNRegressor
from psann.evaluation.judgement import Terms, excess_growth, judge, judge_baselines, judge_policy
from psann.evaluation.placebo import shuffled_order, shuffled_prices
from psann.run.directory.paths import RunPaths
from psann.run.execution.runner import check
from psann.run.reading.reading import read_run
from psann.run.reading.sentences import result_sentences
from psann.run.reading.tables import result_table
from psann.run.verification.verify import verify_run
from thinning import thinned
from trials import bit_differences, change_record, finished, metrics_of, request_of, trial

LATE = "hisso.delay=2"
TERMS = Terms(trans_cost=0.001, initial="cash", delay=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("runs"), LATE, "hisso.temperature_scaling=true")


def test_a_run_is_judged_at_its_own_delay_one_row_later_and_earlier(run: RunPaths) -> None:
    metrics, data = metrics_of(run), trials.market()
    policy = PSANNRegressor.load(run.best)
    assert policy.hisso_options_.delay == metrics["delay"] == 2
    actions = policy.predict_actions(data["X_test"])
    verdict = judge_policy(actions, data["prices_test"], terms=TERMS)
    shown = {"": verdict.judgement, "_delay_1": verdict.delay_1, "_advance_1": verdict.advance_1}
    for when, judged in shown.items():
        assert judged is not None
        told = metrics[f"portfolio_metrics{when}"]
        assert told["annual_log_growth"] == judged.figures["annual_log_growth"]
        assert metrics[f"versus_uniform{when}"]["n_steps"] == judged.figures["n_steps"]
    assert metrics["portfolio_metrics"]["n_steps"] == 15 - 1 - 2
    own = policy.evaluate_reward(data["X_val"], data["prices_val"])
    assert metrics["val_reward_mean"] == own


def test_baselines_are_executed_late_too(run: RunPaths) -> None:
    data = trials.market()
    earlier = [data["prices_train"], data["prices_val"]]
    judged = judge_baselines(data["prices_test"], terms=TERMS, earlier=earlier)
    told = metrics_of(run)["baselines"]
    assert told.keys() == judged.keys()
    for name, figures in told.items():
        assert figures["cum_return"] == pytest.approx(judged[name].figures["cum_return"], abs=1e-12)


def test_the_series_keep_allocations_by_the_row_on_which_they_were_decided(run: RunPaths) -> None:
    series, data = read_npz(run.evaluation).arrays, trials.market()
    actions = PSANNRegressor.load(run.best).predict_actions(data["X_test"])
    np.testing.assert_array_equal(series["allocations"], actions.astype(np.float32))
    names = series["names"].tolist()
    assert names[:3] == ["policy", "policy_delay_1", "policy_advance_1"]
    assert (series["net"][:, :3] == 1).all(axis=1).tolist() == [
        name != "policy_advance_1" for name in names
    ]
    late = judge(actions, data["prices_test"], terms=TERMS)
    np.testing.assert_array_equal(series["net"][0], late.net)


def test_every_figure_of_a_late_run_is_computed_again(run: RunPaths, tmp_path: Path) -> None:
    assert verify_run(run.root).findings == ()
    other = RunPaths(shutil.copytree(run.root, tmp_path / "run"))
    for when in ("", "_delay_1", "_advance_1"):
        told = metrics_of(other)
        figures = {**told[f"portfolio_metrics{when}"], "annual_volatility": 0.5}
        change_record(other, **{f"portfolio_metrics{when}": figures})
        problems = [str(finding) for finding in verify_run(other.root).errors]
        assert any(f"portfolio_metrics{when}.annual_volatility" in each for each in problems)
        change_record(other, **{f"portfolio_metrics{when}": told[f"portfolio_metrics{when}"]})
    change_record(other, delay=1)
    assert any("delay is 1, not 2" in str(each) for each in verify_run(other.root).errors)


def test_the_closing_table_names_the_delay_and_the_rows_around_it(run: RunPaths) -> None:
    table = result_table(read_run(run.root))
    assert table is not None
    names = [row[0] for row in table.rows]
    assert names[:3] == ["policy, 2 rows late", "policy, one row earlier", "policy, one row later"]


def test_an_edge_that_the_next_row_ends_is_called_short_lived(run: RunPaths) -> None:
    record = dict(metrics_of(run))
    for name, growth in (("portfolio_metrics", 0.5), ("portfolio_metrics_delay_1", 0.1)):
        record[name] = {**record[name], "annual_log_growth": growth}
    uniform = {**record["baselines"]["uniform"], "annual_log_growth": 0.2}
    record["baselines"] = {**record["baselines"], "uniform": uniform}
    record["versus_uniform"] = {**record["versus_uniform"], "is_distinguishable": True}
    (sentence,) = [each for each in result_sentences(record) if "edge" in each]  # type: ignore[arg-type]
    assert sentence.startswith("The edge is short-lived: executed one row later still")
    record["delay"] = 0
    assert "very price" in " ".join(result_sentences(record))  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", thinned([4, 2]))
def test_a_late_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path, moment: int) -> None:
    settings = (LATE, "training.seeds=2", "hisso.refit=true", "hisso.min_significance=0.1")
    whole = finished(tmp_path, *settings, name="whole")
    with stopped_after(moment):
        assert trial(tmp_path, *settings, name="cut").exit_code == 143
    finished(tmp_path, *settings, name="cut", resume=True)
    cut = RunPaths(tmp_path / "out" / "cut")
    assert bit_differences(whole, cut) == []
    assert metrics_of(cut)["resume_exact"] is True
    assert verify_run(cut.root).findings == ()


def test_folds_and_placebos_are_executed_late_too(tmp_path: Path) -> None:
    studies = ("evaluation.walk_forward={folds: 2, gap: 1}", "evaluation.placebo=1")
    paths = finished(tmp_path, LATE, "data.loader=trials.continuous", *studies)
    data, metrics = trials.continuous(), metrics_of(paths)
    folds = metrics["walk_forward"]["folds"]
    X, prices = (
        np.concatenate([data[f"{kind}_{name}"] for name in ("train", "val", "test")])
        for kind in ("X", "prices")
    )
    actions = [
        PSANNRegressor.load(paths.study(f"fold_{fold['fold']:03d}")).predict_actions(
            X[slice(*fold["judged"])]
        )
        for fold in folds
    ]
    judged = judge_policy(np.concatenate(actions), prices[folds[0]["judged"][0] :], terms=TERMS)
    told = metrics["walk_forward"]
    assert told["portfolio_metrics"] == pytest.approx(judged.judgement.figures, nan_ok=True)
    assert told["versus_uniform_advance_1"]["growth"] == pytest.approx(
        judged.versus_uniform_advance_1.growth  # type: ignore[union-attr]
    )
    policy = PSANNRegressor.load(paths.study("placebo_001"))
    order = shuffled_order(15, seed=42, number=1, span="test")
    shuffled = shuffled_prices(data["prices_test"], order)
    growth = excess_growth(policy.predict_actions(data["X_test"]), shuffled, terms=TERMS)
    assert metrics["placebo"]["growths"] == [pytest.approx(growth)]
    assert verify_run(paths.root).findings == ()


@pytest.mark.parametrize("mode", ["fine_tune", "evaluate"])
def test_a_policy_is_gone_on_from_at_the_delay_that_it_was_trained_for(
    run: RunPaths, tmp_path: Path, mode: str
) -> None:
    given = {"mode": mode, "init_from": str(run.root)}
    outcome = trial(tmp_path, **given)
    assert outcome.exit_code == 1
    assert "was trained to be executed 2 rows late; write that" in str(outcome.message)
    child = finished(tmp_path, LATE, name="child", **given)
    assert metrics_of(child)["delay"] == 2
    if mode == "evaluate":
        assert metrics_of(child)["portfolio_metrics"] == metrics_of(run)["portfolio_metrics"]
    assert verify_run(child.root).findings == ()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("hisso.delay=34",), r"X_train \(training\) must have at least 41 rows"),
        (("hisso.delay=14",), r"X_test \(test\) must have at least 16 rows \(a move needs two"),
        (
            ("hisso.delay=8", "evaluation.walk_forward={folds: 2, validation: 9}"),
            r"walk_forward\.validation must give at least 10 rows, hisso\.delay and a move; got 9",
        ),
    ],
)
def test_rows_that_are_too_few_for_the_delay_are_told_by_the_check(
    tmp_path: Path, settings: Any, told: str
) -> None:
    outcome = check(request_of(tmp_path, "data.loader=trials.continuous", *settings))
    assert outcome.exit_code == 1 and outcome.message is not None
    assert re.search(told, outcome.message), outcome.message
