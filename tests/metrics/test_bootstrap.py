"""Resamples of blocks: against the reference library, by known answers, and at the edges."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from psann.errors import DataError
from psann.metrics import optimal_block_length, sharpe_ratio, stationary_bootstrap_ci

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "metrics_reference.json").read_text()
)
SERIES = REFERENCE["series"]


def test_the_bootstrap_interval_of_the_sharpe_ratio_is_close_to_that_of_arch() -> None:
    returns = SERIES["daily_t5_504"]["returns"]
    interval = stationary_bootstrap_ci(
        returns, lambda sample: sharpe_ratio(sample) * math.sqrt(252), seed=7, mean_block=10
    )
    expected = REFERENCE["bootstrap"][
        "stationary_bootstrap_block10_reps2000_seed12345_sharpe_percentile_95ci"
    ]
    # Two intervals of 2000 resamples each differ by about 0.06 per end.
    np.testing.assert_allclose(interval, expected, atol=0.2)


def test_independent_rows_give_the_normal_interval_of_a_mean() -> None:
    sample = np.random.default_rng(0).normal(size=900)
    low, high = stationary_bootstrap_ci(sample, seed=0, mean_block=1)
    half = 1.96 * sample.std() / 30
    np.testing.assert_allclose([low, high], sample.mean() + np.array([-half, half]), atol=0.008)


def test_longer_blocks_see_the_dependence_that_short_ones_break() -> None:
    noise = np.random.default_rng(1).normal(size=2000)
    persistent = np.convolve(noise, np.ones(20) / 20, mode="valid")
    short = np.ptp(stationary_bootstrap_ci(persistent, seed=0, mean_block=1, n_resamples=500))
    long = np.ptp(stationary_bootstrap_ci(persistent, seed=0, mean_block=60, n_resamples=500))
    assert long > 2.5 * short


def test_blocks_run_on_over_the_end_and_have_the_mean_length() -> None:
    rows = []

    def keep(sample: np.ndarray) -> float:
        rows.append(sample)
        return 0.0

    stationary_bootstrap_ci(np.arange(1000.0), keep, seed=3, mean_block=25, n_resamples=100)
    steps = np.diff(np.array(rows), axis=1) % 1000
    # A block ends with probability 1/25 per row, and the next starts anywhere.
    assert (steps != 1).mean() == pytest.approx(1 / 25, rel=0.1)
    assert np.bincount(np.array(rows, dtype=int).ravel(), minlength=1000).min() > 50


def test_the_seed_decides_and_columns_stay_together() -> None:
    pairs = np.random.default_rng(2).normal(size=(300, 1)) + np.array([0.0, 5.0])

    def interval(seed: int) -> tuple[float, float]:
        return stationary_bootstrap_ci(
            pairs, lambda sample: sample[0, 0], seed=seed, n_resamples=50
        )

    assert interval(1) == interval(1) != interval(2)
    low, high = stationary_bootstrap_ci(
        pairs, lambda sample: float((sample[:, 1] - sample[:, 0]).mean()), seed=1, n_resamples=50
    )
    assert low == pytest.approx(5.0) and high == pytest.approx(5.0)


def test_bad_settings_of_the_bootstrap_are_refused_together() -> None:
    with pytest.raises(DataError) as caught:
        stationary_bootstrap_ci([1.0], seed=-1, mean_block=0.5, n_resamples=0, confidence=95)
    assert len(caught.value.problems) == 4
    for name in ("seed", "mean_block", "n_resamples", "confidence"):
        with pytest.raises(DataError, match=f"`{name}` must be a (whole )?number"):
            stationary_bootstrap_ci([1.0], **{"seed": 0, name: "1"})
    with pytest.raises(DataError, match="`statistic` must be a function of a resample; got 'mean'"):
        stationary_bootstrap_ci([1.0], "mean", seed=0)
    with pytest.raises(DataError, match="`statistic` must give a number of every resample; got"):
        stationary_bootstrap_ci([1.0, 2.0], lambda sample: sample, seed=0)
    with pytest.raises(DataError, match="`series` must have shape"):
        stationary_bootstrap_ci([], seed=0)


# Block length ------------------------------------------------------------------------------------


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
    assert optimal_block_length([0.1] * 333) == 1.0  # whose mean is not 0.1 in floats
    assert optimal_block_length(np.full(100, 0.3)) == 1.0
    assert optimal_block_length([1.0, 2.0]) == 1.0


def test_blocks_never_exceed_the_bound_of_the_rule() -> None:
    trend = np.linspace(-1, 1, 400)
    assert optimal_block_length(trend) <= math.ceil(3 * math.sqrt(400))
