"""Whether one wealth path grew faster than another by more than chance explains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from psann.errors import DataError
from psann.metrics.checks import number_problems, together, warn_of_rate
from psann.metrics.means import MeanTest, mean_test
from psann.metrics.sharpe import luckiest, sharpe_test, trials_problems

SAME_GROWTH = 1e-6
"""Growth per year that arithmetic in float32 may put between two policies that are the same."""


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
    """Whether the interval excludes 0. Paths that are the same but for rounding are not, nor any of
    fewer than `psann.metrics.means.MIN_STEPS` steps."""
    standard_error: float
    """Of the growth, per year, with what the steps have to do with each other."""
    degrees: int
    """Degrees of freedom of the interval's Student t."""
    n_steps: int
    """Steps compared."""
    confidence: float
    """Probability mass of the interval."""
    annual_sharpe: float
    """Sharpe ratio of the returns over those of the other path, per year; NaN where both are the
    same but for rounding."""
    annual_sharpe_se: float
    """Its standard error, of returns that may depend on each other."""
    psr: float
    """Probability that the true ratio is above 0: that there is skill, whatever the market did. Of
    the mean return over the other path, since the error of a ratio is less where it is not 0."""

    def deflated_sharpe(self, n_trials: int) -> float:
        """Probability that the true ratio beats the best of so many candidates without skill.

        Bailey & Lopez de Prado 2014, "The deflated Sharpe ratio",
        https://doi.org/10.3905/jpm.2014.40.5.094

        Raises
        ------
        DataError
            If it is no whole number of at least 1.
        """
        if problems := trials_problems(n_trials):
            raise DataError(problems)
        from scipy.special import stdtr, stdtrit

        n_errors = stdtrit(self.degrees, self.psr) - luckiest(n_trials)
        return float(stdtr(self.degrees, n_errors))


def growth_difference(
    wealth: Any, other: Any, *, periods_per_year: float, confidence: float = 0.95
) -> GrowthDifference:
    """Compare two wealth paths of the same rows, step by step.

    ``growth = P mean_t d_t`` with ``d_t = log(w_{t+1} / w_t) - log(v_{t+1} / v_t)`` and ``P`` rows
    per year. Moves of the market that both share cancel in ``d_t``, so that much less noise is left
    than in either path. The interval is that of `psann.metrics.mean_test`, whose level holds for
    dependent steps, for clusters of volatility and for few rows.

    Parameters
    ----------
    wealth, other : array-like of shape (T,)
        Wealth paths, not negative, as `psann.metrics.equity_curve` gives them.
    periods_per_year : float
        Rows per year, positive.
    confidence : float
        Probability mass of the interval, between 0 and 1.

    Returns
    -------
    GrowthDifference
        NaN, and not distinguishable, if a path lost everything; a single step has no interval.

    Raises
    ------
    DataError
        If the paths are not of one length of at least 2, or a setting is out of range.

    References
    ----------
    Sharpe 1994, "The Sharpe ratio", https://doi.org/10.3905/jpm.1994.409501, who defines it of
    the return over a benchmark.

    Examples
    --------
    >>> steady, flat = [1.01**t for t in range(100)], [1.0] * 100
    >>> difference = growth_difference(steady, flat, periods_per_year=12)
    >>> round(difference.growth, 4), difference.is_distinguishable
    (0.1194, True)
    """
    settings = {"periods_per_year": periods_per_year, "confidence": confidence}
    if problems := number_problems(**settings):
        raise DataError(problems)
    paths = together(wealth=wealth, other=other)
    if paths[0].shape != paths[1].shape or paths[0].ndim != 1 or len(paths[0]) < 2:
        raise DataError(
            "`wealth` and `other` must be paths of the same rows, at least 2; got shapes "
            f"{paths[0].shape} and {paths[1].shape}."
        )
    if any((path < 0).any() for path in paths):
        raise DataError(
            "`wealth` and `other` must not be negative; got "
            f"{min(path.min() for path in paths):g} as the lowest. Pass wealth paths, for example "
            "equity_curve(...), not returns."
        )
    if not (0 < periods_per_year < math.inf and 0 < confidence < 1):
        raise DataError(
            "`periods_per_year` must be positive and finite, and `confidence` between 0 and 1; got "
            f"{periods_per_year!r} and {confidence!r}."
        )
    warn_of_rate(periods_per_year, wealth, other)
    test = MeanTest(mean=math.nan, standard_error=math.nan, degrees=0, n_steps=len(paths[0]) - 1)
    skill = ratio = test
    if all((path > 0).all() and np.isfinite(path).all() for path in paths):
        ours, theirs = (np.diff(np.log(path)) for path in paths)
        test = mean_test(ours - theirs)
        excess = np.expm1(ours) - np.expm1(theirs)
        if np.std(excess) * math.sqrt(periods_per_year) > SAME_GROWTH:
            skill, ratio = mean_test(excess), sharpe_test(excess)
    annual = math.sqrt(periods_per_year)
    low, high = (bound * periods_per_year for bound in test.interval(confidence))
    return GrowthDifference(
        growth=test.mean * periods_per_year,
        low=low,
        high=high,
        is_distinguishable=test.may_claim and (low > SAME_GROWTH or high < -SAME_GROWTH),
        standard_error=test.standard_error * periods_per_year,
        degrees=test.degrees,
        n_steps=test.n_steps,
        confidence=confidence,
        annual_sharpe=ratio.mean * annual,
        annual_sharpe_se=ratio.standard_error * annual,
        psr=skill.probability_above(0.0),
    )
