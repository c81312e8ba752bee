"""Names to propose for the columns of a table that has none, or several rows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from psann._typing import Floats
from psann.market.columns import is_usual_date
from psann.market.numerals import PLAIN, is_numeral
from psann.market.sheet import Sheet

_BAR = ("open", "high", "low", "close", "volume")
_MOST_PASTED = 1000  # columns, as one may paste
_ROWS = 5  # that tell bars from assets, at least


def proposed_names(
    rows: Sequence[Sequence[str]], is_date: Callable[[str], bool]
) -> list[list[str]]:
    """Propose names by what the first rows hold.

    Parameters
    ----------
    rows : sequence of sequence of str
        Cells of the first rows, as many in each.
    is_date : callable
        Whether a cell is a date beyond doubt.

    Returns
    -------
    list of list of str
        One proposal, or two where four numbers may be open, high, low, close or as many assets.
    """
    names, values = [], []
    for place, cell in enumerate(rows[0]):
        if is_date(cell) or (place == 0 and PLAIN.fullmatch(cell)):
            names.append("date" if "date" not in names else f"date_{place}")
        elif is_numeral(cell) or not cell:
            values.append(place)
            names.append(f"asset_{len(values)}")
        else:
            names.append("ticker" if "ticker" not in names else f"text_{place}")
    if len(values) == 1:
        return [["close" if name == "asset_1" else name for name in names]]
    numbers = _numbers_in(rows, values)
    if numbers is None or not _are_bars(numbers):
        return [names]
    bars = list(names)
    for number, place in enumerate(values):
        bars[place] = _BAR[number] if number < len(_BAR) else f"column_{place + 1}"
    return [bars] if _has_other_sizes(numbers) else [bars, names]


def rows_of_names(sheet: Sheet) -> list[dict[str, object]]:
    """Write the options that take one of several header rows, of those that name each column.

    Returns
    -------
    list of dict
        Options of `read_prices`; the row that calls its first column Date comes first. None of a
        frame, of thousands of columns, or where a name stands above several columns but not all.
    """
    n_columns = len(sheet.columns) - 1
    counts = [len(set(filter(None, level[1:]))) for level in sheet.levels]
    # A name above several columns, but not all, is theirs together: no row is enough.
    if not sheet.header_lines or n_columns > _MOST_PASTED or any(1 < n < n_columns for n in counts):
        return []
    *_, last = sheet.header_lines
    options: list[dict[str, object]] = []
    for level, count in zip(sheet.levels, counts, strict=True):
        if level is sheet.levels[-1] and count == n_columns:
            options.append({"skip_rows": last - 1})
        elif count == n_columns:
            names = [level[0] or "date", *level[1:]]
            options.append({"skip_rows": last, "header": 0, "columns": names})
    # A row that calls its first column Date is the header, and what stands above it no names.
    options.sort(key=lambda one: "columns" in one or not is_usual_date(sheet.levels[-1][0] or "."))
    return [{"format": one} for one in options]


def _numbers_in(rows: Sequence[Sequence[str]], places: Sequence[int]) -> Floats | None:
    try:
        return np.array([[row[place] for place in places] for row in rows], dtype=np.float64)
    except ValueError:
        return None


def _are_bars(numbers: Floats) -> bool:
    """Whether the second of the first four numbers is never below, the third never above."""
    if len(numbers) < _ROWS or numbers.shape[1] < 4:
        return False
    first, high, low, last = numbers[:, :4].T
    inside = (low <= first) & (first <= high) & (low <= last) & (last <= high)
    # Where prices hardly differ, being below or above says nothing.
    return bool((inside & (0.5 * high < low)).all() and (low < high).mean() > 0.8)


def _has_other_sizes(numbers: Floats) -> bool:
    """Whether what follows the first four cannot be prices like them, as volumes are not."""
    low, high = numbers[:, 2, None], numbers[:, 1, None]
    others = numbers[:, 4:]
    return bool(((others < 0.5 * low) | (others > 2.0 * high)).all(axis=0).any())
