"""What a message about a table of prices says to do, done to that very table.

Options to paste are pasted by `made_tables.follow`, in `market/test_tables.py`.
"""

from __future__ import annotations

import datetime
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from made_tables import days, prices, turned, write
from psann.errors import DataError
from psann.market import Panel, PriceTable, align, load_prices, read_prices, splits
from psann.market.feature_table import read_features

N = 60
HEADER = ["Date", "X", "Y"]
DAYS = [day.isoformat() for day in days(N)]
PRICES = prices(N, 2)
ROWS: list[list[Any]] = [[day, *row] for day, row in zip(DAYS, PRICES.tolist(), strict=True)]
LONG: list[list[Any]] = [[day, k, x] for day, *row in ROWS for k, x in zip("XY", row, strict=True)]
OF_LONG = ["date", "ticker", "close"]
MOVES = PRICES[1:] / PRICES[:-1] - 1
HOURS = [f"2021-10-31 {hour}:30" for hour in ("00", "01", "02", "02", "03")]
MANY = [f"A{k}" for k in range(1001)]


def read(
    folder: Path,
    rows: Sequence[Sequence[object]] = ROWS,
    header: Sequence[str] | None = HEADER,
    *,
    sep: str = ",",
    **options: Any,
) -> PriceTable:
    """Write a table and read it."""
    table = read_prices(write(folder / "t.csv", header, rows, sep=sep), **options)
    assert len(table.assets)
    return table


def changed(rows: list[list[Any]], row: int, **cells: object) -> list[list[Any]]:
    """A copy with other cells, by place as in `c1=...`; without cells, one without that row."""
    new = [list(each) for each in rows]
    for place, cell in cells.items():
        new[row][int(place[1:])] = cell
    return new if cells else new[:row] + new[row + 1 :]


def load(folder: Path, rows: Sequence[Sequence[object]] = ROWS, **options: Any) -> dict[str, Any]:
    return load_prices(write(folder / "t.csv", HEADER[: len(rows[0])], rows), **options)


def beside(folder: Path, rows: list[list[Any]], **options: Any) -> dict[str, Any]:
    """Prices of X, and what stands beside them."""
    return load(folder, rows, arrays=["Y"], features=[{"moves": {"rows": [1]}}], **options)


def worded() -> list[list[Any]]:
    """Words in the second column."""
    return [[day, x, "word"] for day, x, _ in ROWS]


def panel(folder: Path) -> Panel:
    return align(read(folder))


def without_note(table: PriceTable, text: str) -> None:
    """Raise the notes where one of them is the message."""
    if any(text in note for note in table.notes):
        raise AssertionError("; ".join(table.notes))


def stamps(times: Sequence[str]) -> list[list[Any]]:
    return [[time, 50.0 + place] for place, time in enumerate(times)]


def levels(*rows: list[str], **options: Any) -> Callable[[Path], PriceTable]:
    """A table with these rows of names."""
    return lambda tmp_path: read(tmp_path, [*rows[1:], *ROWS], rows[0], **options)


def so_far(panel: Panel) -> np.ndarray:
    """The gap to the mean up to each row."""
    n_rows = np.arange(1, len(panel.quotes) + 1)[:, None]
    return panel.quotes / (np.cumsum(panel.quotes, axis=0) / n_rows) - 1


def packed(folder: Path, *, cut: int | None = None) -> PriceTable:
    plain = write(folder / "t.csv", HEADER, ROWS).read_bytes()
    path = folder / "p.csv.gz"
    path.write_bytes(gzip.compress(plain)[:cut])
    return read_prices(path)


def parquet(folder: Path, *, cut: int | None = None, **options: Any) -> PriceTable:
    pd.DataFrame(ROWS, columns=HEADER).to_parquet(folder / "t.parquet")
    path = folder / "p.parquet"
    path.write_bytes((folder / "t.parquet").read_bytes()[:cut])
    return read_prices(path, **options)


def named(folder: Path, name: str) -> PriceTable:
    return read_prices(write(folder / "t.csv", HEADER, ROWS).rename(folder / name))


def two_files(folder: Path, other: str = "X", *, twice: bool = True) -> PriceTable:
    one = write(folder / "one.csv", ["Date", "X"], [row[:2] for row in ROWS])
    two = write(folder / "two.csv", ["Date", other], [[day, x + 1] for day, x, _ in ROWS])
    return read_prices([one, two] if twice else [one])


def of_universe(folder: Path, universe: object) -> Panel:
    rows = [[*row, 1000 + place] for place, row in enumerate(LONG)]
    table = read(folder, rows, [*OF_LONG, "volume"])
    if isinstance(universe, str):
        (folder / "u.csv").write_text(universe)
        universe = folder / "u.csv"
    return align(table, universe=universe)


def folder_of_features(folder: Path, name: str = "") -> None:
    for each in ("a.csv", "b.csv"):
        write(folder / each, HEADER, ROWS)
    read_features(folder / name)


def features(folder: Path, rows: list[list[Any]]) -> None:
    read_features(write(folder / "f.csv", HEADER, rows))


# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Callable[..., object], ...]] = {
    # Lines and cells.
    ": a row must have {} cells as the header has; got {}": (
        lambda tmp_path: read(tmp_path, [*ROWS[:9], ROWS[9][:2], *ROWS[10:]]),
        lambda tmp_path: read(tmp_path),
        lambda tmp_path: read(tmp_path, changed(ROWS, 9)),
    ),
    "{} must have at most {} columns; it has {}. Leave some out": (
        lambda tmp_path: read(tmp_path, [["1"] * 50_001], ["A"] * 50_001),
        lambda tmp_path: read(tmp_path),
    ),
    "Name the columns (open, high, low, close, volume where they are such)": (
        lambda tmp_path: read(tmp_path, _bars(), None),
        lambda tmp_path: read(
            tmp_path,
            _bars(),
            None,
            format={"header": 0, "columns": ["date", "open", "high", "low", "close"]},
        ),
    ),
    "Write a line of names above them": (
        lambda tmp_path: read(tmp_path, _many(), None),
        lambda tmp_path: read(tmp_path, _many(), ["Date", *MANY]),
    ),
    "Or name it with format.sep, or save the table as CSV": (
        lambda tmp_path: read(tmp_path, sep="^"),
        lambda tmp_path: read(tmp_path, sep="^", format={"sep": "^"}),
        lambda tmp_path: read(tmp_path),
    ),
    "Correct the cells, or list what stands for no price in format.missing": (
        lambda tmp_path: read(tmp_path, _told(4)),
        lambda tmp_path: read(tmp_path),
        lambda tmp_path: read(
            tmp_path, _told(4), format={"missing": [f"not {k}" for k in range(4)]}
        ),
    ),
    "{} must be text in {}; got bytes that are not ({}). Say `{}`, or the encoding": (
        lambda tmp_path: _in_cp1252(tmp_path),
        lambda tmp_path: _in_cp1252(tmp_path, format={"encoding": "cp1252"}),
        lambda tmp_path: _in_cp1252(tmp_path, format={"encoding": "latin-1"}),
    ),
    "Fetch or pack it again": (
        lambda tmp_path: packed(tmp_path, cut=-30),
        lambda tmp_path: packed(tmp_path),
    ),
    "Is this a table of prices? Save it anew as CSV": (
        lambda tmp_path: read_prices(_lines_of_nothing(tmp_path)),
        lambda tmp_path: read(tmp_path),
    ),
    "Save the table as CSV": (
        lambda tmp_path: named(tmp_path, "t.pdf"),
        lambda tmp_path: named(tmp_path, "u.csv"),
    ),
    "Unpack it, or pack it with gzip": (
        lambda tmp_path: named(tmp_path, "t.csv.zst"),
        lambda tmp_path: named(tmp_path, "u.csv"),
        lambda tmp_path: packed(tmp_path),
    ),
    "{} must be a whole Parquet or Feather file": (
        lambda tmp_path: parquet(tmp_path, cut=-30),
        lambda tmp_path: parquet(tmp_path),
    ),
    "The frame must have rows and columns; got shape {}. Give prices": (
        lambda: read_prices(pd.DataFrame(columns=HEADER)),
        lambda: read_prices(pd.DataFrame(ROWS, columns=HEADER)),
    ),
    "Give the file's name, or one frame": (
        lambda: read_prices([pd.DataFrame(ROWS, columns=HEADER)]),
        lambda tmp_path: read(tmp_path),
        lambda: read_prices(pd.DataFrame(ROWS, columns=HEADER)),
    ),
    "format.{} is for texts; {} has its cells apart already. Leave out {}": (
        lambda tmp_path: parquet(tmp_path, format={"sep": ";"}),
        lambda tmp_path: parquet(tmp_path),
    ),
    # Dates.
    "say it with format.tz": (
        lambda tmp_path: without_note(
            read(tmp_path, stamps(HOURS[:3]), ["Date", "X"]), "say it with format.tz"
        ),
        lambda tmp_path: without_note(
            read(tmp_path, stamps(HOURS[:3]), ["Date", "X"], format={"tz": "Europe/Berlin"}),
            "say it with format.tz",
        ),
    ),
    "Say the zone in which the stamps were written": (
        lambda tmp_path: _skipped(tmp_path, "Europe/Berlin"),
        lambda tmp_path: _skipped(tmp_path, "UTC"),
    ),
    "Turn it round: {}": (
        lambda tmp_path: read_prices(_on_its_side(tmp_path)),
        lambda tmp_path: _turned(_on_its_side(tmp_path)),
    ),
    "Write all of them in one unit": (
        lambda tmp_path: read(tmp_path, stamps(_seconds(1000)), ["time", "X"]),
        lambda tmp_path: read(
            tmp_path, stamps(_seconds(1)), ["time", "X"], format={"date_unit": "s"}
        ),
    ),
    'Say it with format.date, such as "%d/%m/%Y", or of numbers with': (
        lambda tmp_path: read(tmp_path, _dated("%Y_%m_%d"), date="Date"),
        lambda tmp_path: read(
            tmp_path, _dated("%Y_%m_%d"), date="Date", format={"date": "%Y_%m_%d"}
        ),
    ),
    "or of numbers with format.date_unit (s, ms, us, ns, excel)": (
        lambda tmp_path: read(tmp_path, _serials(), date="Date"),
        lambda tmp_path: read(tmp_path, _serials(), date="Date", format={"date_unit": "excel"}),
    ),
    "Correct or delete the line": (
        lambda tmp_path: read(tmp_path, changed(ROWS, 9, c0="2021-13-45")),
        lambda tmp_path: read(tmp_path),
        lambda tmp_path: read(tmp_path, changed(ROWS, 9)),
    ),
    "Name the column that holds the dates": (
        lambda tmp_path: read(tmp_path, date="Day"),
        lambda tmp_path: read(tmp_path, date="Date"),
    ),
    "Name the column with the option date and say how its dates are written with": (
        lambda tmp_path: read(tmp_path, _dated("%Y_%m_%d")),
        lambda tmp_path: read(
            tmp_path, _dated("%Y_%m_%d"), date="Date", format={"date": "%Y_%m_%d"}
        ),
        lambda tmp_path: read(
            tmp_path,
            [[day, *row] for day, row in zip(DAYS, _dated("%Y_%m_%d"), strict=True)],
            ["Date", "Day", "X", "Y"],
            assets=["X", "Y"],
        ),
    ),
    "Leave it out, so that the table is asked": (
        lambda tmp_path: read(tmp_path, format={"date": "%d/%m/%Y"}),
        lambda tmp_path: read(tmp_path),
    ),
    # Names of columns and of assets.
    "Name the column that tells the assets apart with the option asset": (
        lambda tmp_path: read(tmp_path, _of_funds(), _FUNDS),
        lambda tmp_path: read(tmp_path, _of_funds(), _FUNDS, asset="fund"),
    ),
    "Delete one of the two.": (
        lambda tmp_path: read(tmp_path, [*ROWS, [DAYS[3], 1.5, 1.5]]),
        lambda tmp_path: read(tmp_path),
        lambda tmp_path: read(tmp_path, [*changed(ROWS, 3), [DAYS[3], 1.5, 1.5]]),
    ),
    "Delete one of the two; an hour that a clock shows twice becomes two with the zone": (
        lambda tmp_path: read(tmp_path, stamps(HOURS), ["Date", "X"]),
        lambda tmp_path: read(tmp_path, stamps(HOURS[:3] + HOURS[4:]), ["Date", "X"]),
        lambda tmp_path: read(
            tmp_path, stamps(HOURS), ["Date", "X"], format={"tz": "Europe/Berlin"}
        ),
    ),
    "Complete or delete the line": (
        lambda tmp_path: read(tmp_path, changed(LONG, 5, c1=""), OF_LONG),
        lambda tmp_path: read(tmp_path, LONG, OF_LONG),
        lambda tmp_path: read(tmp_path, changed(LONG, 5), OF_LONG),
    ),
    "Rename or delete one of them": (
        lambda tmp_path: read(tmp_path, header=["Date", "X", "X"]),
        lambda tmp_path: read(tmp_path),
        lambda tmp_path: read(tmp_path, [row[:2] for row in ROWS], ["Date", "X"]),
    ),
    "must name each pair of field and asset once; got ": (
        levels(["", "Close", "Close"], ["Date", "X", "X"]),
        levels(["", "Close", "Close"], ["Date", "X", "Y"]),
        lambda tmp_path: read(tmp_path, [["Date", "X"], *(row[:2] for row in ROWS)], ["", "Close"]),
    ),
    "Leave asset out": (
        levels(["", "Close", "Close"], ["Date", "X", "Y"], asset="X"),
        levels(["", "Close", "Close"], ["Date", "X", "Y"]),
    ),
    "Name the column that holds the assets' names": (
        lambda tmp_path: read(tmp_path, LONG, OF_LONG, asset="tikker"),
        lambda tmp_path: read(tmp_path, LONG, OF_LONG, asset="ticker"),
    ),
    "one row of names, or name the field of the prices with the option price": (
        levels(["", "EUR", "USD"], ["Date", "X", "Y"]),
        lambda tmp_path: read(tmp_path),
        levels(["", "EUR", "USD"], ["Date", "X", "Y"], price="EUR"),
    ),
    "Write its name into the header, or delete it": (
        levels(["Date", "", "Close"], ["", "X", "Y"]),
        levels(["Date", "Close", "Close"], ["", "X", "Y"]),
        lambda tmp_path: read(
            tmp_path, [["", "Y"], *([row[0], row[2]] for row in ROWS)], ["Date", "Close"]
        ),
    ),
    "Add one for each asset": (
        lambda tmp_path: read(tmp_path, _texts(), ["Date", "remark"]),
        lambda tmp_path: read(
            tmp_path,
            [[*row, x] for row, (_, x, _) in zip(_texts(), ROWS, strict=True)],
            ["Date", "remark", "X"],
            assets=["X"],
        ),
    ),
    "Add one, with a number in each row": (
        lambda tmp_path: read(tmp_path, [row[:2] for row in LONG], OF_LONG[:2]),
        lambda tmp_path: read(tmp_path, LONG, OF_LONG),
    ),
    # What is asked of a table.
    "end must come after start, {}; got {}. Exchange them": (
        lambda tmp_path: read(tmp_path, start=DAYS[30], end=DAYS[3]),
        lambda tmp_path: read(tmp_path, start=DAYS[3], end=DAYS[30]),
    ),
    "Put every name that YAML might take for something else in quotes": (
        lambda tmp_path: read(tmp_path, header=["Date", "0700", "Y"], assets=[448, "Y"]),
        lambda tmp_path: read(tmp_path, header=["Date", "0700", "Y"], assets=["0700", "Y"]),
    ),
    "format.date and format.date_unit exclude each other": (
        lambda tmp_path: read(tmp_path, format={"date": "%Y-%m-%d", "date_unit": "s"}),
        lambda tmp_path: read(tmp_path, format={"date": "%Y-%m-%d"}),
        lambda tmp_path: read(
            tmp_path, stamps(_seconds(1)), ["time", "X"], format={"date_unit": "s"}
        ),
    ),
    "format.price_sign is for prices; format.values says {}. Leave one out": (
        lambda tmp_path: _moves(tmp_path, price_sign="absolute", values="returns"),
        lambda tmp_path: _moves(tmp_path, values="returns"),
        lambda tmp_path: read(tmp_path, format={"price_sign": "absolute"}),
    ),
    "Write header: 0, or leave columns out": (
        lambda tmp_path: read(tmp_path, format={"header": 1, "columns": HEADER}),
        lambda tmp_path: read(tmp_path, header=None, format={"header": 0, "columns": HEADER}),
        lambda tmp_path: read(tmp_path, format={"header": 1}),
    ),
    "start and end must leave rows; the table goes from {} to {}. Move one of them": (
        lambda tmp_path: read(tmp_path, start="2030-01-01"),
        lambda tmp_path: read(tmp_path, start=DAYS[9]),
    ),
    "Take them out, or move start and end": (
        lambda tmp_path: read(tmp_path, _late(), assets=["X", "Y"], end=DAYS[19]),
        lambda tmp_path: read(tmp_path, _late(), assets=["Y"], end=DAYS[19]),
        lambda tmp_path: read(tmp_path, _late(), assets=["X", "Y"], end=DAYS[29]),
    ),
    "Correct the name, add its prices, or take it out": (
        lambda tmp_path: read(tmp_path, assets=["X", "Z"]),
        lambda tmp_path: read(tmp_path, assets=["X", "Y"]),
        lambda tmp_path: read(
            tmp_path, [[*row, 7.0 + row[1]] for row in ROWS], [*HEADER, "Z"], assets=["X", "Z"]
        ),
        lambda tmp_path: read(tmp_path, assets=["X"]),
    ),
    "Correct the name or take it out": (
        lambda tmp_path: read(tmp_path, arrays=["Z"]),
        lambda tmp_path: read(tmp_path, arrays=["Y"]),
        lambda tmp_path: read(tmp_path),
    ),
    "Leave one of the files out, or name the assets in the files": (
        lambda tmp_path: two_files(tmp_path),
        lambda tmp_path: two_files(tmp_path, twice=False),
        lambda tmp_path: two_files(tmp_path, "Y"),
    ),
    # Prices.
    "List what stands for a missing one in `format: {missing: [...]}`; the loss of an": (
        lambda tmp_path: _moves(tmp_path, last=-1.0, values="returns"),
        lambda tmp_path: _moves(tmp_path, last=-1.0, values="returns", missing=["-1.0"]),
        lambda tmp_path: align(_moves(tmp_path, last=np.nan, values="returns"), ended={"X": -1.0}),
    ),
    "{} worth that: if it is true, the data also need": (
        lambda tmp_path: read(tmp_path, changed(ROWS, -1, c1=0.0)),
        lambda tmp_path: align(
            read(tmp_path, changed(ROWS, -1, c1=0.0), format={"missing": ["0"]}), ended={"X": -1.0}
        ),
    ),
    "if the sign marks a mean of bid and ask; else correct the cells, or list them": (
        lambda tmp_path: read(tmp_path, changed(ROWS, 4, c1=-49.44)),
        lambda tmp_path: read(
            tmp_path, changed(ROWS, 4, c1=-49.44), format={"price_sign": "absolute"}
        ),
        lambda tmp_path: read(tmp_path),
        lambda tmp_path: read(
            tmp_path, changed(ROWS, 4, c1=-49.44), format={"missing": ["-49.44"]}
        ),
    ),
    # Rows and members.
    "rows must leave at least 2 rows; {} leaves {} of {}. Lower it": (
        lambda tmp_path: align(read(tmp_path, _in_turn()), rows=1.0),
        lambda tmp_path: align(read(tmp_path, _in_turn()), rows=0.5, ended={"default": 0.0}),
    ),
    "universe must be a mapping; got {}": (
        lambda tmp_path: of_universe(tmp_path, 3),
        lambda tmp_path: of_universe(tmp_path, {"top": 50, "by": "trailing_volume"}),
        lambda tmp_path: of_universe(tmp_path, {"X": [["1990-01-02", None]]}),
    ),
    "or name spans: {AAPL: [[1990-01-02, null]]}": (
        lambda tmp_path: of_universe(tmp_path, 3),
        lambda tmp_path: of_universe(tmp_path, {"X": [["1990-01-02", None]]}),
    ),
    "must have the columns asset, from and to; got {}. Rename them": (
        lambda tmp_path: of_universe(tmp_path, "name,first,last\nX,2020-01-01,\n"),
        lambda tmp_path: of_universe(tmp_path, "asset,from,to\nX,2020-01-01,\n"),
    ),
    "universe must leave an asset on some row; it leaves none. Widen it": (
        lambda tmp_path: of_universe(tmp_path, {"X": [["2030-01-01", None]]}),
        lambda tmp_path: of_universe(tmp_path, {"X": [["2020-01-01", None]]}),
    ),
    "Write [[1990-01-02, 2001-12-03], [2005-01-03, null]]": (
        lambda tmp_path: of_universe(tmp_path, {"X": "1990-01-02"}),
        lambda tmp_path: of_universe(
            tmp_path, {"X": [["1990-01-02", "2001-12-03"], ["2005-01-03", None]]}
        ),
    ),
    "benchmark must leave assets to hold; {} is the only one. Leave benchmark out": (
        lambda tmp_path: load(tmp_path, [row[:2] for row in ROWS], benchmark="X"),
        lambda tmp_path: load(tmp_path, [row[:2] for row in ROWS]),
    ),
    "Choose rows by start and end on which it has one, or fill its gaps": (
        lambda tmp_path: load(tmp_path, changed(ROWS, 1, c2=""), benchmark="Y"),
        lambda tmp_path: load(tmp_path, changed(ROWS, 1, c2=""), benchmark="Y", start=DAYS[2]),
        lambda tmp_path: load(tmp_path, benchmark="Y"),
    ),
    "Choose rows by start and end on which it is one, or fill its gaps": (
        lambda tmp_path: beside(tmp_path, changed(ROWS, 9, c2="")),
        lambda tmp_path: beside(tmp_path, changed(ROWS, 9, c2=""), start=DAYS[10]),
        lambda tmp_path: beside(tmp_path, ROWS),
    ),
    "Correct its cells or take it out": (
        lambda tmp_path: load(tmp_path, worded(), assets=["X"], arrays=["Y"]),
        lambda tmp_path: load(tmp_path, assets=["X"], arrays=["Y"]),
        lambda tmp_path: load(tmp_path, worded(), assets=["X"]),
    ),
    # Splits and features.
    "Exchange them.": (
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[50], test=DAYS[40]),
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[40], test=DAYS[50]),
    ),
    "Between them is no row. Give a later test": (
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[50], test=DAYS[50]),
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[50], test=DAYS[52]),
    ),
    "The {} split must have at least 2 rows; got {} of {} rows": (
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[40], test=DAYS[50], gap=9),
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[40], test=DAYS[54], gap=9),
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[40], test=DAYS[50], gap=2),
    ),
    "need a history of {}. Move the first date of validation, or shorten features": (
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[21], test=DAYS[50]),
        lambda tmp_path: splits(panel(tmp_path), val=DAYS[40], test=DAYS[50]),
        lambda tmp_path: splits(
            panel(tmp_path), val=DAYS[21], test=DAYS[50], features=[{"moves": {"rows": [1, 2]}}]
        ),
    ),
    "features must not have {} twice. Take one out": (
        lambda tmp_path: load(tmp_path, features=["moves", "moves"]),
        lambda tmp_path: load(tmp_path, features=["moves"]),
    ),
    "features: {} must have the field {} in the table; there are {}. Take {} out": (
        lambda tmp_path: load(tmp_path, features=["moves", "range"]),
        lambda tmp_path: load(tmp_path, features=["moves"]),
    ),
    "Take no mean, scale or fill from later rows": (
        lambda tmp_path: load(tmp_path, features=["user_features:whole_mean"]),
        lambda tmp_path: load(tmp_path, features=["cures_of_prices:so_far"]),
    ),
    "data must be one table of features; {} holds {}. Name one of them": (
        lambda tmp_path: folder_of_features(tmp_path),
        lambda tmp_path: folder_of_features(tmp_path, "a.csv"),
    ),
    "dates must increase from row to row. Sort the table": (
        lambda tmp_path: features(tmp_path, ROWS[::-1]),
        lambda tmp_path: features(tmp_path, ROWS),
    ),
}

ELSEWHERE: dict[str, str] = {
    ".rename(columns=lambda name: name[:4])": (
        "market/test_tables.py::test_a_table_that_lies_on_its_side_is_turned_as_the_message_says"
    ),
    "Give a longer table": (
        "market/test_starter.py::test_what_is_written_for_a_short_table_trains_and_claims_nothing"
    ),
    "Say {}": "market/test_tables.py::test_each_advice_of_a_refusal_reads_the_very_table",
}

# A configuration to start from, whose comments tell what its keys mean.
NONE = ("# Your own prices: {source}.",)

_FUNDS = ["date", "symbol", "fund", "close"]


def _of_funds() -> list[list[Any]]:
    return [[day, "USD", fund, x] for day, fund, x in LONG]


def _bars() -> list[list[Any]]:
    return [[day, x, x + 1, x - 1, x + 0.5] for day, x, _ in ROWS]


def _many() -> list[list[Any]]:
    return [[day, *[x] * len(MANY)] for day, x, _ in ROWS[:3]]


def _told(n: int) -> list[list[Any]]:
    """Cells of words where prices should be, each another."""
    return [[day, f"not {k}" if k < n else x, y] for k, (day, x, y) in enumerate(ROWS)]


def _texts() -> list[list[Any]]:
    return [[day, f"remark {place}"] for place, day in enumerate(DAYS)]


def _late() -> list[list[Any]]:
    return [[day, x if k > 20 else "", y] for k, (day, x, y) in enumerate(ROWS)]


def _in_turn() -> list[list[Any]]:
    return [[day, x if k % 2 else "", "" if k % 2 else y] for k, (day, x, y) in enumerate(ROWS)]


def _dated(form: str) -> list[list[Any]]:
    return [[day.strftime(form), *row] for day, row in zip(days(N), PRICES.tolist(), strict=True)]


def _serials() -> list[list[Any]]:
    first = (days(1)[0] - datetime.date(1899, 12, 30)).days
    return [[first + k + 0.25, *row[1:]] for k, row in enumerate(ROWS)]


def _seconds(factor: int) -> list[str]:
    """Seconds since 1970, the later half in another unit."""
    return [str((1_600_000_000 + 86_400 * k) * (factor if k > 20 else 1)) for k in range(40)]


def _in_cp1252(folder: Path, **options: Any) -> PriceTable:
    path = write(folder / "t.csv", ["Date", "Ä", "Ö"], ROWS, encoding="cp1252")
    return read_prices(path, **options)


def _lines_of_nothing(folder: Path) -> Path:
    return write(folder / "t.csv", HEADER, ROWS, above="\n" * 1_000_001)


def _skipped(folder: Path, zone: str) -> PriceTable:
    times = [f"2021-03-28 {hour:02d}:30" for hour in range(1, 6)]
    return read(folder, stamps(times), ["Date", "X"], format={"tz": zone})


def _on_its_side(folder: Path) -> Path:
    rows = [[name, *column] for name, column in zip("XY", PRICES.T.tolist(), strict=True)]
    return write(folder / "t.csv", ["ticker", *DAYS], rows)


def _turned(path: Path) -> PriceTable:
    with pytest.raises(DataError) as caught:
        read_prices(path)
    return turned(str(caught.value), FILE=path)


def _moves(folder: Path, *, last: float | None = None, **format: Any) -> PriceTable:
    """Returns, the last of X another."""
    moves = MOVES.copy()
    if last is not None:
        moves[-1, 0] = last
    rows = [[day, *row] for day, row in zip(DAYS[1:], moves.tolist(), strict=True)]
    return read(folder, rows, format=format)
