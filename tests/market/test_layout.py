"""Which columns are assets and which are fields, where that can be doubted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_tables import days, follow, ohlcv, prices, wide, write
from psann.errors import DataError
from psann.market import read_prices

CLOSE = prices(25, 1)[:, 0]
BARS = ohlcv(CLOSE)
ISO = [day.isoformat() for day in days(25)]


def bars(folder: Path, names: list[str]) -> Path:
    rows = [[day, *bar] for day, bar in zip(ISO, BARS.tolist(), strict=True)]
    return write(folder / "t.csv", ["Date", *names], rows)


@pytest.mark.parametrize(
    "name", ["Close", "Price", "close_price", "<CLOSE>", "Last", "PX_LAST", "Settle", "Close/Last"]
)
def test_one_usual_name_of_a_price_is_enough(name: str, tmp_path: Path) -> None:
    table = read_prices(bars(tmp_path, ["Open", "High", "Low", name, "Volume"]))
    np.testing.assert_array_equal(table.prices[:, 0], CLOSE)


def test_assets_that_are_named_are_assets_though_they_look_like_fields(tmp_path: Path) -> None:
    path = bars(tmp_path, ["OPEN", "HIGH", "LOW", "CLOSE", "V"])
    table = read_prices(path, assets=["LOW", "OPEN"])
    np.testing.assert_array_equal(table.prices, BARS[:, [2, 0]])


def test_of_a_price_and_assets_that_are_columns_the_price_counts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="assets must be in the table; got 'LOW', but there are t"):
        read_prices(
            bars(tmp_path, ["OPEN", "HIGH", "LOW", "CLOSE", "V"]), price="V", assets=["LOW"]
        )


def test_a_column_of_assets_is_refused_where_the_header_names_them(tmp_path: Path) -> None:
    rows: list[list[object]] = [["", "A", "A"]] + [[day, 1.5, 2.5] for day in ISO]
    path = write(tmp_path / "t.csv", ["Date", "Close", "Open"], rows)
    with pytest.raises(DataError, match=r"in t\.csv the header does\. Got 'A'\. Leave asset out"):
        read_prices(path, asset="A")
    assert read_prices(path).assets == ("A",)


def test_a_named_price_makes_a_table_of_fields(tmp_path: Path) -> None:
    table = read_prices(bars(tmp_path, ["a", "b", "c", "d", "e"]), price="d")
    assert (table.assets, list(table.fields)) == (("t",), ["a", "b", "c", "e"])


def test_four_assets_that_cross_are_no_fields(tmp_path: Path) -> None:
    assert read_prices(wide(tmp_path / "t.csv", prices(25, 4))).assets == ("A0", "A1", "A2", "A3")


def test_a_constant_name_in_every_row_is_that_of_the_asset(tmp_path: Path) -> None:
    rows = [[day, "BTC/USD", "spot", x] for day, x in zip(ISO, CLOSE.tolist(), strict=True)]
    table = read_prices(write(tmp_path / "t.csv", ["date", "symbol", "kind", "close"], rows))
    assert table.assets == ("BTC/USD",)
    assert "left out: kind (texts)." in table.notes


def test_of_two_usual_names_for_the_same_assets_the_first_is_taken(tmp_path: Path) -> None:
    rows = [
        [day, isin, name, x + n]
        for day, x in zip(ISO, CLOSE.tolist(), strict=True)
        for n, (isin, name) in enumerate([("DE1", "Eins"), ("DE2", "Zwei")])
    ]
    table = read_prices(write(tmp_path / "t.csv", ["date", "isin", "name", "close"], rows))
    assert table.assets == ("DE1", "DE2")


def test_a_text_that_does_not_tell_the_rows_of_a_date_apart_names_no_asset(tmp_path: Path) -> None:
    rows = [
        [day, "stock", wkn, x + n]
        for day, x in zip(ISO, CLOSE.tolist(), strict=True)
        for n, wkn in enumerate(("abc", "def"))
    ]
    table = read_prices(write(tmp_path / "t.csv", ["date", "sort", "wkn", "close"], rows))
    assert table.assets == ("abc", "def")


def test_a_named_column_of_numbers_keeps_its_zeros_as_names(tmp_path: Path) -> None:
    rows = [
        [day, number, x]
        for day, x in zip(ISO, CLOSE.tolist(), strict=True)
        for number in ("0700", "0005")
    ]
    table = read_prices(write(tmp_path / "t.csv", ["date", "no", "close"], rows), asset="no")
    assert table.assets == ("0700", "0005")


def test_a_pair_of_field_and_asset_stands_once(tmp_path: Path) -> None:
    rows: list[list[object]] = [["", "A", "A"]] + [[day, 1.5, 2.5] for day in ISO]
    with pytest.raises(
        DataError, match="each pair of field and asset once; got 'Close' of 'A' twice"
    ):
        read_prices(write(tmp_path / "t.csv", ["Date", "Close", "Close"], rows))


def test_a_column_with_values_but_no_name_is_asked_for(tmp_path: Path) -> None:
    rows = [[day, 1.5, 2.5 + n] for n, day in enumerate(ISO)]
    with pytest.raises(DataError, match=r"column 3 has values but no name\. Say `assets: \[A\]`"):
        read_prices(write(tmp_path / "t.csv", ["Date", "A", ""], rows))


def test_a_field_without_a_name_is_asked_for_above_assets(tmp_path: Path) -> None:
    rows: list[list[object]] = [["", "A", "A"]] + [[day, 1.5, 2.5] for day in ISO]
    path = write(tmp_path / "t.csv", ["Date", "", "Volume"], rows)
    with pytest.raises(DataError, match=r"t\.csv must name every field; that of A has none"):
        read_prices(path)


def test_a_column_without_a_name_is_no_field(tmp_path: Path) -> None:
    table = read_prices(bars(tmp_path, ["Open", "", "Low", "Close", "Volume"]))
    assert list(table.fields) == ["Open", "Low", "Volume"]
    assert "left out: numbers in a column without a name." in table.notes


def test_a_block_of_settings_above_the_names_is_skipped_when_that_is_said(tmp_path: Path) -> None:
    values = prices(20, 2)
    rows = [
        [f"{day:%d/%m/%Y}", values[n, 0], 1000 + n, values[n, 1] if n != 4 else "#N/A N/A", 2000]
        for n, day in enumerate(days(20))
    ]
    above = "Start,02/01/2021,,,\nCurrency,USD,,,\n,,,,\n,AAA US Equity,,BBB US Equity,\n"
    names = ["Dates", "PX_LAST", "PX_VOLUME", "PX_LAST", "PX_VOLUME"]
    table, said = follow(write(tmp_path / "t.csv", names, rows, above=above), lambda c: c[0])
    assert said["format"]["skip_rows"] == 3  # type: ignore[index]
    assert table.assets == ("AAA US Equity", "BBB US Equity")
    values[4, 1] = np.nan
    np.testing.assert_array_equal(table.prices, values)


def test_columns_beside_whole_bars_are_fields_and_it_is_said(tmp_path: Path) -> None:
    more = [f"signal_{n}" for n in range(9)]
    rows = [[day, 2.0, 3.0, 1.0, 2.5 + n / 100, *range(9)] for n, day in enumerate(ISO)]
    path = write(tmp_path / "t.csv", ["Date", "Open", "High", "Low", "Close", *more], rows)
    table = read_prices(path)
    assert table.assets == ("t",)
    assert table.prices[:3, 0].tolist() == [2.5, 2.51, 2.52]
    told = "fields of the one asset: signal_0, signal_1, signal_2, signal_3, signal_4"
    assert any(note.startswith(told) for note in table.notes), table.notes
    path = write(tmp_path / "u.csv", ["Date", "Open", "High", "Close", "Volume", *more], rows)
    with pytest.raises(DataError, match="a column for each asset, or fields of one"):
        read_prices(path)


def test_bid_and_ask_are_fields_of_one_asset(tmp_path: Path) -> None:
    quotes = np.column_stack([CLOSE - 0.01, CLOSE + 0.01])
    path = wide(tmp_path / "q.csv", quotes, ["Bid", "Ask"])
    with pytest.raises(DataError, match="must have one price; got 2 columns that could be: Bid, A"):
        read_prices(path)
    assert read_prices(path, price="Bid").assets == ("q",)
    shares = wide(tmp_path / "s.csv", quotes, ["BID", "ALL"])  # a share may be called so
    assert read_prices(shares).assets == ("BID", "ALL")
