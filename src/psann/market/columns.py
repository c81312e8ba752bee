"""What each column of a sheet is: dates, times of day, numbers, texts, or nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from psann.market.dates import TIME_OF_DAY, possible_readings
from psann.market.numerals import PLAIN, USUAL_MISSING, is_numeral
from psann.market.options import Format
from psann.market.sheet import Column, Sheet

Kind = Literal["empty", "date", "time", "integer", "number", "percent", "text"]

# fmt: off
ADJUSTED = {
    "adjusted", "adjclose", "adjustedclose", "closeadj", "closeadjusted", "adjprice",
    "adjustedprice",
}
CLOSES = {
    "close", "closelast", "closing", "closeprice", "closingprice", "price", "last", "lastprice",
    "settle", "settlement", "settleprice", "pxlast", "prc",
}
# Never prices of their own: they tell a table of fields from one of assets. Of other languages the
# price is not guessed either.
_OTHER_FIELDS = {
    "open", "high", "low", "openprice", "highprice", "lowprice", "openlast", "highlast", "lowlast",
    "adjopen", "adjhigh", "adjlow", "adjvolume", "preclose", "prevclose", "previousclose", "ltp",
    "vwap", "spread", "volume", "vol", "volumes", "tickvol", "tickvolume", "realvolume",
    "quotevolume", "volumeusd", "volumeusdt", "volumebtc", "openint", "openinterest", "amount",
    "turnover", "trades", "numberoftrades", "marketcap", "time", "per",
    "dividend", "dividends", "exdividend", "dividendamount", "capitalgains", "splitratio", "split",
    "splits", "stocksplits", "splitfactor", "splitcoefficient",
    "pxopen", "pxhigh", "pxlow", "pxvolume", "pxbid", "pxask", "pxmid",
    "change", "change%", "changepercent", "changepct", "chg%", "pctchg", "changeover",
    "ret", "retx", "dlret", "dlstcd", "dlprc", "shrout", "cfacpr", "cfacshr", "bidlo", "askhi",
    "erster", "eröffnung", "hoch", "tief", "schluss", "schlusskurs", "kurs", "stuecke", "stücke",
    "volumen", "umsatz", "zuletzt",
    "ouverture", "haut", "bas", "cloture", "clôture", "dernier", "plushaut", "plusbas",
    "apertura", "massimo", "minimo", "chiusura", "ultimo", "máximo", "mínimo", "cierre", "último",
    "maximo",
}
# Of two that name the same assets, the first.
ASSET_NAMES = (
    "permno", "ticker", "symbol", "tickersymbol", "asset", "tscode", "isin", "ric", "secid",
    "instrument", "security", "stock", "code", "name", "company", "stockname", "pair", "tic",
    "stockcode", "sid", "gvkey", "cusip", "sedol", "id", "coin", "currency",
)
_DATE_NAMES = {
    "date", "datetime", "time", "timestamp", "day", "month", "caldt", "tradedate", "tradetime",
    "tradingdate", "tradingday", "observationdate", "datum", "unix", "opentime", "closetime",
    "index", "dt", "period", "year", "data", "fecha",
}
# fmt: on

_EARLY = 1000  # columns that may hold dates, as reading one takes long


def plain(name: str) -> str:
    """Reduce a column's name to what matters: `<Adj Close>` and `adj_close` are `adjclose`."""
    return re.sub(r"[^\w%]|_", "", name.lower())


def is_field(name: str) -> bool:
    """Say whether a name is that of a field of one asset, such as Open or Volume."""
    bare = plain(name)
    return bare in ADJUSTED or bare in CLOSES or bare in _OTHER_FIELDS


def is_usual_date(name: str) -> bool:
    """Say whether dates are usually called so; a column without a name may hold them too."""
    return plain(name) in _DATE_NAMES or not name


@dataclass(frozen=True)
class Named:
    """A column with its names."""

    place: int
    name: str
    """The field's name where there are two levels of names, else the column's."""
    asset: str | None
    """The asset's name where there are two levels of names."""
    kind: Kind
    cells: Column


def name_columns(sheet: Sheet, format: Format, texts: tuple[str, ...]) -> list[Named]:
    """Give each column its names and its kind.

    Parameters
    ----------
    sheet : Sheet
    format : Format
    texts : tuple of str
        Names of columns that are texts even where they look like numbers.

    Returns
    -------
    list of Named
    """
    fields, assets = _levels(sheet)
    missing = USUAL_MISSING | set(format.missing)
    named = []
    for place, cells in enumerate(sheet.columns):
        name = fields[place]
        is_told = name in texts and isinstance(cells, list)
        kind = "text" if is_told else _kind(cells, missing, is_early=place < _EARLY)
        named.append(Named(place, name, assets[place], kind, cells))
    return named


def _levels(sheet: Sheet) -> tuple[list[str], list[str | None]]:
    """Find which row names fields and which assets."""
    width = len(sheet.columns)
    levels = sheet.levels or [[""] * width]
    first = [level[0] for level in levels if level[0]]
    # A row with one name only names the column of dates, as pandas writes it.
    rows = [level for level in levels if sum(map(bool, level)) > 1 or len(levels) == 1]
    if len(rows) < 2:
        only = rows[0] if rows else levels[0]
        date = first[-1] if first and width > 1 else only[0]
        pairs = _pairs(only[1:])
        if pairs:
            return [date, *(field for field, _ in pairs)], [None, *(asset for _, asset in pairs)]
        return [date, *only[1:]], [None] * width
    upper, lower = _filled(rows[0]), rows[1]
    if all(map(is_field, filter(None, lower[1:]))) and not all(map(is_field, upper[1:])):
        upper, lower = lower, upper
    return [first[-1] if first else "", *upper[1:]], [None, *lower[1:]]


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    """Take names such as AAPL.Close or Close_AAPL apart; empty unless all are such."""
    if all(map(is_field, names)):  # adj_close is a name of its own
        return []
    for is_field_first in (False, True):
        pairs = [_pair(name, is_field_first) for name in names]
        if len(pairs) > 1 and all(pairs):
            return [pair for pair in pairs if pair]
    return []


def _pair(name: str, is_field_first: bool) -> tuple[str, str] | None:
    """Split a name into field and asset, the field as long as it can be."""
    cuts = [match.start() for match in re.finditer(r"[._ -]", name)]
    for cut in reversed(cuts) if is_field_first else cuts:
        left, right = name[:cut], name[cut + 1 :]
        field, asset = (left, right) if is_field_first else (right, left)
        if is_field(field) and asset:
            return field, asset
    return None


def _filled(row: list[str]) -> list[str]:
    """Carry a name over the empty cells after it, as merged cells are written."""
    result = row[:1]
    for name in row[1:]:
        result.append(name or (result[-1] if len(result) > 1 else ""))
    return result


def _kind(cells: Column, missing: frozenset[str], *, is_early: bool) -> Kind:
    if not isinstance(cells, list):
        if cells.dtype.kind == "M":
            return "date"
        present = cells[np.isfinite(cells)]
        if not present.size:
            return "empty"
        return "integer" if (present == np.floor(present)).all() else "number"
    some = [cell for cell in cells[:: max(1, len(cells) // 400)] if cell not in missing]
    some = some or [cell for cell in dict.fromkeys(cells) if cell not in missing]
    if not some:
        return "empty"
    if all(TIME_OF_DAY.fullmatch(cell) for cell in some):
        return "time"
    numerals = [cell for cell in some if is_numeral(cell)]
    if is_early and _are_dates(some, numerals):
        return "date"
    if len(numerals) * 2 < len(some):
        return "text"
    if sum(cell.endswith("%") for cell in numerals) * 2 > len(numerals):
        return "percent"
    return "integer" if all(cell.isdigit() for cell in numerals) else "number"


def _are_dates(some: list[str], numerals: list[str]) -> bool:
    """2020.01.31 may look like a number with points; a plain number is never a date."""
    if sum(map(bool, map(PLAIN.fullmatch, numerals))) * 2 > len(some):
        return False
    return bool(possible_readings(some[:50]))
