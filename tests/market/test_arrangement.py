"""Numbers come to their date and asset, whatever the order of the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_tables import days, prices, write
from psann.errors import DataError
from psann.market import read_prices


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_rows_changes_nothing_but_a_note(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = prices(12, 3, seed)
    rows = [
        [day, name, x]
        for day, row in zip(days(12), values.tolist(), strict=True)
        for name, x in zip("ABC", row, strict=True)
    ]
    folder = tmp_path_factory.mktemp("rows")
    np.random.default_rng(seed).shuffle(rows)
    table = read_prices(write(folder / "long.csv", ["date", "ticker", "close"], rows))
    order = [table.assets.index(name) for name in "ABC"]
    np.testing.assert_array_equal(table.prices[:, order], values)


def test_dates_that_only_some_assets_have_leave_holes_in_the_others(tmp_path: Path) -> None:
    rows = [["2021-03-01", "A", 1.5], ["2021-03-02", "A", 1.6], ["2021-03-02", "B", 9.0]]
    table = read_prices(write(tmp_path / "long.csv", ["date", "ticker", "close"], rows))
    np.testing.assert_array_equal(table.prices, [[1.5, np.nan], [1.6, 9.0]])


def test_a_hole_and_a_price_on_one_date_contradict_each_other(tmp_path: Path) -> None:
    rows = [["2021-03-01", 1.5, 2.5], ["2021-03-02", 1.6, 2.5], ["2021-03-02", 1.6, ""]]
    with pytest.raises(DataError, match=r"line 4: B on 2021-03-02 must have one price; got nan"):
        read_prices(write(tmp_path / "wide.csv", ["date", "A", "B"], rows))
