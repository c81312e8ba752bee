"""The cells of a table, uninterpreted."""

from __future__ import annotations

import numpy as np

from psann.market.sheet import Sheet

SHEET = Sheet(
    source="t.csv",
    stem="t",
    levels=[["a", "b"]],
    columns=[["x", "y", "z"], np.arange(3.0)],
    lines=[2, 4, 5],
)


def test_rows_are_kept_in_the_order_asked_for_with_their_lines() -> None:
    part = SHEET.keep([2, 0])
    assert (part.columns[0], part.lines, part.n_rows) == (["z", "x"], [5, 2], 2)
    np.testing.assert_array_equal(part.columns[1], [2.0, 0.0])


def test_a_row_is_found_by_the_line_of_its_file() -> None:
    assert SHEET.place(1) == "t.csv, line 4"
    assert (
        Sheet(source="the frame", stem="", levels=[], columns=[["x"]], lines=None).place(0)
        == "the frame, row 0"
    )
