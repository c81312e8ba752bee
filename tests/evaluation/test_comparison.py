"""Differences between wealth paths: by hand, by the reference library, and at the edges."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psann.errors import DataError
from psann.evaluation.comparison import growth_difference, optimal_block_length
from psann.metrics import stationary_bootstrap_ci

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "metrics_reference.json").read_text()
)


def path(steps: Any) -> np.ndarray:
    return np.exp(np.concatenate([[0.0], np.cumsum(steps)]))


def autoregression(phi: float, n: int) -> np.ndarray:
    noise = np.random.default_rng(7).standard_normal(n)
    series = np.zeros(n)
    for row in range(1, n):
        series[row] = phi * series[row - 1] + noise[row]
    return series


def test_the_block_length_equals_the_reference_of_arch() -> None:
    returns = REFERENCE["series"]["daily_t5_504"]["returns"]
    expected = REFERENCE["bootstrap"]["optimal_block_length_stationary"]
    assert optimal_block_length(returns) == pytest.approx(expected, rel=1e-12)


# arch 8.0.0, optimal_block_length(...)["stationary"] of the same series.
@pytest.mark.parametrize(
    ("phi", "n", "expected"),
    [
        (0.7, 1000, 22.839020275903938),
        (0.95, 400, 27.611467112276163),
        (-0.5, 600, 8.401512224247845),
        (0.5, 30, 2.94322999983997),
    ],
)
def test_the_block_length_of_dependent_rows_equals_arch(
    phi: float, n: int, expected: float
) -> None:
    assert optimal_block_length(autoregression(phi, n)) == pytest.approx(expected, rel=1e-9)


def test_independent_constant_and_short_series_have_blocks_of_one_row() -> None:
    assert optimal_block_length(autoregression(0.0, 300)) == 1.0  # arch: 0.4456
    assert optimal_block_length(np.full(100, 0.3)) == 1.0
    assert optimal_block_length([1.0, 2.0]) == 1.0


def test_blocks_never_exceed_the_bound_of_the_rule() -> None:
    trend = np.linspace(-1, 1, 400)
    assert optimal_block_length(trend) <= math.ceil(3 * math.sqrt(400))


def test_the_difference_is_that_of_annual_log_growth() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = 0.01 * generator.standard_normal((2, 500))
    difference = growth_difference(path(ours), path(theirs), periods_per_year=252)
    assert difference.growth == pytest.approx(252 * (ours - theirs).mean(), abs=1e-12)
    low, high = stationary_bootstrap_ci(
        np.diff(np.log(path(ours))) - np.diff(np.log(path(theirs))),
        seed=0,
        mean_block=difference.mean_block,
    )
    assert (difference.low, difference.high) == (252 * low, 252 * high)
    assert difference == growth_difference(path(ours), path(theirs), periods_per_year=252)


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


def test_of_paths_without_an_edge_about_one_in_twenty_is_distinguishable() -> None:
    generator = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        ours, theirs = 0.01 * generator.standard_normal((2, 250))
        difference = growth_difference(
            path(ours), path(theirs), periods_per_year=252, n_resamples=200
        )
        found += difference.is_distinguishable
    assert 1 <= found <= 13


def test_a_lost_path_has_no_difference() -> None:
    difference = growth_difference([1.0, 0.0, 0.0], [1.0, 1.1, 1.2], periods_per_year=252)
    assert math.isnan(difference.growth)
    assert math.isnan(difference.low)
    assert not difference.is_distinguishable


def test_paths_of_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"paths of the same rows, at least 2; got shapes \(3,\)"):
        growth_difference([1.0, 1.0, 1.0], [1.0, 1.0], periods_per_year=252)
