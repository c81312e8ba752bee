"""How many rows are a year, by their dates."""

from __future__ import annotations

import numpy as np

from psann._typing import Array, Dates

# Markets differ in holidays: less is no other rate.
_OFF = 1.25
_FEWEST_ROWS = 30
# Nights and weekends of a week or two say little of a year.
_SHORTEST_SPAN = np.timedelta64(14, "D")


def rows_per_year(dates: Dates) -> float | None:
    """Rows per year of 365.25 days, over the whole span; None for fewer than three rows.

    Examples
    --------
    >>> rows_per_year(np.arange("2020-01", "2024-01", dtype="datetime64[M]"))
    12.0...
    """
    if len(dates) < 3:
        return None
    seconds = dates.astype("datetime64[s]").astype(np.int64)
    days = float(seconds[-1] - seconds[0]) / 86400.0
    return (len(dates) - 1) / days * 365.25 if days > 0 else None


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
