"""An interval that may be looked at after every step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from psann.errors import DataError
from psann.metrics import confidence_sequence
from psann.metrics.sequential import FEWEST_STEPS


def test_the_interval_is_that_of_the_formula_by_hand() -> None:
    steps = np.array([1.0, 3.0] * 15)
    found = confidence_sequence(steps, confidence=0.9, tightest_at=100)
    log_term = -2 * math.log(0.1)
    rho2 = (log_term + math.log(log_term) + 1) / 100
    t = 30
    width = math.sqrt(2 * (t * rho2 + 1) / (t * t * rho2) * math.log(math.sqrt(t * rho2 + 1) / 0.1))
    assert found.mean[-1] == pytest.approx(2.0)
    assert found.high[-1] - found.mean[-1] == pytest.approx(width)  # the deviation is 1
    assert found.mean[-1] - found.low[-1] == pytest.approx(width)


@pytest.mark.parametrize("law", ["normal", "heavy", "clusters"])
def test_the_truth_is_left_out_at_some_time_by_one_path_in_twenty_at_most(law: str) -> None:
    draws = np.random.default_rng(1)
    n_paths, n_steps = 1000, 500
    steps = draws.standard_normal((n_paths, n_steps))
    if law == "heavy":
        steps = draws.standard_t(5, (n_paths, n_steps))
    elif law == "clusters":
        steps *= np.where(np.arange(n_steps) // 50 % 2, 3.0, 1.0)
    n_left_out = fixed_left_out = 0
    for path in steps:
        found = confidence_sequence(path)
        known = slice(FEWEST_STEPS - 1, None)
        n_left_out += bool(((found.low > 0) | (found.high < 0))[known].any())
        t = np.arange(1, n_steps + 1)
        se = np.sqrt((np.cumsum(path**2) / t - found.mean**2) / t)
        fixed_left_out += bool((np.abs(found.mean) > 1.96 * se)[known].any())
    # Three standard errors of the simulation above one in twenty.
    assert n_left_out / n_paths <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n_paths)
    assert fixed_left_out / n_paths > 0.2  # what a usual interval does when looked at every day


def test_a_mean_beyond_chance_is_told_in_time() -> None:
    draws = np.random.default_rng(2)
    n_told = sum(
        confidence_sequence(0.3 + draws.standard_normal(500)).low[-1] > 0 for _ in range(200)
    )
    assert n_told > 190


def test_the_interval_is_narrowest_where_it_was_asked_to_be() -> None:
    steps = np.array([1.0, -1.0] * 1000)

    def width(at: int) -> np.ndarray:
        found = confidence_sequence(steps, tightest_at=at)
        return found.high - found.low

    for step in (50, 300, 1500):
        widths = {at: width(at)[step - 1] for at in (50, 300, 1500)}
        assert min(widths, key=widths.__getitem__) == step


def test_the_interval_is_as_wide_wherever_the_steps_lie() -> None:
    steps = np.random.default_rng(0).normal(size=300)
    near, far = (confidence_sequence(steps + shift) for shift in (0.0, 1e7))
    np.testing.assert_allclose(far.high - far.low, near.high - near.low, rtol=1e-6)


def test_before_there_are_enough_steps_nothing_is_said() -> None:
    found = confidence_sequence(np.arange(30.0))
    assert np.isnan(found.low[: FEWEST_STEPS - 1]).all()
    assert np.isfinite(found.low[FEWEST_STEPS - 1 :]).all()


def test_steps_that_are_none_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="must be a vector of finite numbers"):
        confidence_sequence([1.0, math.nan])
    with pytest.raises(DataError, match="`confidence` must be from"):
        confidence_sequence([1.0], confidence=0.2)
    with pytest.raises(DataError, match="`tightest_at` must be a number; got None"):
        confidence_sequence([1.0], tightest_at=None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="`tightest_at` at least 1"):
        confidence_sequence([1.0], tightest_at=0)
    with pytest.raises(DataError, match=r"`tightest_at` at least 1; got 0\.95 and nan"):
        confidence_sequence([0.1, 0.2], tightest_at=float("nan"))  # type: ignore[arg-type]
