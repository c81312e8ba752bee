"""Differences between wealth paths: by hand, by the reference library, and at the edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from noise import NOISES
from psann.errors import DataError
from psann.evaluation.comparison import growth_difference
from psann.metrics import mean_test, sharpe_ratio, sharpe_test
from psann.metrics.sharpe import luckiest
from thinning import thinned


def path(steps: Any) -> np.ndarray:
    return np.exp(np.concatenate([[0.0], np.cumsum(steps)]))


def test_the_difference_is_that_of_annual_log_growth() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = 0.01 * generator.standard_normal((2, 500))
    difference = growth_difference(path(ours), path(theirs), periods_per_year=252)
    assert difference.growth == pytest.approx(252 * (ours - theirs).mean(), abs=1e-12)
    test = mean_test(ours - theirs)
    expected = (252 * np.array(test.interval())).tolist()
    assert [difference.low, difference.high] == pytest.approx(expected, rel=1e-9)
    assert difference.standard_error == pytest.approx(252 * test.standard_error, rel=1e-9)
    assert (difference.degrees, difference.n_steps) == (test.degrees, 500)


def test_moves_that_both_share_do_not_widen_the_interval() -> None:
    market = 0.05 * np.random.default_rng(1).standard_normal(500)
    difference = growth_difference(path(market + 0.0004), path(market), periods_per_year=252)
    assert difference.growth == pytest.approx(0.1008, abs=1e-9)
    assert difference.is_distinguishable
    assert difference.high - difference.low < 1e-6


def test_the_same_path_but_for_rounding_is_not_distinguishable() -> None:
    market = 0.01 * np.random.default_rng(2).standard_normal(500)
    difference = growth_difference(path(market + 1e-10), path(market), periods_per_year=252)
    assert difference.low > 0
    assert not difference.is_distinguishable


@pytest.mark.parametrize("noise", thinned(NOISES, every=3))
def test_of_paths_without_an_edge_about_one_in_twenty_is_distinguishable(noise: str) -> None:
    draws = np.random.default_rng(3)
    found = 0
    for steps in NOISES[noise](draws, (1000, 30)):
        market = 0.02 * draws.standard_normal(30)
        ours, theirs = path(market + 0.01 * steps), path(market)
        found += growth_difference(ours, theirs, periods_per_year=252).is_distinguishable
    assert 30 < found < 70


def test_of_few_steps_an_interval_is_told_and_nothing_is_claimed() -> None:
    market = 0.02 * np.random.default_rng(4).standard_normal(12)
    better = path(market + 0.01 + 1e-4 * np.arange(12))
    difference = growth_difference(better, path(market), periods_per_year=252)
    assert difference.low > 0 and difference.is_distinguishable
    short = growth_difference(better[:12], path(market)[:12], periods_per_year=252)
    assert short.low > 0 and short.n_steps == 11
    assert not short.is_distinguishable


def test_skill_is_what_is_earned_over_the_other_path_whatever_both_earn() -> None:
    draws = np.random.default_rng(6)
    theirs = 0.002 + 0.005 * draws.standard_normal(500)
    ours = theirs + 0.003 * draws.standard_normal(500)
    excess = np.expm1(ours) - np.expm1(theirs)
    told = growth_difference(path(ours), path(theirs), periods_per_year=252)
    assert sharpe_test(np.expm1(ours)).probability_above(0) > 0.999  # by drift alone
    assert told.annual_sharpe == pytest.approx(math.sqrt(252) * sharpe_ratio(excess), rel=1e-9)
    test = sharpe_test(excess)
    assert told.annual_sharpe_se == pytest.approx(math.sqrt(252) * test.standard_error, rel=1e-9)
    mean = mean_test(excess)
    assert told.psr == pytest.approx(mean.probability_above(0), rel=1e-9)
    bar = mean.standard_error * luckiest(20)
    assert told.deflated_sharpe(20) == pytest.approx(mean.probability_above(bar), rel=1e-9)
    assert told.deflated_sharpe(1) == pytest.approx(told.psr, rel=1e-12)
    assert told.deflated_sharpe(20) < told.psr < 0.95


def test_a_policy_that_differs_on_few_days_is_not_sure_by_luck() -> None:
    # The error of a ratio shrinks where few rows make it: 7 in 100 were sure, where 2.5 should be.
    draws, n_sure = np.random.default_rng(9), 0
    for _ in range(200):
        market, own = 0.01 * draws.standard_normal((2, 250))
        first = int(draws.integers(240))
        ours = market.copy()
        ours[first : first + 10] += own[first : first + 10]
        told = growth_difference(path(ours), path(market), periods_per_year=252)
        n_sure += told.psr > 0.975
    assert n_sure <= 5


def test_the_same_path_but_for_rounding_shows_no_skill() -> None:
    draws = np.random.default_rng(8)
    market = 0.01 * draws.standard_normal(500)
    almost = market + 1e-9 * (1 + 0.1 * draws.standard_normal(500))
    told = growth_difference(path(almost), path(market), periods_per_year=252)
    assert all(map(math.isnan, (told.annual_sharpe, told.psr, told.deflated_sharpe(3))))


def test_a_lost_path_has_no_difference() -> None:
    difference = growth_difference([1.0, 0.0, 0.0], [1.0, 1.1, 1.2], periods_per_year=252)
    assert math.isnan(difference.growth)
    assert math.isnan(difference.low)
    assert not difference.is_distinguishable


def test_paths_of_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"paths of the same rows, at least 2; got shapes \(3,\)"):
        growth_difference([1.0, 1.0, 1.0], [1.0, 1.0], periods_per_year=252)


@pytest.mark.parametrize("setting", [{"periods_per_year": -1}, {"confidence": 1.5}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(DataError, match="`periods_per_year` must be positive and finite, and `con"):
        growth_difference([1, 1.1], [1, 1.2], **{"periods_per_year": 12, **setting})
    name = next(iter(setting))
    with pytest.raises(DataError, match=f"`{name}` must be a number; got '12'"):
        growth_difference([1, 1.1], [1, 1.2], **{"periods_per_year": 12, name: "12"})


def test_returns_are_no_wealth_and_half_a_trial_is_none() -> None:
    with pytest.raises(DataError, match=r"not be negative; got -0.1 as the lowest. Pass wealth"):
        growth_difference([0.1, -0.1], [1, 1.2], periods_per_year=12)
    found = growth_difference([1, 1.1, 1.3], [1, 1.2, 1.2], periods_per_year=12)
    for trials in (0, 1.5, "2"):
        with pytest.raises(DataError, match=r"`n_trials` must be a whole number of at least 1"):
            found.deflated_sharpe(trials)  # type: ignore[arg-type]
