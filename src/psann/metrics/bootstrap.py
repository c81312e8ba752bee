"""What chance allows, by resampling blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from psann._typing import Floats, Places, is_whole
from psann.errors import DataError
from psann.metrics.checks import number_problems, observations, series_of


def stationary_bootstrap_ci(
    series: Any,
    statistic: Callable[[Floats], float] = np.mean,
    *,
    seed: int,
    mean_block: float = 10.0,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a statistic of a dependent series.

    Each resample strings together blocks of the series, taken as a circle, that start anywhere
    and have geometric lengths, so that it is stationary and keeps the dependence inside blocks.

    Parameters
    ----------
    series : array-like of shape (n,) or (n, k)
        Observations in time; rows of several columns stay together.
    statistic : callable
        From a resample of the series' shape to a number.
    seed : int
        Seed of the resamples, at least 0.
    mean_block : float
        Mean length of a block in rows, at least 1 (independent rows).
    n_resamples : int
        Number of resamples, at least 1.
    confidence : float
        Probability mass of the interval, between 0 and 1.

    Returns
    -------
    low, high : float
        NaN when the statistic is NaN on some resample.

    References
    ----------
    Politis & Romano 1994, "The stationary bootstrap",
    https://doi.org/10.1080/01621459.1994.10476870

    Examples
    --------
    >>> low, high = stationary_bootstrap_ci([0.01, -0.02, 0.03, 0.0] * 50, seed=0)
    >>> low < 0.005 < high
    True
    """
    values = observations(series, "series")
    problems = number_problems(mean_block=mean_block, confidence=confidence)
    are_numbers = not problems
    if are_numbers and not 1 <= mean_block < math.inf:
        problems.append(f"`mean_block` must be at least 1 row; got {mean_block}.")
    if not is_whole(n_resamples, 1):
        problems.append(f"`n_resamples` must be a whole number of at least 1; got {n_resamples!r}.")
    if are_numbers and not 0 < confidence < 1:
        problems.append(f"`confidence` must lie between 0 and 1; got {confidence}.")
    if not is_whole(seed) or seed >= 2**128:
        problems.append(f"`seed` must be a whole number from 0 to below 2^128; got {seed!r}.")
    function: Any = statistic
    if not callable(function):
        problems.append(f"`statistic` must be a function of a resample; got {statistic!r}.")
    if problems:
        raise DataError(problems)
    draws = np.random.Generator(np.random.Philox(key=seed))
    estimates = [
        statistic(values[_block_rows(draws, len(values), mean_block)]) for _ in range(n_resamples)
    ]
    if number_problems(statistic=estimates[0]):
        raise DataError(f"`statistic` must give a number of every resample; got {estimates[0]!r}.")
    outside = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):  # between infinities of either sign is none
        low, high = np.quantile(estimates, [outside, 1 - outside])
    return float(low), float(high)


def _block_rows(draws: np.random.Generator, n_rows: int, mean_block: float) -> Places:
    rows = np.arange(n_rows)
    starts_block = draws.random(n_rows) < 1 / mean_block
    block_start = np.maximum.accumulate(np.where(starts_block, rows, 0))
    origins = draws.integers(0, n_rows, size=n_rows)
    return (origins[block_start] + rows - block_start) % n_rows


def optimal_block_length(series: Any) -> float:
    """Mean block length with which the stationary bootstrap of a mean errs least.

    ``(G^2 / g^2)^(1/3) n^(1/3)`` with ``G = sum_k lambda(k / K) |k| R(k)`` and ``g = sum_k
    lambda(k / K) R(k)`` over the autocovariances ``R`` from ``-K`` to ``K``, under the flat-top
    window ``lambda(s) = min(1, 2 - 2 |s|)``. ``K`` is twice the first lag from which
    ``max(5, log10 n)`` autocorrelations in a row are less than ``2 sqrt(log10(n) / n)`` in size.

    Parameters
    ----------
    series : array-like of shape (n,)
        Observations in time.

    Returns
    -------
    float
        From 1 (independent rows) to ``min(3 sqrt(n), n / 3)``, rounded up; 1 where nothing varies.

    References
    ----------
    Politis & White 2004, "Automatic block-length selection for the dependent bootstrap",
    https://doi.org/10.1081/ETC-120028836, with the correction of Patton, Politis & White 2009,
    https://doi.org/10.1080/07474930802459016

    Examples
    --------
    >>> optimal_block_length([0.0, 1.0] * 50) >= 1
    True
    """
    values = series_of(series, "series")
    n = len(values)
    centred = values - values.mean()
    if n < 8 or not np.ptp(values):
        return 1.0
    covariances = _autocovariances(centred, min(n - 1, math.ceil(math.sqrt(n)) + _n_checked(n)))
    lags = np.arange(1, 1 + _last_lag(covariances, n))
    weights = np.minimum(1.0, 2 - 2 * lags / lags[-1]) * covariances[lags]
    slope = 2 * float((weights * lags).sum())
    spectrum = float(covariances[0] + 2 * weights.sum())
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    if spectrum == 0:
        return float(longest)
    length = (slope**2 / spectrum**2) ** (1 / 3) * n ** (1 / 3)
    return float(min(max(1.0, length), longest))


def _n_checked(n: int) -> int:
    """How many autocorrelations in a row must be small."""
    return max(5, int(math.log10(n)))


def _autocovariances(centred: Floats, last: int) -> Floats:
    n = len(centred)
    return np.array([centred[lag:] @ centred[: n - lag] for lag in range(last + 1)]) / n


def _last_lag(covariances: Floats, n: int) -> int:
    """``K``, at least 2 and at most the lags that there are."""
    longest = len(covariances) - 1
    small = np.abs(covariances / covariances[0]) < 2 * math.sqrt(math.log10(n) / n)
    for lag in range(1, longest - _n_checked(n) + 2):
        if small[lag : lag + _n_checked(n)].all():
            return min(2 * lag, longest)
    return longest
