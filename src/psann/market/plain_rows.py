"""Rows of plain numbers, quickly: what `float` would read, at the speed of a compiled reader."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psann._typing import Bools, Floats, Places
from psann.market.numerals import USUAL_MISSING

_POWERS = 10.0 ** np.arange(23)  # all exact
_EXACT = 2**53


def parse_row(text: str, sep: str) -> Floats | None:
    """Read the numbers of a line.

    Digits and point of each cell are read as a whole number ``m`` and a count ``k`` of decimals.
    ``m / 10^k`` is rounded once, and so exactly what `float` reads, while ``m < 2^53``.

    Parameters
    ----------
    text : str
        Cells with separators between them.
    sep : str
        The separator, one character.

    Returns
    -------
    ndarray or None
        One number for each cell, NaN where it is missing; None if a cell is neither a plain
        number nor missing.

    Examples
    --------
    >>> parse_row("1.5,,300,0.25", ",").tolist()
    [1.5, nan, 300.0, 0.25]
    """
    # The mantissas are read between commas; blanks would be swallowed.
    raw = text.encode().replace(sep.encode(), b",")
    if raw.translate(None, b"0123456789.,"):
        return _cell_by_cell(text, sep)
    letters = np.frombuffer(raw, dtype=np.uint8)
    ends = np.append(np.flatnonzero(letters == ord(",")), len(letters))
    starts = np.concatenate(([0], ends[:-1] + 1))
    points = np.flatnonzero(letters == ord("."))
    is_empty = ends == starts
    has_point = _have_point(letters, points, len(ends))
    n_digits = ends - starts - has_point
    if has_point.sum() != len(points) or (n_digits[~is_empty] < 1).any() or n_digits.max() > 18:
        return _cell_by_cell(text, sep)
    whole = np.fromstring(_filled(raw.replace(b".", b"")), dtype=np.int64, sep=",")
    if len(whole) != len(ends) or (whole >= _EXACT).any():
        return _cell_by_cell(text, sep)
    decimals = np.zeros(len(ends), dtype=np.intp)
    decimals[has_point] = ends[has_point] - points - 1
    values: Floats = whole / _POWERS[decimals]
    values[is_empty] = np.nan
    return values


def _have_point(letters: NDArray[np.uint8], points: Places, n_cells: int) -> Bools:
    """Say which cells have a point; more than one in a cell leaves fewer cells than points."""
    cell_of = np.cumsum(letters == ord(","), dtype=np.int32)  # five times as fast as a search
    has_point = np.zeros(n_cells, dtype=bool)
    has_point[cell_of[points]] = True
    return has_point


def _filled(raw: bytes) -> bytes:
    """Put a digit into empty cells, which are known by their place."""
    if b",," in raw:
        raw = raw.replace(b",,", b",0,").replace(b",,", b",0,")
    return b"0" * raw.startswith(b",") + raw + b"0" * (raw.endswith(b",") or not raw)


def _cell_by_cell(text: str, sep: str) -> Floats | None:
    # Of what float() takes, these are no plain numbers: 1_000, digits of other scripts, nan, inf.
    if "_" in text:
        return None
    cells = [cell.strip() for cell in text.split(sep)]
    missing = [cell in USUAL_MISSING for cell in cells]
    try:
        values = np.array(
            [np.nan if gap else float(cell) for cell, gap in zip(cells, missing, strict=True)]
        )
    except ValueError:
        return None
    is_plain = text.isascii() and bool((np.isfinite(values) | missing).all())
    return values if is_plain else None
