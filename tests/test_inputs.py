"""What users give as arrays: one conversion, the same rules and messages at every door."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from psann import PSANNRegressor
from psann._inputs import finiteness_problems, is_missing, numbers, times
from psann.baselines import uniform
from psann.errors import DataError
from psann.evaluation.judgement import Terms, judge_policy
from psann.metrics import portfolio_metrics

NUMBERS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
DAYS = np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]")


class Polars:
    """A frame as polars has it: columns, `to_numpy`, no index."""

    columns: tuple[str, ...] = ("a", "b")

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def to_numpy(self) -> np.ndarray:
        return self._array


class Array:
    """What says of itself that it is an array, as JAX does."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return NUMBERS.astype(dtype or float)


FORMS = {
    "array": NUMBERS,
    "list": NUMBERS.tolist(),
    "whole numbers": NUMBERS.astype(np.int16),
    "objects": NUMBERS.astype(object),
    "masked without a mask": np.ma.array(NUMBERS),
    "frame": pd.DataFrame(NUMBERS),
    "nullable": pd.DataFrame(NUMBERS).convert_dtypes(),
    "arrow": pd.DataFrame(NUMBERS).astype("double[pyarrow]"),
    "mixed columns": pd.DataFrame({"a": NUMBERS[:, 0].astype(int), "b": pd.array(NUMBERS[:, 1])}),
    "polars": Polars(NUMBERS),
    "protocol": Array(),
    **{
        str(dtype): torch.tensor(NUMBERS).to(dtype)
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int8)
    },
    "eight bits": torch.tensor(NUMBERS).to(torch.float8_e4m3fn),
    "with a gradient": torch.tensor(NUMBERS, requires_grad=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_numbers_in_any_form_are_the_same_numbers(form: str) -> None:
    assert_array_equal(numbers(FORMS[form], "X"), NUMBERS)


def test_single_precision_stays_and_every_other_becomes_double() -> None:
    assert numbers(np.float32([1.0]), "X").dtype == np.float32
    assert numbers(torch.ones(1), "X").dtype == np.float32
    for other in (np.float16([1.0]), [True], torch.ones(1).bfloat16(), pd.array([1.5])):
        assert numbers(other, "X").dtype == np.float64


HOLED = {
    "NaN": np.array([[1.0, 2.0], [3.0, np.nan]]),
    "None": [[1.0, 2.0], [3.0, None]],
    "masked": np.ma.array([[1, 2], [3, 4]], mask=[[0, 0], [0, 1]]),
    "masked single": np.ma.array(np.ones((2, 2), np.float32), mask=[[0, 0], [0, 1]]),
    "nullable": pd.DataFrame({"a": [1, 3], "b": pd.array([2, None], dtype="Int64")}),
    "arrow": pd.DataFrame({"a": [1, 3], "b": pd.array([2, None], dtype="int64[pyarrow]")}),
    "tensor": torch.tensor([[1.0, 2.0], [3.0, torch.nan]]),
}


@pytest.mark.parametrize("form", HOLED)
def test_missing_values_are_called_missing_at_every_door(form: str) -> None:
    holed: Any = HOLED[form]
    said = (
        r"must be finite; got 1 missing \(NaN\) and 0 infinite of 4 values, first at row 1, column "
        r"1( \('b'\))?\. Drop those rows or fill them with what was known at the time."
    )
    whole = [[1.0, 1.0], [1.0, 1.0]]
    model = PSANNRegressor(hidden_units=2, epochs=1)
    with pytest.raises(ValueError, match=f"^X {said}"):
        model.fit(holed, [1.0, 2.0])
    with pytest.raises(ValueError, match=f"^y {said}"):
        model.fit(whole, holed)
    with pytest.raises(ValueError, match=f"^prices {said}"):
        model.fit(whole, prices=holed, hisso={"window": 2})
    with pytest.raises(DataError, match=f"^`prices` {said}"):
        portfolio_metrics(whole, holed)
    with pytest.raises(DataError, match=f"^`prices` {said}"):
        uniform(holed)
    with pytest.raises(DataError, match=f"^`allocations` {said}"):
        judge_policy(holed, whole, terms=Terms())
    # The cure: those rows dropped.
    model.fit(numbers(holed, "X")[[0, 0]], [1.0, 2.0])


DATES = {
    "days": DAYS,
    "nanoseconds": DAYS.astype("datetime64[ns]"),
    "dates": DAYS.astype(object).tolist(),
    "datetimes": [datetime.datetime(2020, 1, day) for day in (1, 2, 3)],
    "ISO texts": ["2020-01-01", "2020-01-02T00:00", "20200103"],
    "index": pd.DatetimeIndex(DAYS),
    "midnights of a zone": pd.date_range("2020-01-01", periods=3, tz="Asia/Tokyo"),
    "UTC texts": ["2020-01-01T00:00Z", "2020-01-02T00:00:00+00:00", "2020-01-03T00:00Z"],
    "arrow": pd.Series(DAYS.astype(object).tolist()).astype("date32[day][pyarrow]"),
    "series": pd.Series(pd.DatetimeIndex(DAYS)),
    "periods": pd.period_range("2020-01-01", periods=3, freq="D"),
    "texts of pandas": pd.Series(["2020-01-01", "2020-01-02", "2020-01-03"]),
}


@pytest.mark.parametrize("form", DATES)
def test_dates_in_any_form_are_the_same_dates(form: str) -> None:
    found = times(DATES[form], "time_train")
    assert found.dtype == "datetime64[us]"
    assert_array_equal(found, DAYS)


def test_times_of_a_zone_become_those_of_utc() -> None:
    tokyo = pd.date_range("2020-01-01 09:30", periods=2, freq="h", tz="Asia/Tokyo")
    for zoned in (tokyo, tokyo.to_series(), [moment.isoformat() for moment in tokyo]):
        assert times(zoned, "time").astype(str).tolist() == [
            "2020-01-01T00:30:00.000000",
            "2020-01-01T01:30:00.000000",
        ]


def test_numbers_are_times_of_the_user_s_own_unit_and_months_begin_on_their_first_day() -> None:
    assert times([1, 2.5], "time").tolist() == [1.0, 2.5]
    assert_array_equal(
        times(["2020-02", "2021"], "time"), np.array(["2020-02-01", "2021-01-01"], "M8")
    )


def test_a_missing_date_is_told_with_its_row() -> None:
    for holed in (["2020-01-01", ""], [datetime.date(2020, 1, 1), None], pd.to_datetime([0, None])):
        (told,) = finiteness_problems(times(holed, "time_val"), "time_val")
        assert told.startswith("time_val must be finite; got 1 missing (NaT) and 0 infinite of 2 ")
        assert "first at row 1." in told
    assert [is_missing(cell) for cell in (None, pd.NA, pd.NaT, float("nan"), 0, "")] == (
        [True] * 4 + [False] * 2
    )


def test_what_is_no_number_is_refused_with_a_cure_that_works() -> None:
    texts = np.array(["1.5", "2"])
    with pytest.raises(DataError, match=r"^y must hold numbers; got dtype <U3 .*\.astype\(float\)"):
        numbers(texts, "y")
    assert numbers(texts.astype(float), "y").tolist() == [1.5, 2.0]
    with pytest.raises(DataError, match=r"^y must hold numbers.*Leave it out, or say it in numb"):
        numbers(["a"], "y")
    with pytest.raises(DataError, match=r"'x' is str. Leave it out"):
        numbers(np.array([1, "x"], dtype=object), "y")
    for dates in (DAYS, pd.Series(DAYS)):
        with pytest.raises(DataError, match=r"Use days: numpy.asarray\(t, dtype=.datetime64\[D\]"):
            numbers(dates, "X")
        days = np.asarray(dates, dtype="datetime64[D]").astype(float)
        assert numbers(days, "X").tolist() == [18262.0, 18263.0, 18264.0]
    with pytest.raises(DataError, match="Complex data not supported: take the real part"):
        numbers(np.array([1j]), "X")
    assert numbers(np.array([1j]).real, "X").tolist() == [0.0]
    with pytest.raises(DataError, match="Make all its rows equally long"):
        numbers([[1], [1, 2]], "X")


def test_spans_of_time_sparse_tables_and_numbers_without_end_are_refused_with_a_cure() -> None:
    spans = np.array([1, 36], dtype="timedelta64[h]")
    with pytest.raises(DataError, match=r'^y must hold .* Use days: t / numpy.timedelta64\(1, "D'):
        numbers(spans, "y")
    assert numbers(spans / np.timedelta64(1, "D"), "y").tolist() == [1 / 24, 1.5]
    sparse = csr_array(np.eye(2))
    with pytest.raises(DataError, match=r"^y must be an array; got csr_array, which is sparse"):
        numbers(sparse, "y")
    assert numbers(sparse.toarray(), "y").tolist() == [[1.0, 0.0], [0.0, 1.0]]
    for odd in (["a", "b"], [1j, 2j], spans, np.array([(1,), (2,)], dtype=[("a", int)])):
        with pytest.raises(DataError, match=r"^y must hold numbers; got dtype"):
            numbers(np.ma.array(odd, mask=[True, False]), "y")
    for never in ([10**400], [[10**400, 1.0]]):
        with pytest.raises(DataError, match=r"^y must fit into float64; a whole number in it is"):
            numbers(never, "y")
    model, rows = PSANNRegressor(hidden_units=2, epochs=1), np.eye(3)
    for call in (lambda: model.fit(None, [1.0]), lambda: model.fit(rows, [1, 2, 3]).predict(None)):
        with pytest.raises(DataError, match=r"^X must be an array of numbers; got None"):
            call()
    with pytest.raises(DataError, match=r"^validation X must be an array of numbers; got None"):
        model.fit(rows, [1, 2, 3], validation_data=(None, [1.0]))


def test_texts_that_are_no_iso_dates_are_refused_with_a_cure_that_works() -> None:
    foreign = ["03/04/2020", "04/04/2020"]
    with pytest.raises(DataError, match=r"text '03/04/2020' in row 0\..*pandas.to_datetime\("):
        times(foreign, "time_train")
    assert times(pd.to_datetime(foreign, dayfirst=True), "t").astype("M8[D]").astype(str)[0] == (
        "2020-04-03"
    )
    mixed = ["2020-01-01T10:00", "2020-01-02T10:00Z"]
    with pytest.raises(DataError, match=r"got 1 of 2 with one\. Give all"):
        times(mixed, "time")
    assert times([text.removesuffix("Z") for text in mixed], "time").dtype == "datetime64[us]"
