"""From texts to numbers: one reading of points and commas for all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psann.market.numerals import (
    USUAL_MISSING,
    Reading,
    find_readings,
    is_certain_point,
    is_numeral,
    to_numbers,
    without_sentinels,
)

MARKS = {
    ".,": str.maketrans("", ""),
    ",.": str.maketrans(".,", ",."),
    ".'": str.maketrans(",", "'"),
    ", ": str.maketrans(".,", ", "),
}


@given(
    marks=st.sampled_from(list(MARKS)),
    numbers=st.lists(st.floats(0.01, 1e9).map(lambda x: round(x, 2)), min_size=1, max_size=9),
)
def test_numbers_are_read_as_they_were_written_or_in_two_ways(
    marks: str, numbers: list[float]
) -> None:
    cells = [f"{number:,.2f}".translate(MARKS[marks]) for number in numbers]
    readings = find_readings(cells)
    values = [to_numbers(cells, reading, USUAL_MISSING)[0].tolist() for reading in readings]
    assert numbers in values
    assert len(readings) == 1  # two decimals are never a group of three


@pytest.mark.parametrize(
    ("cells", "n"),
    [
        (["1.234"], 2),
        (["1,234", "5"], 2),
        (["1.234", "5.67"], 1),
        (["1.234", "1.234.567"], 1),
        (["12", "7"], 1),
        (["0.852"], 1),
    ],
)
def test_three_digits_after_one_mark_leave_it_open(cells: list[str], n: int) -> None:
    assert len(find_readings(cells)) == n


def test_what_the_user_says_settles_it() -> None:
    (reading,) = find_readings(["1.234"], decimal=",")
    assert reading.parse("1.234") == 1234.0
    (reading,) = find_readings(["1.234"], decimal=".")
    assert reading.parse("1.234") == 1.234


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("$1,234.50", 1234.5),
        ("1,00,000.5", 100000.5),
        ("-3", -3.0),
        ("−3.5", -3.5),
        ("12%", 12.0),
        ("1e5", 1e5),
        ("1,23", None),
        ("1.2.3", None),
        ("1_000", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("٣", None),
        (".", None),
    ],
)
def test_a_numeral_is_read_strictly(cell: str, value: float | None) -> None:
    assert Reading(".", ",").parse(cell) == value


def test_cells_that_are_no_numbers_are_pointed_at() -> None:
    values, odd = to_numbers(["1.5", "", "abc", "N/A", "2"], Reading(".", None), USUAL_MISSING)
    np.testing.assert_array_equal(values, [1.5, math.nan, math.nan, math.nan, 2.0])
    assert odd == [2]


def test_what_may_be_a_number_and_whose_point_is_certain() -> None:
    assert [is_numeral(cell) for cell in ("€ 5", "5 €", "2020-01-01", "A1", "1 234,5")] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert [is_certain_point(cell) for cell in ("1.2345", "0.5", "1.234", "15", "1,5")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_sentinels_are_holes_by_value_and_the_rest_is_untouched() -> None:
    values = np.array([1.0, -99.99, -999.0])
    np.testing.assert_array_equal(
        without_sentinels(values, ["-99.99", "x"]), [1.0, math.nan, -999.0]
    )
    assert values[1] == -99.99


@pytest.mark.parametrize("cell", ["-\t5", "$\t5", "- 5", "5\t%", "−5"])
def test_any_blank_may_stand_beside_a_sign(cell: str) -> None:
    expected = 5.0 if "5\t%" in cell or "$" in cell else -5.0
    assert Reading(".", None).parse(cell) == expected
