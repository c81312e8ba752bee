"""A table as it was written: header rows above columns, nothing interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from psann._typing import Dates, Floats

Column = list[str] | Floats | Dates
"""Texts as written; or what was a number, or a date, without a doubt."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The cells of one file or frame."""

    source: str
    """How messages name it."""
    stem: str
    """Name of the asset where the table names none."""
    levels: list[list[str]]
    """Header rows, outermost first; none where the table has no header."""
    columns: list[Column]
    lines: Sequence[int] | None
    """Line of the file for each row; None for what has no lines."""
    header_lines: Sequence[int] = ()
    """Line of the file for each header row."""
    sep: str | None = None
    has_quotes: bool = False
    in_pandas: str = "FRAME"
    """How a call of pandas begins with it, where it has no lines."""
    zone: str | None = None
    """Zone in which the source itself keeps its dates, which are UTC here."""

    @property
    def n_rows(self) -> int:
        """Rows below the header."""
        return len(self.columns[0]) if self.columns else 0

    def place(self, row: int) -> str:
        """Say where a row is."""
        if self.lines is None:
            return f"{self.source}, row {row}"
        return f"{self.source}, line {self.lines[row]}"

    def keep(self, rows: Sequence[int]) -> Sheet:
        """Return the sheet with some of its rows, in the order given."""
        places = np.array(rows, dtype=np.intp)
        columns: list[Column] = [
            [column[row] for row in rows] if isinstance(column, list) else column[places]
            for column in self.columns
        ]
        lines = None if self.lines is None else [self.lines[row] for row in rows]
        return replace(self, columns=columns, lines=lines)
