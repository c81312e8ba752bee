"""From texts to dates: one format for a column, or several that differ."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psann._inputs import show
from psann.market import dates
from psann.market.dates import (
    guess_of_numbers,
    midnights_of,
    of_known_years,
    possible_readings,
    read_by_format,
    read_numbers,
    to_utc,
)

FORMS = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%b %d, %Y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%Y.%m.%d",
    "%d-%b-%y",
]


@given(
    form=st.sampled_from(FORMS),
    time=st.sampled_from(["", " %H:%M", " %H:%M:%S", "T%H:%M:%S"]),
    moments=st.lists(
        st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2060, 1, 1)),
        min_size=1,
        max_size=8,
    ),
)
def test_what_a_format_writes_is_read_back(
    form: str, time: str, moments: list[datetime.datetime]
) -> None:
    texts = [moment.strftime(form + time) for moment in moments]
    expected = [datetime.datetime.strptime(text, form + time) for text in texts]
    readings = possible_readings(texts)
    wanted = np.array(expected, dtype="datetime64[us]")
    assert any(np.array_equal(reading.values, wanted) for reading in readings)
    # Only where day, month and short year can be exchanged is there more than one.
    assert len(readings) == 1 or form in ("%d.%m.%Y",)


@pytest.mark.parametrize("form", dates._DAY_FORMATS)
def test_the_shape_of_a_text_rules_no_format_out_that_reads_it(form: str) -> None:
    plain = datetime.datetime(2021, 5, 4, 3, 2, 1).strftime(form)
    for text in (plain, plain.replace("0", " "), plain.replace("0", ""), plain.replace(" ", "  ")):
        if dates._strptime(text, form):
            assert dates._shape(text) == dates._shape_of_format(form)


@pytest.mark.parametrize(
    ("texts", "n_readings"),
    [
        (["01/02/2021", "03/04/2021"], 2),
        (["01/02/2021", "13/04/2021"], 1),
        (["03/03/2021"], 1),
        (["01/02/03"], 3),
        (["12.5", "13.1"], 0),
        (["AAPL", "MSFT"], 0),
        (["2021-13-01"], 0),
    ],
)
def test_readings_that_differ_are_all_found(texts: list[str], n_readings: int) -> None:
    assert len(possible_readings(texts)) == n_readings


@pytest.mark.parametrize(
    ("label", "day"),
    [
        ("2020Q3", "2020-07-01"),
        ("2020-Q1", "2020-01-01"),
        ("Q4 2020", "2020-10-01"),
        ("2020M11", "2020-11-01"),
        ("2020W05", "2020-01-27"),
        ("2020-W53", "2020-12-28"),
        ("2021-W01-3", "2021-01-06"),
    ],
)
def test_a_period_is_its_first_day(label: str, day: str) -> None:
    (reading,) = possible_readings([label])
    assert show(reading.values[0]) == day
    assert show(read_by_format([label], reading.format).values[0]) == day


@pytest.mark.parametrize("label", ["2020Q5", "2020W54", "2020M13", "Q12020x"])
def test_a_label_of_no_period_is_no_date(label: str) -> None:
    assert possible_readings([label]) == []


def test_a_few_cells_that_do_not_fit_are_pointed_at() -> None:
    (reading,) = possible_readings(["2021-03-01", "2021-03-02", "Total", "2021-03-04"])
    assert reading.misfits.tolist() == [2]


def test_an_offset_is_taken_off_unless_all_are_midnights() -> None:
    (noon,) = possible_readings(["2021-03-01 12:00:00+02:00", "2021-03-01T12:00:00-0530"])
    assert [show(moment) for moment in noon.values] == ["2021-03-01T10:00", "2021-03-01T17:30"]
    (days,) = possible_readings(["2021-03-01 00:00:00-05:00", "2021-04-01 00:00:00-04:00"])
    assert [show(moment) for moment in days.values] == ["2021-03-01", "2021-04-01"]
    assert noon.is_zoned and days.is_zoned


def test_hours_of_the_afternoon_are_read() -> None:
    (reading,) = possible_readings(["1/13/2020 4:00 PM", "1/14/2020 9:30 AM"])
    assert [show(moment) for moment in reading.values] == [
        "2020-01-13T16:00",
        "2020-01-14T09:30",
    ]


@pytest.mark.parametrize(
    ("unit", "number"),
    [
        ("s", 1614600000),
        ("ms", 1614600000000),
        ("us", 1614600000000000),
        ("ns", 1614600000000000000),
        ("excel", 44256.5),
    ],
)
def test_numbers_of_each_unit_are_the_same_noon(unit: str, number: float) -> None:
    values = read_numbers(np.array([number, np.nan]), unit)
    assert show(values[0]) == "2021-03-01T12:00"
    assert np.isnat(values[1])


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("20210301", {"date": "%Y%m%d"}),
        ("202103", {"date": "%Y%m"}),
        ("2021", {"date": "%Y"}),
        ("1614600000", {"date_unit": "s"}),
        ("1614600000000", {"date_unit": "ms"}),
        ("1614600000000000000", {"date_unit": "ns"}),
        ("44256", {"date_unit": "excel"}),
        ("20211345", None),
        ("7", None),
        ("abc", None),
    ],
)
def test_numbers_are_guessed_by_their_length(text: str, guess: object) -> None:
    assert guess_of_numbers([text]) == guess


def test_wall_clock_times_become_utc_in_order() -> None:
    walls = np.array(
        ["2021-10-31T01:30", "2021-10-31T02:30", "2021-10-31T02:30"], dtype="datetime64[us]"
    )
    utc, absent = to_utc(walls, "Europe/Berlin")
    assert [show(moment)[-5:] for moment in utc] == ["23:30", "00:30", "01:30"]
    assert absent == []
    assert to_utc(np.array(["2021-03-28T02:30"], dtype="datetime64[us]"), "Europe/Berlin")[1] == [0]


def test_midnights_are_days_only_if_all_are() -> None:
    stamps = np.array(["2021-03-01T05:00", "2021-04-01T04:00"], dtype="datetime64[us]")
    assert midnights_of(stamps, "America/New_York") is not None
    assert midnights_of(stamps, "UTC") is None


def test_what_does_not_fit_a_given_format_is_no_date() -> None:
    assert read_by_format(["01/03/21", "x"], "%d/%m/%y").misfits.tolist() == [1]


@pytest.mark.parametrize(
    "cell", ["2021-03-01 00:30+99:00", "0001-01-01 00:30+01:00", "9999-12-31 23:30-01:00"]
)
def test_a_stamp_that_is_no_moment_of_utc_is_no_date(cell: str) -> None:
    (reading,) = possible_readings(["2021-03-01 00:30+01:00", "2021-03-02 00:30+01:00", cell])
    assert reading.misfits.tolist() == [2]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "excel"])
@pytest.mark.parametrize("number", [1e18, -1e18, 1e30, 1e308, np.inf, np.nan])
def test_a_number_beyond_all_years_is_no_date(unit: str, number: float) -> None:
    assert np.isnat(read_numbers(np.array([1.0, number]), unit)).tolist() == [False, True]


def test_a_frame_of_other_ages_has_no_dates_there() -> None:
    ages = np.array(["2021-03-01", "0001-01-01", "9999-12-31", "-2000-01-01"], "datetime64[D]")
    assert np.isnat(of_known_years(ages)).tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    "text", ["2021-02-29", "2021-3-1", "20210-3-1", "2021-0３-01", "2021-W1-01", "2021-03-1 "]
)
def test_the_quick_way_reads_what_the_format_reads(text: str) -> None:
    try:
        expected = [datetime.datetime.strptime(text.strip(), "%Y-%m-%d")]
    except ValueError:
        expected = []
    readings = possible_readings([text, text, "2021-03-05"])
    assert [r.values[0] for r in readings if not np.isnat(r.values[0])] == expected
