"""What chance allows, by resampling blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann.errors import DataError
from psann.metrics.checks import observations

Floats = NDArray[np.float64]


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
    problems = []
    if not 1 <= mean_block < math.inf:
        problems.append(f"`mean_block` must be at least 1 row; got {mean_block}.")
    if n_resamples < 1:
        problems.append(f"`n_resamples` must be at least 1; got {n_resamples}.")
    if not 0 < confidence < 1:
        problems.append(f"`confidence` must lie between 0 and 1; got {confidence}.")
    if seed < 0:
        problems.append(f"`seed` must be at least 0; got {seed}.")
    if problems:
        raise DataError(problems)
    draws = np.random.Generator(np.random.Philox(key=seed))
    estimates = [
        statistic(values[_block_rows(draws, len(values), mean_block)]) for _ in range(n_resamples)
    ]
    outside = (1 - confidence) / 2
    low, high = np.quantile(estimates, [outside, 1 - outside])
    return float(low), float(high)


def _block_rows(draws: np.random.Generator, n_rows: int, mean_block: float) -> NDArray[np.intp]:
    rows = np.arange(n_rows)
    starts_block = draws.random(n_rows) < 1 / mean_block
    block_start = np.maximum.accumulate(np.where(starts_block, rows, 0))
    origins = draws.integers(0, n_rows, size=n_rows)
    return (origins[block_start] + rows - block_start) % n_rows
