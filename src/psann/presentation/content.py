"""What is said of runs, before it is a page, a document, or lines on a terminal.

Content is plain data: sections with sentences, tables, pictures and blocks of text, whose numbers
and foreign texts are written already. `rendering.py` draws it on a terminal, the report's templates
turn it into a page or a document; nothing here knows of either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psann._text import escape_controls

if TYPE_CHECKING:
    from psann.presentation.figure import Figure

NOTHING = "–"
_LONGEST_CELL = 400
_LONGEST_BLOCK = 20_000
# Not characters (an HTML parser complains), or those that make text run backwards.
_UNPRINTABLE = re.compile(
    "[\\ufdd0-\\ufdef\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff]"
    "|[\\ufffe\\uffff"
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(1, 17))
    + "]"
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_numbers: int = 0
    """How many columns hold numbers: the last ones."""
    quiet_rows: frozenset[int] = frozenset()
    """Rows of less interest, such as defaults."""
    spare: tuple[str, ...] = ()
    """Columns that a narrow terminal may lack, the first to go first."""
    short_columns: tuple[str, ...] = ()
    """Names on a terminal, whose columns are as wide as their names; empty for the same."""
    note: str = ""
    """What the reader must know to read it."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with its caption."""

    name: str
    """A word for file names and ids, different within a report."""
    title: str
    figure: Figure
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a report."""

    title: str
    level: int = 2
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    blocks: tuple[str, ...] = ()
    """Texts of several lines, such as a traceback."""
    terms: tuple[tuple[str, str], ...] = ()
    """Words that stand here for the first time, and what they mean."""
    is_folded: bool = False
    """Whether a page shows its title only, until the reader asks; print shows it all."""

    @property
    def is_chapter(self) -> bool:
        """Whether the contents of a page name it."""
        return self.level == 2

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.sentences or self.warnings or self.tables or self.pictures or self.blocks)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One page or document."""

    title: str
    status: str
    """Of the one run; empty for several."""
    sections: tuple[Section, ...]


def printable(text: object) -> str:
    r"""Write any text as one line that every page, terminal and parser can hold.

    Parameters
    ----------
    text : object
        What a run's files say; more than 400 characters are cut.

    Examples
    --------
    >>> print(printable("a" + chr(0x2028) + "b"))
    a\u2028b
    """
    line = _UNPRINTABLE.sub(_escaped, escape_controls(str(text)))
    if len(line) > _LONGEST_CELL:
        return f"{line[:_LONGEST_CELL]}... ({len(line) - _LONGEST_CELL:,} more characters)"
    return line


def _escaped(letter: re.Match[str]) -> str:
    code = ord(letter[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable_block(text: str) -> str:
    """Write a text of several lines safely; of a long one the end, where tracebacks say most."""
    cut = text[-_LONGEST_BLOCK:]
    lead = [f"({len(text) - len(cut):,} characters before)"] if len(cut) < len(text) else []
    return "\n".join(lead + [printable(line) for line in cut.split("\n")]).rstrip()


# From here on a number of so many digits says less than its size.
_HUGE = 1e9


def number(value: float | None, form: str = ".4g") -> str:
    """Write a number, or a dash where there is none; a huge one by its size, not by its digits.

    Examples
    --------
    >>> number(0.1234567), number(None), number(-0.05, "+.1%"), number(1.5e92, ".2%")
    ('0.1235', '–', '-5.0%', '1.50e+92')
    """
    if value is None:
        return NOTHING
    if abs(value) < _HUGE or form[-1] not in "f%":
        return format(value, form)
    return format(value, "+.2e" if form.startswith("+") else ".2e")


def wealth(value: float | None) -> str:
    """Write what 1.00 became, with its digits also where next to nothing is left.

    Examples
    --------
    >>> wealth(14.321), wealth(4.1e8), wealth(3.25e-13), wealth(0.0)
    ('14.32', '4.10e+08', '3.25e-13', '0.00')
    """
    is_usual = value is None or value == 0 or 5e-3 <= value < 1e6
    return number(value, ",.2f" if is_usual else ".2e")


def clock(seconds: float | None) -> str:
    """Write a duration.

    Examples
    --------
    >>> clock(7.26), clock(75), clock(4000)
    ('7.3 s', '1 min 15 s', '1 h 07 min')
    """
    if seconds is None:
        return NOTHING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        return "{} min {:02d} s".format(*divmod(round(seconds), 60))
    return "{} h {:02d} min".format(*divmod(round(seconds / 60), 60))


def setting(value: object) -> str:
    """Write a value of the configuration as JSON, texts without their quotation marks.

    Examples
    --------
    >>> setting("cpu"), setting(None), setting([1, 2])
    ('cpu', 'null', '[1, 2]')
    """
    return printable(value if isinstance(value, str) else json.dumps(value, default=str))


def conjoined(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> conjoined(["a"]), conjoined(["a", "b"]), conjoined(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
