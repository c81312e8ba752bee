"""Rules of the past covariance, held to other programs: scikit-learn, SciPy, and loops by hand."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.covariance import LedoitWolf

from event_simulator import simulate
from psann.covariance import (
    COVARIANCE_RULES,
    inverse_volatility,
    minimum_variance,
    risk_parity,
    shrunk_covariance,
)
from psann.datasets import load_olps, load_sp500_20
from psann.errors import DataError
from psann.evaluation.judgement import Terms, judge_baselines

Floats = NDArray[np.float64]


def market(rows: int, n_assets: int, *, seed: int = 0) -> Floats:
    """Prices that a common factor, others and noise of different sizes move."""
    draw = np.random.default_rng(seed)
    factors = draw.standard_t(4, (rows, 3)) @ draw.normal(0.5, 0.7, (3, n_assets))
    own = draw.standard_t(4, (rows, n_assets)) * draw.uniform(0.2, 2.0, n_assets)
    prices: Floats = np.exp(0.004 * np.cumsum(factors + own, axis=0))
    return prices


# --- other programs ------------------------------------------------------------------------------


def other_inverse_volatility(returns: Floats) -> Floats:
    inverse = np.array([1 / np.std(column, ddof=1) for column in returns.T])
    shares: Floats = inverse / inverse.sum()
    return shares


def other_minimum_variance(returns: Floats) -> Floats:
    """A problem of least squares without negative solutions, by Lawson and Hanson."""
    covariance = LedoitWolf().fit(returns).covariance_
    covariance = covariance / np.trace(covariance)
    upper = scipy.linalg.cholesky(covariance)
    right = scipy.linalg.solve_triangular(upper, np.ones(len(covariance)), trans="T")
    solution, _ = nnls(upper, right, maxiter=10_000)
    shares: Floats = solution / solution.sum()
    return shares


def other_risk_parity(returns: Floats) -> Floats:
    """One weight after the other from its own quadratic equation, until none moves."""
    covariance = LedoitWolf().fit(returns).covariance_
    covariance = covariance / np.trace(covariance)
    x = 1 / np.sqrt(covariance.diagonal())
    for _ in range(10_000):
        before = x.copy()
        for i, variance in enumerate(covariance.diagonal()):
            others = covariance[i] @ x - variance * x[i]
            x[i] = (np.sqrt(others**2 + 4 * variance) - others) / (2 * variance)
        if np.abs(x / before - 1).max() < 1e-15:
            break
    shares: Floats = x / x.sum()
    return shares


OTHERS: dict[str, Callable[[Floats], Floats]] = {
    "inverse_volatility": other_inverse_volatility,
    "minimum_variance": other_minimum_variance,
    "risk_parity": other_risk_parity,
}


def other_rule(name: str, prices: Floats, earlier: Floats, *, window: int, every: int) -> Floats:
    """Chosen on every so many rows, and shares held unchanged in between."""
    whole = np.concatenate([earlier, prices])
    weights = []
    for row in range(len(prices)):
        last = len(earlier) + row
        if row % every == 0:
            seen = whole[max(0, last - window) : last + 1]
            shares = OTHERS[name](seen[1:] / seen[:-1] - 1) / whole[last]
        value = shares * whole[last]
        weights.append(value / value.sum())
    return np.array(weights)


def markets() -> dict[str, Callable[[], Floats]]:
    def split(data: dict[str, Any], name: str) -> Floats:
        return np.asarray(data[f"prices_{name}"], dtype=np.float64)

    return {
        "nyse_o": lambda: split(load_olps("nyse_o"), "train")[-600:],
        "sp500_20": lambda: split(load_sp500_20(), "val")[-600:],
        "made": lambda: market(363, 40, seed=3),
    }


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    "where",
    ["made", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nyse_o", "sp500_20"))],
)
def test_three_markets_give_what_another_program_gives(name: str, where: str) -> None:
    prices = markets()[where]()
    past, now = prices[:300], prices[300:]
    found = COVARIANCE_RULES[name](now, earlier=[prices[:301]], window=126, every=21)
    # The span before ends where this one begins, so that no move lies between them.
    expected = other_rule(name, now, past, window=126, every=21)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(-1), 1.0, atol=1e-12)


@pytest.mark.parametrize("shape", [(252, 20), (60, 200), (21, 2), (500, 1)])
def test_the_shrunk_covariance_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    prices = market(shape[0] + 1, shape[1], seed=sum(shape))
    returns = prices[1:] / prices[:-1] - 1
    expected = LedoitWolf().fit(returns).covariance_
    covariance = shrunk_covariance(returns)
    columns = np.stack([covariance.times(each) for each in np.eye(shape[1])])
    np.testing.assert_allclose(columns, expected, rtol=1e-10, atol=1e-18)
    np.testing.assert_allclose(covariance.row_sums(), expected.sum(0), rtol=1e-10)


def test_contributions_to_risk_are_equal_and_no_other_portfolio_varies_less() -> None:
    prices = market(400, 150, seed=8)
    returns = prices[148:400] / prices[147:399] - 1
    covariance = LedoitWolf().fit(returns).covariance_
    weights = risk_parity(prices[399:400].repeat(2, 0), earlier=[prices], window=252)[0]
    contributions = weights * (covariance @ weights)
    np.testing.assert_allclose(contributions / contributions.mean(), 1.0, atol=1e-10)
    least = minimum_variance(prices[399:400].repeat(2, 0), earlier=[prices], window=252)[0]
    slope = covariance @ least
    assert (least == 0).sum() > 10
    np.testing.assert_allclose(slope[least > 0], slope @ least, rtol=1e-9)
    assert (slope[least == 0] >= (slope @ least) * (1 - 1e-9)).all()


@pytest.mark.parametrize("name", ["minimum_variance", "risk_parity"])
def test_of_more_assets_than_rows_the_rules_choose_what_another_program_does(name: str) -> None:
    prices = market(42, 90, seed=5)
    returns = prices[1:] / prices[:-1] - 1
    found = COVARIANCE_RULES[name](prices[-1:].repeat(2, 0), earlier=[prices])[0]
    np.testing.assert_allclose(found, OTHERS[name](returns), atol=1e-10)


@pytest.mark.parametrize("name", ["minimum_variance", "risk_parity"])
def test_no_square_of_many_assets_is_formed(name: str) -> None:
    prices = market(41, 1500, seed=5)
    tracemalloc.start()
    COVARIANCE_RULES[name](prices[-1:].repeat(2, 0), earlier=[prices])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 1500**2 / 2


@pytest.mark.parametrize("n_assets", [3, 60])
def test_moves_of_two_values_in_step_are_weighed_although_they_have_no_noise(n_assets: int) -> None:
    sizes = np.linspace(0.01, 0.02, n_assets)
    prices = np.cumprod(1 + np.tile([sizes, -sizes], (21, 1)), axis=0)
    for name in ("minimum_variance", "risk_parity"):
        weights = COVARIANCE_RULES[name](prices, every=10, window=20)[-1]
        assert weights.min() >= 0
        assert weights[0] == weights.max() > weights[-1]
        np.testing.assert_allclose(weights.sum(), 1.0)


@pytest.mark.parametrize("name", OTHERS)
def test_what_comes_later_changes_no_weight_before(name: str) -> None:
    prices = market(200, 6)
    changed = prices.copy()
    changed[121:] *= np.random.default_rng(1).uniform(0.5, 2.0, (79, 6))
    rule = COVARIANCE_RULES[name]
    first, second = rule(prices, window=60, every=10), rule(changed, window=60, every=10)
    assert np.array_equal(first[:121], second[:121])
    assert not np.allclose(first[130:], second[130:])


def test_before_there_is_a_past_everybody_is_held_alike() -> None:
    prices = market(80, 4)
    weights = minimum_variance(prices, every=1, window=30)
    np.testing.assert_allclose(weights[:20], 0.25)
    assert np.abs(weights[20] - 0.25).max() > 0.01
    np.testing.assert_allclose(
        inverse_volatility(prices, every=1, window=30)[25],
        other_inverse_volatility(prices[1:26] / prices[:25] - 1),
    )


@pytest.mark.parametrize("name", OTHERS)
def test_newcomers_wait_and_leavers_become_cash_until_the_next_rebalancing(name: str) -> None:
    prices = market(160, 5)
    active = np.ones(prices.shape, dtype=np.int8)
    active[:50, 0] = 0  # joins on row 50; a whole window of 40 moves on row 90
    active[105:, 1] = 0  # leaves
    active[110:112, 2] = -1  # is halted
    active[125:, 3] = -2  # ends
    weights = COVARIANCE_RULES[name](prices, active=active, window=40, every=10)
    assert (weights[active != 1] == 0).all()
    assert (weights[40:90, 0] == 0).all() and (weights[90:100, 0] > 0).any()
    sums = weights.sum(-1)
    np.testing.assert_allclose(sums[:105], 1.0)
    assert (sums[105:110] < 1 - 1e-6).any() or weights[104, 1] == 0
    np.testing.assert_allclose(sums[110:125], 1.0)
    np.testing.assert_allclose(sums[130:], 1.0)
    members = [0, 2, 4]
    returns = prices[101:141] / prices[100:140] - 1
    expected = OTHERS[name](returns[:, members])
    np.testing.assert_allclose(weights[140, members], expected, atol=1e-8)


def test_earlier_spans_tell_who_was_there() -> None:
    prices = market(200, 3)
    before = np.ones((100, 3), dtype=np.int8)
    before[:60, 2] = 0
    now = np.ones((100, 3), dtype=np.int8)
    weights = inverse_volatility(
        prices[100:],
        window=80,
        every=10,
        earlier=[prices[:100]],
        earlier_active=[before],
        active=now,
    )
    # 39 moves before, none between the spans, and 41 of these rows.
    assert (weights[:50, 2] == 0).all() and (weights[50:, 2] > 0).all()


@pytest.mark.parametrize("lengths", [[60], [40, 60], [60, 40, 40]])
def test_who_was_there_must_be_told_of_each_earlier_span(lengths: list[int]) -> None:
    prices = market(200, 3)
    codes = [np.ones((length, 3), dtype=np.int8) for length in lengths]
    spans, now = [prices[:60], prices[60:100]], np.ones((100, 3), dtype=np.int8)
    with pytest.raises(DataError, match=r"`earlier_active` .*: \[\(60, 3\), \(40, 3\)\]; got"):
        minimum_variance(prices[100:], earlier=spans, earlier_active=codes, active=now)


def test_the_rules_stand_beside_every_policy_net_of_the_same_costs() -> None:
    prices = market(150, 4)
    terms = Terms(trans_cost=0.002, periods_per_year=252, initial="cash")
    judged = judge_baselines(prices[100:], terms=terms, earlier=[prices[:101]])
    for name in OTHERS:
        rule = other_rule(name, prices[100:], prices[:100], window=252, every=21)
        wealth = simulate(rule, prices[100:], trans_cost=0.002, initial="cash")
        np.testing.assert_allclose(judged[name].net, wealth, rtol=1e-8)


def test_assets_that_never_move_wait() -> None:
    prices = market(60, 3)
    prices[:, 1] = 1.0
    for name in OTHERS:
        weights = COVARIANCE_RULES[name](prices, every=1)
        assert (weights[25:, 1] == 0).all()
        np.testing.assert_allclose(weights.sum(-1), 1.0)


def test_settings_without_sense_are_refused() -> None:
    with pytest.raises(DataError, match=r"`window` must be at least 20 .* got 5 and 0"):
        risk_parity(market(30, 2), window=5, every=0)
