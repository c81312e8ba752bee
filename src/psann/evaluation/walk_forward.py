"""Walk-forward evaluation: which rows each fold trains on, chooses by, and is judged on.

One series of rows in time; row ``t`` of X is known at time ``t``, its action earns the move from
price ``t`` to price ``t + 1``. Folds follow each other without a gap between the rows on which they
are judged, so that their actions make one sequence, judged as one: what a fold holds at its end is
what the next begins with, and the change is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psann._inputs import are_dates, times
from psann._typing import Dates
from psann.errors import DataError, counted
from psann.evaluation.options import Period, WalkForwardOptions

_MONTHS: dict[Period, int] = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Rows of one fold, as slices of the whole series."""

    number: int
    """From 1."""
    train: slice
    """Rows that fit the policy."""
    validation: slice | None
    """Rows that choose the epoch, after the training rows; None chooses by training reward."""
    judged: slice
    """Rows on which the policy acts, after all of these."""


def plan_folds(
    options: WalkForwardOptions,
    n_rows: int,
    *,
    n_judged: int,
    n_validation: int = 0,
    least_train: int = 2,
    dates: Dates | None = None,
) -> list[Fold]:
    """Cut a series into folds whose judged rows are its last ones, one after the other.

    Parameters
    ----------
    options : WalkForwardOptions
        How many folds, and how long each part is.
    n_rows : int
        Rows of the whole series.
    n_judged : int
        Rows to divide among the folds where `options.refit_every` is None, and to take the periods
        of where `options.folds` is.
    n_validation : int
        Validation rows of a fold where `options.validation` is None; 0 for none.
    least_train : int
        Training rows that every fold must have.
    dates : datetime64 ndarray of shape (n_rows,), optional
        Increasing; `options.every` needs them. A fold judges the rows of one period, the moves from
        them to the next row among them.

    Returns
    -------
    list of Fold
        In time. Of rows that do not divide evenly, the first folds get one more each.

    Raises
    ------
    DataError
        If the rows do not suffice, or dates are not those of the rows.

    Examples
    --------
    >>> options = WalkForwardOptions(folds=2, validation=20, gap=5)
    >>> first, second = plan_folds(options, 200, n_judged=60)
    >>> first.train, first.validation, first.judged
    (slice(0, 110, None), slice(115, 135, None), slice(140, 170, None))
    >>> second.train, second.judged
    (slice(0, 140, None), slice(170, 200, None))
    >>> months = np.arange("2015-01", "2020-01", dtype="datetime64[M]")
    >>> by_year = WalkForwardOptions(folds=2, every="year")
    >>> [fold.judged for fold in plan_folds(by_year, 60, n_judged=0, dates=months)]
    [slice(36, 48, None), slice(48, 60, None)]
    """
    if options.every is not None and dates is not None:
        dates = _dates_of_rows(dates, n_rows)
    wanted = options.validation or n_validation
    n_before = wanted + options.gap * (2 if wanted else 1)
    lengths = _lengths(options, n_judged, dates)
    first_train = n_rows - sum(lengths) - n_before
    least = least_train if options.train is None else max(options.train, least_train)
    problems = []
    if min(lengths, default=0) < 1:
        problems.append(
            f"evaluation.walk_forward.folds must be at most {n_judged}, the rows to judge; got "
            f"{options.folds}."
        )
    if options.train is not None and options.train < least_train:
        problems.append(
            f"evaluation.walk_forward.train must be at least {least_train} rows "
            f"(hisso.window + hisso.delay + 1); got {options.train}."
        )
    if first_train < least:
        problems.append(
            f"evaluation.walk_forward must leave at least {counted(least, 'row')} to train the "
            f"first fold; {counted(n_rows, 'row')} less {sum(lengths):,} judged and {n_before:,} "
            f"of validation and gaps leave {max(first_train, 0):,}. Judge or validate fewer rows."
        )
    if problems:
        raise DataError(problems)
    ends = n_rows - sum(lengths) + np.cumsum(lengths)
    return [
        _fold(number, slice(int(end) - length, int(end)), options, wanted)
        for number, (end, length) in enumerate(zip(ends, lengths, strict=True), start=1)
    ]


def _dates_of_rows(dates: Dates, n_rows: int) -> Dates:
    found = times(dates, "`dates`")
    if found.shape != (n_rows,) or not (found[1:] >= found[:-1]).all():
        raise DataError(
            f"`dates` must have the date of each of the {n_rows} rows, in order of time; got shape "
            f"{found.shape}."
        )
    return found


def _lengths(options: WalkForwardOptions, n_judged: int, dates: Dates | None) -> list[int]:
    """Rows that each fold judges, the last ones of the series."""
    if options.every is not None:
        return _lengths_of_periods(options.every, options.folds, n_judged, dates)
    n_folds = options.folds or 1
    if options.refit_every is not None:
        return [options.refit_every] * n_folds
    return [len(part) for part in np.array_split(np.arange(n_judged), n_folds)]


def _lengths_of_periods(
    every: Period, n_folds: int | None, n_judged: int, dates: Dates | None
) -> list[int]:
    if not are_dates(dates):
        raise DataError(
            "evaluation.walk_forward.every must have the date of every row, as data.prices and the "
            "arrays time_train, time_val and time_test give it; got none. Add them, or say folds "
            "alone."
        )
    if n_folds is None:
        dates = dates[len(dates) - n_judged :]
    months = dates.astype("datetime64[M]").astype(np.int64)
    _, lengths = np.unique(months // _MONTHS[every], return_counts=True)
    if n_folds is not None and n_folds >= len(lengths):
        raise DataError(
            f"evaluation.walk_forward.folds must be less than the {counted(len(lengths), every)} "
            f"of the rows, so that there are rows to train on; got {n_folds}."
        )
    return [int(length) for length in lengths[-(n_folds or len(lengths)) :]]


def _fold(number: int, judged: slice, options: WalkForwardOptions, n_validation: int) -> Fold:
    end = judged.start - options.gap
    validation = None
    if n_validation:
        validation = slice(end - n_validation, end)
        end = validation.start - options.gap
    begin = 0 if options.train is None else end - options.train
    return Fold(number=number, train=slice(begin, end), validation=validation, judged=judged)
