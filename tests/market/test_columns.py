"""What a column is, by its name and its cells."""

from __future__ import annotations

import numpy as np
import pytest

from psann.market.columns import is_field, is_usual_date, name_columns, plain
from psann.market.options import Format
from psann.market.sheet import Column, Sheet


def sheet(levels: list[list[str]], columns: list[Column]) -> Sheet:
    return Sheet(source="t", stem="t", levels=levels, columns=columns, lines=None)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("<Adj Close>", "adjclose"),
        ("adj_close", "adjclose"),
        ("Change %", "change%"),
        ("ex-dividend", "exdividend"),
    ],
)
def test_names_are_compared_by_their_letters(name: str, bare: str) -> None:
    assert plain(name) == bare
    assert is_field(name)


def test_tickers_are_no_fields() -> None:
    assert not any(map(is_field, ["AAPL", "T", "NA", "0700", "LOWE"]))
    assert [is_usual_date(name) for name in ("Date", "caldt", "", "AAPL")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["", "N/A"], "empty"),
        (["2021-03-01", "2021-03-02"], "date"),
        (["2025.10.20", "2025.10.21"], "date"),
        (["01:00:00", "02:00"], "time"),
        (["20210301", "20210302"], "integer"),
        (["1,234.50", "-"], "number"),
        (["0.36%", "-1.2%"], "percent"),
        (["AAPL", "MSFT"], "text"),
        (np.array([1.5, np.nan]), "number"),
        (np.array([1.0, np.nan]), "integer"),
        (np.array([np.nan]), "empty"),
        (np.array(["2021-03-01"], dtype="datetime64[us]"), "date"),
    ],
)
def test_the_kind_of_a_column(cells: Column, kind: str) -> None:
    assert name_columns(sheet([["a"]], [cells]), Format(), ())[0].kind == kind


def test_a_column_that_the_user_names_as_text_is_text() -> None:
    assert name_columns(sheet([["id"]], [["0700", "0005"]]), Format(), ("id",))[0].kind == "text"


@pytest.mark.parametrize("rows", [[0, 1, 2], [1, 0, 2]])
def test_fields_and_assets_are_told_apart_whichever_stands_above(rows: list[int]) -> None:
    levels = [["Price", "Close", "High"], ["Ticker", "A", "A"], ["Date", "", ""]]
    columns: list[Column] = [["2021-03-01"], ["1.5"], ["2.5"]]
    named = name_columns(sheet([levels[row] for row in rows], columns), Format(), ())
    assert [(c.name, c.asset) for c in named] == [("Date", None), ("Close", "A"), ("High", "A")]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (
            ["A.Open", "A.Adjusted", "BRK.B.Open"],
            [("Open", "A"), ("Adjusted", "A"), ("Open", "BRK.B")],
        ),
        (["A Adj Close", "A Volume"], [("Adj Close", "A"), ("Volume", "A")]),
        (["Close_A", "Adj_Close_B"], [("Close", "A"), ("Adj_Close", "B")]),
        (["adj_open", "adj_close"], [("adj_open", None), ("adj_close", None)]),
        (["BRK.B", "BF.A"], [("BRK.B", None), ("BF.A", None)]),
        (["A.Close", "B"], [("A.Close", None), ("B", None)]),
    ],
)
def test_fields_and_assets_in_one_name_are_taken_apart(
    names: list[str], pairs: list[tuple[str, str | None]]
) -> None:
    columns: list[Column] = [["x"]] * (len(names) + 1)
    named = name_columns(sheet([["Date", *names]], columns), Format(), ())
    assert [(c.name, c.asset) for c in named[1:]] == pairs


def test_a_name_over_merged_cells_holds_for_all_of_them() -> None:
    levels = [["", "Close", "", "Volume", ""], ["Date", "A", "B", "A", "B"]]
    named = name_columns(sheet(levels, [["x"]] * 5), Format(), ())
    assert [(c.name, c.asset) for c in named[1:]] == [
        ("Close", "A"),
        ("Close", "B"),
        ("Volume", "A"),
        ("Volume", "B"),
    ]
