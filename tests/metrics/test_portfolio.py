"""Portfolio figures by hand, against other libraries, and what misuse is told."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from event_simulator import simulate
from psann.errors import DataError
from psann.metrics import (
    equity_curve,
    max_drawdown,
    mean_test,
    portfolio_metrics,
    sharpe_test,
    turnover,
    wealth_figures,
)

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "metrics_reference.json").read_text()
)
SERIES = REFERENCE["series"]
ALLOCATIONS = [[0.5, 0.5], [1, 0], [0.2, 0.8], [0.2, 0.8]]
PRICES = [[1, 1], [1.1, 0.9], [1, 1.2], [1.3, 1.1]]

KEYS = {
    "final_wealth",
    "cum_return",
    "log_return",
    "sharpe",
    "annual_sharpe",
    "sharpe_se",
    "annual_sharpe_se",
    "psr",
    "sharpe_se_hac",
    "annual_sharpe_se_hac",
    "psr_hac",
    "gross_cum_return",
    "gross_log_growth",
    "max_drawdown",
    "turnover",
    "turnover_traded",
    "annual_return",
    "annual_log_growth",
    "annual_volatility",
    "sortino",
    "calmar",
    "var_95",
    "cvar_95",
    "hit_rate",
    "n_steps",
    "cost_paid",
}


def metrics_of_returns(returns: list[float]) -> dict[str, float]:
    prices = np.cumprod([1.0, *(1 + np.array(returns))]).reshape(-1, 1)
    return portfolio_metrics(np.ones_like(prices), prices)


def market(rows: int = 60, assets: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    prices = np.exp(np.cumsum(rng.normal(0.001, 0.02, size=(rows, assets)), axis=0))
    return rng.dirichlet(np.ones(assets), size=rows), prices


# Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "initial", "curve", "sharpe"),
    [
        ("target_l1", "invested", [1, 0.99, 0.884160, 0.878266], -0.7234633),
        ("drift", "invested", [1, 1, 0.900909, 0.880585], -0.780754),
        ("drift", "cash", [1, 0.99, 0.891900, 0.871779], -0.910041),
    ],
)
def test_the_worked_example_gives_the_values_in_the_design(
    cost: str, initial: str, curve: list[float], sharpe: float
) -> None:
    options = {"trans_cost": 0.01, "cost": cost, "initial": initial}
    np.testing.assert_allclose(equity_curve(ALLOCATIONS, PRICES, **options), curve, atol=5e-7)
    assert portfolio_metrics(ALLOCATIONS, PRICES, **options)["sharpe"] == pytest.approx(
        sharpe, abs=5e-7
    )


def test_the_worked_example_gives_the_published_figures_with_target_cost() -> None:
    metrics = portfolio_metrics(ALLOCATIONS, PRICES, trans_cost=0.01, cost="target_l1")
    assert metrics["cum_return"] == pytest.approx(-0.1217344, abs=5e-8)
    assert metrics["log_return"] == pytest.approx(-0.1298063, abs=1e-7)
    assert metrics["max_drawdown"] == pytest.approx(-0.1217344, abs=5e-8)
    assert metrics["turnover"] == pytest.approx(0.8666667, abs=5e-8)
    assert metrics["cost_paid"] == pytest.approx(
        portfolio_metrics(ALLOCATIONS, PRICES)["log_return"] - metrics["log_return"], abs=1e-15
    )


# Our key -> the library's and its key; the hit rate and the growth of logarithms by formula.
ELSEWHERE = {
    "cum_return": ("empyrical", "total_return"),
    "annual_return": ("empyrical", "cagr"),
    "annual_volatility": ("empyrical", "annual_volatility"),
    "annual_sharpe": ("empyrical", "sharpe"),
    "sortino": ("empyrical", "sortino"),
    "max_drawdown": ("empyrical", "max_drawdown"),
    "calmar": ("empyrical", "calmar"),
    "var_95": ("empyrical", "value_at_risk_5"),
    "cvar_95": ("empyrical", "cvar_5"),
    "sharpe": ("skfolio_compounded_true", "sharpe_per_period"),
    "psr": ("skfolio_stat", "psr_vs_0"),
    "hit_rate": ("formula_numpy", "hit_rate_all"),
    "log_return": ("formula_numpy", "total_log_return"),
    "annual_log_growth": ("formula_numpy", "annual_log_growth_252"),
    "sharpe_se": ("formula_numpy", "sharpe_se_per_period"),
}


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_figure_equals_the_reference_library_where_both_define_it(key: str, series: str) -> None:
    library, name = ELSEWHERE[key]
    expected = SERIES[series]["outputs"][library][name]
    ours = metrics_of_returns(SERIES[series]["returns"])[key]
    if expected in (None, "inf"):
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_quantstats_and_ffn_agree_where_they_use_the_same_definition() -> None:
    ours = metrics_of_returns(SERIES["daily_t5_504"]["returns"])
    quantstats = SERIES["daily_t5_504"]["outputs"]["quantstats"]
    ffn = SERIES["daily_t5_504"]["outputs"]["ffn"]
    assert ours["cvar_95"] == pytest.approx(quantstats["cvar_95_historical"], rel=1e-10)
    assert ours["annual_return"] == pytest.approx(quantstats["cagr"], rel=1e-10)
    assert ours["annual_sharpe"] == pytest.approx(ffn["sharpe"], rel=1e-10)
    assert ours["sortino"] == pytest.approx(ffn["sortino"], rel=1e-10)


def test_the_probabilistic_sharpe_ratio_is_that_of_the_design() -> None:
    ours = metrics_of_returns(SERIES["daily_t5_504"]["returns"])
    assert ours["psr"] == pytest.approx(0.987854, abs=5e-7)


def test_figures_of_dependent_returns_stand_beside_those_of_independent_ones() -> None:
    returns = SERIES["daily_t5_504"]["returns"]
    ours, test = metrics_of_returns(returns), sharpe_test(returns)
    assert ours["sharpe_se_hac"] == pytest.approx(test.standard_error, rel=1e-9)
    assert ours["annual_sharpe_se_hac"] == ours["sharpe_se_hac"] * math.sqrt(252)
    assert ours["psr_hac"] == pytest.approx(mean_test(returns).probability_above(0), rel=1e-9)
    assert math.isnan(metrics_of_returns(returns[:11])["psr_hac"])


def test_turnover_against_drifted_weights_and_between_targets_are_told_apart() -> None:
    table = REFERENCE["turnover_and_costs"]
    prices = np.vstack([np.ones(3), np.cumprod(1 + np.array(table["asset_returns"]), axis=0)])
    targets = [*table["target_weights"], table["target_weights"][-1]]
    metrics = portfolio_metrics(targets, prices, initial="cash")
    expected = np.mean(table["turnover_L1_drift_aware_start_cash"])
    assert metrics["turnover_traded"] == pytest.approx(expected, rel=1e-12)
    assert metrics["turnover"] == turnover(targets) == pytest.approx(0.3)


# Invariants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", ["drift", "exact", "target_l1"])
def test_the_curve_equals_the_event_simulator(cost: str) -> None:
    allocations, prices = market(rows=400)
    options = {"trans_cost": 0.005, "cost": cost, "initial": "cash"}
    ours = equity_curve(allocations, prices, **options)
    np.testing.assert_allclose(ours, simulate(allocations, prices, **options), rtol=1e-10)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**20), scale=st.floats(1e-6, 1e6), cost=st.sampled_from(["drift", "exact"])
)
def test_scaling_prices_changes_nothing(seed: int, scale: float, cost: str) -> None:
    allocations, prices = market(seed=seed)
    options = {"trans_cost": 0.002, "cost": cost}
    plain = portfolio_metrics(allocations, prices, **options)
    scaled = portfolio_metrics(allocations, scale * prices, **options)
    assert scaled == pytest.approx(plain, rel=1e-9, abs=1e-12, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), rate=st.floats(0, 0.2))
def test_costs_never_pay_and_no_figure_is_infinite(seed: int, rate: float) -> None:
    allocations, prices = market(seed=seed, rows=2 + seed % 9)
    metrics = portfolio_metrics(allocations, prices, trans_cost=rate, initial="cash")
    assert set(metrics) == KEYS
    assert all(type(value) is float and not math.isinf(value) for value in metrics.values())
    assert metrics["cost_paid"] >= -1e-15
    assert -1 <= metrics["max_drawdown"] <= 0


def test_gross_figures_are_those_of_the_same_targets_without_costs() -> None:
    net = portfolio_metrics(*market(), trans_cost=0.01, initial="cash")
    free = portfolio_metrics(*market())
    assert net["gross_cum_return"] == pytest.approx(free["cum_return"], abs=1e-12)
    assert net["gross_log_growth"] == pytest.approx(free["annual_log_growth"], abs=1e-12)
    lost = net["gross_log_growth"] - net["annual_log_growth"]
    assert lost == pytest.approx(net["cost_paid"] * 252 / net["n_steps"], abs=1e-12)


def test_tensors_give_the_floats_of_arrays() -> None:
    allocations, prices = market()
    tensors = (torch.tensor(allocations, requires_grad=True), torch.tensor(prices))
    assert portfolio_metrics(*tensors) == portfolio_metrics(allocations, prices)
    narrow = portfolio_metrics(tensors[0].bfloat16(), tensors[1].float(), cash=True)
    assert narrow["cum_return"] == pytest.approx(
        portfolio_metrics(allocations, prices)["cum_return"], abs=0.05
    )


def test_arguments_are_left_as_they_were() -> None:
    allocations, prices = market()
    before = allocations.copy(), prices.copy()
    portfolio_metrics(allocations, prices, trans_cost=0.01, cost="target_l1", initial="cash")
    np.testing.assert_array_equal((allocations, prices), before)


def test_a_year_of_fewer_rows_raises_annual_figures_only_where_it_should() -> None:
    daily = portfolio_metrics(*market())
    weekly = portfolio_metrics(*market(), periods_per_year=63)
    assert weekly["annual_log_growth"] == pytest.approx(daily["annual_log_growth"] / 4)
    assert weekly["annual_volatility"] == pytest.approx(daily["annual_volatility"] / 2)
    assert weekly["sharpe"] == daily["sharpe"]


# Undefined ---------------------------------------------------------------------------------------


def test_figures_without_variance_or_drawdown_are_nan() -> None:
    metrics = metrics_of_returns([0.01] * 400)
    undefined = {name for name, value in metrics.items() if math.isnan(value)}
    assert undefined == {
        *("sharpe", "annual_sharpe", "sharpe_se", "annual_sharpe_se", "psr"),
        *("sharpe_se_hac", "annual_sharpe_se_hac", "psr_hac"),
        *("sortino", "calmar"),
    }


def test_rounding_in_flat_markets_is_not_taken_for_risk() -> None:
    allocations, _ = market(rows=3000, assets=7)
    metrics = portfolio_metrics(allocations, np.full((3000, 7), 0.3))
    assert metrics["annual_volatility"] == 0.0
    assert all(math.isnan(metrics[name]) for name in ("sharpe", "sortino", "calmar", "psr"))


def test_a_single_step_has_growth_but_no_spread() -> None:
    metrics = portfolio_metrics([[1.0], [1.0]], [[1.0], [1.1]], trans_cost=0.001, initial="cash")
    assert metrics["cum_return"] == pytest.approx(1.1 * 0.999 - 1)
    assert metrics["n_steps"] == 1
    assert math.isnan(metrics["sharpe"]) and math.isnan(metrics["annual_volatility"])


def test_growth_beyond_the_range_of_floats_is_nan_not_infinite() -> None:
    prices = np.array([[1.0], [1e200], [1e250], [1e300]])
    metrics = portfolio_metrics(np.ones((4, 1)), prices)
    assert math.isnan(metrics["annual_return"]) and math.isnan(metrics["sharpe"])
    assert metrics["cum_return"] == pytest.approx(1e300)
    # Each asset in turn grows by 1e300: a wealth of 1e600.
    prices = np.array([[1e-150, 1.0], [1e150, 1.0], [1e150, 1e300]])
    metrics = portfolio_metrics([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], prices)
    assert math.isnan(metrics["cum_return"]) and math.isnan(metrics["max_drawdown"])
    assert metrics["log_return"] == pytest.approx(600 * math.log(10))


def test_figures_keep_their_digits_near_total_loss_and_near_nothing() -> None:
    ruinous = metrics_of_returns([-0.9] * 252)
    assert ruinous["cum_return"] == -1.0
    assert ruinous["final_wealth"] == pytest.approx(1e-252, rel=1e-9)
    assert ruinous["annual_return"] == pytest.approx(-1.0)
    # A growth of 1e-18 per year, far below what 1 + growth can hold.
    flat = np.array([[1.0], [1.0], [1.0 + 2**-52]])
    tiny = portfolio_metrics(np.ones((3, 1)), flat, periods_per_year=2**-10)
    assert tiny["annual_return"] == pytest.approx(2**-63, rel=1e-9, abs=0)


def test_a_lost_wealth_is_reported_and_ends_the_figures() -> None:
    prices = np.array([[1.0], [1.1], [0.4], [0.8], [0.9]])
    with pytest.warns(RuntimeWarning, match="lost at row 2"):
        metrics = portfolio_metrics(np.full((5, 1), 3.0), prices, cash=True)
    assert metrics["cum_return"] == metrics["max_drawdown"] == metrics["annual_return"] == -1.0
    assert metrics["n_steps"] == 2
    assert math.isnan(metrics["log_return"]) and math.isnan(metrics["cost_paid"])
    undefined = {name for name, value in metrics.items() if math.isnan(value)}
    assert undefined == {
        *("log_return", "annual_log_growth", "gross_log_growth", "cost_paid", "sortino", "calmar"),
        *("sharpe", "annual_sharpe", "sharpe_se", "annual_sharpe_se", "psr"),
        *("sharpe_se_hac", "annual_sharpe_se_hac", "psr_hac"),
    }
    with pytest.warns(RuntimeWarning, match="lost at row 2"):
        curve = equity_curve(np.full((5, 1), 3.0), prices, cash=True)
    np.testing.assert_allclose(curve, [1.0, 1.3, 0.0, 0.0, 0.0])


def test_trading_after_the_loss_of_everything_does_not_count() -> None:
    prices = np.array([[1.0, 1.0], [0.4, 1.0], [0.4, 1.0], [0.4, 1.0]])
    allocations = [[3.0, 0.0], [0.0, 1.0], [5.0, 0.0], [0.0, 5.0]]
    with pytest.warns(RuntimeWarning, match="lost at row 1"):
        metrics = portfolio_metrics(allocations, prices, initial="cash", cash=True)
    assert metrics["turnover_traded"] == 3.0
    assert metrics["turnover"] == 4.0


def test_max_drawdown_looks_at_the_start_too() -> None:
    assert max_drawdown([1.0, 0.9, 1.2, 1.14]) == pytest.approx(-0.1)
    assert max_drawdown([1.0, 1.0, 2.0]) == 0.0


# Misuse ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wealth", [[0.0, 1.0], [1.0, -0.1], [[1.0]], [], [1.0, math.nan]])
def test_a_wealth_path_that_is_none_is_refused(wealth: list) -> None:
    with pytest.raises(DataError, match="`wealth` must"):
        max_drawdown(wealth)


def test_figures_of_wealth_are_the_same_in_any_money() -> None:
    net, gross = np.array([1.0, 1.1, 1.05, 1.3]), np.array([1.0, 1.12, 1.1, 1.4])
    terms = {"periods_per_year": 12, "trans_cost": 0.001, "cash_rate": [0.1, 0.2, 0.3, 0.4]}
    np.testing.assert_equal(
        wealth_figures(64 * net, 64 * gross, **terms), wealth_figures(net, gross, **terms)
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"net": [1.0, 1.1]},
            "must be paths of the same rows, at least 2; got shapes (2,) and (3,",
        ),
        ({"net": [1.0, 0.0, 1.0]}, "`net` must be above 0; got 0 as the lowest"),
        ({"gross": [1.0, math.nan, 1.0]}, "`gross` must be finite; got 1 missing"),
        ({"periods_per_year": 0}, "`periods_per_year` must be positive and finite; got 0"),
        ({"periods_per_year": "12"}, "`periods_per_year` must be a number; got '12'"),
        ({"trans_cost": -1}, "`trans_cost` must be at least 0 and below 1; got -1"),
        ({"cash_rate": "x"}, "`cash_rate` must be a number; got 'x'"),
        ({"cash_rate": [0.1]}, "one for each of the 3 rows; got shape (1,)"),
    ],
)
def test_wealth_without_figures_is_refused(wrong: dict[str, Any], said: str) -> None:
    path = [1.0, 1.1, 1.2]
    given = {"net": path, "gross": path, "periods_per_year": 12, "trans_cost": 0.0, **wrong}
    with pytest.raises(DataError, match=re.escape(said)):
        wealth_figures(**given)


def test_turnover_of_what_is_no_table_of_targets_is_refused() -> None:
    with pytest.raises(DataError, match="`allocations` must have shape"):
        turnover([1.0, 2.0])


def test_importing_the_metrics_imports_no_heavy_library() -> None:
    code = (
        "import sys, psann.metrics, psann.baselines; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'scipy', 'sklearn', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cash_earns_its_rate_shorts_pay_theirs_and_sharpe_is_of_what_is_beyond_cash() -> None:
    # Half in cash at 1 % per row; then 0.4 short at 2 % per row, and 1.2 in cash.
    prices = np.array([[1.0, 1.0], [1.1, 1.0], [1.1, 1.2]])
    actions = np.array([[0.5, 0.0], [0.2, -0.4], [0.0, 0.0]])
    rates = {"cash_rate": 0.12, "borrow_rate": 0.24, "periods_per_year": 12}
    metrics = portfolio_metrics(actions, prices, cash=True, **rates)
    first, second = 0.55 + 0.5 * 1.01, 0.2 - 0.48 + 1.2 * 1.01 - 0.4 * 0.02
    assert metrics["final_wealth"] == pytest.approx(first * second, rel=1e-14)
    curve = equity_curve(actions, prices, cash=True, **rates)
    assert curve.tolist() == pytest.approx([1.0, first, first * second], rel=1e-14)
    limited = equity_curve(actions, prices, cash=True, initial="cash", max_turnover=0.1)
    assert limited[1] == pytest.approx(1 + 0.1 * 0.1, rel=1e-14)
    excess = np.array([first, second]) - 1.01
    assert metrics["sharpe"] == pytest.approx(excess.mean() / excess.std(ddof=1), rel=1e-12)
    assert metrics["annual_volatility"] == pytest.approx(excess.std(ddof=1) * 12**0.5)
    assert metrics["gross_cum_return"] == pytest.approx(first * second - 1)
    nothing = portfolio_metrics(np.zeros((30, 1)), np.ones((30, 1)), cash=True, cash_rate=0.05)
    assert nothing["annual_return"] == pytest.approx((1 + 0.05 / 252) ** 252 - 1)
    assert np.isnan(nothing["sharpe"])
