"""Runs of one network for every asset: three-dimensional features, and other assets later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import trials
from event_simulator import simulate
from faults import stopped_after
from made_panels import holey
from made_tables import wide
from psann import AssetwiseRegressor
from psann._npz import npz_bytes, read_npz
from psann.holdings import ENDED, HALTED, MEMBER
from psann.market import load_prices
from psann.run.directory.paths import RunPaths
from psann.run.execution.runner import check
from psann.run.verification.verify import verify_run
from psann.scripts.hisso_runs import main
from trials import bit_differences, finished, metrics_of, request_of, trial, write_config

TARGET = {"target": "psann.AssetwiseRegressor"}
SHARED = (
    f"estimator={{{', '.join(f'{k}: {v}' for k, v in TARGET.items())}}}",
    "data.loader=trials.by_asset",
    "hisso.delay=1",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    names = "data.kwargs={names: [A, B, C]}"
    return finished(tmp_path_factory.mktemp("runs"), *SHARED, names, name="parent")


def test_features_of_each_asset_are_trained_on_judged_and_verified(run: RunPaths) -> None:
    metrics, data = metrics_of(run), trials.by_asset()
    assert metrics["best_epoch"] > 0
    policy = AssetwiseRegressor.load(run.best)
    assert policy.input_shape_ == (3, 2)
    actions = policy.predict_actions(data["X_test"])
    series = read_npz(run.evaluation).arrays
    np.testing.assert_array_equal(series["allocations"], actions.astype(np.float32))
    assert verify_run(run.root).findings == ()


def test_the_check_tells_the_shape_and_the_few_weights(tmp_path: Path) -> None:
    outcome = check(request_of(tmp_path, *SHARED))
    assert outcome.exit_code == 0 and outcome.plan is not None
    plan = str(outcome.plan)
    assert "X (40, 3, 2)" in plan and "AssetwiseRegressor, 2 parameters" in plan
    flat = check(request_of(tmp_path, SHARED[0]))
    assert flat.exit_code == 1
    assert "as many features for each of the 2 assets; it has 3 columns" in str(flat.message)


def test_an_archive_of_such_features_gives_the_run_that_its_loader_gives(
    run: RunPaths, tmp_path: Path
) -> None:
    (tmp_path / "data.npz").write_bytes(npz_bytes(trials.by_asset(names=["A", "B", "C"])))
    content = {**trials.CONFIG, "estimator": TARGET, "data": {"npz": "data.npz"}}
    config = write_config(tmp_path, content)
    again = finished(tmp_path, "hisso.delay=1", config=config)
    assert again.best.read_bytes() == run.best.read_bytes()
    assert metrics_of(again)["portfolio_metrics"] == metrics_of(run)["portfolio_metrics"]


def test_a_table_of_prices_with_halts_and_ends_is_traded_late(tmp_path: Path) -> None:
    wide(tmp_path / "p.csv", holey(320, 4, seed=5).round(4))
    data = {
        "prices": "p.csv",
        "features": "assetwise",
        "ended": {"default": -0.3},
        "rows": 0.01,
    }
    content = {**trials.CONFIG, "estimator": TARGET, "data": data}
    config = write_config(tmp_path, content)
    paths = finished(tmp_path, "hisso.delay=1", "hisso.refit=true", config=config)
    assert verify_run(paths.root).errors == ()
    loaded = load_prices(tmp_path / "p.csv", **{k: v for k, v in data.items() if k != "prices"})
    assert (loaded["active_test"] != MEMBER).any()
    series = read_npz(paths.evaluation).arrays
    # By the row on which they were decided: nothing is asked for who was no member there.
    assert not series["allocations"][loaded["active_test"] != MEMBER].any()
    wealth = simulate(
        series["allocations"].astype(np.float64),
        loaded["prices_test"],
        trans_cost=0.001,
        initial="cash",
        halted=loaded["active_test"] == HALTED,
        ended=loaded["active_test"] == ENDED,
        delay=1,
        members=loaded["active_test"] == MEMBER,
    )
    np.testing.assert_allclose(series["net"][0], wealth, rtol=1e-5)


def test_such_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    settings = (*SHARED, "training.seeds=2")
    whole = finished(tmp_path, *settings, name="whole")
    with stopped_after(3):
        assert trial(tmp_path, *settings, name="cut").exit_code == 143
    finished(tmp_path, *settings, name="cut", resume=True)
    assert bit_differences(whole, RunPaths(tmp_path / "out" / "cut")) == []


def test_such_a_run_is_reported_and_a_torn_copy_is_found(run: RunPaths, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["report", str(run.root), "-o", str(page)]) == 0
    assert "policy, 1 row late" in page.read_text()
    torn = finished(tmp_path, *SHARED, name="torn")
    for path in (torn.best, torn.evaluation):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert verify_run(torn.root).errors
        path.write_bytes(content)
    assert verify_run(torn.root).errors == ()


@pytest.mark.parametrize(
    "kwargs", ["{assets: 5}", "{assets: 2, names: [D, E]}", "{names: [D, E, F], seed: 3}"]
)
def test_a_policy_is_evaluated_on_other_assets_and_on_another_number_of_them(
    run: RunPaths, tmp_path: Path, kwargs: str
) -> None:
    given: Any = {"mode": "evaluate", "init_from": str(run.root)}
    child = finished(tmp_path, *SHARED, f"data.kwargs={kwargs}", **given)
    data = trials.by_asset(**yaml.safe_load(kwargs))
    policy = AssetwiseRegressor.load(run.best)
    actions = policy.predict_actions(data["X_test"])
    series = read_npz(child.evaluation).arrays
    np.testing.assert_array_equal(series["allocations"], actions.astype(np.float32))
    assert verify_run(child.root).findings == ()


def test_a_policy_is_fine_tuned_on_another_number_of_assets(run: RunPaths, tmp_path: Path) -> None:
    given: Any = {"mode": "fine_tune", "init_from": str(run.root)}
    tiny = ("training.epochs=1", "training.lr=1e-12", "data.kwargs={assets: 5}")
    child = finished(tmp_path, *SHARED, *tiny, **given)
    ours, theirs = (AssetwiseRegressor.load(each.best) for each in (child, run))
    assert (ours.n_outputs_, ours.input_shape_, ours.asset_names_) == (5, (5, 2), None)
    X = trials.by_asset(assets=5)["X_test"]
    np.testing.assert_allclose(ours.predict_actions(X), theirs.predict_actions(X), atol=1e-7)
    assert verify_run(child.root).findings == ()


def test_other_features_of_an_asset_are_refused(run: RunPaths, tmp_path: Path) -> None:
    given: Any = {"mode": "evaluate", "init_from": str(run.root)}
    outcome = trial(tmp_path, *SHARED, "data.kwargs={assets: 5, features: 3}", **given)
    assert outcome.exit_code == 1
    assert "features of an asset 2 in init_from, 3 in the data" in str(outcome.message)


def test_networks_of_each_asset_refuse_other_assets_as_ever(tmp_path: Path) -> None:
    parent = finished(tmp_path, "data.kwargs={names: [A, B]}", name="parent")
    given: Any = {"mode": "evaluate", "init_from": str(parent.root)}
    wider = trial(tmp_path, "data.kwargs={assets: 3}", **given)
    assert "columns of prices 2 in init_from, 3 in the data" in str(wider.message)
    other = trial(tmp_path, "data.kwargs={names: [C, D]}", **given)
    assert "init_from holds A, B; asset_names are C, D" in str(other.message)
