"""Rows that stand in more than one split, told by what is in them, and rows that are in none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from psann._inputs import numbers, show
from psann._inputs import times as moments_of
from psann._rates import find_gaps, other_rate
from psann._typing import Array, Floats
from psann.errors import counted
from psann.plausibility.finding import Finding

# By chance splits share about as many rows as recur within them, and seldom three numbers where
# none do; but never so many rows in a row.
_PER_REPEATED, _FEWEST_NUMBERS, _RUN = 3, 3, 12
# Rows whose median step tells how far apart they are, and by which factor others must lie.
_STRETCH, _OTHER_PACE = 30, 1.9


def overlap_findings(splits: Mapping[str, Any], *, least: int = 2) -> list[Finding]:
    """Say which splits share rows, bit for bit, whatever their times.

    A row that occurs several times in its own split, such as one of zeros, says nothing; and where
    many do, as prices of one asset return to where they were, few that are shared do neither.

    Parameters
    ----------
    splits : mapping of str to array-like of shape (T, F)
        Features or prices by split, as wide as each other.
    least : int
        Shared rows that say something: of prices two, since one split may end at the price at
        which the next begins.

    Returns
    -------
    list of Finding
        At most one for each pair; `row` is that of the later split.
    """
    keys = {name: _keys(array) for name, array in splits.items()}
    rows = {name: _unique(each) for name, each in keys.items()}
    found = []
    for one, other in combinations(rows, 2):
        places = [
            (rows[one][key], rows[other][key]) for key in rows[one].keys() & rows[other].keys()
        ]
        n_repeated = sum(len(set(keys[name])) - len(rows[name]) for name in (one, other))
        n_numbers = len(places) * np.shape(splits[one])[1]
        by_chance = len(places) < _PER_REPEATED * n_repeated or n_numbers < _FEWEST_NUMBERS
        if len(places) < least or (by_chance and not _has_run(keys[one], keys[other], places)):
            continue
        shared = sorted(row for _, row in places)
        what = (
            "are the same" if len(shared) == len(splits[one]) == len(splits[other]) else "overlap"
        )
        message = (
            f"{one} and {other} {what}: {counted(len(shared), 'row')} of {other} "
            f"{'stands' if len(shared) == 1 else 'stand'} in {one} "
            f"too, first row {shared[0]}. Cut the splits so that no row is in two."
        )
        found.append(Finding(name="overlap", message=message, row=shared[0]))
    return found


def _keys(array: Any) -> list[bytes]:
    """Rows by their bytes."""
    values = np.ascontiguousarray(numbers(array, "rows") + 0.0)  # no minus zero
    return [row.tobytes() for row in values]


def _unique(keys: list[bytes]) -> dict[bytes, int]:
    """Those that occur once, with their place."""
    counts = Counter(keys)
    return {key: row for row, key in enumerate(keys) if counts[key] == 1}


def _has_run(one: list[bytes], other: list[bytes], places: list[tuple[int, int]]) -> bool:
    """Whether a pair of equal rows lies in so long a run of them that it is no chance."""

    def reach(i: int, j: int, step: int) -> int:
        n = 0
        while n < _RUN and 0 <= i < len(one) and 0 <= j < len(other) and one[i] == other[j]:
            i, j, n = i + step, j + step, n + 1
        return n

    return any(reach(i, j, 1) + reach(i, j, -1) > _RUN for i, j in places)


def gap_findings(times: Any) -> list[Finding]:
    """Say where rows are missing: steps in time that are far longer than those that recur.

    More than ten times the median one and twice the fourth longest and, of dates, 14 days.

    Parameters
    ----------
    times : array-like of shape (T,)
        Ascending datetime64 or numbers; of numbers such as 20240131 nothing can be told.

    Returns
    -------
    list of Finding
        In order of time; `row` is the first after the gap. None for less than 30 rows, nor of gaps
        as short as holidays, nor where four or more are alike.
    """
    moments = moments_of(times, "times")
    if _are_calendar_numbers(moments):
        return []
    steps = np.diff(moments)
    lengths = steps.astype(np.float64)
    found = []
    for row in map(int, np.flatnonzero(find_gaps(moments))):
        how_long = (
            f"{steps[row].astype('timedelta64[D]').astype(int)} days"
            if steps.dtype.kind == "m"
            else f"{lengths[row]:g}"
        )
        n_usual = lengths[row] / np.median(lengths)
        message = (
            f"Nothing is there between row {row}, {show(moments[row])}, and row {row + 1}, "
            f"{show(moments[row + 1])}: {how_long}, {n_usual:.0f} usual steps. The "
            "move across it is taken for one of a single step. Fill in the missing rows, or begin "
            "after them."
        )
        found.append(Finding(name="gap", message=message, row=row + 1))
    return found


def pace_findings(times: Any) -> list[Finding]:
    """Say that rows lie at one distance up to some row, and from there on at another.

    As months that days follow: the medians of all stretches of 30 steps before it are 1.9 times as
    long as those of all after it, or as short.

    Parameters
    ----------
    times : array-like of shape (T,)
        Ascending datetime64 or numbers; of numbers such as 20240131 nothing can be told.

    Returns
    -------
    list of Finding
        At most one; its row is about where they part.
    """
    moments = moments_of(times, "times")
    n_stretches = (len(moments) - 1) // _STRETCH
    if n_stretches < 2 or _are_calendar_numbers(moments):
        return []
    steps = np.diff(moments)[: n_stretches * _STRETCH].reshape(n_stretches, _STRETCH)
    usual = np.median(steps.astype(np.float64), axis=1)
    if not usual.all():
        return []
    parting = np.maximum(_by_what(usual), _by_what(1 / usual))
    if parting.max() < _OTHER_PACE:
        return []
    place = int(parting.argmax()) + 1
    row = place * _STRETCH
    ratio = usual[:place].mean() / usual[place:].mean()
    how = f"{ratio:.3g} times as often" if ratio > 1 else f"{1 / ratio:.3g} times as seldom"
    message = (
        f"From about {show(moments[row])} on rows come {how} as before: moves, features and "
        "figures per year take them for alike. Keep rows of one frequency."
    )
    return [Finding(name="pace", message=message, row=row)]


def _by_what(values: Floats) -> Floats:
    """By which factor all values before each place but the first are above all from it on."""
    above: Floats = np.minimum.accumulate(values)[:-1]
    return above / np.maximum.accumulate(values[::-1])[::-1][1:]


def rate_findings(times: Any, *, periods_per_year: float) -> list[Finding]:
    """Say that rows come more or less often than figures per year take them to.

    Parameters
    ----------
    times : array-like of shape (T,)
        Ascending datetime64; of numbers nothing can be told.
    periods_per_year : float
        What the figures are made with. A quarter off is no finding: markets differ in holidays.

    Returns
    -------
    list of Finding
        At most one; none for less than 30 rows, nor for a week or two of moments, whose
        nights and weekends say little of a year.
    """
    rate = other_rate(moments_of(times, "times"), periods_per_year)
    if rate is None:
        return []
    message = (
        f"By their times about {rate:g} rows are a year, while figures per year are made as if "
        f"{periods_per_year:g} were. Set evaluation.periods_per_year to {rate:g}."
    )
    return [Finding(name="rate", message=message, row=None)]


def _are_calendar_numbers(moments: Array) -> bool:
    """Whether numbers are dates in digits, such as 20240131, whose differences mean nothing."""
    if moments.dtype.kind == "M":
        return False
    months, days = (moments // 100) % 100, moments % 100
    is_whole = (moments == np.floor(moments)) & (moments > 1900_00_00) & (moments < 2200_00_00)
    return bool((is_whole & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())
