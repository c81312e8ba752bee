"""Columns that are neither assets nor prices: costs, rates, what a reward is given by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from made_panels import walks
from made_tables import days, wide, write
from psann.errors import DataError
from psann.market import load_prices, read_prices
from psann.market.newer_rows import newer_rows
from psann.market.recipe import read_recipe

N = 200
PRICES = walks(N, 3).round(4)
RATE = np.linspace(-0.01, 0.04, N).round(6)
NAMES = ["A0", "A1", "A2"]


def beside(path: Path, *columns: np.ndarray, names: tuple[str, ...] = ("rate",)) -> Path:
    """A wide table of prices with further columns."""
    return wide(path, np.column_stack([PRICES, *columns]), [*NAMES, *names])


def long(path: Path, spread: np.ndarray) -> Path:
    rows = [
        [day, name, PRICES[row, place], spread[row, place]]
        for row, day in enumerate(days(N))
        for place, name in enumerate(NAMES)
    ]
    return write(path, ["date", "ticker", "close", "spread"], rows)


def on_all_rows(data: dict[str, Any], name: str) -> np.ndarray:
    return np.concatenate([data[f"{name}_{split}"] for split in ("train", "val", "test")])


def test_a_column_of_a_wide_table_changes_nothing_of_the_assets(tmp_path: Path) -> None:
    plain = load_prices(wide(tmp_path / "p.csv", PRICES, NAMES))
    data = load_prices(beside(tmp_path / "r.csv", RATE), arrays=["rate"])
    assert data["asset_names"].tolist() == NAMES
    for name in ("X_train", "prices_test", "time_val", "y_val"):
        np.testing.assert_array_equal(data[name], plain[name])
    # Each row has what stands beside its own prices.
    found = on_all_rows(data, "rate")
    assert found.shape == (len(found), 1)
    np.testing.assert_array_equal(found[:, 0], RATE[-len(found) :])


def test_a_column_of_a_long_table_has_one_number_for_each_asset(tmp_path: Path) -> None:
    spread = np.random.default_rng(0).uniform(0, 0.01, (N, 3)).round(6)
    data = load_prices(long(tmp_path / "s.csv", spread), arrays=["spread"])
    found = on_all_rows(data, "spread")
    np.testing.assert_array_equal(found, spread[-len(found) :])
    # One column where all assets have the same.
    same = load_prices(long(tmp_path / "t.csv", spread[:, [0, 0, 0]]), arrays=["spread"])
    np.testing.assert_array_equal(on_all_rows(same, "spread"), found[:, :1])


def test_a_column_beside_fields_of_many_assets_is_the_same_for_all() -> None:
    names = [*((field, asset) for field in ("Close", "Volume") for asset in NAMES), ("rate", "")]
    cells = np.column_stack([PRICES, np.full((N, 3), 7.0), RATE])
    frame = pandas.DataFrame(cells, pandas.DatetimeIndex(days(N)))
    frame.columns = pandas.MultiIndex.from_tuples(names)
    table = read_prices(frame, arrays=["rate"])
    assert table.assets == tuple(NAMES)
    np.testing.assert_array_equal(table.fields["rate"], np.tile(RATE[:, None], 3))


def test_chosen_assets_and_a_benchmark_leave_it_beside(tmp_path: Path) -> None:
    path = beside(tmp_path / "r.csv", RATE)
    data = load_prices(path, assets=["A2", "A0"], benchmark="A1", arrays=["rate"])
    assert data["asset_names"].tolist() == ["A2", "A0"]
    assert {"rate_val", "benchmark_val"} <= {*data}


def test_newer_rows_have_it_too(tmp_path: Path) -> None:
    path = beside(tmp_path / "r.csv", RATE)
    data = load_prices(path, arrays=["rate"])
    rows = newer_rows(path, read_recipe(str(data["recipe"]), who="recipe"))
    np.testing.assert_array_equal(rows.arrays["rate"], data["rate_test"])


def test_who_has_no_price_needs_no_number(tmp_path: Path) -> None:
    spread = np.random.default_rng(0).uniform(0, 0.01, (N, 3)).round(6)
    spread[150, 1] = np.nan
    with pytest.raises(DataError, match=r"arrays: spread must be a number on every row, .* 1 of "):
        load_prices(long(tmp_path / "s.csv", spread), arrays=["spread"])
    halted = "\n".join(
        line
        for line in (tmp_path / "s.csv").read_text().splitlines()
        if not line.startswith(f"{days(N)[150]},A1")
    )
    (tmp_path / "h.csv").write_text(halted)
    found = on_all_rows(load_prices(tmp_path / "h.csv", arrays=["spread"]), "spread")
    assert found[150 - N, 1] == 0.0
    assert (found > 0).sum() == found.size - 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"arrays": ["rates"]}, r"arrays must name columns of r.csv; got 'rates', .*'rate'\?"),
        ({"arrays": "rate"}, r"arrays must be a list of columns' names"),
        ({"arrays": ["rate", "rate"]}, r"name each column once, .*; got 'rate'"),
        ({"arrays": ["prices"]}, r"none as another array of the data; got 'prices'"),
        ({"arrays": ["words"]}, r"columns of numbers beside the prices of r.csv; 'words' is none"),
    ],
)
def test_what_cannot_be_an_array_is_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    path = beside(tmp_path / "r.csv", RATE)
    lines = path.read_text().splitlines()
    words = [f"{lines[0]},words", *(f"{line},word" for line in lines[1:])]
    path.write_text("\n".join(words))
    with pytest.raises(DataError, match=said):
        load_prices(path, **{"assets": NAMES, **options})


def test_the_price_itself_is_none(tmp_path: Path) -> None:
    path = long(tmp_path / "s.csv", np.ones((N, 3)))
    with pytest.raises(DataError, match=r"beside the prices of s.csv; 'close' is none"):
        load_prices(path, price="close", arrays=["close"])


def test_a_rate_among_the_prices_is_asked_about(tmp_path: Path) -> None:
    path = beside(tmp_path / "r.csv", RATE)
    with pytest.raises(DataError, match=r"rate is below 1 everywhere .* Say `arrays: \[rate\]` if"):
        read_prices(path)
    changes = 3 * np.random.default_rng(0).standard_normal(N)  # in percent
    with pytest.raises(DataError, match=r"rate is not always above 0 and .* as changes are. Say"):
        read_prices(beside(tmp_path / "c.csv", changes))
    future = np.linspace(4.0, -4.0, N)  # as oil's once were
    with pytest.raises(DataError, match="price_sign: absolute"):
        read_prices(beside(tmp_path / "f.csv", future))
    # A price of 0 among prices stands for none, and a table of returns has no prices at all.
    holes = PRICES.copy()
    holes[9, 0] = 0.0
    with pytest.raises(DataError, match=r"first A0 on .*: 0. Say `format: {missing"):
        read_prices(wide(tmp_path / "h.csv", holes, NAMES))
    with pytest.raises(DataError, match="They look like returns"):
        read_prices(wide(tmp_path / "m.csv", np.diff(np.log(PRICES), axis=0), NAMES))
