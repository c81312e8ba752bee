"""The mean of a dependent series: by hand, by its rates on noise, and at the edges."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from noise import NOISES
from psann.errors import DataError
from psann.metrics import mean_test
from psann.metrics.means import MIN_STEPS
from thinning import thinned


def test_two_cosines_of_twelve_numbers_give_the_error_of_the_formula() -> None:
    values = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0, -2.0, 6.0, 5.0, -3.0, 5.0, 8.0]
    projections = [
        sum(
            math.sqrt(2 / 12) * x * math.cos(math.pi * j * (t + 0.5) / 12)
            for t, x in enumerate(values)
        )
        for j in (1, 2)
    ]
    error = math.sqrt((projections[0] ** 2 + projections[1] ** 2) / 2 / 12)
    test = mean_test(values)
    assert (test.mean, test.degrees, test.n_steps) == (2.5, 2, 12)
    assert test.standard_error == pytest.approx(error, rel=1e-12)
    # Student's t with two degrees of freedom: 4.302653 at 97.5 %, and t / sqrt(2 + t^2) in between.
    low, high = test.interval()
    assert (high - low) / 2 == pytest.approx(4.302652729696 * error, rel=1e-10)
    t = 2.5 / error
    assert test.p_value == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t**2)), rel=1e-9)


@pytest.mark.parametrize(("noise", "n"), thinned(product(NOISES, [12, 30, 60]), every=4))
def test_noise_is_called_more_than_chance_in_no_more_than_six_of_a_hundred(
    noise: str, n: int
) -> None:
    series = NOISES[noise](np.random.default_rng(5), (4000, n))
    p_values = np.array([mean_test(one).p_value for one in series])
    two_sided = np.minimum(p_values, 1 - p_values) < 0.025
    # Of 4000 series a rate is known to 0.35 %; benchmarks/chance.py has more of them.
    assert 0.038 < two_sided.mean() < 0.066
    assert 0.038 < (p_values < 0.05).mean() < 0.066


def test_the_error_grows_with_the_dependence_of_the_rows() -> None:
    noise = np.random.default_rng(1).standard_normal(2000)
    persistent = np.convolve(noise, np.ones(20) / 20, mode="valid")
    independent = mean_test(noise).standard_error
    assert independent == pytest.approx(1 / math.sqrt(2000), rel=0.2)
    assert mean_test(persistent).standard_error == pytest.approx(independent, rel=0.3)
    assert persistent.std() < 0.25 * noise.std()


def test_scale_order_and_sign_do_what_they_must() -> None:
    values = np.random.default_rng(2).standard_normal(40) + 0.3
    usual = mean_test(values)
    assert mean_test(1e-9 * values).p_value == pytest.approx(usual.p_value, rel=1e-9)
    assert mean_test(values[::-1]).p_value == pytest.approx(usual.p_value, rel=1e-9)
    assert mean_test(-values).p_value == pytest.approx(1 - usual.p_value, rel=1e-9)


def test_the_interval_excludes_zero_where_the_probability_is_small() -> None:
    values = np.random.default_rng(3).standard_normal(60)
    edge = mean_test(values).interval()[0] - values.mean()  # shifted so, the interval begins at 0
    assert mean_test(values - values.mean() - edge).p_value == pytest.approx(0.025, rel=1e-9)


def test_below_twelve_numbers_nothing_is_claimed_however_clear_it_looks() -> None:
    clear = [1.0, 1.1] * 6
    assert mean_test(clear).p_value < 1e-3
    short = mean_test(clear[:11])
    assert not short.may_claim and short.p_value == 1.0
    assert short.degrees == 1
    assert mean_test(clear[: MIN_STEPS - 1]).interval() == short.interval()


def test_numbers_without_spread_leave_no_doubt_unless_they_are_nothing() -> None:
    assert mean_test([0.0] * 50).p_value == 1.0
    assert mean_test([0.5] * 64).p_value < 1e-12
    assert mean_test([-0.5] * 64).p_value > 1 - 1e-12
    same = mean_test([0.1] * 333)  # whose mean is not 0.1 in floats
    assert (same.mean, same.standard_error, same.probability_above(0.1)) == (0.1, 0.0, 0.0)


def test_a_single_number_has_a_mean_and_no_interval() -> None:
    test = mean_test([0.25])
    assert (test.mean, test.degrees) == (0.25, 0)
    assert all(map(math.isnan, (test.standard_error, *test.interval())))
    for confidence in (95, 0, "0.9"):
        with pytest.raises(DataError, match=f"must lie between 0 and 1; got {confidence!r}"):
            test.interval(confidence)  # type: ignore[arg-type]


def test_what_is_no_series_is_refused() -> None:
    with pytest.raises(DataError, match=r"`series` must have shape \(n,\)"):
        mean_test([[1.0, 2.0]])
    with pytest.raises(DataError, match="`series` must be finite"):
        mean_test([1.0, math.nan])
