"""Names to propose for the columns of a table that has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from psann.market.numerals import PLAIN, is_numeral

_BAR = ("open", "high", "low", "close", "volume")
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


def _numbers_in(rows: Sequence[Sequence[str]], places: Sequence[int]) -> NDArray[np.float64] | None:
    try:
        return np.array([[row[place] for place in places] for row in rows], dtype=np.float64)
    except ValueError:
        return None


def _are_bars(numbers: NDArray[np.float64]) -> bool:
    """Whether the second of the first four numbers is never below, the third never above."""
    if len(numbers) < _ROWS or numbers.shape[1] < 4:
        return False
    first, high, low, last = numbers[:, :4].T
    inside = (low <= first) & (first <= high) & (low <= last) & (last <= high)
    # Where prices hardly differ, being below or above says nothing.
    return bool((inside & (0.5 * high < low)).all() and (low < high).mean() > 0.8)


def _has_other_sizes(numbers: NDArray[np.float64]) -> bool:
    """Whether what follows the first four cannot be prices like them, as volumes are not."""
    low, high = numbers[:, 2, None], numbers[:, 1, None]
    others = numbers[:, 4:]
    return bool(((others < 0.5 * low) | (others > 2.0 * high)).all(axis=0).any())
