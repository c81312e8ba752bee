"""From columns of texts to numbers: one reading of points and commas for the whole table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import whitespace

import numpy as np

from psann._typing import Floats

# fmt: off
USUAL_MISSING = frozenset((
    "", "-", "--", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "NaN", "nan", "NAN", "null", "NULL",
    "None", "none", "<NA>", "nil",
))
# fmt: on
_SIGNS = "$€£¥"
# Anything that a person would take for a number, whatever its points and commas mean.
_NUMERAL = re.compile(
    rf"[+\-−]?[{_SIGNS}]?\s?(\d[\d.,'’ \u00a0\u202f]*|[.,]\d+)([eE][+-]?\d+)?\s?[%{_SIGNS}]?"
)
PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?[1-9]\d?\d?(\.\d{3})+", re.ASCII)
_SEPARATORS = (",", ".", "'", "’", " ", "\u00a0", "\u202f")


@dataclass(frozen=True)
class Reading:
    """What separates the decimals, and what the groups of three digits."""

    decimal: str
    thousands: str | None

    def parse(self, cell: str) -> float | None:
        """Read a numeral; None where it does not fit."""
        (value,) = self.parse_all([cell])
        return value

    def parse_all(self, cells: Iterable[str]) -> list[float | None]:
        """Read numerals; None for those that do not fit."""
        fits, bare = _pattern(self).fullmatch, _letters(self)
        return [float(cell.translate(bare)) if fits(cell) else None for cell in cells]

    def options(self) -> dict[str, object]:
        """Say it as options of `format`."""
        said = {"decimal": self.decimal, "thousands": self.thousands}
        return {key: value for key, value in said.items() if value is not None}


@lru_cache(maxsize=64)
def _pattern(reading: Reading) -> re.Pattern[str]:
    d = re.escape(reading.decimal)
    whole = r"\d+"
    if reading.thousands:
        t = re.escape(reading.thousands)
        # The second form is the Indian one: 1,00,000.
        whole = rf"(?:[1-9]\d?\d?(?:{t}\d{{3}})+|[1-9]\d?(?:{t}\d{{2}})+{t}\d{{3}}|\d+)"
    number = rf"(?:{whole}(?:{d}\d*)?|{d}\d+)(?:[eE][+-]?\d+)?"
    return re.compile(rf"[+\-−]?[{_SIGNS}]?\s?{number}\s?[%{_SIGNS}]?", re.ASCII)


@lru_cache(maxsize=64)
def _letters(reading: Reading) -> dict[int, str]:
    """What becomes of each letter of a numeral before `float` reads it."""
    dropped = dict.fromkeys(f"%{_SIGNS}{whitespace}{reading.thousands or ''}", "")
    return str.maketrans({**dropped, "−": "-", reading.decimal: "."})


def is_numeral(cell: str) -> bool:
    """Say whether a cell is a number by one reading or another.

    Examples
    --------
    >>> [is_numeral(cell) for cell in ("1.234,5", "-3", "12%", "AAPL", "2020-01-02")]
    [True, True, True, False, False]
    """
    return bool(_NUMERAL.fullmatch(cell))


def is_certain_point(cell: str) -> bool:
    """Say whether a plain number's point can only be a decimal one: 1.2345, not 1.234."""
    return "." in cell and bool(PLAIN.fullmatch(cell)) and not _GROUPED.fullmatch(cell)


def find_readings(
    cells: Iterable[str], *, decimal: str | None = None, thousands: str | None = None
) -> list[Reading]:
    """Find the readings that fit the most of a table's numerals and differ in what they read.

    Parameters
    ----------
    cells : iterable of str
        All numerals of the table.
    decimal, thousands : str, optional
        What the user said.

    Returns
    -------
    list of Reading
        Never empty; more than one where the numerals can be read in several ways.
    """
    # Whole numbers read alike by all.
    marked = [cell for cell in set(cells) if not cell.isdigit()]
    letters = set("".join(marked))
    present = [mark for mark in _SEPARATORS if mark in letters]
    decimals = [decimal] if decimal else [".", ","]
    groups = [thousands] if thousands else [None, *present]
    possible = [Reading(d, t) for d in decimals for t in groups if d != t]
    if len(possible) == 1:
        return possible
    best: list[tuple[Reading, list[float | None]]] = []
    fewest = len(marked) + 1
    for reading in possible:
        values = reading.parse_all(marked)
        n_misfits = values.count(None)
        if n_misfits < fewest:
            best, fewest = [], n_misfits
        if n_misfits == fewest and values not in (other for _, other in best):
            best.append((reading, values))
    return [reading for reading, _ in best]


def to_numbers(
    cells: Sequence[str], reading: Reading, missing: frozenset[str]
) -> tuple[Floats, list[int]]:
    """Read a column.

    Returns
    -------
    values : ndarray of shape (n,)
        NaN where the cell stands for nothing, or is no number.
    odd : list of int
        Places of the cells that are neither a number nor missing.
    """
    present = list(set(cells) - missing)
    table = {
        **dict.fromkeys(missing, np.nan),
        **dict(zip(present, reading.parse_all(present), strict=True)),
    }
    values = np.array([table[cell] for cell in cells], dtype=np.float64)
    unreadable = {cell for cell, value in table.items() if value is None}
    odd = [row for row, cell in enumerate(cells) if cell in unreadable] if unreadable else []
    return values, odd


def without_sentinels(values: Floats, missing: Iterable[str]) -> Floats:
    """Return the values with NaN for those that equal a token for a missing cell."""
    sentinels = [float(token) for token in missing if PLAIN.fullmatch(token.strip())]
    return np.where(np.isin(values, sentinels), np.nan, values) if sentinels else values
