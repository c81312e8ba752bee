"""Whether a mean of dependent numbers differs from zero, right also for few of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from psann.errors import DataError
from psann.metrics.checks import number_problems, series_of

MIN_STEPS = 12
"""Numbers below which nothing is claimed: their error would be known from a single cosine."""


@dataclass(frozen=True, kw_only=True)
class MeanTest:
    """A mean, how far chance may move it, and from how much that is known."""

    mean: float
    standard_error: float
    """Of the mean, with what the numbers have to do with each other; NaN for a single number."""
    degrees: int
    """Degrees of freedom of Student's t; 0 for a single number."""
    n_steps: int
    """Numbers that were averaged."""

    @property
    def may_claim(self) -> bool:
        """Whether there are numbers enough, `MIN_STEPS`, to call anything more than chance."""
        return self.n_steps >= MIN_STEPS

    @property
    def p_value(self) -> float:
        """Probability of a mean as far above 0 by chance; 1 where nothing may be claimed.

        One-sided: for a mean below 0 that of the other side is ``1 - p``.
        """
        return self._share_above(0.0) if self.may_claim else 1.0

    def probability_above(self, benchmark: float) -> float:
        """How probable the true mean lies above a number; NaN where nothing may be claimed."""
        return 1 - self._share_above(benchmark) if self.may_claim else math.nan

    def _share_above(self, benchmark: float) -> float:
        from scipy.special import stdtr

        if self.mean == benchmark and self.standard_error == 0:
            return 1.0
        with np.errstate(divide="ignore"):  # no spread at all leaves no doubt
            t = np.divide(self.mean - benchmark, self.standard_error)
        return float(stdtr(self.degrees, -t))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of the mean with so much probability mass; NaN for a single number."""
        from scipy.special import stdtrit

        if number_problems(confidence=confidence) or not 0 < confidence < 1:
            raise DataError(f"`confidence` must lie between 0 and 1; got {confidence!r}.")
        if not self.degrees:
            return math.nan, math.nan
        half = float(stdtrit(self.degrees, (1 + confidence) / 2)) * self.standard_error
        return self.mean - half, self.mean + half


def mean_test(series: Any) -> MeanTest:
    """Mean of a stationary series, with the error that dependent and uneven rows allow.

    ``s^2 = sum_{j=1..nu} L_j^2 / (n nu)`` with
    ``L_j = sqrt(2 / n) sum_t x_t cos(pi j (t - 1/2) / n)``.

    The slow cosines see no mean, and as much of every dependence that is shorter than they are as
    the mean does. So ``mean / s`` has Student's t distribution with ``nu`` degrees of freedom: of
    independent normal numbers exactly, of others as ``n`` grows; a few cosines cost some power and
    keep the level for few rows, for which a resampled or a Newey-West error is too small.

    Parameters
    ----------
    series : array-like of shape (n,)
        Numbers in time, at least one.

    Returns
    -------
    MeanTest
        With ``nu = max(1, floor(0.4 n^(2/3)))``, the rule of the paper.

    References
    ----------
    Lazarus, Lewis, Stock & Watson 2018, "HAR inference: recommendations for practice",
    https://doi.org/10.1080/07350015.2018.1506926; `benchmarks/chance.py` measures it beside
    others.

    Examples
    --------
    >>> test = mean_test([0.02, -0.01] * 100)
    >>> round(test.mean, 6), test.degrees, test.p_value < 0.001
    (0.005, 13, True)
    """
    from scipy.fft import dct

    values = series_of(series, "series")
    n = len(values)
    degrees = min(max(1, math.floor(0.4 * n ** (2 / 3))), n - 1)
    cosines, mean = dct(values, norm="ortho")[1 : degrees + 1], float(values.mean())
    if not np.ptp(values):  # what is left of it is rounding
        cosines, mean = np.zeros(degrees), float(values[0])
    error = math.sqrt(float((cosines**2).mean()) / n) if degrees else math.nan
    return MeanTest(mean=mean, standard_error=error, degrees=degrees, n_steps=n)
