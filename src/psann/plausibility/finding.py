"""One thing about the data that is hard to believe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found, where, and a sentence that tells it with the cure."""

    name: str
    """`relatives`, `shuffled`, `split`, `stale`, `copy`, `constant`, `magnitude`, `overlap`, `gap`
    or `knows_next_move`."""
    message: str
    row: int | None = None
    """First row that it is about, counted from 0; None where it is about all."""
    column: int | None = None
    """Asset or feature that it is about; None where it is about several."""


def label_of(column: int, labels: Sequence[str] | None) -> str:
    """What a column is called: its number, and its own label where it has one.

    Examples
    --------
    >>> label_of(2, None), label_of(0, ["ibm"])
    ('2', "0 ('ibm')")
    """
    return f"{column}" + (f" ({labels[column]!r})" if labels is not None else "")
