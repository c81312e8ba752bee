"""What a user may say about a table of prices, checked as a whole."""

from __future__ import annotations

import codecs
import datetime
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeGuard, get_args

import numpy as np

from psann._frames import WITH_ROWS
from psann._typing import is_whole
from psann.errors import DataError, did_you_mean
from psann.market.dates import instants_of

Values = Literal["prices", "returns", "percent_returns", "log_returns", "relatives"]
DateUnit = Literal["s", "ms", "us", "ns", "excel"]
Moment = np.datetime64


@dataclass(frozen=True, kw_only=True)
class Format:
    """How the cells of a table are written; None where the table itself shall tell."""

    sep: str | None = None
    """Separator of the cells, one character; a blank stands for any run of blanks."""
    decimal: Literal[".", ","] | None = None
    thousands: str | None = None
    """Separator of groups of three digits."""
    encoding: str | None = None
    date: str | None = None
    """Format of the dates as for `datetime.strptime`, such as `%d/%m/%Y`; `%q` is a quarter."""
    date_unit: DateUnit | None = None
    """Unit of dates that are numbers: since 1970-01-01 UTC, or Excel's days."""
    tz: str | None = None
    """Time zone of the stamps, such as `Europe/Berlin`; they become UTC."""
    stamp: Literal["start", "end"] | None = None
    """Which end of its period a row's stamp marks; `start` moves each to the end."""
    missing: tuple[str, ...] = ()
    """Cells that stand for no price, beside the usual ones; a number also by its value."""
    skip_rows: int = 0
    """Lines before the header."""
    max_rows: int | None = None
    """Rows to read; what follows them is no part of the table."""
    header: int | None = None
    """Header rows, 0 to 3."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a table without a header."""
    comment: str | None = None
    """Character that begins lines to leave out."""
    values: Values | None = None
    """What the numbers are; all but prices are compounded from 1."""
    price_sign: Literal["strict", "absolute"] = "strict"
    """`absolute`: a price below 0 is a mean of bid and ask, as CRSP marks them."""


def _is_character(value: object) -> bool:
    return isinstance(value, str) and len(value) == 1


def _are_texts(value: object) -> TypeGuard[Sequence[str]]:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(item, str) for item in value)
    )


def _is_one_of(*choices: str) -> tuple[str, Callable[[object], bool]]:
    return "one of " + ", ".join(choices), lambda value: value in choices


def _is_zone(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(zoneinfo.ZoneInfo(value))
    except (ValueError, OSError, KeyError):
        return False


def _is_encoding(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(codecs.lookup(value))
    except LookupError:
        return False


# What each key must be, in words and as a test.
_FORMAT_RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "sep": ('one character, such as ";"', _is_character),
    "decimal": _is_one_of(".", ","),
    "thousands": (
        "one character that is no digit",
        lambda v: _is_character(v) and not str(v).isdigit(),
    ),
    "encoding": ("an encoding that Python knows, such as cp1252", _is_encoding),
    "date": ('a format such as "%d/%m/%Y"', lambda v: isinstance(v, str) and "%" in v),
    "date_unit": _is_one_of(*get_args(DateUnit)),
    "tz": ("a time zone such as Europe/Berlin", _is_zone),
    "stamp": _is_one_of("start", "end"),
    "missing": ('a list of texts, such as [".", "-999"]', _are_texts),
    "skip_rows": ("a whole number of at least 0", is_whole),
    "max_rows": ("a whole number of at least 1", lambda v: is_whole(v, 1)),
    "header": ("a whole number from 0 to 3", lambda v: is_whole(v) and v <= 3),
    "columns": ("a list of texts", _are_texts),
    "comment": ("one character, such as #", _is_character),
    "values": _is_one_of(*get_args(Values)),
    "price_sign": _is_one_of("strict", "absolute"),
}


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options of `read_prices`, checked."""

    date: tuple[str, ...]
    """Columns of the date, joined by a blank; empty where the table shall tell."""
    asset: str | None
    price: str | None
    assets: tuple[str, ...]
    """Empty for all."""
    arrays: tuple[str, ...]
    """Columns that are no assets."""
    start: Moment | None
    end: Moment | None
    """The last instant that counts, of a day its end."""
    format: Format
    are_all_needed: bool = False
    """Whether `assets` are those of a policy, which knows no row without one of them."""


def check_options(
    *,
    date: object = None,
    asset: object = None,
    price: object = None,
    assets: object = None,
    arrays: object = None,
    start: object = None,
    end: object = None,
    format: object = None,
) -> ReadOptions:
    """Check what `read_prices` was told.

    Raises
    ------
    DataError
        With one sentence for every option that cannot be meant.
    """
    problems: list[str] = []
    date = [date] if isinstance(date, str) else date
    if date is not None and not _are_texts(date):
        problems.append(f"date must be a column's name or a list of names; got {date!r}.")
    for name, value in (("asset", asset), ("price", price)):
        if value is not None and not isinstance(value, str):
            problems.append(f"{name} must be a column's name; got {value!r}.")
    if assets is not None:
        problems += _problems_of_assets(assets)
    if arrays is not None:
        problems += _problems_of_arrays(arrays)
    (first, _), (_, last) = (_instants(n, v, problems) for n, v in (("start", start), ("end", end)))
    if first is not None and last is not None and last < first:
        problems.append(f"end must come after start, {start}; got {end}. Exchange them.")
    format_options = _format(format, problems)
    if problems:
        raise DataError(problems)
    return ReadOptions(
        date=tuple(date) if _are_texts(date) else (),
        asset=asset if isinstance(asset, str) else None,
        price=price if isinstance(price, str) else None,
        assets=tuple(assets) if _are_texts(assets) else (),
        arrays=tuple(arrays) if _are_texts(arrays) else (),
        start=first,
        end=last,
        format=format_options,
    )


def _problems_of_assets(assets: object) -> list[str]:
    if not isinstance(assets, list | tuple) or not assets:
        return [f'assets must be a list of names, such as [AAPL, "0700"]; got {assets!r}.']
    # YAML reads 0700 as 448 and NO as False: what was meant can no longer be known.
    odd = [name for name in assets if not isinstance(name, str)]
    if odd:
        return [
            f"assets must be texts; got {odd[0]!r}, a {type(odd[0]).__name__}. "
            'Put every name that YAML might take for something else in quotes, as in ["0700"].'
        ]
    twice = [name for place, name in enumerate(assets) if name in assets[:place]]
    return [f"assets must name each asset once; got {twice[0]!r} twice."] if twice else []


def _problems_of_arrays(arrays: object) -> list[str]:
    if not isinstance(arrays, list | tuple) or not all(isinstance(name, str) for name in arrays):
        return [f"arrays must be a list of columns' names, such as [spread]; got {arrays!r}."]
    return [
        f"arrays must name each column once, and none as another array of the data; got {name!r}."
        for name in dict.fromkeys(arrays)
        if name in WITH_ROWS or arrays.count(name) > 1
    ]


def _instants(name: str, value: object, problems: list[str]) -> tuple[Moment | None, Moment | None]:
    """First and last instant of a date; None where there is none."""
    if value is None:
        return None, None
    try:
        if not isinstance(value, str | datetime.date | np.datetime64):
            raise ValueError
        first, last = instants_of(str(value))
    except ValueError:
        first = last = np.datetime64("NaT", "us")
    if np.isnat(first):
        problems.append(f"{name} must be a date such as 2012-05-18; got {value!r}.")
        return None, None
    return first, last


def _format(given: object, problems: list[str]) -> Format:
    if given is None:
        return Format()
    if not isinstance(given, Mapping):
        problems.append(f'format must be a mapping, such as {{sep: ";"}}; got {given!r}.')
        return Format()
    known = [field.name for field in fields(Format)]
    settings: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            near = did_you_mean(str(key), known)
            problems.append(f"format.{key} is not known.{near} There are {', '.join(known)}.")
        elif value is not None:
            words, holds = _FORMAT_RULES[key]
            if isinstance(value, list | dict) and key not in ("missing", "columns"):
                problems.append(f"format.{key} must be {words}; got {value!r}.")
            elif holds(value):
                settings[key] = (
                    tuple(value)
                    if isinstance(value, Sequence) and not isinstance(value, str)
                    else value
                )
            else:
                problems.append(f"format.{key} must be {words}; got {value!r}.")
    problems += _contradictions(settings)
    return Format(**settings)


def _contradictions(settings: Mapping[str, Any]) -> list[str]:
    problems = []
    if "date" in settings and "date_unit" in settings:
        problems.append(
            "format.date and format.date_unit exclude each other: dates are text or numbers. "
            "Leave one out."
        )
    if settings.get("decimal") is not None and settings.get("decimal") == settings.get("thousands"):
        problems.append(
            f"format.decimal and format.thousands must differ; got {settings['decimal']!r} twice."
        )
    if "price_sign" in settings and settings.get("values", "prices") != "prices":
        problems.append(
            f"format.price_sign is for prices; format.values says {settings['values']}. Leave one "
            "out."
        )
    if "columns" in settings and settings.get("header", 0) != 0:
        problems.append(
            "format.columns names a table without a header; got it with format.header "
            f"{settings['header']}. Write header: 0, or leave columns out."
        )
    return problems
