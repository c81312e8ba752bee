"""The Sharpe ratio, its error, and the probability that it is no luck."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from psann._typing import Floats, is_whole
from psann.errors import DataError
from psann.metrics.checks import number_problems, series_of
from psann.metrics.means import MeanTest, mean_test

# Spread that arithmetic alone puts on growth factors near 1: a series that varies less is constant.
ROUNDING = 16 * float(np.finfo(np.float64).eps)
_EULER_MASCHERONI = 0.5772156649015329
_NORMAL = NormalDist()


def sharpe_ratio(returns: Any) -> float:
    """Mean over standard deviation per period, ``mean(r) / std(r, ddof=1)``.

    Parameters
    ----------
    returns : array-like of shape (n,)
        Simple returns.

    Returns
    -------
    float
        NaN without variance or with fewer than two returns.

    References
    ----------
    Sharpe 1994, "The Sharpe ratio", https://doi.org/10.3905/jpm.1994.409501
    """
    return _standardised(series_of(returns, "returns"))[0]


def sharpe_test(returns: Any) -> MeanTest:
    """Sharpe ratio per period with an error that knows what returns have to do with each other.

    ``psi_t = z_t - S (z_t^2 - 1) / 2`` with ``z_t = (r_t - mean) / deviation`` is what each return
    adds to the ratio ``S``, so that the error of ``S`` is that of the mean of ``psi`` as
    `mean_test` has it. Of independent returns it is `sharpe_se` of `portfolio_metrics`.

    Parameters
    ----------
    returns : array-like of shape (n,)
        Simple returns, or their differences to those of a benchmark.

    Returns
    -------
    MeanTest
        Of the Sharpe ratio; NaN where that is undefined.

    References
    ----------
    Lo 2002, "The statistics of Sharpe ratios", https://doi.org/10.2469/faj.v58.n4.2453
    """
    return sharpe_tests(returns)[0]


def sharpe_tests(returns: Any) -> tuple[MeanTest, float]:
    """`sharpe_test`, and the standard error that independent returns have."""
    values = series_of(returns, "returns")
    sharpe, standardised = _standardised(values)
    if math.isnan(sharpe):
        none = MeanTest(mean=math.nan, standard_error=math.nan, degrees=0, n_steps=len(values))
        return none, math.nan
    influence = standardised - sharpe / 2 * (standardised**2 - 1)
    return replace(mean_test(influence), mean=sharpe), _error_of(sharpe, standardised)


def _standardised(returns: Floats) -> tuple[float, Floats]:
    """The Sharpe ratio, and ``(r_t - mean) / deviation`` unless it is NaN."""
    mean = returns.mean()
    sharpe = quotient(float(mean), standard_deviation(returns), 0.0)
    return sharpe, returns if math.isnan(sharpe) else (returns - mean) / returns.std()


def deflated_sharpe_ratio(
    returns: Any, *, n_trials: int, trial_variance: float | None = None
) -> float:
    """Probability that the true Sharpe ratio beats the best of `n_trials` lucky ones.

    ``Phi((S - S_0) / sharpe_se)`` with the expected maximum of `n_trials` Sharpe ratios without
    skill, ``S_0 = sqrt(V) ((1 - e) Phi^-1(1 - 1 / n_trials) + e Phi^-1(1 - 1 / (n_trials exp 1)))``
    and ``e`` the Euler-Mascheroni constant. One trial gives the probabilistic Sharpe ratio `psr`.

    Parameters
    ----------
    returns : array-like of shape (n,)
        Simple returns of the chosen trial.
    n_trials : int
        How many strategies were tried before this one was chosen, itself included; at least 1.
    trial_variance : float, optional
        ``V``, variance of the Sharpe ratios per period over the trials; the squared standard
        error of this one when not given, as for trials that differ by chance alone.

    Returns
    -------
    float
        In [0, 1]; NaN where the Sharpe ratio is undefined.

    References
    ----------
    Bailey & Lopez de Prado 2014, "The deflated Sharpe ratio",
    https://doi.org/10.3905/jpm.2014.40.5.094
    """
    values = series_of(returns, "returns")
    problems = trials_problems(n_trials)
    if trial_variance is not None:
        given = number_problems(trial_variance=trial_variance)
        if not given and not 0 <= trial_variance < math.inf:
            given = [f"`trial_variance` must be finite and at least 0; got {trial_variance}."]
        problems += given
    if problems:
        raise DataError(problems)
    sharpe, standard_error = sharpe_ratio(values), sharpe_standard_error(values)
    if trial_variance is None:
        trial_variance = standard_error**2
    benchmark = math.sqrt(trial_variance) * luckiest(n_trials)
    return sharpe_probability(sharpe, standard_error, benchmark=benchmark)


def trials_problems(n_trials: int) -> list[str]:
    """Say why this is no number of trials."""
    if is_whole(n_trials, 1):
        return []
    return [
        f"`n_trials` must be a whole number of at least 1; got {n_trials!r}. Count the chosen one."
    ]


def luckiest(n_trials: int) -> float:
    """Highest of so many independent standard normal numbers, as expected; 0 for a single one."""
    if n_trials == 1:
        return 0.0
    n_trials = min(n_trials, 2**52)  # of more, 1 - 1 / n is 1
    return (1 - _EULER_MASCHERONI) * _NORMAL.inv_cdf(
        1 - 1 / n_trials
    ) + _EULER_MASCHERONI * _NORMAL.inv_cdf(1 - 1 / (n_trials * math.e))


def sharpe_standard_error(returns: Floats) -> float:
    """Standard error of the Sharpe ratio per period, of independent returns of any shape."""
    sharpe, standardised = _standardised(returns)
    return math.nan if math.isnan(sharpe) else _error_of(sharpe, standardised)


def _error_of(sharpe: float, standardised: Floats) -> float:
    skewness = float((standardised**3).mean())
    kurtosis = float((standardised**4).mean())
    # Not negative for any sample, since kurtosis >= 1 + skewness^2, but for rounding.
    spread = max(0.0, 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2)
    return math.sqrt(spread / (len(standardised) - 1))


def sharpe_probability(sharpe: float, standard_error: float, *, benchmark: float) -> float:
    """Probability that the true Sharpe ratio per period lies above the benchmark."""
    score = quotient(sharpe - benchmark, standard_error, ROUNDING)
    return math.nan if math.isnan(score) else _NORMAL.cdf(score)


def standard_deviation(values: Floats) -> float:
    """Sample standard deviation; 0 where only rounding makes the values differ."""
    if len(values) < 2:
        return math.nan
    with np.errstate(over="ignore"):
        deviation = float(values.std(ddof=1))
    return deviation if deviation > ROUNDING * (1 + float(abs(values).max())) else 0.0


def quotient(numerator: float, denominator: float, noise: float) -> float:
    """A ratio; NaN where the denominator is nothing but rounding or out of range."""
    return float(numerator) / denominator if noise < denominator < math.inf else math.nan
