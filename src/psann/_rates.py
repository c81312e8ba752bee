"""How many rows are a year, and between which of them others are missing, by their dates."""

from __future__ import annotations

import numpy as np

from psann._typing import Array, Bools, Dates

# Markets differ in holidays: less is no other rate.
_OFF = 1.25
_FEWEST_ROWS = 30
# Nights and weekends of a week or two say little of a year.
_SHORTEST_SPAN = np.timedelta64(14, "D")
# Steps as long as the fourth longest recur: nights, weekends, holidays.
_N_LONGEST, _LONGER = 4, 2.0
# Usual steps that one must span where it is the first of its kind.
_MANY = 10.0
# Two weeks: markets of the world close for no longer.
_LONGEST_HOLIDAY = np.timedelta64(14, "D")


def find_gaps(moments: Array) -> Bools:
    """Find steps in time that are far longer than those that recur: rows are missing there.

    A step is a gap if it is more than ten times the median one and more than twice the fourth
    longest; of dates, whose holidays are long, if it is also more than 14 days.

    Parameters
    ----------
    moments : ndarray of shape (T,)
        Ascending datetime64 or numbers.

    Returns
    -------
    ndarray of shape (T - 1,)
        Of fewer than 30 rows, where nobody can tell what is usual, none is.
    """
    # Months have no length in days: NumPy compares them with none.
    steps = np.diff(moments.astype("M8[s]") if moments.dtype.kind == "M" else moments)
    if len(moments) < _FEWEST_ROWS:
        return np.zeros(len(steps), dtype=bool)
    lengths = steps.astype(np.float64)
    recurring = np.sort(lengths)[-_N_LONGEST]
    is_gap: Bools = (lengths > _MANY * np.median(lengths)) & (lengths > _LONGER * recurring)
    return is_gap & (steps > _LONGEST_HOLIDAY) if steps.dtype.kind == "m" else is_gap


def rows_per_year(dates: Dates) -> float | None:
    """Rows per year of 365.25 days, over the span without gaps; None for fewer than three rows.

    Examples
    --------
    >>> rows_per_year(np.arange("2020-01", "2024-01", dtype="datetime64[M]"))
    12.0...
    """
    if len(dates) < 3:
        return None
    steps = np.diff(dates.astype("datetime64[s]"))[~find_gaps(dates)]
    days = steps.astype(np.float64).sum() / 86400.0
    return float(len(steps) / days * 365.25) if days > 0 else None


def other_rate(times: Array, periods_per_year: float) -> float | None:
    """Rows per year where it is another number than figures per year are made with.

    Parameters
    ----------
    times : ndarray of shape (T,)
        Ascending datetime64; of numbers nothing can be told.
    periods_per_year : float
        What the figures are made with.

    Returns
    -------
    float or None
        To three digits; None where it is within a quarter, or of too few rows.
    """
    if times.dtype.kind != "M" or len(times) < _FEWEST_ROWS:
        return None
    times = times.astype("datetime64[us]")
    rate = rows_per_year(times)
    if rate is None or times[-1] - times[0] < _SHORTEST_SPAN:
        return None
    return None if 1 / _OFF < rate / periods_per_year < _OFF else float(f"{rate:.3g}")
