"""The numbers of a table: one reading for all columns, and every odd cell told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_tables import days, write
from psann.errors import DataError
from psann.market import read_prices

ISO = [day.isoformat() for day in days(3)]


def test_one_column_with_a_certain_comma_settles_the_points_of_another(tmp_path: Path) -> None:
    rows = [
        [d, a, b]
        for d, a, b in zip(ISO, ["1.234", "2.345", "3.456"], ["1,5", "2,5", "3,5"], strict=True)
    ]
    table = read_prices(write(tmp_path / "t.csv", ["d", "A", "B"], rows, sep=";"), date="d")
    np.testing.assert_array_equal(table.prices, [[1234, 1.5], [2345, 2.5], [3456, 3.5]])


def test_cells_that_no_reading_fits_together_are_asked_for(tmp_path: Path) -> None:
    rows = [[d, a] for d, a in zip(ISO, ["1.2.3", "1,5", "2.5"], strict=True)]
    with pytest.raises(DataError, match=r"'1,5' is no number or 1\.5"):
        read_prices(write(tmp_path / "t.csv", ["Date", "A"], rows, sep=";"))


def test_between_commas_a_point_is_a_decimal_one(tmp_path: Path) -> None:
    rows = [[d, f"{1.234 + n:.3f}", "0.5%"] for n, d in enumerate(ISO)]
    table = read_prices(write(tmp_path / "t.csv", ["Date", "Price", "Change %"], rows))
    np.testing.assert_allclose(table.prices[:, 0], [1.234, 2.234, 3.234])


def test_a_further_field_that_is_no_number_is_left_out_and_said(tmp_path: Path) -> None:
    rows = [
        [d, 1.5 + n, vol] for n, (d, vol) in enumerate(zip(ISO, ["1.2M", "5", "7"], strict=True))
    ]
    table = read_prices(write(tmp_path / "t.csv", ["Date", "Close", "Volume"], rows))
    assert dict(table.fields) == {}
    assert "left out: Volume, not all numbers." in table.notes


def test_every_odd_cell_is_told_with_line_and_column_up_to_five(tmp_path: Path) -> None:
    days_ = [day.isoformat() for day in days(20)]
    rows = [[d, f"x{n}" if n % 3 == 0 else "1.5", "2.5"] for n, d in enumerate(days_)]
    with pytest.raises(DataError) as caught:
        read_prices(write(tmp_path / "t.csv", ["Date", "A", "B"], rows))
    assert len(caught.value.problems) == 5
    assert (
        caught.value.problems[1] == "t.csv, line 5, column 'A': a price must be a number; got 'x3'."
    )
    assert "There are 2 more like it. Correct the cells" in caught.value.problems[-1]


def test_a_sentinel_is_missing_by_its_value_too(tmp_path: Path) -> None:
    rows = [[d, x] for d, x in zip(ISO, ["1.5", "-99.990", "2.5"], strict=True)]
    path = write(tmp_path / "t.csv", ["Date", "A"], rows)
    table = read_prices(path, format={"missing": ["-99.99"]})
    np.testing.assert_array_equal(table.prices[:, 0], [1.5, np.nan, 2.5])
