"""Whether one wealth path grew faster than another by more than chance explains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann.errors import DataError
from psann.metrics import stationary_bootstrap_ci

Floats = NDArray[np.float64]

# Growth per year that arithmetic in float32 may put between two policies that are the same.
_SAME_GROWTH = 1e-6
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class GrowthDifference:
    """Annual log growth of one path less that of another, with what chance allows."""

    growth: float
    """Log growth per year over the other path, on the same rows."""
    low: float
    """Lower end of the interval, per year."""
    high: float
    """Upper end of the interval, per year."""
    is_distinguishable: bool
    """Whether the interval excludes 0. Paths that are the same but for rounding are not."""
    mean_block: float
    """Mean block of the bootstrap in rows."""
    n_resamples: int
    """Resamples of the bootstrap."""
    confidence: float
    """Probability mass of the interval."""


def growth_difference(
    wealth: Any,
    other: Any,
    *,
    periods_per_year: float,
    mean_block: float | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> GrowthDifference:
    """Compare two wealth paths of the same rows, step by step.

    ``growth = P mean_t d_t`` with ``d_t = log(w_{t+1} / w_t) - log(v_{t+1} / v_t)`` and ``P`` rows
    per year. Moves of the market that both share cancel in ``d_t``, so that much less noise is left
    than in either path. The interval is `psann.metrics.stationary_bootstrap_ci` of that mean.

    Parameters
    ----------
    wealth, other : array-like of shape (T,)
        Wealth paths, not negative, as `psann.metrics.equity_curve` gives them.
    periods_per_year : float
        Rows per year, positive.
    mean_block : float, optional
        Mean block of the bootstrap in rows, at least 1; `optimal_block_length` of ``d`` by default.
    n_resamples : int
        Resamples, at least 1; the seed is fixed, so that the same paths give the same interval.
    confidence : float
        Probability mass of the interval, between 0 and 1.

    Returns
    -------
    GrowthDifference
        NaN, and not distinguishable, if a path lost everything.

    Raises
    ------
    DataError
        If the paths are not of one length of at least 2.

    Examples
    --------
    >>> steady, flat = [1.01**t for t in range(100)], [1.0] * 100
    >>> difference = growth_difference(steady, flat, periods_per_year=12)
    >>> round(difference.growth, 4), difference.is_distinguishable
    (0.1194, True)
    """
    paths = [np.asarray(path, dtype=np.float64) for path in (wealth, other)]
    if paths[0].shape != paths[1].shape or paths[0].ndim != 1 or len(paths[0]) < 2:
        raise DataError(
            "`wealth` and `other` must be paths of the same rows, at least 2; got shapes "
            f"{paths[0].shape} and {paths[1].shape}."
        )
    if not all((path > 0).all() and np.isfinite(path).all() for path in paths):
        growth = low = high = block = math.nan
    else:
        ours, theirs = (np.diff(np.log(path)) for path in paths)
        steps = ours - theirs
        block = optimal_block_length(steps) if mean_block is None else mean_block
        growth = float(steps.mean()) * periods_per_year
        interval = stationary_bootstrap_ci(
            steps, seed=_SEED, mean_block=block, n_resamples=n_resamples, confidence=confidence
        )
        low, high = (bound * periods_per_year for bound in interval)
    return GrowthDifference(
        growth=growth,
        low=low,
        high=high,
        is_distinguishable=low > _SAME_GROWTH or high < -_SAME_GROWTH,
        mean_block=block,
        n_resamples=n_resamples,
        confidence=confidence,
    )


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
    values = np.asarray(series, dtype=np.float64)
    n = len(values)
    centred = values - values.mean() if n else values
    if n < 8 or not centred.any():
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
