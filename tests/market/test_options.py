"""What a user may say about a table, and what cannot be meant."""

from __future__ import annotations

import datetime

import pytest

from psann.errors import DataError
from psann.market.options import check_options


def test_what_is_said_is_kept() -> None:
    options = check_options(
        date="Date",
        assets=["A"],
        start=datetime.date(2020, 1, 2),
        end="2021-01-02",
        format={"sep": ";", "missing": ["."], "skip_rows": 3, "tz": None},
    )
    assert (options.date, options.assets) == (("Date",), ("A",))
    assert str(options.start) == "2020-01-02T00:00:00.000000"
    assert str(options.end) == "2021-01-02T23:59:59.999999"
    assert (options.format.sep, options.format.missing, options.format.skip_rows) == (
        ";",
        (".",),
        3,
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"date": 5}, "date must be a column's name or a list of names; got 5"),
        ({"price": ["Close"]}, "price must be a column's name; got"),
        ({"assets": [700]}, r'assets must be texts; got 700, a int\..*\["0700"\]'),
        ({"assets": [False]}, "got False, a bool"),
        ({"assets": []}, "assets must be a list of names"),
        ({"assets": ["A", "A"]}, "assets must name each asset once; got 'A' twice"),
        ({"start": "yesterday"}, "start must be a date such as 2012-05-18; got 'yesterday'"),
        ({"start": 2012}, "start must be a date"),
        ({"end": "NaT"}, "end must be a date"),
        ({"start": "2021-01-01", "end": "2020-01-01"}, "end must come after start"),
        ({"format": "csv"}, "format must be a mapping"),
        ({"format": {"separator": ";"}}, r"format\.separator is not known\."),
        (
            {"format": {"decimals": ","}},
            r"format\.decimals is not known\. Did you mean 'decimal'\?",
        ),
        ({"format": {"sep": ";;"}}, r"format\.sep must be one character"),
        ({"format": {"decimal": "x"}}, r"format\.decimal must be one of \., ,"),
        (
            {"format": {"thousands": "5"}},
            r"format\.thousands must be one character that is no digit",
        ),
        (
            {"format": {"encoding": "klingon"}},
            r"format\.encoding must be an encoding that Python knows",
        ),
        ({"format": {"date": "dd/mm"}}, r"format\.date must be a format"),
        (
            {"format": {"date_unit": "days"}},
            r"format\.date_unit must be one of s, ms, us, ns, excel",
        ),
        ({"format": {"tz": "Mars/Base"}}, r"format\.tz must be a time zone"),
        ({"format": {"stamp": "middle"}}, r"format\.stamp must be one of start, end"),
        ({"format": {"missing": [-99.99]}}, r"format\.missing must be a list of texts"),
        ({"format": {"skip_rows": -1}}, r"format\.skip_rows must be a whole number of at least 0"),
        ({"format": {"max_rows": 0}}, r"format\.max_rows must be a whole number of at least 1"),
        ({"format": {"header": True}}, r"format\.header must be a whole number from 0 to 3"),
        ({"format": {"comment": ["#"]}}, r"format\.comment must be one character"),
        ({"format": {"values": "prizes"}}, r"format\.values must be one of prices, returns"),
        ({"format": {"price_sign": "any"}}, r"format\.price_sign must be one of strict, absolute"),
        ({"format": {"date": "%Y", "date_unit": "s"}}, "exclude each other"),
        ({"format": {"decimal": ",", "thousands": ","}}, "must differ; got ',' twice"),
        (
            {"format": {"values": "returns", "price_sign": "absolute"}},
            r"format\.price_sign is for prices; format\.values says returns",
        ),
        ({"format": {"columns": ["a"], "header": 1}}, "names a table without a header"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_options(**given)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        check_options(price=3, start="x", format={"sepp": ";", "header": 7})
    assert len(caught.value.problems) == 4
