"""Tables, small curves and foreign text on a terminal, which none of them may take over.

Three variables of the environment have a say, the same here, in a run's console and in rich:
`NO_COLOR`, `FORCE_COLOR`, `TTY_COMPATIBLE`; see `has_colour` and `is_terminal`.
"""

from __future__ import annotations

import io
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO, cast

from psann._text import clean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

NOTHING = "-"
_GAP = "  "
_BLOCKS, _PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", "_.,-=+*#"
_STATUS_COLOURS = {
    "running": "cyan",
    "completed": "green",
    "early_stopped": "green",
    "pruned": "yellow",
    "ruined": "red",
    "preempted": "yellow",
    "interrupted": "yellow",
    "stale": "yellow",
}


class Terminal:
    """Where a command writes: a terminal, a pipe, a file, or one that has gone away.

    Parameters
    ----------
    is_product : bool
        Whether what is written is what the command is for: an `OSError` passes then, where a
        console would fall silent.
    """

    def __init__(self, stream: TextIO | None = None, *, is_product: bool = False) -> None:
        target = sys.stdout if stream is None else stream
        self._stream = CarefulStream(target, is_product=is_product)
        self._n_redrawn = 0

    @property
    def is_live(self) -> bool:
        """Whether a person looks on, so that lines can be drawn anew."""
        return self._stream.isatty()

    def line(self, text: str = "") -> None:
        """Write one line, with controls as visible escapes and secrets masked."""
        self._stream.write(clean(text) + "\n")
        self._stream.flush()

    def lines(self, texts: Iterable[str]) -> None:
        """Write several lines."""
        for text in texts:
            self.line(text)

    def sentences(self, texts: Iterable[str]) -> None:
        """Write several lines, each broken between words where a terminal is too narrow."""
        self._stream.write("".join(f"{folded(clean(text), self._stream)}\n" for text in texts))
        self._stream.flush()

    def raw(self, text: str) -> None:
        """Write what is known to be harmless, as JSON and CSV of ours are."""
        self._stream.write(text)
        self._stream.flush()

    def redraw(self, texts: Sequence[str]) -> None:
        """Write lines in the place of those that the last call wrote; on a terminal only."""
        width = rich_console(self._stream).width
        up = f"\x1b[{self._n_redrawn}A\x1b[J" if self._n_redrawn else ""
        # A line that wraps would be two, and the next call would come out one too low.
        self._stream.write(up + "".join(f"{_cut(clean(text), width)}\n" for text in texts))
        self._stream.flush()
        self._n_redrawn = len(texts)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        n_texts: int = 1,
        spare: Sequence[str] = (),
        width: int | None = None,
    ) -> None:
        """Draw a table: one line per row, however long, for it may be searched.

        Parameters
        ----------
        rows : iterable of sequences of str
            Cells; one that is a status is coloured.
        n_texts : int
            Columns of text, at the left; the others hold numbers.
        spare : sequence of str
            Heads of the columns that a narrow terminal may lack, the first to go first.
        width : int, optional
            What it may take of a file or pipe too; a terminal has its own.
        """
        from rich.text import Text

        lines = [[clean(cell) for cell in line] for line in (columns, *rows)]
        widths = _widths(lines)
        kept = list(range(len(columns)))
        console = rich_console(self._stream)
        room = console.width if self.is_live else width
        for head in spare:
            if room is None or _total(widths, kept) <= room:
                break
            kept.remove(columns.index(head))
        text = Text()
        for number, line in enumerate(lines):
            text.append_text(_line(line, widths, kept, n_texts=n_texts, is_head=number == 0))
            if number == 0:
                rule = "-" if self._is_plain else "─"
                text.append(f"\n{rule * _total(widths, kept)}")
            text.append("\n")
        console.print(text, soft_wrap=True, end="")
        self._stream.flush()

    @property
    def _is_plain(self) -> bool:
        try:
            f"{_BLOCKS}─".encode(self._stream.encoding)
        except (UnicodeEncodeError, LookupError):
            return True
        return False

    def curve(
        self,
        values: Sequence[float | None],
        *,
        width: int = 60,
        span: tuple[float, float] | None = None,
    ) -> str:
        """Draw a series as one line of blocks, in what the stream can write."""
        blocks = _PLAIN_BLOCKS if self._is_plain else _BLOCKS
        return curve(values, width=width, span=span, blocks=blocks)


def curve(
    values: Sequence[float | None],
    *,
    width: int = 60,
    span: tuple[float, float] | None = None,
    blocks: str = _BLOCKS,
) -> str:
    """Draw a series as one line: means of equal stretches, a blank where there is no number.

    Parameters
    ----------
    width : int
        Most characters.
    span : tuple of float, optional
        Values of the lowest and highest block; those of the series by default.

    Examples
    --------
    >>> curve([1.0, 2.0, None, 4.0], blocks="_-=#")
    '_- #'
    """
    if not values:
        return ""
    n = min(width, len(values))
    stretches = [values[i * len(values) // n : (i + 1) * len(values) // n] for i in range(n)]
    means = [_half_mean(stretch) for stretch in stretches]
    known = [mean for mean in means if mean is not None]
    if not known:
        return " " * n
    low, high = (min(known), max(known)) if span is None else (span[0] / 2, span[1] / 2)
    step = (high - low) / len(blocks)

    def block(mean: float | None) -> str:
        if mean is None:
            return " "
        place = (mean - low) / step if step > 0 else len(blocks) // 2
        return blocks[max(0, min(int(place), len(blocks) - 1))]

    return "".join(block(mean) for mean in means)


def _half_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    # Halved and divided first: neither a sum nor a range of huge numbers may overflow.
    return sum(value / 2 / len(known) for value in known) if known else None


def _cut(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(cell_len(cell) for cell in column) for column in zip(*lines, strict=True)]


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[place] + len(_GAP) for place in kept) - len(_GAP)


def _line(
    line: Sequence[str], widths: Sequence[int], kept: Sequence[int], *, n_texts: int, is_head: bool
) -> Text:
    # rich would lay the table out as well, in several times the time that a thousand rows may take.
    from rich.cells import cell_len
    from rich.text import Text

    text = Text()
    for place in kept:
        cell, blanks = line[place], " " * (widths[place] - cell_len(line[place]))
        is_last = place == kept[-1]
        if place < n_texts:
            text.append(cell, style="bold" if is_head else _style(cell))
            text.append("" if is_last else blanks)
        else:
            text.append(blanks)
            text.append(cell, style="bold" if is_head else _style(cell))
        text.append("" if is_last else _GAP)
    return text


def _style(cell: str) -> str:
    return _STATUS_COLOURS.get(cell, "red" if cell in ("dead", "failed", "diverged") else "")


_PLAIN_WIDTH = 100


class CarefulStream(io.TextIOBase):
    """A console that may be missing, closed, dropped, or unable to encode what it is given.

    Whatever has `write` will do.
    """

    def __init__(self, stream: TextIO | None, *, is_product: bool = False) -> None:
        self._stream = stream
        self._is_product = is_product

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream; UTF-8 of one that has none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return is_terminal(self._stream)

    def write(self, text: str) -> int:
        """Write as well as it goes; what cannot be encoded becomes an escape."""
        if self._stream is not None:
            printable = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
            with self._falling_silent():
                self._stream.write(printable)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, if anyone still listens."""
        with self._falling_silent():
            flush(self._stream)

    @contextmanager
    def _falling_silent(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._stream = None  # said once: from Python 3.13 on, a last flush may not fail
            if self._is_product:
                raise
        except (AttributeError, ValueError):  # closed, or a copy of one that was
            self._stream = None


def flush(stream: object) -> None:
    """Pass on what a stream keeps; one that is missing, or only has `write`, keeps nothing."""
    if (pass_on := getattr(stream, "flush", None)) is not None:
        pass_on()


def is_terminal(stream: object) -> bool:
    """Whether somebody may be looking; `TTY_COMPATIBLE=0` says that nobody is."""
    isatty = getattr(stream, "isatty", None)
    is_one = isatty is not None and not getattr(stream, "closed", False) and bool(isatty())
    return is_one and os.environ.get("TTY_COMPATIBLE") != "0"


def folded(text: str, stream: object) -> str:
    """Lines broken between words as wide as a terminal is, which would break inside a number."""
    if not is_terminal(stream):
        return text
    width = shutil.get_terminal_size().columns
    fold = textwrap.TextWrapper(
        width=width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    ).fill
    return "\n".join(fold(line) if len(line) > width else line for line in text.split("\n"))


def has_colour(stream: object) -> bool:
    """Whether a stream gets colours: `NO_COLOR` wins over `FORCE_COLOR`, and that over the rest.

    `TTY_COMPATIBLE=1` stands for a log that understands colours, as those of some services do.
    """
    variables = os.environ
    if variables.get("NO_COLOR"):
        return False
    if variables.get("FORCE_COLOR") or variables.get("TTY_COMPATIBLE") == "1":
        return True
    return is_terminal(stream) and variables.get("TERM") not in ("dumb", "unknown")


def rich_console(stream: CarefulStream) -> Console:
    """Give rich a stream, with all that it would make of foreign text turned off."""
    from rich.console import Console

    is_live, is_coloured = stream.isatty(), has_colour(stream)
    return Console(
        file=cast("IO[str]", stream),
        width=None if is_live else _PLAIN_WIDTH,
        # Of these rich has rules of its own, by which FORCE_COLOR makes a terminal of a file.
        force_terminal=is_live or is_coloured,
        color_system="standard" if is_coloured else None,
        no_color=not is_coloured,
        highlight=False,
        markup=False,
        emoji=False,
    )
