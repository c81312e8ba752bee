"""Rows that stand in more than one split, told by what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from psann.errors import counted
from psann.plausibility.finding import Finding


def overlap_findings(splits: Mapping[str, Any]) -> list[Finding]:
    """Say which splits share rows, bit for bit, whatever their times.

    A row that occurs several times in its own split, such as one of zeros, says nothing; nor does a
    single one, such as the price at which one split ends and the next begins.

    Parameters
    ----------
    splits : mapping of str to array-like of shape (T, F)
        Features or prices by split, as wide as each other.

    Returns
    -------
    list of Finding
        At most one for each pair; `row` is that of the later split.
    """
    rows = {name: _unique_rows(array) for name, array in splits.items()}
    found = []
    for one, other in combinations(rows, 2):
        shared = sorted(rows[other][key] for key in rows[one].keys() & rows[other].keys())
        if len(shared) < 2:
            continue
        what = (
            "are the same" if len(shared) == len(splits[one]) == len(splits[other]) else "overlap"
        )
        message = (
            f"{one} and {other} {what}: {counted(len(shared), 'row')} of {other} stand in {one} "
            f"too, first row {shared[0]}. Cut the splits so that no row is in two."
        )
        found.append(Finding(name="overlap", message=message, row=shared[0]))
    return found


def _unique_rows(array: Any) -> dict[bytes, int]:
    """Rows that occur once, by their bytes."""
    values = np.ascontiguousarray(np.asarray(array, dtype=np.float64) + 0.0)  # no minus zero
    seen: dict[bytes, list[int]] = {}
    for number, row in enumerate(values):
        seen.setdefault(row.tobytes(), []).append(number)
    return {key: numbers[0] for key, numbers in seen.items() if len(numbers) == 1}
