"""Means that may be looked at after every step: intervals that hold at all times at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from psann._labels import labels_of, order_problems
from psann._typing import Floats
from psann.errors import DataError
from psann.metrics.checks import float64_array, number_problems

FEWEST_STEPS = 20
"""Steps before which nothing is said: the deviation is not known well enough."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfidenceSequence:
    """An interval for the mean after each step; NaN before there are enough."""

    mean: Floats
    """Mean of the steps so far, shape (n,)."""
    low: Floats
    """Shape (n,)."""
    high: Floats
    """Shape (n,)."""
    confidence: float
    """Probability that the true mean so far is within the interval at all steps at once."""


def confidence_sequence(
    steps: object, *, confidence: float = 0.95, tightest_at: int = 250
) -> ConfidenceSequence:
    """Interval for a mean that may be looked at after every step, and stopped at any.

    ``mean(d_1 .. d_t) +- s_t sqrt(2 (t rho^2 + 1) / (t rho)^2 log(sqrt(t rho^2 + 1) / alpha))``
    with the standard deviation ``s_t`` so far.

    An interval for one sample size, looked at every day, excludes the truth sooner or later. This
    one does so with probability ``1 - confidence`` at most over all days together, for many steps.

    Parameters
    ----------
    steps : array-like of shape (n,)
        Differences ``d_t``, one after the other.
    confidence : float
        ``1 - alpha``, from 0.5 to below 1.
    tightest_at : int
        Step at which the interval shall be narrowest, which fixes ``rho``; it holds at all.

    Returns
    -------
    ConfidenceSequence

    Raises
    ------
    DataError
        If steps are no vector of finite numbers, or a setting is out of range.

    Notes
    -----
    Asymptotic: the deviation is estimated, and means of many steps are near a normal law. Steps
    may depend on the past by their deviation, as clusters of volatility do, but their mean must not
    be known from the step before.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics 52 (2024), https://arxiv.org/abs/2103.06476,
    theorem 2.2; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic
    confidence sequences", Annals of Statistics 49 (2021), https://arxiv.org/abs/1810.08240.

    Examples
    --------
    >>> found = confidence_sequence([0.1, -0.1] * 50 + [0.3, 0.1] * 200)
    >>> bool(found.low[99] < 0 < found.high[99]), bool(found.low[-1] > 0)
    (True, True)
    """
    values = float64_array(steps, "steps")
    if problems := order_problems({"`steps`": labels_of(steps)}):
        raise DataError(problems)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(
            f"`steps` must be a vector of finite numbers; got shape {values.shape}. Leave out what "
            "is not known."
        )
    if problems := number_problems(confidence=confidence, tightest_at=tightest_at):
        raise DataError(problems)
    if not (0.5 <= confidence < 1.0 and 1 <= tightest_at < math.inf):
        raise DataError(
            "`confidence` must be from 0.5 to below 1, and `tightest_at` at least 1; got "
            f"{confidence!r} and {tightest_at!r}."
        )
    alpha = 1.0 - confidence
    t = np.arange(1, len(values) + 1, dtype=np.float64)
    mean = np.cumsum(values) / t
    # Of numbers far from 0 the squares would leave no digits of what differs.
    around = values - values[:1]
    variance = np.cumsum(np.square(around)) / t - np.square(np.cumsum(around) / t)
    variance = np.maximum(variance, 0.0)
    log_term = -2.0 * math.log(alpha)
    rho2 = (log_term + math.log(log_term) + 1.0) / tightest_at
    width = np.sqrt(
        variance * 2.0 * (t * rho2 + 1.0) / (t**2 * rho2) * np.log(np.sqrt(t * rho2 + 1.0) / alpha)
    )
    width[: FEWEST_STEPS - 1] = np.nan
    return ConfidenceSequence(mean=mean, low=mean - width, high=mean + width, confidence=confidence)
