"""Axes: which range, which round numbers or dates on it, and how these are written.

An axis has at most six labels, short enough for a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from psann._text import shortened
from psann._typing import Array, Floats

_MOST_TICKS = 6
_LARGEST = 1e250  # beyond it differences and margins are no numbers
# Unit, how many of it, its length in seconds, most ticks: long labels leave room for few.
_DATE_STEPS = (
    *(("s", n, 1.0, 3) for n in (1, 5, 15)),
    *(("m", n, 60.0, 3) for n in (1, 5, 15)),
    *(("h", n, 3600.0, 3) for n in (1, 3, 6)),
    *(("D", n, 86400.0, 3) for n in (1, 2, 5, 10)),
    *(("M", n, 2629800.0, 4) for n in (1, 2, 3, 6)),
    *(("Y", n * 10**k, 31557600.0, 5) for k in range(6) for n in (1, 2, 5)),
)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range with the values that are written beside it."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    is_log: bool = False

    def places(self, values: Any) -> Floats:
        """Where values lie between the ends, which are 0 and 1.

        Examples
        --------
        >>> Axis(low=1.0, high=100.0, is_log=True).places([1.0, 10.0]).tolist()
        [0.0, 0.5]
        """
        ends, told = np.array([self.low, self.high]), np.asarray(values, dtype=np.float64)
        with np.errstate(all="ignore"):  # what is not finite, or not positive, has no place
            if self.is_log:
                ends, told = np.log(ends), np.log(told)
            places: Floats = (told - ends[0]) / (ends[1] - ends[0])
        return places


def numbers_of(values: Array) -> Floats:
    """Values as an axis has them: dates in seconds since 1970."""
    if values.dtype.kind == "M":
        return values.astype("M8[s]").astype(np.int64).astype(np.float64)
    return values.astype(np.float64)


def number_axis(
    values: Any,
    *,
    is_percent: bool = False,
    low: float | None = None,
    high: float | None = None,
    margin: float = 0.04,
) -> Axis:
    """An axis of equal steps over all finite values, with a margin where no end is given."""
    ends = _ends(np.asarray(values, dtype=np.float64))
    room = margin * (ends[1] - ends[0])
    if ends[0] == ends[1] and margin:
        room = 0.05 * abs(ends[0]) or 1.0
    least = ends[0] - room if low is None else low
    most = ends[1] + room if high is None else high
    if not most > least:
        most = least + (abs(least) or 1.0)
    write = percent_text if is_percent else number_text
    ticks = ((tick, write(tick)) for tick in round_numbers(least, most))
    return Axis(low=least, high=most, ticks=tuple(ticks))


def log_axis(values: Any) -> Axis:
    """An axis of equal factors over all positive values."""
    seen = np.asarray(values, dtype=np.float64)
    low, high = _ends(seen[seen > 1 / _LARGEST])
    if low <= 0:
        return number_axis([1.0])
    margin = 10 ** (0.05 * (math.log10(high) - math.log10(low))) if high > low else 1.05
    low, high = low / margin, high * margin
    ticks = tuple((tick, number_text(tick)) for tick in log_ticks(low, high))
    return Axis(low=low, high=high, ticks=ticks, is_log=True)


def time_axis(values: Array) -> Axis:
    """An axis of dates with calendar labels, of numbers with round ones, without a margin."""
    if values.dtype.kind != "M":
        return number_axis(values, margin=0.0)
    seconds = numbers_of(values)
    low, high = _ends(seconds)
    ticks = date_ticks(low, high)
    return Axis(low=low, high=high if high > low else low + 1.0, ticks=ticks)


def date_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """First instants of years, months, days ... within a range of seconds since 1970.

    Examples
    --------
    >>> [label for _, label in date_ticks(0.0, 4e8)]
    ['1970', '1975', '1980']
    """
    for unit, n, seconds, most in _DATE_STEPS:
        if (high - low) / (n * seconds) > most + 1:
            continue
        first, last = (int(_instant(end).astype(f"M8[{unit}]").astype(int)) for end in (low, high))
        offset = 1970 if unit == "Y" else 0
        whole = range(first, last + 1)
        starts = [np.int64(k).astype(f"M8[{unit}]") for k in whole if (k + offset) % n == 0]
        found = [(float(start.astype("M8[s]").astype(int)), start) for start in starts]
        inside = [(at, _date_text(start, unit)) for at, start in found if low <= at <= high]
        if 2 <= len(inside) <= most:
            return tuple(inside)
    ends = dict.fromkeys((low, high))
    return tuple((end, str(_instant(end)).replace("T", " ")) for end in ends)


def _instant(seconds: float) -> np.datetime64:
    return np.datetime64(int(seconds), "s")


def _date_text(start: np.datetime64, unit: str) -> str:
    text = str(start)
    if unit in ("Y", "M", "D"):
        return text
    return text[-8:] if unit == "s" else str(start.astype("M8[m]")).replace("T", " ")[-11:]


def round_numbers(low: float, high: float) -> list[float]:
    """Choose three to six round numbers in equal steps within a range.

    Examples
    --------
    >>> round_numbers(-0.31, 0.0)
    [-0.3, -0.2, -0.1, 0.0]
    """
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    size = 10.0 ** math.floor(math.log10(span / _MOST_TICKS))
    for step in (size, 2 * size, 5 * size, 10 * size, 20 * size):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < _MOST_TICKS:
            return [float(f"{place * step:.12g}") for place in range(first, last + 1)]
    return [low, high]


def log_ticks(low: float, high: float) -> list[float]:
    """Choose three to six round numbers within a positive range that a log axis shows.

    Parameters
    ----------
    low, high : float
        The range, `0 < low < high`.

    Examples
    --------
    >>> log_ticks(0.5, 20)
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    """
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    candidates = [np.outer(10.0**decades, digits).ravel() for digits in ([1, 2, 5], [1, 3], [1])]
    stride = max(1, -(-len(decades) // _MOST_TICKS))
    candidates.append(10.0 ** decades[::stride])
    for ticks in candidates:
        inside = [
            float(f"{tick:.6g}") for tick in ticks if low <= tick * 1.0000001 <= high * 1.0000002
        ]
        if len(inside) < 3:
            break
        if len(inside) <= _MOST_TICKS:
            return inside
    return [tick for tick in round_numbers(low, high) if tick > 0]


def number_text(value: float) -> str:
    """Write a number beside an axis.

    Examples
    --------
    >>> number_text(0.30000000000000004), number_text(1e9), number_text(-0.0)
    ('0.3', '1e9', '0')
    """
    return f"{value + 0.0:.6g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def percent_text(value: float) -> str:
    """Write a part as percent.

    Examples
    --------
    >>> percent_text(-0.075)
    '-7.5%'
    """
    return f"{number_text(round(100 * value, 9))}%"


def names_axis(names: Sequence[str], *, most: int, longest: int) -> Axis:
    """An axis of names from the top down, each one unit high; of many, some are written."""
    every = -(-len(names) // most)
    shown = ((place, shortened(name, longest)) for place, name in enumerate(names))
    ticks = tuple((place + 0.5, name) for place, name in shown if place % every == 0)
    return Axis(low=float(len(names)), high=0.0, ticks=ticks)


def _ends(values: Floats) -> tuple[float, float]:
    finite = values[np.abs(values) < _LARGEST]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
