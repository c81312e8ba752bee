"""The Sharpe ratio and its probabilities, against references and at the edges."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from noise import autoregressive
from psann.errors import DataError
from psann.metrics import deflated_sharpe_ratio, mean_test, sharpe_ratio, sharpe_test
from psann.metrics.sharpe import luckiest, sharpe_probability, sharpe_standard_error
from thinning import slow

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "metrics_reference.json").read_text()
)
SERIES = REFERENCE["series"]


@pytest.mark.parametrize("series", ["daily_t5_504", "hand_5"])
def test_the_deflated_sharpe_ratio_equals_the_reference_for_20_trials(series: str) -> None:
    # The reference took 20 Sharpe ratios evenly spread over a range of 0.14.
    variance = np.linspace(0, 0.14, 20).var(ddof=1)
    ours = deflated_sharpe_ratio(
        SERIES[series]["returns"], n_trials=20, trial_variance=float(variance)
    )
    expected = SERIES[series]["outputs"]["skfolio_stat"]["deflated_sharpe_20_trials"]
    assert ours == pytest.approx(expected, rel=1e-10)


def test_one_trial_is_not_deflated_and_more_trials_deflate_more() -> None:
    returns = SERIES["daily_t5_504"]["returns"]
    by_trials = [deflated_sharpe_ratio(returns, n_trials=n) for n in (1, 2, 10, 100, 10**40)]
    assert by_trials[0] == pytest.approx(
        sharpe_probability(*_usual(np.array(returns)), benchmark=0.0), rel=1e-12
    )
    assert by_trials == sorted(by_trials, reverse=True)
    assert by_trials[3] < by_trials[0] - 0.3


def _usual(returns: np.ndarray) -> tuple[float, float]:
    return sharpe_ratio(returns), sharpe_standard_error(returns)


def test_short_series_have_no_sharpe_ratio() -> None:
    assert math.isnan(sharpe_ratio([0.01]))
    assert math.isnan(sharpe_ratio([0.01, 0.01]))
    assert sharpe_ratio([0.01, 0.03]) == pytest.approx(0.02 / (0.01 * math.sqrt(2)))
    assert math.isnan(deflated_sharpe_ratio([0.01] * 9, n_trials=3))


def test_bad_settings_of_the_deflated_ratio_are_refused() -> None:
    for trials in (0, 2.5, "3", None, True):
        with pytest.raises(
            DataError, match=r"`n_trials` must be a whole number of .*[^\0]*variance"
        ):
            deflated_sharpe_ratio([0.1, 0.2], n_trials=trials, trial_variance=-1.0)
    with pytest.raises(DataError, match=r"`trial_variance` must be a number; got 'x'"):
        deflated_sharpe_ratio([0.1, 0.2], n_trials=2, trial_variance="x")
    with pytest.raises(DataError, match=r"`returns` must have shape \(n,\)"):
        deflated_sharpe_ratio([[0.1, 0.2]], n_trials=2)


# Dependent returns -------------------------------------------------------------------------------


def test_the_error_of_dependent_returns_is_that_of_the_jackknife() -> None:
    """Leaving a return out tells what it adds to the ratio, without any derivative."""
    returns = np.array(SERIES["daily_t5_504"]["returns"])
    whole = sharpe_ratio(returns)
    n = len(returns)
    left_out = [whole - sharpe_ratio(np.delete(returns, row)) for row in range(n)]
    test = sharpe_test(returns)
    assert test.mean == whole
    assert test.standard_error == pytest.approx(
        mean_test((n - 1) * np.array(left_out)).standard_error, rel=0.01
    )


@pytest.mark.parametrize("n_series", [500, slow(1500)])
def test_the_error_of_dependent_returns_is_the_spread_of_their_ratios(n_series: int) -> None:
    series = 0.1 + autoregressive(np.random.default_rng(0), (n_series, 300))
    tests = [sharpe_test(one) for one in series]
    spread = np.std([test.mean for test in tests])
    squared = np.mean([test.standard_error**2 for test in tests])
    assert math.sqrt(squared) == pytest.approx(spread, rel=0.06)
    independent = np.mean([sharpe_standard_error(one) ** 2 for one in series])
    assert math.sqrt(independent) < 0.8 * spread


@pytest.mark.parametrize("n_series", [600, slow(2000)])
def test_dependent_returns_without_skill_seldom_look_skilled(n_series: int) -> None:
    series = autoregressive(np.random.default_rng(1), (n_series, 250))
    hac = np.array([sharpe_test(one).probability_above(0) for one in series])
    usual = np.array([sharpe_probability(*_usual(one), benchmark=0.0) for one in series])
    assert (hac > 0.95).mean() == pytest.approx(0.05, abs=0.015)
    assert (usual > 0.95).mean() > 0.09


def test_a_ratio_that_is_not_defined_has_no_error_and_a_short_one_no_probability() -> None:
    flat = sharpe_test([0.01] * 40)
    assert all(map(math.isnan, (flat.mean, flat.standard_error, flat.probability_above(0))))
    short = sharpe_test(SERIES["daily_t5_504"]["returns"][:11])
    assert math.isnan(short.probability_above(0)) and short.standard_error > 0


@pytest.mark.parametrize("n", [1, 2, 20, 1000])
def test_the_luckiest_of_many_is_the_expected_maximum(n: int) -> None:
    drawn = np.random.default_rng(2).standard_normal((4000, n)).max(axis=1).mean()
    assert luckiest(n) == pytest.approx(drawn, abs=0.08)
