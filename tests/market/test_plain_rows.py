"""Rows of plain numbers are read as `float` reads each cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from psann.market.plain_rows import parse_row

DIGITS = "0123456789"
DECIMALS = st.builds(
    lambda whole, point, rest: f"{whole}.{rest}" if point and whole + rest else whole,
    st.text(DIGITS, max_size=20),
    st.booleans(),
    st.text(DIGITS, max_size=30),
)


@given(cells=st.lists(DECIMALS, min_size=1, max_size=12), sep=st.sampled_from(",;\t|"))
@example(cells=["9007199254740993"], sep=",")
@example(cells=["0.1", "", "12345678901234567890"], sep=";")
@example(cells=["", ""], sep=",")
def test_every_cell_is_what_float_reads(cells: list[str], sep: str) -> None:
    row = parse_row(sep.join(cells), sep)
    assert row is not None
    np.testing.assert_array_equal(row, [float(cell) if cell else math.nan for cell in cells])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_every_float_comes_back_as_it_was_printed(numbers: list[float]) -> None:
    np.testing.assert_array_equal(parse_row(",".join(map(repr, numbers)), ","), numbers)


def test_usual_tokens_and_blanks_are_missing() -> None:
    row = parse_row(" 1.5,N/A, ,-,2.50 ", ",")
    np.testing.assert_array_equal(row, [1.5, math.nan, math.nan, math.nan, 2.5])


@pytest.mark.parametrize(
    "cell", ["abc", "1_000", "inf", "1..2", ".", "1,5 x", "٣", "1e999", "--1", "0x10", "1.2.3"]
)
def test_a_cell_that_needs_thought_is_no_plain_number(cell: str) -> None:
    assert parse_row(f"1.5;{cell};2.5", ";") is None
