"""Of any table, however written, none is read wrongly, and the right advice reads it right."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_tables import Cure, days, follow, prices, write
from psann.market import PriceTable
from thinning import slow

DATES = [
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d/%m/%y", "%Y%m%d"),
    *("%b %d, %Y", "%d-%b-%Y", "%B %d, %Y", "%d %b %y", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M"),
]
# Decimal and thousands mark.
MARKS = {"plain": (".", ""), "english": (".", ","), "german": (",", "."), "swiss": (".", "'")}


@dataclass(frozen=True)
class Way:
    """One way to write a table."""

    layout: str
    sep: str
    marks: str
    date: str
    missing: str
    decimals: int
    has_quotes: bool
    is_newest_first: bool
    end: str

    @property
    def must_quote(self) -> bool:
        return self.has_quotes or self.sep in self.date or self.sep in MARKS[self.marks]

    def number(self, value: float) -> str:
        if np.isnan(value):
            return self.missing
        point, comma = MARKS[self.marks]
        text = f"{value:,.{self.decimals}f}"
        return text.translate({ord(","): comma, ord("."): point})

    def pick(self, alternatives: Sequence[Cure]) -> Cure:
        """Choose as someone does who knows how the table was written."""
        point, comma = MARKS[self.marks]
        truth = {"date": self.date, "decimal": point, "thousands": comma}
        for cure in alternatives:
            said = dict(cure.get("format") or {})  # type: ignore[call-overload]
            known = {key: said[key] for key in truth if key in said}
            if known and all(truth[key] == value for key, value in known.items()):
                return cure
        return next((cure for cure in alternatives if "assets" in cure), alternatives[0])


def ways() -> st.SearchStrategy[Way]:
    return st.builds(
        Way,
        layout=st.sampled_from(["wide", "long", "above"]),
        sep=st.sampled_from(",;\t|"),
        marks=st.sampled_from(list(MARKS)),
        date=st.sampled_from(DATES),
        missing=st.sampled_from(["", "NA", "N/A", "-", "nan", "null", "."]),
        decimals=st.integers(1, 6),
        has_quotes=st.booleans(),
        is_newest_first=st.booleans(),
        end=st.sampled_from(["\n", "\r\n"]),
    )


def written(path: Path, way: Way, values: np.ndarray, stamps: list[datetime.date]) -> Path:
    names = [f"S{k}" for k in range(values.shape[1])]
    texts = [[way.number(x) for x in row] for row in values]
    dates = [stamp.strftime(way.date) for stamp in stamps]
    header: list[list[str]] = [["Date", *names]]
    rows = [[date, *row] for date, row in zip(dates, texts, strict=True)]
    if way.layout == "long":
        header = [["Date", "Ticker", "Close"]]
        rows = [[row[0], name, x] for row in rows for name, x in zip(names, row[1:], strict=True)]
    elif way.layout == "above":
        header = [["Price", *["Close"] * len(names)], ["Ticker", *names]]
        header.append(["Date", *[""] * len(names)])
    lines = [*header, *(reversed(rows) if way.is_newest_first else rows)]
    if way.must_quote:
        lines = [[f'"{cell}"' for cell in line] for line in lines]
    return write(path, lines[0], lines[1:], sep=way.sep, end=way.end)


@pytest.mark.parametrize("n_tables", [20, slow(80)])
def test_a_table_is_read_as_it_was_meant(n_tables: int, tmp_path: Path) -> None:
    settings(max_examples=n_tables, deadline=None)(_is_read_as_it_was_meant)(tmp_path)


@given(
    way=ways(),
    seed=st.integers(0, 10**6),
    n_rows=st.integers(6, 60),
    n_assets=st.integers(2, 6),
    level=st.sampled_from([3.0, 50.0, 900.0, 50000.0]),
    share=st.sampled_from([0.0, 0.0, 0.1]),
)
def _is_read_as_it_was_meant(
    folder: Path, way: Way, seed: int, n_rows: int, n_assets: int, level: float, share: float
) -> None:
    draws = np.random.default_rng(seed)
    values = np.round(prices(n_rows, n_assets, seed, level), way.decimals)
    values[draws.random(values.shape) < share] = np.nan
    values[0] = np.round(level, way.decimals)  # every asset and the first date have a price
    first = datetime.date(2019, 1, 1) + datetime.timedelta(days=int(draws.integers(900)))
    stamps = days(n_rows, first)
    path = written(folder / "t.csv", way, values, stamps)
    table, _ = follow(path, way.pick)
    np.testing.assert_array_equal(_in_order(table), values)
    np.testing.assert_array_equal(table.dates, np.array(stamps, dtype="datetime64[us]"))


def _in_order(table: PriceTable) -> np.ndarray:
    return table.prices[:, [table.assets.index(f"S{k}") for k in range(len(table.assets))]]
