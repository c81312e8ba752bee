"""Series that do not fit their figures are found, and hostile archives do no harm."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trials
from event_simulator import simulate
from made_panels import walks
from made_tables import wide
from psann import PSANNRegressor
from psann._npz import npz_bytes, read_npz
from psann.run.config.load import load_run_config
from psann.run.directory.paths import RunPaths
from psann.run.reading.reading import read_run
from psann.run.reading.tables import result_table
from psann.run.verification.series import problems_of_evaluation
from psann.run.verification.verify import verify_run
from trials import finished, metrics_of

Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    names = "data.kwargs={names: [left, right]}"
    return finished(tmp_path_factory.mktemp("runs"), "training.epochs=1", names)


@pytest.fixture
def after(run: RunPaths, tmp_path: Path) -> Callable[..., list[str]]:
    """Problems of the run's series after a change."""

    def problems(change: Callable[[Arrays], object], *, is_over: bool = True) -> list[str]:
        arrays = dict(read_npz(run.evaluation).arrays)
        change(arrays)
        (tmp_path / "evaluation.npz").write_bytes(npz_bytes(arrays))
        return problems_of_evaluation(tmp_path / "evaluation.npz", metrics_of(run), is_over=is_over)

    return problems


def test_series_of_a_run_are_those_of_its_figures(run: RunPaths) -> None:
    metrics, arrays = metrics_of(run), read_npz(run.evaluation).arrays
    assert metrics["artefacts"]["evaluation.npz"]["bytes"] == run.evaluation.stat().st_size
    assert problems_of_evaluation(run.evaluation, metrics, is_over=True) == []
    assert verify_run(run.root).findings == ()
    names = ["policy", "policy_delay_1", *metrics["baselines"]]
    assert arrays["names"].tolist() == names
    assert arrays["net"].shape == arrays["gross"].shape == (len(names), 15)
    assert arrays["allocations"].shape == (15, 2)
    assert arrays["time"].tolist() == list(range(60, 75))
    assert arrays["assets"].tolist() == ["left", "right"]
    assert (arrays["net"][:, 0] == 1).all()
    for name, net in zip(names[2:], arrays["net"][2:], strict=True):
        assert net[-1] == 1 + metrics["baselines"][name]["cum_return"]


def test_a_repeated_run_writes_the_same_bytes(run: RunPaths, tmp_path: Path) -> None:
    again = finished(tmp_path, "training.epochs=1", "data.kwargs={names: [left, right]}")
    assert again.evaluation.read_bytes() == run.evaluation.read_bytes()


def test_a_changed_curve_is_found_once_the_run_is_over(after: Callable[..., list[str]]) -> None:
    def change(arrays: Arrays) -> None:
        arrays["net"] = arrays["net"].copy()
        arrays["net"][2, -1] *= 1.001

    (problem,) = after(change)
    assert problem.startswith("uniform ends at")
    assert after(change, is_over=False) == []


SEVERAL = ("policy", "seed_4", "seed_4_delay_1", "seed_5", "ensemble", "ensemble_delay_1")


@pytest.mark.parametrize("changed", SEVERAL)
def test_each_curve_of_several_seeds_ends_where_its_figures_say(
    tmp_path: Path, changed: str
) -> None:
    path, n_rows = tmp_path / "evaluation.npz", 3
    net = np.ones((len(SEVERAL), n_rows)) * np.arange(1.0, len(SEVERAL) + 1)[:, None]
    told = {name: {"cum_return": float(k)} for k, name in enumerate(SEVERAL)}

    def of(who: str) -> dict[str, Any]:
        delayed = told.get(f"{who}_delay_1")
        return {"portfolio_metrics": told[who], "portfolio_metrics_delay_1": delayed}

    per_seed = [{"seed": 4, **of("seed_4")}, {"seed": 5, **of("seed_5")}]
    figures = {**of("policy"), "per_seed": per_seed, "ensemble": of("ensemble")}
    arrays = {
        **{"names": np.array(SEVERAL), "net": net, "gross": net, "time": np.arange(3.0)},
        **{"allocations": np.ones((n_rows, 1)), "assets": np.array(["a"])},
    }
    path.write_bytes(npz_bytes(arrays))
    assert problems_of_evaluation(path, figures, is_over=True) == []
    net[SEVERAL.index(changed), -1] += 0.5
    path.write_bytes(npz_bytes(arrays))
    (problem,) = problems_of_evaluation(path, figures, is_over=True)
    assert problem.startswith(f"{changed} ends at ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("net"), "lacks net"),
        (lambda a: a.update(more=np.ones(2)), "unknown array 'more'"),
        (lambda a: a.update(time=np.arange(14.0)), r"time must have shape \(15,\)"),
        (lambda a: a.update(gross=a["gross"][:, :-1]), "gross must have shape"),
        (lambda a: a.update(names=np.arange(len(a["names"]))), "names has another shape or type"),
        (lambda a: a.update(names=a["names"][::-1]), "begin with 'policy'"),
        (lambda a: a.update(assets=np.array(["left"])), r"assets must have shape \(2,\)"),
        (
            lambda a: a.update(names=np.where(a["names"] == "uniform", "other", a["names"])),
            "has no series of uniform",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_told(
    after: Callable[..., list[str]], change: Callable[[Arrays], object], words: str
) -> None:
    (problem,) = after(change)
    assert re.search(words, problem), problem


def test_bytes_that_are_no_archive_are_told(run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "evaluation.npz").write_bytes(b"PK not really")
    (problem,) = problems_of_evaluation(tmp_path / "evaluation.npz", metrics_of(run), is_over=True)
    assert problem.startswith("it must be a readable .npz archive")


def test_runs_without_portfolio_figures_have_no_series(tmp_path: Path) -> None:
    paths = finished(tmp_path, "evaluation.portfolio_prices_key=null", "training.epochs=1")
    assert not paths.evaluation.exists()
    assert verify_run(paths.root).findings == ()


def test_allocations_beyond_a_limit_of_the_configuration_are_found(tmp_path: Path) -> None:
    limit = ("hisso.primary_transform=softmax_cash", "hisso.max_weight=0.3")
    limit += ("hisso.max_turnover=0.25",)
    paths = finished(tmp_path, "training.epochs=1", *limit)
    assert verify_run(paths.root).errors == ()
    assert metrics_of(paths)["portfolio_metrics"]["turnover_traded"] <= 0.25
    config, metrics = load_run_config(paths.config_resolved), metrics_of(paths)
    arrays = dict(read_npz(paths.evaluation).arrays)
    assert 0.2 < arrays["allocations"].max() <= np.float32(0.3)
    arrays["allocations"][4, 1] = 0.31
    (tmp_path / "evaluation.npz").write_bytes(npz_bytes(arrays))
    found = problems_of_evaluation(
        tmp_path / "evaluation.npz", metrics, is_over=True, config=config
    )
    assert found[0] == "has 0.31 in row 4 where hisso.max_weight is 0.3"


def test_an_evaluation_holds_a_policy_within_limits_of_its_own(tmp_path: Path) -> None:
    trained = finished(tmp_path, "training.epochs=3")
    free = read_npz(trained.evaluation).arrays["allocations"]
    assert free.max() > 0.55
    limits = ("mode=evaluate", f"init_from={trained.root}", "hisso.max_weight=0.52")
    judged = finished(tmp_path, *limits, name="judged")
    bound = read_npz(judged.evaluation).arrays["allocations"]
    np.testing.assert_allclose(bound, np.clip(free, 0.48, 0.52), atol=1e-6)
    assert verify_run(judged.root).errors == ()


def test_higher_costs_and_a_benchmark_are_shown_and_computed_again(tmp_path: Path) -> None:
    copies = {f"benchmark_{split}": f"y_{split}" for split in ("train", "val", "test")}
    odd = trials.trial(tmp_path, f"data.kwargs.copies={copies}", name="odd")
    assert "benchmark_test (test) must be more than 0" in odd.message
    assert "must be one column of prices; got 2" in odd.message
    paths = finished(tmp_path, "data.loader=trials.market_with_benchmark")
    metrics = metrics_of(paths)
    prices = trials.market()["prices_test"][:, 0]
    assert metrics["judged"]["benchmark"] == "left alone"
    whole = metrics["baselines"]["benchmark"]["cum_return"]
    assert whole == pytest.approx(0.999 * prices[-1] / prices[0] - 1)
    assert verify_run(paths.root).errors == ()
    metrics["portfolio_metrics_cost_3"]["annual_log_growth"] += 1e-4
    config = load_run_config(paths.config_resolved)
    found = problems_of_evaluation(paths.evaluation, metrics, is_over=True, config=config)
    assert [problem.split()[1] for problem in found] == [
        "portfolio_metrics_cost_3.annual_log_growth"
    ]


def test_a_cost_of_each_asset_is_charged_recorded_and_computed_again(tmp_path: Path) -> None:
    costs = ("hisso.transition_penalty=[0.001, 0.003]", "evaluation.trans_cost=[0.0, 0.004]")
    paths = finished(tmp_path, *costs)
    metrics, arrays = metrics_of(paths), read_npz(paths.evaluation).arrays
    assert (metrics["transition_penalty"], metrics["trans_cost"]) == (0.002, 0.002)
    assert verify_run(paths.root).errors == ()
    prices = trials.market()["prices_test"]
    kept = PSANNRegressor.load(paths.best)
    actions = kept.predict_actions(trials.market()["X_test"])
    wealth = simulate(actions, prices, trans_cost=[0.0, 0.004], initial="cash")
    np.testing.assert_allclose(arrays["net"][0], wealth, rtol=1e-10)
    wealth = simulate(actions, prices, trans_cost=[0.0, 0.012], initial="cash")
    assert metrics["portfolio_metrics_cost_3"]["final_wealth"] == pytest.approx(wealth[-1])
    refused = trials.trial(tmp_path, "evaluation.trans_cost=[0.1, 0.1, 0.1]", name="refused")
    assert "evaluation.trans_cost must be one number, or one for each of the 2" in refused.message


def test_rates_of_cash_and_shorts_are_those_of_the_broker_and_computed_again(
    tmp_path: Path,
) -> None:
    rates = ("evaluation.cash_rate=0.06", "evaluation.borrow_rate=0.2")
    paths = finished(tmp_path, "hisso.primary_transform=long_short", *rates)
    assert verify_run(paths.root).errors == ()
    actions = PSANNRegressor.load(paths.best).predict_actions(trials.market()["X_test"])
    assert (actions < 0).any()
    wealth = simulate(
        actions,
        trials.market()["prices_test"],
        trans_cost=0.001,
        initial="cash",
        cash_rate=0.06 / 252,
        borrow_rate=0.2 / 252,
    )
    arrays, metrics = read_npz(paths.evaluation).arrays, metrics_of(paths)
    np.testing.assert_allclose(arrays["net"][0], wealth, rtol=1e-10)
    excess = wealth[1:] / wealth[:-1] - 1 - 0.06 / 252
    sharpe = excess.mean() / excess.std(ddof=1)
    assert metrics["portfolio_metrics"]["sharpe"] == pytest.approx(sharpe, rel=1e-9)
    metrics["portfolio_metrics"]["sharpe"] += 0.01
    config = load_run_config(paths.config_resolved)
    (found,) = problems_of_evaluation(paths.evaluation, metrics, is_over=True, config=config)
    assert "portfolio_metrics.sharpe" in found


def test_the_turnover_of_assets_that_end_before_an_action_is_executed_is_found_again(
    tmp_path: Path,
) -> None:
    made = ("data.loader=psann.market.made.make_delisted", "data.kwargs={rows: 250, seed: 1}")
    trained = ("training.monitor=reward", "training.lr=0.1", "estimator.params.scaler=standard")
    paths = finished(tmp_path, *made, *trained, "hisso.delay=1", "training.seeds=2")
    assert verify_run(paths.root).findings == ()
    assert metrics_of(paths)["spread"]["ends"]["-1"]["policy"] > 0  # by move, read as it is written
    arrays = dict(read_npz(paths.evaluation).arrays)
    del arrays["active"]  # as if all could be held: the run tells other figures
    paths.evaluation.write_bytes(npz_bytes(arrays))
    config = load_run_config(paths.config_resolved)
    found = problems_of_evaluation(paths.evaluation, metrics_of(paths), is_over=True, config=config)
    assert found and all("portfolio_metrics.turnover" in problem for problem in found)


def test_the_turnover_of_weights_that_hardly_move_is_found_again_up_to_their_rounding(
    run: RunPaths, tmp_path: Path
) -> None:
    arrays, metrics = dict(read_npz(run.evaluation).arrays), metrics_of(run)
    left = 0.3 + 1e-6 * np.sin(np.arange(15.0))
    weights = np.stack([left, 1.0 - left], axis=1)
    arrays["allocations"] = weights.astype(np.float32)
    path = tmp_path / "evaluation.npz"
    path.write_bytes(npz_bytes(arrays))
    config = load_run_config(run.config_resolved)
    turnover = float(np.abs(np.diff(weights, axis=0)).sum(axis=1).mean())
    for told, n_problems in ((turnover, 0), (turnover + 2e-6, 1)):
        for multiple in ("", "_cost_2", "_cost_3"):
            metrics[f"portfolio_metrics{multiple}"]["turnover"] = told
        found = problems_of_evaluation(path, metrics, is_over=True, config=config)
        assert len(found) == n_problems


def test_a_column_of_a_table_stands_beside_the_policy_by_its_name(tmp_path: Path) -> None:
    table = wide(tmp_path / "p.csv", walks(160, 3).round(4))
    given = {"prices": str(table), "benchmark": "A1"}
    paths = finished(tmp_path, f"data={given}", "evaluation.walk_forward={folds: 2}")
    metrics = metrics_of(paths)
    assert verify_run(paths.root).errors == ()
    assert metrics["judged"]["benchmark"] == "A1"
    assert metrics["baselines"]["benchmark"].keys() == metrics["baselines"]["uniform"].keys()
    assert metrics["walk_forward"]["baselines"]["benchmark"]["turnover"] == 0
    result = result_table(read_run(paths.root))
    assert result is not None and result.rows[-1][0] == "benchmark A1"
