"""Content on a terminal."""

from __future__ import annotations

import textwrap

from psann._terminal import NOTHING as PLAIN_NOTHING
from psann._terminal import Terminal
from psann.presentation.content import NOTHING, Section, Table

_LINE = 100


def draw(table: Table, terminal: Terminal, *, width: int | None = None) -> None:
    """Draw a table, a line per row, and its note.

    Parameters
    ----------
    width : int, optional
        Characters that it may take, also where nobody looks on; spare columns go first.
    """
    n_texts = len(table.columns) - table.n_numbers
    rows = ([_plain(cell) for cell in row] for row in table.rows)
    heads = table.short_columns or table.columns
    terminal.table(heads, rows, n_texts=n_texts, spare=table.spare, width=width)
    terminal.lines(textwrap.wrap(table.note, width or _LINE))


def show(section: Section, terminal: Terminal) -> None:
    """Write sentences, then tables, each set off by an empty line."""
    terminal.lines(map(_plain, section.sentences))
    for table in section.tables:
        terminal.line()
        draw(table, terminal)


def _plain(text: str) -> str:
    """In the characters that every terminal has."""
    return PLAIN_NOTHING if text == NOTHING else text.replace(" ± ", " +- ")
