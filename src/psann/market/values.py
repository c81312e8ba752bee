"""The numbers of a layout's columns: one reading of points and commas for the whole table."""

from __future__ import annotations

import numpy as np

from psann._typing import Floats
from psann.errors import listed
from psann.market.columns import Named
from psann.market.findings import Findings
from psann.market.layout import Layout
from psann.market.numerals import (
    USUAL_MISSING,
    Reading,
    find_readings,
    is_numeral,
    to_numbers,
    without_sentinels,
)
from psann.market.options import Format
from psann.market.sheet import Sheet

Values = dict[str, dict[str | None, Floats]]


def read_values(
    sheet: Sheet, layout: Layout, format: Format, findings: Findings
) -> tuple[Values, Reading]:
    """Read the columns of a layout as numbers.

    Parameters
    ----------
    sheet : Sheet
    layout : Layout
    format : Format
    findings : Findings
        Gets every cell of a price that is no number; a further field with such is left out.

    Returns
    -------
    values : dict
        `(n,)` by field and asset, NaN where missing.
    reading : Reading
        How the numerals were read.
    """
    missing = USUAL_MISSING | set(format.missing)
    # One that is the same for all assets stands there for each.
    named = {c.place: c for of_assets in layout.cells.values() for c in of_assets.values()}
    reading = _reading(sheet, [*named.values()], missing, format, findings)
    read = {place: _numbers(column, reading, missing) for place, column in named.items()}
    values: Values = {}
    odd: list[tuple[Named, int]] = []
    left_out: list[str] = []
    for field, of_assets in layout.cells.items():
        for asset, column in of_assets.items():
            numbers, strange = read[column.place]
            if strange and field == layout.price:
                odd += [(column, row) for row in strange]
            elif strange or (field != layout.price and column.kind == "text"):
                left_out.append(field)
                continue
            values.setdefault(field, {})[asset] = without_sentinels(numbers, format.missing)
    if left_out:
        findings.say(f"left out: {listed(list(dict.fromkeys(left_out)))}, not all numbers.")
    _ask_of_odd(sheet, odd, findings)
    return values, reading


def _reading(
    sheet: Sheet, named: list[Named], missing: frozenset[str], format: Format, findings: Findings
) -> Reading:
    numerals: set[str] = set()
    for column in named:
        if isinstance(column.cells, list):
            numerals.update(column.cells)
    numerals = {cell for cell in numerals - missing if is_numeral(cell)}
    # Between commas, and without quotes, a number has no comma: its point is a decimal one.
    decimal = "." if sheet.sep == "," and not sheet.has_quotes else None
    readings = find_readings(
        numerals, decimal=format.decimal or decimal, thousands=format.thousands
    )
    if len(readings) > 1:
        shown = next(cell for cell in sorted(numerals) if _differs(cell, readings))
        findings.ask(
            f"{sheet.source} must tell decimals from thousands; {shown!r} is "
            + " or ".join(_words(reading.parse(shown)) for reading in readings)
            + ".",
            *({"format": reading.options()} for reading in readings),
        )
    return readings[0]


def _words(value: float | None) -> str:
    return "no number" if value is None else f"{value:.15g}"


def _differs(cell: str, readings: list[Reading]) -> bool:
    return len({reading.parse(cell) for reading in readings}) > 1


def _numbers(column: Named, reading: Reading, missing: frozenset[str]) -> tuple[Floats, list[int]]:
    if isinstance(column.cells, list):
        return to_numbers(column.cells, reading, missing)
    if column.cells.dtype.kind == "M":
        return np.full(len(column.cells), np.nan), [0]
    values = np.asarray(column.cells, dtype=np.float64)
    return values, np.flatnonzero(np.isinf(values)).tolist()


def _ask_of_odd(sheet: Sheet, odd: list[tuple[Named, int]], findings: Findings) -> None:
    """Ask of cells that are no number; a few short ones may stand for no price."""
    problems = [
        f"{sheet.place(row)}, column {_name(column)!r}: a price must be a number; got "
        f"{str(column.cells[row])!r}."
        for column, row in odd
    ]
    tokens = sorted({str(column.cells[row]) for column, row in odd})
    if len(tokens) <= 3 and all(len(token) <= 12 for token in tokens):
        cure = "if it stands for no price; else correct the cell."
        findings.ask_of_many(problems, {"format": {"missing": tokens}}, cure=cure)
    else:
        cure = "Correct the cells, or list what stands for no price in format.missing."
        findings.ask_of_many(problems, cure=cure)


def _name(column: Named) -> str:
    return column.name if column.asset is None else f"{column.name}, {column.asset}"
