"""The Sharpe ratio and its probabilities, against references and at the edges."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from psann.errors import DataError
from psann.metrics import deflated_sharpe_ratio, sharpe_ratio
from psann.metrics.sharpe import sharpe_probability

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
    by_trials = [deflated_sharpe_ratio(returns, n_trials=n) for n in (1, 2, 10, 100)]
    assert by_trials[0] == pytest.approx(
        sharpe_probability(np.array(returns), benchmark=0.0), rel=1e-12
    )
    assert by_trials == sorted(by_trials, reverse=True)
    assert by_trials[3] < by_trials[0] - 0.3


def test_short_series_have_no_sharpe_ratio() -> None:
    assert math.isnan(sharpe_ratio([0.01]))
    assert math.isnan(sharpe_ratio([0.01, 0.01]))
    assert sharpe_ratio([0.01, 0.03]) == pytest.approx(0.02 / (0.01 * math.sqrt(2)))
    assert math.isnan(deflated_sharpe_ratio([0.01] * 9, n_trials=3))


def test_bad_settings_of_the_deflated_ratio_are_refused() -> None:
    with pytest.raises(DataError, match=r"`n_trials` must be at least 1; got 0[^\0]*variance"):
        deflated_sharpe_ratio([0.1, 0.2], n_trials=0, trial_variance=-1.0)
    with pytest.raises(DataError, match=r"`returns` must have shape \(n,\)"):
        deflated_sharpe_ratio([[0.1, 0.2]], n_trials=2)
