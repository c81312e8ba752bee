"""Tables as providers write them: read right, or refused with the word that helps."""

from __future__ import annotations

import datetime
import gzip
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import made_tables as made
from made_tables import days, follow, german, ohlcv, prices, turned, wide, write
from psann.errors import DataError
from psann.market import PriceTable, read_prices
from thinning import thinned

CLOSE = prices(40, 1)[:, 0]
THREE = prices(40, 3)
BARS = ohlcv(CLOSE).tolist()
DAYS = days(40)
ISO = [day.isoformat() for day in DAYS]
OHLCV = ["Open", "High", "Low", "Close", "Volume"]


def dated(rows: object) -> list[list[object]]:
    return [[day, *row] for day, row in zip(ISO, rows, strict=True)]  # type: ignore[call-overload]


def long(names: str = "XYZ") -> list[list[object]]:
    return [
        [d, k, x]
        for d, row in zip(ISO, THREE.tolist(), strict=True)
        for k, x in zip(names, row, strict=True)
    ]


def same(table: PriceTable, expected: object) -> None:
    values = np.asarray(expected, dtype=float)
    np.testing.assert_array_equal(table.prices, values.reshape(len(values), -1))
    assert (np.diff(table.dates) > np.timedelta64(0, "us")).all()


# Each writes a file into a folder and says what must be read from it, without an option.
def _yahoo(folder: Path) -> tuple[Path, object]:
    rows = dated([[*bar[:4], bar[3] / 2, int(bar[4])] for bar in BARS])
    header = ["Date", *OHLCV[:4], "Adj Close", "Volume"]
    return write(folder / "AAPL.csv", header, rows, end="\r\n"), CLOSE / 2


def _yfinance(folder: Path) -> tuple[Path, object]:
    header = ["Price", "Close", "Close", "High", "High", "Volume", "Volume"]
    rows: list[list[object]] = [["Ticker", *"ABABAB"], ["Date", *[""] * 6]]
    rows += dated([[x, y, x + 1, y + 1, 10, 20] for x, y, _ in THREE.tolist()])
    return write(folder / "multi.csv", header, rows), THREE[:, :2]


def _yfinance_by_ticker(folder: Path) -> tuple[Path, object]:
    rows: list[list[object]] = [["Price", "Open", "Close", "Open", "Close"], ["Date", *[""] * 4]]
    rows += dated([[1.5, x, 2.5, y] for x, y, _ in THREE.tolist()])
    return write(folder / "by.csv", ["Ticker", *"AABB"], rows), THREE[:, :2]


def _yfinance_old(folder: Path) -> tuple[Path, object]:
    rows: list[list[object]] = [["", *"ABAB"], ["Date", *[""] * 4]]
    rows += dated([[x, y, 5, 6] for x, y, _ in THREE.tolist()])
    return write(folder / "old.csv", ["", *["Adj Close"] * 2, *["Volume"] * 2], rows), THREE[:, :2]


def _long_by_asset(folder: Path) -> tuple[Path, object]:
    rows = sorted(long(), key=lambda row: str(row[1]))
    return write(folder / "all.csv", ["date", "Name", "close"], rows), THREE


def _long_with_sector(folder: Path) -> tuple[Path, object]:
    rows = [[d, k, "tech", x] for d, k, x in long()]
    return write(folder / "s.csv", ["date", "ticker", "sector", "close"], rows), THREE


def _long_unusual(folder: Path) -> tuple[Path, object]:
    return write(folder / "u.csv", ["jour", "valeur", "cours"], long()), THREE


def _wiki(folder: Path) -> tuple[Path, object]:
    rows = [[k, d, x, 2 * float(x), 1.0] for d, k, x in long()]  # type: ignore[arg-type]
    header = ["ticker", "date", "close", "adj_close", "split_ratio"]
    return write(folder / "wiki.csv", header, rows), 2 * THREE


def _investing(folder: Path) -> tuple[Path, object]:
    values = np.round(CLOSE * 100, 2)
    rows = [
        [f'"{cell}"' for cell in (f"{day:%b %d, %Y}", f"{x:,.2f}", f"{x:,.2f}", "-", "0.36%")]
        for day, x in zip(DAYS, values, strict=True)
    ]
    header = [f'"{name}"' for name in ("Date", "Price", "Open", "Vol.", "Change %")]
    return write(folder / "index.csv", header, rows[::-1], encoding="utf-8-sig"), values


def _nasdaq(folder: Path) -> tuple[Path, object]:
    rows = [
        [f"{d:%m/%d/%Y}", f"${b[3]}", int(b[4]), f"${b[0]}"]
        for d, b in zip(DAYS, BARS, strict=True)
    ]
    return write(folder / "n.csv", ["Date", "Close/Last", "Volume", "Open"], rows[::-1]), CLOSE


def _nse(folder: Path) -> tuple[Path, object]:
    rows = [
        [f'"{d:%d-%b-%Y}"', '"EQ"', *[f'"{x * 100:,.2f}"' for x in bar[:4]], '"1,23,456"']
        for d, bar in zip(DAYS, BARS, strict=True)
    ]
    header = [f'"{n} "' for n in ("Date", "series", "OPEN", "HIGH", "LOW", "close", "VOLUME")]
    return write(folder / "nse.csv", header, rows), np.round(CLOSE * 100, 2)


def _german(folder: Path) -> tuple[Path, object]:
    rows = [[f"{d:%d.%m.%Y}", *map(german, row)] for d, row in zip(DAYS, THREE * 100, strict=True)]
    return write(folder / "de.csv", ["Datum", *"XYZ"], rows, sep=";"), np.round(THREE * 100, 2)


def _swiss(folder: Path) -> tuple[Path, object]:
    rows = [[d, f"{x * 1e4:,.1f}".replace(",", "'")] for d, x in zip(ISO, CLOSE, strict=True)]
    return write(folder / "ch.csv", ["Date", "A"], rows, sep=";"), np.round(CLOSE * 1e4, 1)


def _metatrader(folder: Path) -> tuple[Path, object]:
    rows = [[f"2025.10.{20 + h // 24}", f"{h % 24:02d}:00:00", *bar] for h, bar in enumerate(BARS)]
    header = [f"<{name}>" for name in ("DATE", "TIME", *map(str.upper, OHLCV))]
    return write(folder / "h1.tsv", header, rows, sep="\t", end="\r\n"), CLOSE


def _ecb(folder: Path) -> tuple[Path, object]:
    rows = [[d, *row, "N/A", ""] for d, row in zip(ISO, THREE.tolist(), strict=True)]
    return write(folder / "ecb.csv", ["Date", *"XYZ", "CYP", ""], rows[::-1]), THREE


def _row_numbers(folder: Path) -> tuple[Path, object]:
    rows = [[f'"{n + 1}"', *row] for n, row in enumerate(dated(THREE.tolist()))]
    return write(folder / "r.csv", ["", "Date", *"XYZ"], rows), THREE


def _midnights(folder: Path) -> tuple[Path, object]:
    rows = [
        [f"{d} 00:00:00-0{5 if n < 10 else 4}:00", *bar]
        for n, (d, bar) in enumerate(zip(ISO, BARS, strict=True))
    ]
    return write(folder / "tz.csv", ["Date", *OHLCV], rows), CLOSE


def _odd_names(folder: Path) -> tuple[Path, object]:
    values = prices(40, 5)
    return wide(folder / "odd.csv", values, ["LOW", "OPEN", "NA", "TRUE", "007"]), values


def _numbers_as_names(folder: Path) -> tuple[Path, object]:
    return wide(folder / "ids.csv", THREE, ["10107", "14593", "90001"]), THREE


def _late(folder: Path) -> tuple[Path, object]:
    values = THREE.copy()
    values[:11, 1] = np.nan
    return wide(folder / "late.csv", values), values


def _spreadsheet(folder: Path) -> tuple[Path, object]:
    rows = [[*row, ""] for row in dated(THREE.tolist())]
    return write(folder / "x.csv", ["Date", *"XYZ", ""], rows, below=",,,,\n,,,,\n"), THREE


def _separators_at_the_end(folder: Path) -> tuple[Path, object]:
    rows = [[*row, ""] for row in dated(THREE.tolist())]
    return write(folder / "y.csv", ["Date", *"XYZ"], rows), THREE


def _quantmod(folder: Path) -> tuple[Path, object]:
    header = ["", *(f"{name}.{field}" for name in "AB" for field in [*OHLCV, "Adjusted"])]
    rows = dated([[*a, a[3] / 2, *a[:4], a[4] + 1, a[3] / 4] for a in BARS])
    return write(folder / "q.csv", header, rows), np.column_stack([CLOSE / 2, CLOSE / 4])


def _old_mac(folder: Path) -> tuple[Path, object]:
    return wide(folder / "cr.csv", THREE, end="\r"), THREE


def _utf16(folder: Path) -> tuple[Path, object]:
    return wide(folder / "u.csv", THREE, ["Ä", "Ö", "Ü"], encoding="utf-16"), THREE


def _months(folder: Path) -> tuple[Path, object]:
    rows = [[f"{2000 + n // 12}-{n % 12 + 1:02d}", *row] for n, row in enumerate(THREE.tolist())]
    return write(folder / "m.csv", ["Month", *"XYZ"], rows), THREE


def _gzipped(folder: Path) -> tuple[Path, object]:
    plain = wide(folder / "z.csv", THREE)
    packed = folder / "z.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    return packed, THREE


def _equal_duplicates(folder: Path) -> tuple[Path, object]:
    rows = dated(THREE.tolist())
    return write(folder / "d.csv", ["Date", *"XYZ"], [*rows, rows[3]]), THREE


READ = [
    value
    for name, value in sorted(globals().items())
    if name.startswith("_") and callable(value) and getattr(value, "__module__", "") == __name__
]


@pytest.mark.parametrize("made_file", READ, ids=lambda make: make.__name__.strip("_"))
def test_a_table_that_can_be_understood_is_read_without_an_option(
    made_file: Callable[[Path], tuple[Path, object]], tmp_path: Path
) -> None:
    path, expected = made_file(tmp_path)
    table = read_prices(path)
    same(table, expected)
    assert not table.prices.flags.writeable


@pytest.mark.parametrize("made_file", READ, ids=lambda make: make.__name__.strip("_"))
def test_the_block_that_was_understood_reads_the_same_again(
    made_file: Callable[[Path], tuple[Path, object]], tmp_path: Path
) -> None:
    path, _ = made_file(tmp_path)
    table = read_prices(path)
    again = read_prices(path, **table.options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.prices, table.prices)
    np.testing.assert_array_equal(again.dates, table.dates)
    assert (again.assets, again.options) == (table.assets, table.options)


# ---------------------------------------------------------------------- names, fields and notes


def test_fields_of_one_asset_are_no_assets_and_the_file_names_it(tmp_path: Path) -> None:
    table = read_prices(_yahoo(tmp_path)[0])
    assert table.assets == ("AAPL",)
    assert list(table.fields) == ["Open", "High", "Low", "Close", "Volume"]
    np.testing.assert_array_equal(table.fields["Close"][:, 0], CLOSE)
    assert "price: Adj Close, which is adjusted; Close is not." in table.notes


def test_fields_above_assets_are_taken_by_name(tmp_path: Path) -> None:
    table = read_prices(_yfinance(tmp_path)[0])
    assert table.assets == ("A", "B")
    np.testing.assert_array_equal(table.fields["Volume"][0], [10, 20])


def test_an_asset_that_is_listed_late_is_neither_zero_nor_filled(tmp_path: Path) -> None:
    table = read_prices(_late(tmp_path)[0])
    assert np.isnan(table.prices[:11, 1]).all()
    assert f"listed late, with their first dates: A1 ({ISO[11]})." in table.notes


def test_what_is_done_is_said(tmp_path: Path) -> None:
    notes = read_prices(_ecb(tmp_path)[0]).notes
    assert "rows were newest first and were turned round." in notes
    assert "dropped: CYP, which has no value." in notes
    assert "rows per year: about 269." in notes
    assert "dropped: 1 row that repeat others." in read_prices(_equal_duplicates(tmp_path)[0]).notes
    hours = read_prices(_metatrader(tmp_path)[0])
    assert any("time zone of the stamps is unknown" in note for note in hours.notes)
    assert hours.dates[1] - hours.dates[0] == np.timedelta64(1, "h")


def test_a_tilde_is_a_home_and_what_nothing_has_filled_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    wide(tmp_path / "mine.csv", prices(60, 2))
    assert read_prices("~/mine.csv").sha256 == read_prices(tmp_path / "mine.csv").sha256
    for path, message in (
        ("", "prices must be a path; got an empty one"),
        ("$DATA/a.csv", "prices must be a path with every variable filled in"),
        ("~nobody-here/a.csv", "nobody is called 'nobody-here' here"),
    ):
        with pytest.raises(DataError, match=re.escape(message)):
            read_prices(path)


def test_a_file_is_known_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"Date,A\n2020-01-02,1.5\n2020-01-03,1.6\n")
    digest = "4b91cd21b446e048beab34f546befa7e09b881704282286564376ee7e49fa633"
    assert read_prices(path).sha256 == digest


# ----------------------------------------------------------------------------- several files


def test_a_folder_holds_one_asset_in_each_file(tmp_path: Path) -> None:
    write(tmp_path / "B.csv", ["Date", "Close"], dated([[x] for x in CLOSE.tolist()])[5:])
    write(tmp_path / "A.csv", ["Date", "Close"], dated([[x] for x in THREE[:, 1].tolist()]))
    table = read_prices(tmp_path)
    assert table.assets == ("A", "B")
    np.testing.assert_array_equal(table.prices[:, 0], THREE[:, 1])
    np.testing.assert_array_equal(table.prices[:, 1], [np.nan] * 5 + CLOSE[5:].tolist())
    assert table.layout.startswith("2 files")


def test_files_that_follow_each_other_in_time_make_one_table(tmp_path: Path) -> None:
    rows = dated(THREE.tolist())
    parts = [
        write(tmp_path / f"{name}.csv", ["Date", *"XYZ"], part)
        for name, part in (("2021a", rows[:25]), ("2021b", rows[20:]))
    ]
    same(read_prices(parts), THREE)


@pytest.mark.parametrize(("change", "got"), [(1.0, r"51\.13"), (-1.0, r"49\.13")])
def test_files_that_contradict_each_other_are_refused(
    change: float, got: str, tmp_path: Path
) -> None:
    parts = [wide(tmp_path / "a.csv", THREE), wide(tmp_path / "b.csv", THREE + change)]
    message = (
        rf"b\.csv: A0 on 2021-03-01 must have one price; got {got}, and 50\.13 in another file"
    )
    with pytest.raises(DataError, match=message):
        read_prices(parts)


# -------------------------------------------------------------------------- choices of the user


def test_assets_come_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    table = read_prices(wide(tmp_path / "a.csv", THREE), assets=["A2", "A0"])
    assert table.assets == ("A2", "A0")
    same(table, THREE[:, [2, 0]])


def test_start_and_end_are_the_first_and_last_date_kept(tmp_path: Path) -> None:
    table = read_prices(wide(tmp_path / "a.csv", THREE), start=DAYS[3], end=ISO[9])
    same(table, THREE[3:10])


@pytest.mark.parametrize(
    ("values", "table"),
    [
        ("returns", THREE[1:] / THREE[:-1] - 1),
        ("percent_returns", 100 * (THREE[1:] / THREE[:-1] - 1)),
        ("log_returns", np.log(THREE[1:] / THREE[:-1])),
        ("relatives", THREE[1:] / THREE[:-1]),
    ],
)
def test_returns_are_compounded_to_prices_with_the_same_moves(
    values: str, table: np.ndarray, tmp_path: Path
) -> None:
    read = read_prices(wide(tmp_path / "r.csv", table), format={"values": values})
    moves = read.prices[1:] / read.prices[:-1]
    np.testing.assert_allclose(moves, THREE[2:] / THREE[1:-1], rtol=1e-12)
    np.testing.assert_allclose(read.prices[0], THREE[1] / THREE[0], rtol=1e-12)


def test_stamps_of_a_zone_become_utc_and_the_hour_that_comes_twice_is_told_apart(
    tmp_path: Path,
) -> None:
    hours = ["00:30", "01:30", "02:30", "02:30", "03:30"]
    rows = [[f"2021-10-31 {hour}", x] for hour, x in zip(hours, CLOSE.tolist(), strict=False)]
    path = write(tmp_path / "h.csv", ["Date", "A"], rows)
    with pytest.raises(DataError, match="an hour that a clock shows twice") as caught:
        read_prices(path)
    table = read_prices(path, **made.cures_of(caught.value)[0][0])  # type: ignore[arg-type]
    assert np.diff(table.dates).tolist() == [np.timedelta64(1, "h")] * 4
    assert str(table.dates[0]) == "2021-10-30T22:30:00.000000"


def test_stamps_of_starts_are_moved_to_the_end_of_their_row(tmp_path: Path) -> None:
    rows = [[f"2021-03-01 {hour:02d}:00", x] for hour, x in enumerate(CLOSE[:20].tolist())]
    table = read_prices(write(tmp_path / "h.csv", ["Date", "A"], rows), format={"stamp": "start"})
    assert str(table.dates[0]) == "2021-03-01T01:00:00.000000"
    months = read_prices(_months(tmp_path)[0], format={"stamp": "start"})
    assert str(months.dates[1])[:10] == "2000-03-01"


# ------------------------------------------------------------ twenty tables that must not be read


def _french(folder: Path) -> Path:
    moves = (100 * (THREE[1:] / THREE[:-1] - 1)).round(2)
    rows = [[f"{1990 + n // 12}{n % 12 + 1:02d}", *row] for n, row in enumerate(moves.tolist())]
    above = "This file was made up.\n\n  Value Weighted Returns -- Monthly\n"
    section = "\n\n  Equal Weighted\n,NoDur,Durbl,Other\n199001,1.0,2.0,3.0\n\nCopyright\n"
    return write(
        folder / "french.csv", ["", "NoDur", "Durbl", "Other"], rows, above=above, below=section
    )


def _crsp(folder: Path) -> Path:
    values = THREE.copy()
    values[4, 1] *= -1
    rows = [
        [number, f"{day:%Y%m%d}", name, x]
        for number, name, column in zip(
            (10107, 14593, 90001), "ABC", values.T.tolist(), strict=True
        )
        for day, x in zip(DAYS, column, strict=True)
    ]
    return write(folder / "crsp.csv", ["PERMNO", "date", "TICKER", "PRC"], rows)


def _changed(folder: Path, row: int, cells: list[object]) -> Path:
    rows = dated(THREE.tolist())
    rows[row] = cells
    return write(folder / "t.csv", ["Date", *"XYZ"], rows)


def _with(row: int, column: int, cell: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        cells = dated(THREE.tolist())[row]
        cells[column] = cell
        return _changed(folder, row, cells)

    return make


def _columns(header: list[str], *columns: object, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return write(folder / "t.csv", header, list(zip(*columns, strict=True)), **options)  # type: ignore[arg-type, call-overload]

    return make


def _klines(folder: Path) -> Path:
    first = 1_600_000_000_000
    rows = [
        [
            first + 86_400_000 * n,
            *bar,
            first + 86_400_000 * (n + 1) - 1,
            9e5 + n,
            300 + n,
            7,
            8.5,
            0,
        ]
        for n, bar in enumerate(BARS)
    ]
    return write(folder / "t.csv", None, rows)


SECONDS = [1_600_000_000 + 86_400 * n for n in range(40)]
REFUSED = {
    "no sign of which number is the price": (
        lambda f: write(
            f / "t.csv",
            ["Datum", "Erster", "Hoch", "Tief", "Schlusskurs"],
            dated([b[:4] for b in BARS]),
        ),
        "must have one price; got 4 columns that could be: Erster, Hoch, Tief, Schlusskurs",
    ),
    "several sections": (_french, r"got line 3 \('Value Weighted.*and line 46"),
    "months as numbers": (
        _french,
        r"column '': dates must be told where they are numbers; got '199001'",
    ),
    "returns": (_french, "They look like returns"),
    "negative prices of CRSP": (_crsp, "1 that are not, first 14593 on 2021-03-05: -49.44"),
    "days as numbers": (_crsp, "column 'date': dates must be told"),
    "two columns of dates": (
        _columns(["Date", "Settled", "A"], ISO, ISO, CLOSE.tolist()),
        "must have one column of dates; got 2: 'Date', 'Settled'",
    ),
    "two prices": (
        _columns(["Date", "Close", "Settle"], ISO, CLOSE.tolist(), CLOSE.tolist()),
        "must have one price; got 2 columns that could be: Close, Settle",
    ),
    "day or month first": (
        _columns(["Date", "A"], [f"0{n + 1}/03/2021" for n in range(9)], CLOSE[:9].tolist()),
        "'01/03/2021' is 2021-03-01 or 2021-01-03",
    ),
    "seconds": (_columns(["time", "A"], SECONDS, CLOSE.tolist()), "got '1600000000'"),
    "milliseconds": (
        _columns(["time", "A"], [s * 1000 for s in SECONDS], CLOSE.tolist()),
        "got '1600000000000'",
    ),
    "days of a spreadsheet": (
        _columns(["date", "A"], range(44000, 44040), CLOSE.tolist()),
        "got '44000'",
    ),
    "no header": (
        lambda f: write(f / "t.csv", None, dated(THREE.tolist())),
        r"must have a header; line 1 already holds values \('2021-03-01,50.13",
    ),
    "a cell that is no number": (
        _with(7, 2, "n.q."),
        r"t\.csv, line 9, column 'Y': a price must be a number; got 'n\.q\.'",
    ),
    "points that may be thousands": (
        _columns(["Datum", "A"], ISO, [german(x * 1e3, 0) for x in CLOSE], sep=";"),
        "'45.140' is 45.14 or 45140",
    ),
    "a total row": (_with(39, 0, "Total"), r"line 41, column 'Date'.*got 'Total'"),
    "zero for missing": (_with(3, 1, 0.0), "got 1 that are not, first X on 2021-03-04: 0"),
    "relatives": (
        lambda f: wide(f / "t.csv", THREE[1:] / THREE[:-1]),
        "lie around 1 without memory",
    ),
    "fields without names": (
        lambda f: write(f / "t.csv", ["Date", *"wxyz"], dated([b[:4] for b in BARS])),
        "one always is the highest and one the lowest of w, x, y, z",
    ),
    "a volume beside assets": (
        lambda f: write(
            f / "t.csv",
            ["Date", *"XYZ", "Volume"],
            dated([[*row, 1000 + n] for n, row in enumerate(THREE.tolist())]),
        ),
        r"got Volume beside X, Y, Z\. Say `assets: \[X, Y, Z\]`",
    ),
    "comments": (
        lambda f: wide(f / "t.csv", THREE, above="# made up\n# twice\n"),
        r"line 1: a comment",
    ),
    "text above the table": (
        lambda f: wide(f / "t.csv", THREE, above="https://a.place\n"),
        "got line 1",
    ),
    "text below the table": (
        lambda f: wide(f / "t.csv", THREE, below="Source: a place\n"),
        "got line 42",
    ),
    "another encoding": (
        lambda f: wide(f / "t.csv", THREE, ["Ä", "Ö", "Ü"], encoding="cp1252"),
        "must be text in utf-8",
    ),
    "blanks between cells": (
        lambda f: wide(f / "t.txt", THREE, sep="  "),
        "must have cells that",
    ),
    "numbers that name assets": (
        lambda f: write(
            f / "t.csv", ["date", "num", "close"], [[d, ord(str(k)), x] for d, k, x in long()]
        ),
        "the numbers of 'num' could",
    ),
    "bars of an exchange without a header": (
        _klines,
        r"columns: \[date, open, high, low, close, volume, column_7, .*column_12\]}`\.\n",
    ),
    "titles as wide as the table above its header": (
        lambda f: wide(f / "t.csv", THREE, above="Contents,Data 1: Spot,,\nSource,S1,S2,S3\n"),
        r"Say `format: {skip_rows: 2}` or `format: {skip_rows: 3, header: 0, columns: \[Source, S1",
    ),
    "codes and currencies below the names": (
        lambda f: write(
            f / "t.csv",
            ["Name", *"XYZ"],
            [["Code", "X(P)", "Y(P)", "Z(P)"], ["CURRENCY", *["U$"] * 3], *dated(THREE.tolist())],
        ),
        r"Say `format: {skip_rows: 3, header: 0, columns: \[Name, X, Y, Z\]}` or `format: {skip_row"
        r"s: 3, header: 0, columns: \[Code, X\(P\), Y\(P\), Z\(P\)\]}`\. Or keep one row of names",
    ),
    "a title, an empty line and codes above the names": (
        lambda f: wide(f / "t.csv", THREE, above="Table 9,,,\n,,,\nKey,S1,S2,S3\n"),
        r"Say `format: {skip_rows: 3}` or `format: {skip_rows: 4, header: 0, columns: \[Key, S1",
    ),
    "four rows of names": (
        lambda f: write(
            f / "t.csv",
            ["Name", *"XYZ"],
            [
                ["Code", *"xyz"],
                *([key, *[word] * 3] for key, word in (("CURRENCY", "U$"), ("FREQ", "D"))),
                *dated(THREE.tolist()),
            ],
        ),
        r"Say `format: {skip_rows: 4, header: 0, columns: \[Name, X, Y, Z\]}` or",
    ),
    "texts that name assets in two ways": (
        lambda f: write(
            f / "t.csv",
            ["date", "wkn", "sorte", "close"],
            [[d, k, f"{k}{d[:0]}{n % 7}", x] for n, (d, k, x) in enumerate(long())],
        ),  # type: ignore[index]
        "'wkn', 'sorte' could all do so",
    ),
    "texts among the assets": (
        lambda f: write(
            f / "t.csv",
            ["Date", "A", "remark", "B"],
            dated([[x, f"r{n}", y] for n, (x, y, _) in enumerate(THREE.tolist())]),
        ),
        "hold texts, such as 'r0'",
    ),
}


def test_each_row_of_names_that_is_offered_names_the_assets(tmp_path: Path) -> None:
    for kind, place, names in (
        ("codes and currencies below the names", 0, ("X", "Y", "Z")),
        ("codes and currencies below the names", 1, ("X(P)", "Y(P)", "Z(P)")),
        ("titles as wide as the table above its header", 0, ("A0", "A1", "A2")),
        ("titles as wide as the table above its header", 1, ("S1", "S2", "S3")),
    ):
        table, _ = follow(REFUSED[kind][0](tmp_path), lambda offered, place=place: offered[place])
        assert table.assets == names
        same(table, THREE)


def test_no_row_of_names_is_offered_where_a_name_stands_above_several_columns(
    tmp_path: Path,
) -> None:
    rows = dated([[x, 1000 + n, y] for n, (x, y, _) in enumerate(THREE.tolist())])
    names = [["Code", "X(P)", "X(VO)", "Y(P)"], *rows]
    with pytest.raises(DataError, match=r"fields like Close\. Keep one row of names"):
        read_prices(write(tmp_path / "t.csv", ["Name", "X", "X", "Y"], names))


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_table_that_can_be_read_in_two_ways_is_refused(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        read_prices(make(tmp_path))


@pytest.mark.parametrize(("kind", "place"), thinned(product(REFUSED, [0, -1]), every=3))
def test_each_advice_of_a_refusal_reads_the_very_table(
    kind: str, place: int, tmp_path: Path
) -> None:
    path = REFUSED[kind][0](tmp_path)
    table, options = follow(path, lambda alternatives: alternatives[place])
    assert options
    assert len(table.dates) >= 9
    assert (table.prices[np.isfinite(table.prices)] > 0).all()


def test_all_problems_of_a_table_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_prices(_french(tmp_path))
    assert len(caught.value.problems) == 3
    table, _ = follow(_french(tmp_path), lambda alternatives: alternatives[0])
    np.testing.assert_allclose(
        table.prices[1:] / table.prices[:-1], THREE[2:] / THREE[1:-1], atol=1e-4
    )


def test_mistakes_of_ten_kinds_in_one_wide_table_are_told_at_once(tmp_path: Path) -> None:
    rows = [
        [day, f"{10 + n}.5", f"{20 + n}.25", f"{30 + n}.75", "7.5"] for n, day in enumerate(ISO)
    ]
    rows[3][1] = "soon"  # no number
    rows[5][2] = "12..5"  # no number either
    rows[8][0] = "2021-13-45"  # no date
    rows[10][3] = "-31.5"  # no price
    rows[12][0], rows[12][1] = rows[11][0], "1.5"  # another price of a date
    rows[14] = rows[14][:3]  # cells are missing
    rows[16].append("9.5")  # and too many
    rows[18] = ["Date", "A", "B", "C", "C"]  # the header again
    rows[20][1] = "0"
    rows.append(["Total", "1.5", "1.5", "1.5", "1.5"])
    path = write(tmp_path / "t.csv", ["Date", "A", "B", "C", "C"], rows)
    with pytest.raises(DataError) as caught:
        read_prices(path)
    told = "\n".join(caught.value.problems)
    for mistake in (
        r"line 5, column 'A': a price must be a number; got 'soon'",
        r"line 7, column 'B': a price must be a number; got '12\.\.5'.*[Cc]orrect the cell",
        r"line 10, column 'Date': a date must be written as the others; got '2021-13-45'",
        r"line 14: A on 2021-03-16 must have one price; got 1.5, and 21.5 before.*Delete one",
        r"line 16: a row must have 5 cells as the header has; got 3",
        r"line 18: a row must have 5 cells as the header has; got 6.*delete the line",
        r"line 20, column 'Date': a date must be written as the others; got 'Date'",
        rf"line {len(rows) + 1}, column 'Date': .* got 'Total'",
        r"must name each column once; got 'C' more than once. Rename or delete",
        r"Prices must be more than 0; got 2 that are not, first C on 2021-03-15: -31.5. Say",
    ):
        assert re.search(mistake, told), (mistake, told)
    assert len(caught.value.problems) == 10, told


def test_mistakes_of_a_long_table_are_told_at_once_and_its_assets_by_name(tmp_path: Path) -> None:
    rows = [[str(day), str(name), str(x)] for day, name, x in long()]
    rows[2][2], rows[7][0], rows[11][1] = "x1", "2021-02-31", ""
    rows[15][2], rows[20] = "-3.5", [*rows[20], "9"]
    rows.append([*rows[30][:2], "1.25"])
    path = write(tmp_path / "t.csv", ["date", "ticker", "close"], rows)
    with pytest.raises(DataError) as caught:
        read_prices(path)
    told = "\n".join(caught.value.problems)
    for mistake in (
        r"line 4, column 'close': a price must be a number; got 'x1'",
        r"line 9, column 'date': a date must be written as the others; got '2021-02-31'",
        r"line 13: a row of a long table must name its asset",
        r"got 1 that are not, first [A-Z]+ on 2021-[\d-]+: -3.5",
        r"line 22: a row must have 3 cells as the header has; got 4",
        rf"line {len(rows) + 1}: [A-Z]+ on .* must have one price; got 1.25, and .*, line 32\)",
    ):
        assert re.search(mistake, told), (mistake, told)
    assert len(caught.value.problems) == 6, told


REPAIRS = {
    "a ragged line": (
        lambda f: _changed(f, 7, [ISO[7], 1.0, 2.0]),
        r"line 9: a row must have 4 cells as the header has; got 3",
        lambda lines: lines[:8] + lines[9:],
    ),
    "a repeated header": (
        lambda f: _changed(f, 7, ["Date", *"XYZ"]),
        r"line 9, column 'Date': a date must be written as the others; got 'Date'",
        lambda lines: lines[:8] + lines[9:],
    ),
    "two prices for a date": (
        lambda f: _changed(f, 7, [ISO[6], 1.0, 2.0, 3.0]),
        r"line 9: X on 2021-03-09 must have one price; got 1, and [\d.]+ before \(t\.csv, line 8\)",
        lambda lines: lines[:8] + lines[9:],
    ),
    "two columns of a name": (
        lambda f: write(f / "t.csv", ["Date", *"XXZ"], dated(THREE.tolist())),
        "must name each column once; got 'X' more than once",
        lambda lines: ["Date,X,Y,Z", *lines[1:]],
    ),
    "mixed units of dates": (
        _columns(
            ["time", "A"],
            [s * (1000 if n > 20 else 1) for n, s in enumerate(SECONDS)],
            CLOSE.tolist(),
        ),
        "dates must be of one unit; got '1600000000' and",
        lambda lines: (
            lines[:1] + [f"{ISO[n]},{line.split(',')[1]}" for n, line in enumerate(lines[1:])]
        ),
    ),
    "no dates": (
        lambda f: write(f / "t.csv", [*"XYZ"], THREE.tolist()),
        "must have a column of dates; got 'X', 'Y', 'Z'",
        lambda lines: (
            ["Date," + lines[0]] + [f"{ISO[n]},{line}" for n, line in enumerate(lines[1:])]
        ),
    ),
    "a unit below each name": (
        lambda f: write(
            f / "t.csv", ["Date", *"XYZ"], [["", "USD", "EUR", "CHF"], *dated(THREE.tolist())]
        ),
        "two rows of names, X, Y, Z over USD, EUR, CHF",
        lambda lines: lines[:1] + lines[2:],
    ),
    "an asset without a name": (
        lambda f: write(
            f / "t.csv",
            ["date", "ticker", "close"],
            [[d, "" if n == 5 else k, x] for n, (d, k, x) in enumerate(long())],
        ),
        r"line 7: a row of a long table must name its asset",
        lambda lines: lines[:6] + lines[7:],
    ),
}


@pytest.mark.parametrize(("make", "message", "repair"), REPAIRS.values(), ids=REPAIRS.keys())
def test_a_broken_table_is_refused_and_reads_once_its_lines_are_repaired(
    make: Callable[[Path], Path],
    message: str,
    repair: Callable[[list[str]], list[str]],
    tmp_path: Path,
) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError, match=message):
        read_prices(path)
    path.write_text("\n".join(repair(path.read_text().splitlines())) + "\n")
    assert len(read_prices(path).dates) >= 39


YEARS = range(1990, 2020)
COUNTRIES = [
    [name, name[:3], *row]
    for name, row in zip(["Aruba", "Brazil", "Chile"], THREE[:30].T.tolist(), strict=True)
]
ON_ITS_SIDE: dict[str, tuple[list[str], list[list[object]], dict[str, str]]] = {
    "days": (
        ["ticker", *ISO[:30]],
        [[name, *row] for name, _, *row in COUNTRIES],
        {},
    ),
    "years": (["Country", "Code", *map(str, YEARS)], COUNTRIES, {}),
    "years below title lines, with an empty column at the end": (
        ["Country", "Code", *map(str, YEARS), ""],
        [[*row, ""] for row in COUNTRIES],
        {"above": "Source,Indicators,\n\nUpdated,2021-12-16,\n\n"},
    ),
    "years said twice, above a footer": (
        ["Country", "Code", *(f"{year} [YR{year}]" for year in YEARS)],
        COUNTRIES,
        {"below": "\n\nLast updated: a day,,\n"},
    ),
    "years between semicolons": (
        ["Country", "Code", *map(str, YEARS)],
        COUNTRIES,
        {"sep": ";"},
    ),
}


@pytest.mark.parametrize("kind", ON_ITS_SIDE)
def test_a_table_that_lies_on_its_side_is_turned_as_the_message_says(
    kind: str, tmp_path: Path
) -> None:
    header, rows, how = ON_ITS_SIDE[kind]
    path = write(tmp_path / "t.csv", header, rows, **how)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="must have a row for each date; got a column") as caught:
        read_prices(path)
    table = turned(str(caught.value), FILE=path)
    same(table, THREE[:30])
    assert table.assets == ("Aruba", "Brazil", "Chile")
    assert str(table.dates[0])[:10] == (ISO[0] if kind == "days" else "1990-01-01")


def test_a_frame_that_lies_on_its_side_is_turned_as_the_message_says(tmp_path: Path) -> None:
    header, rows, _ = ON_ITS_SIDE["years"]
    frame = pd.DataFrame(rows, columns=header)
    frame.to_parquet(path := tmp_path / "t.parquet")
    frame.to_feather(other := tmp_path / "t.feather")
    for source in (frame, pl.DataFrame(frame), path, other):
        with pytest.raises(DataError, match="must have a row for each date") as caught:
            read_prices(source)
        same(turned(str(caught.value), FRAME=source, FILE=source), THREE[:30])


def test_numbers_that_name_assets_are_not_taken_for_years(tmp_path: Path) -> None:
    rows = [[f"x{n}", *row] for n, row in enumerate(THREE.tolist())]
    path = write(tmp_path / "t.csv", ["key", "2002", "2330", "2412"], rows)
    with pytest.raises(DataError, match="must have a column of dates"):
        read_prices(path)


def test_choices_that_cannot_be_meant_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = wide(tmp_path / "a.csv", THREE, ["AAPL", "MSFT", "IBM"])
    with pytest.raises(DataError, match=r"got 'APPL'.*Did you mean 'AAPL'\?"):
        read_prices(path, assets=["APPL"])
    with pytest.raises(
        DataError, match="start and end must leave rows; the table goes from 2021-03-01"
    ):
        read_prices(path, start="2030-01-01")
    with pytest.raises(DataError, match="price must name a column of numbers"):
        read_prices(path, price="Close")
    with pytest.raises(DataError, match=r"date must name a column.*got 'Day'"):
        read_prices(path, date="Day")
    with pytest.raises(DataError, match=r"asset must name a column.*got 'ticker'"):
        read_prices(path, asset="ticker")
    with pytest.raises(DataError, match=r"must be a path, a list of paths, or a frame"):
        read_prices(3)


@pytest.mark.parametrize(
    ("end", "n_rows", "told"),
    [
        ("2021-03-02", 4, "2021-03-02"),
        ("2021-03", 6, "2021-03-31"),
        ("2021-03-02T10:30", 3, "2021-03-02T10:30"),
        (np.datetime64("2021-03-02T10:30", "ns"), 3, "2021-03-02T10:30"),
        (datetime.date(2021, 3, 2), 4, "2021-03-02"),
    ],
)
def test_the_last_date_to_keep_counts_to_its_end(end: object, n_rows: int, told: str) -> None:
    hours = pd.date_range("2021-03-01 10:30", periods=6, freq="12h")
    frame = pd.DataFrame({"A": np.arange(1.0, 7.0), "B": np.arange(2.0, 8.0)}, index=hours)
    table = read_prices(frame, end=end)
    assert (len(table.dates), table.options["end"]) == (n_rows, told)
    again = read_prices(frame, end=table.options["end"])
    assert len(again.dates) == n_rows
