"""Folds: which rows they take, by hand, and that no row is used before its time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psann.errors import DataError
from psann.evaluation.options import WalkForwardOptions
from psann.evaluation.walk_forward import Fold, plan_folds


def plan(n_rows: int, n_judged: int = 60, n_validation: int = 0, **options: Any) -> list[Fold]:
    wanted = WalkForwardOptions(**options)
    return plan_folds(wanted, n_rows, n_judged=n_judged, n_validation=n_validation, least_train=7)


def test_expanding_folds_train_on_all_rows_before() -> None:
    folds = plan(200, n_validation=30, folds=3)
    assert [fold.train for fold in folds] == [slice(0, 110), slice(0, 130), slice(0, 150)]
    assert [fold.validation for fold in folds] == [
        slice(110, 140),
        slice(130, 160),
        slice(150, 180),
    ]
    assert [fold.judged for fold in folds] == [slice(140, 160), slice(160, 180), slice(180, 200)]


def test_rolling_folds_train_on_as_many_rows_each() -> None:
    folds = plan(200, folds=2, train=50, validation=10, gap=3, refit_every=20)
    assert [fold.train for fold in folds] == [slice(94, 144), slice(114, 164)]
    assert [fold.validation for fold in folds] == [slice(147, 157), slice(167, 177)]
    assert [fold.judged for fold in folds] == [slice(160, 180), slice(180, 200)]


def test_without_validation_the_one_gap_is_before_the_judged_rows() -> None:
    (fold,) = plan(100, n_judged=40, folds=1, gap=5)
    assert (fold.train, fold.validation, fold.judged) == (slice(0, 55), None, slice(60, 100))


def test_folds_of_the_calendar_judge_a_period_each() -> None:
    days = np.arange("2019-11-15", "2022-02-11", dtype="datetime64[D]")
    of_test = int((days >= np.datetime64("2020-12-30")).sum())
    wanted = {"n_judged": of_test, "dates": days, "n_validation": 20, "least_train": 7}
    folds = plan_folds(WalkForwardOptions(every="year"), len(days), **wanted)
    assert [str(days[f.judged.start]) for f in folds] == ["2020-12-30", "2021-01-01", "2022-01-01"]
    assert [f.judged.stop - f.judged.start for f in folds] == [2, 365, 41]
    assert [f.validation.stop for f in folds if f.validation] == [f.judged.start for f in folds]
    last = plan_folds(WalkForwardOptions(every="quarter", folds=2), len(days), **wanted)
    assert [str(days[f.judged.start]) for f in last] == ["2021-10-01", "2022-01-01"]


def test_folds_of_the_calendar_need_dates_and_earlier_periods() -> None:
    by_year = WalkForwardOptions(every="year", folds=2)
    for dates in (None, np.arange(100)):
        with pytest.raises(DataError, match="every must have the date of every row"):
            plan_folds(by_year, 100, n_judged=10, dates=dates)
    days = np.arange("2020-12-01", "2021-03-11", dtype="datetime64[D]")
    with pytest.raises(DataError, match="must be less than the 2 years of the rows"):
        plan_folds(by_year, 100, n_judged=10, dates=days)


def test_dates_of_a_frame_make_folds_and_those_of_other_rows_none() -> None:
    by_year = WalkForwardOptions(every="year", folds=2)
    days = pd.date_range("2018-01-01", periods=900)
    found, plain = (
        plan_folds(by_year, 900, n_judged=0, dates=each) for each in (days, days.to_numpy())
    )
    assert found == plain
    for wrong in (days[:-1], days[::-1]):
        with pytest.raises(DataError, match="`dates` must have the date of each of the 900 rows"):
            plan_folds(by_year, 900, n_judged=0, dates=wrong)


def test_folds_are_divided_in_one_way() -> None:
    with pytest.raises(ValueError, match="folds or every must be given"):
        WalkForwardOptions()
    with pytest.raises(ValueError, match="every and refit_every exclude each other"):
        WalkForwardOptions(every="year", refit_every=20)


def test_rows_that_do_not_divide_evenly_are_all_judged() -> None:
    folds = plan(100, n_judged=11, folds=4)
    lengths = [fold.judged.stop - fold.judged.start for fold in folds]
    assert lengths == [3, 3, 3, 2]


@settings(max_examples=200, deadline=None)
@given(
    n_rows=st.integers(2, 400),
    n_judged=st.integers(0, 200),
    n_validation=st.integers(0, 50),
    folds=st.integers(1, 8),
    gap=st.integers(0, 9),
    train=st.none() | st.integers(2, 100),
    refit_every=st.none() | st.integers(1, 40),
)
def test_no_fold_uses_a_row_that_it_is_judged_on_or_that_comes_later(
    n_rows: int, n_judged: int, n_validation: int, gap: int, **options: Any
) -> None:
    try:
        folds = plan(n_rows, n_judged, n_validation, gap=gap, **options)
    except DataError:
        return
    assert len(folds) == options["folds"]
    judged = np.concatenate([np.arange(n_rows)[fold.judged] for fold in folds])
    np.testing.assert_array_equal(judged, np.arange(n_rows)[judged[0] :])
    for fold in folds:
        spans = [fold.train, *([] if fold.validation is None else [fold.validation]), fold.judged]
        assert spans[0].start >= 0
        assert spans[0].stop - spans[0].start >= (options["train"] or 7)
        for earlier, later in pairwise(spans):
            assert later.start - earlier.stop == gap
            assert earlier.stop > earlier.start


def test_too_few_rows_are_refused_with_what_is_left() -> None:
    with pytest.raises(DataError, match="leave at least 7 rows to train the first fold") as caught:
        plan(100, n_judged=60, folds=2, validation=40)
    assert "100 rows less 60 judged and 40 of validation and gaps leave 0" in str(caught.value)
    with pytest.raises(DataError, match="folds must be at most 3, the rows to judge; got 5"):
        plan(100, n_judged=3, folds=5)
    with pytest.raises(DataError, match="train must be at least 7 rows"):
        plan(100, folds=1, train=3)
    months = np.arange("2015-01", "2020-01", dtype="datetime64[M]")
    with pytest.raises(DataError, match="at most 0, the rows to judge"):
        plan_folds(WalkForwardOptions(every="year"), 60, n_judged=0, dates=months)
