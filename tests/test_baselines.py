"""Baselines against the reference wealths of the literature's data sets, and their invariants."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from made_panels import holey, panel_of
from psann.accounting import net_growth
from psann.baselines import (
    BASELINES,
    _interior_optimum,
    bcrp,
    best_asset,
    buy_and_hold,
    eg,
    olmar,
    pamr,
    uniform,
)
from psann.datasets import load_olps_prices
from psann.errors import DataError
from psann.holdings import MEMBER, codes_of
from psann.metrics import portfolio_metrics
from thinning import slow

REFERENCE = json.loads((Path(__file__).parent / "reference" / "olps_reference.json").read_text())
STRATEGIES = {
    "BAH": buy_and_hold,
    "UCRP": uniform,
    "BCRP_hindsight": lambda prices: bcrp(prices, fitted_on=prices),
    "EG_0.05": eg,
    "PAMR_0.5": pamr,
    "OLMAR1_10_5": olmar,
}
ALL = BASELINES | {
    "bcrp": lambda prices: bcrp(prices, fitted_on=prices[:30]),
    "best_asset": lambda prices: best_asset(prices, fitted_on=prices[:30]),
}


olps_prices = cache(load_olps_prices)


def market(rows: int = 60, assets: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 50 * np.exp(np.cumsum(rng.normal(0, 0.03, size=(rows, assets)), axis=0))


def wealth(allocations: np.ndarray, prices: np.ndarray, basis_points: float = 0.0) -> float:
    metrics = portfolio_metrics(allocations, prices, trans_cost=basis_points / 1e4, initial="cash")
    return metrics["cum_return"] + 1


# The longest of the sets takes two thirds of the time.
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["msci", "sp500", slow("nyse_o")])
def test_the_final_wealth_equals_the_reference_at_every_cost(name: str, strategy: str) -> None:
    prices = olps_prices(name)
    allocations = STRATEGIES[strategy](prices)
    expected = REFERENCE["sets"][name]["own"][strategy]
    for basis_points in (0, 5, 10, 25, 50):
        assert wealth(allocations, prices, basis_points) == pytest.approx(
            expected[f"{basis_points}bp"], rel=1e-6
        )
    gross = portfolio_metrics(allocations, prices)
    assert gross["annual_sharpe"] == pytest.approx(expected["sharpe_0bp"], rel=1e-6)
    assert gross["max_drawdown"] == pytest.approx(expected["mdd_0bp"], rel=1e-6)


@pytest.mark.parametrize("name", REFERENCE["sets"])
def test_the_best_asset_in_hindsight_is_the_best_stock_of_the_reference(name: str) -> None:
    prices = olps_prices(name)
    hindsight = best_asset(prices, fitted_on=prices)
    assert wealth(hindsight, prices) == pytest.approx(
        REFERENCE["sets"][name]["best_stock"], rel=1e-10
    )


@pytest.mark.parametrize("name", ALL)
def test_weights_are_not_negative_and_sum_to_one(name: str) -> None:
    prices = market()
    weights = ALL[name](prices)
    assert weights.shape == prices.shape
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_permuting_assets_permutes_weights_and_leaves_wealth_unchanged(name: str) -> None:
    prices = market()
    order = np.random.default_rng(1).permutation(prices.shape[1])
    straight, permuted = ALL[name](prices), ALL[name](prices[:, order])
    np.testing.assert_allclose(permuted, straight[:, order], rtol=0, atol=1e-9)
    assert wealth(permuted, prices[:, order], 10) == pytest.approx(
        wealth(straight, prices, 10), rel=1e-9
    )


@pytest.mark.parametrize("name", ALL)
def test_scaling_each_price_changes_nothing(name: str) -> None:
    prices = market()
    scaled = prices * np.array([1e-3, 1.0, 7.0, 1e3, 0.2])
    np.testing.assert_allclose(ALL[name](scaled), ALL[name](prices), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_later_prices_never_change_earlier_weights(name: str) -> None:
    prices = market()
    for row in (1, 5, 6, 7, 40):
        # The span that a baseline is fitted on is earlier: the first 30 rows.
        if name in BASELINES or row >= 30:
            other = prices.copy()
            other[row + 1 :] = market(rows=70)[11 + row :] ** 2
            expected = ALL[name](prices)[: row + 1]
            np.testing.assert_array_equal(ALL[name](other)[: row + 1], expected)
            np.testing.assert_array_equal(ALL[name](prices[: row + 1]), expected)


@pytest.mark.parametrize("name", ALL)
def test_prices_are_left_as_they_were(name: str) -> None:
    prices = market()
    ALL[name](prices)
    np.testing.assert_array_equal(prices, market())


@pytest.mark.parametrize("name", ALL)
def test_assets_that_move_as_one_are_held_in_equal_parts(name: str) -> None:
    together = np.repeat(market(assets=1), 4, axis=1)
    if name != "best_asset":
        np.testing.assert_allclose(ALL[name](together), 0.25, rtol=1e-12)


def test_buying_and_holding_never_trades_after_the_first_purchase() -> None:
    prices = market()
    metrics = portfolio_metrics(buy_and_hold(prices), prices, initial="cash")
    assert metrics["turnover_traded"] == pytest.approx(1 / 59, rel=1e-12)


def test_the_best_constant_portfolio_of_a_seesaw_holds_both_halves() -> None:
    # One asset doubles and halves, the other is cash: Cover's example, half and half.
    seesaw = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(bcrp(seesaw, fitted_on=seesaw), 0.5, rtol=1e-6)


def test_the_best_constant_portfolio_beats_every_other_on_its_span() -> None:
    prices = market(rows=200, assets=6)
    best = wealth(bcrp(prices, fitted_on=prices), prices)
    others = np.random.default_rng(2).dirichlet(np.full(6, 0.4), size=300)
    for weights in [*others, *np.eye(6)]:
        assert wealth(np.tile(weights, (200, 1)), prices) <= best * (1 + 1e-10)


@pytest.mark.parametrize("spread", [1e-4, 0.02, 1.0, 10.0])
@pytest.mark.parametrize("rows", [2, 3, 50])
def test_the_best_constant_portfolio_meets_its_optimality_conditions(
    rows: int, spread: float
) -> None:
    rng = np.random.default_rng(3)
    growth = np.exp(rng.normal(0, spread, size=(rows - 1, 20)))
    prices = np.vstack([np.ones(20), np.cumprod(growth, axis=0)])
    weights = bcrp(prices, fitted_on=prices)[0]
    slope = (growth / (growth @ weights)[:, None]).mean(0)
    assert slope.max() <= 1 + 1e-11
    assert weights @ (1 - slope) == pytest.approx(0, abs=1e-11)


@pytest.mark.parametrize("rows", [2, 30, 300])
@pytest.mark.parametrize("spread", [0.01, 0.3])
def test_the_best_constant_portfolio_of_many_assets_is_optimal_among_all(
    rows: int, spread: float
) -> None:
    growth = np.exp(np.random.default_rng(4).normal(0, spread, size=(rows - 1, 300)))
    prices = np.vstack([np.ones(300), np.cumprod(growth, axis=0)])
    weights = bcrp(prices, fitted_on=prices)[0]
    slope = (growth / (growth @ weights)[:, None]).mean(0)
    assert slope.max() <= 1 + 1e-11
    assert weights @ (1 - slope) == pytest.approx(0, abs=1e-11)
    whole = _interior_optimum(growth)
    np.testing.assert_allclose(weights, whole, rtol=0, atol=1e-6)


def test_assets_that_are_worth_holding_only_beside_others_are_found_among_many() -> None:
    # A hundred of the steepest slope rise and fall together; a hundred others rise when they fall.
    growth = np.exp(np.random.default_rng(5).normal(0, 1e-3, size=(40, 200)))
    growth[::2] *= np.repeat([2.0, 0.6], 100)
    growth[1::2] *= np.repeat([0.6, 1.9], 100)
    prices = np.vstack([np.ones(200), np.cumprod(growth, axis=0)])
    weights = bcrp(prices, fitted_on=prices)[0]
    slope = (growth / (growth @ weights)[:, None]).mean(0)
    assert weights[100:].sum() > 0.3 and slope.max() <= 1 + 1e-11


def test_the_optimum_of_few_assets_is_looked_for_among_all_of_them_at_once() -> None:
    prices = market(rows=50, assets=64)
    whole = _interior_optimum(prices[1:] / prices[:-1])
    np.testing.assert_array_equal(bcrp(prices, fitted_on=prices)[0], whole)


def test_many_assets_that_move_as_one_are_held_in_equal_parts() -> None:
    together = np.repeat(market(assets=1), 150, axis=1)
    np.testing.assert_allclose(bcrp(together, fitted_on=together), 1 / 150, rtol=1e-12)


def test_what_was_fitted_on_the_past_does_not_look_at_the_present() -> None:
    past = np.array([[1.0, 1.0], [1.1, 0.9], [1.2, 0.9]])
    present = np.array([[1.0, 1.0], [0.5, 2.0]])
    for fitted in (bcrp, best_asset):
        np.testing.assert_allclose(fitted(present, fitted_on=past), [[1, 0], [1, 0]], atol=1e-9)


def test_settings_change_what_they_name() -> None:
    prices = market()
    np.testing.assert_allclose(eg(prices, learning_rate=0.0), 0.2, rtol=1e-12)
    np.testing.assert_array_equal(pamr(prices, threshold=2.0), uniform(prices))
    np.testing.assert_array_equal(olmar(prices, threshold=0.0), uniform(prices))
    assert (olmar(prices, window=3)[4] != olmar(prices)[4]).any()


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (np.ones(5), r"`prices` must have shape \(rows, assets\).*got \(5,\)"),
        (np.ones((1, 2)), "at least 2 rows"),
        (np.array([[1.0, 0.0], [1.0, 1.0]]), "`prices` must be above 0; got 0"),
        (np.array([[1.0, np.nan], [1.0, 1.0]]), "`prices` must be finite"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_prices_that_are_none_are_refused(name: str, prices: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ALL[name](prices)


def test_a_price_that_leaps_beyond_all_measure_is_followed() -> None:
    prices = np.ones((400, 2))
    prices[1:, 0] = 1e-3 ** np.arange(1, 400).clip(max=90)  # until hardly anything is in it
    prices[-1, 0] = prices[-2, 0] * 1e12
    weights = eg(prices, learning_rate=1.0)
    assert weights[-2, 0] < 1e-30 and weights[-1].tolist() == [1.0, 0.0]


def test_bad_settings_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"`fitted_on` must have a column for each of the 5"):
        bcrp(market(), fitted_on=market(assets=4))
    for window in (1, 2.5):
        with pytest.raises(DataError, match=f"`window` must be 2 rows or more; got {window}"):
            olmar(market(), window=window)
    for rule in (olmar, pamr):
        with pytest.raises(DataError, match="`threshold` must be a finite number; got -inf"):
            rule(market(), threshold=-np.inf)
    with pytest.raises(DataError, match="`learning_rate` must leave finite weights; got"):
        eg(market(), learning_rate=1e308)
    for bad in (np.nan, "fast", None):
        with pytest.raises(
            DataError, match=f"`learning_rate` must be a finite number; got {bad!r}"
        ):
            eg(market(), learning_rate=bad)
        with pytest.raises(DataError, match=f"`threshold` must be a finite number; got {bad!r}"):
            pamr(market(), threshold=bad)


# ---------------------------------------------------------------- where assets come, halt and end


def universe(seed: int = 0, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    panel = panel_of(holey(n, 4, seed))
    return np.array(panel.prices), codes_of(panel.active, panel.halted, panel.ended)


RULES: dict[str, Callable[..., np.ndarray]] = {
    **BASELINES,
    "best_asset": partial(best_asset, fitted_on=universe(9, 60)[0]),
    "bcrp": partial(bcrp, fitted_on=universe(9, 60)[0]),
}
by_rule = pytest.mark.parametrize("name", RULES)


@by_rule
@pytest.mark.parametrize("seed", range(4))
def test_a_rule_holds_members_only_and_no_more_than_all(name: str, seed: int) -> None:
    prices, codes = universe(seed)
    weights = RULES[name](prices, active=codes)
    assert (weights >= 0).all()
    assert (weights[codes != MEMBER] == 0).all()
    sums = weights.sum(-1)
    if name in ("buy_and_hold", "best_asset"):  # what these are paid out stays in cash
        assert (sums < 1 + 1e-12).all()
    else:
        np.testing.assert_allclose(sums, (codes == MEMBER).any(-1), atol=1e-12)


@by_rule
def test_a_rule_of_members_throughout_is_the_usual_one(name: str) -> None:
    prices = universe(1)[0]
    codes = np.ones(prices.shape, dtype=np.int8)
    np.testing.assert_allclose(
        RULES[name](prices, active=codes), RULES[name](prices), rtol=1e-12, atol=1e-12
    )


@by_rule
def test_later_prices_and_members_change_no_earlier_weight(name: str) -> None:
    prices, codes = universe(2)
    other, changed = prices.copy(), codes.copy()
    other[61:] = prices[61:] ** 1.1
    changed[61:] = np.where(codes[61:] == MEMBER, 0, codes[61:])
    np.testing.assert_allclose(
        RULES[name](other, active=changed)[:61], RULES[name](prices, active=codes)[:61], rtol=1e-12
    )


def test_one_over_n_counts_the_members_of_the_row() -> None:
    codes = np.array([[1, 0, -1], [1, 1, 0], [0, -2, 0]])
    weights = BASELINES["uniform"](np.ones((3, 3)), active=codes)
    assert weights.tolist() == [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("seed", range(4))
def test_who_buys_and_holds_never_trades_again(seed: int) -> None:
    prices, codes = universe(seed)
    weights = BASELINES["buy_and_hold"](prices, active=codes)
    growth = net_growth(weights, prices, active=codes)
    first = (codes == MEMBER)[0]
    exits = ((codes == 0) & (np.roll(codes, 1, axis=0) == MEMBER))[1:].any()
    assert not exits  # the panel's assets halt and end, and nobody leaves with a price
    np.testing.assert_allclose(growth.traded, 0.0, atol=1e-12)
    own = (prices / prices[0])[:, first]
    np.testing.assert_allclose(growth.wealth, own.mean(-1), rtol=1e-12)


def test_a_newcomer_begins_with_its_share_and_the_others_keep_their_proportions() -> None:
    prices = np.cumprod(np.full((4, 3), [1.1, 1.0, 1.0]), axis=0)
    codes = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]])
    weights = BASELINES["eg"](prices, learning_rate=1.0, active=codes)
    assert weights[2, 2] == pytest.approx(1 / 3)
    alone = BASELINES["eg"](prices[:, :2], learning_rate=1.0)
    np.testing.assert_allclose(weights[2, :2] * 1.5, alone[2])
    assert weights[3, 1] == 0.0 and weights[3].sum() == pytest.approx(1.0)
