"""From lines to cells: the separator, the header rows, and lines that do not fit."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from psann.errors import DataError
from psann.market.columns import is_field, is_usual_date
from psann.market.dates import possible_readings
from psann.market.findings import Findings
from psann.market.nameless import proposed_names
from psann.market.numerals import PLAIN, USUAL_MISSING, is_certain_point, is_numeral
from psann.market.options import Format
from psann.market.plain_rows import parse_row
from psann.market.sheet import Column, Sheet
from psann.market.slabs import Slabs

Lines = Iterator[tuple[int, str]]

_SEPARATORS = (",", ";", "\t", "|")
# Lines looked at before the table is read, and letters in them.
_HEAD = 1000
_HEAD_LETTERS = 2_000_000
_BLOCK_CELLS = 50_000  # read together
_FEW = 30  # only the first columns can be dates or names
_COMMENTS = "#%/"
_MAX_CELLS = 50_000  # of a line
_LOOKED_AT = 1000  # cells of a row that tell names from values, and names that one may paste
_MOST_NAMES = 8  # header rows: names, codes, currencies, units
_MAX_STRAYS = 10_000  # of so many lines that do not fit, no more are looked at


@dataclass
class _Stray:
    """A line that has another number of cells than the table."""

    line: int
    n_cells: int
    text: str
    n_rows_before: int


@dataclass
class _Plan:
    """How the rows are cut, found out from the first lines."""

    sep: str
    width: int
    n_header: int
    keep_text: set[str]
    has_trailing: bool = False
    """The rows end with a separator, the header does not."""
    levels: list[list[str]] = field(default_factory=list)


def read_text(
    open_lines: Callable[[], Iterator[str]],
    *,
    source: str,
    stem: str,
    format: Format,
    texts: Sequence[str],
    findings: Findings,
) -> Sheet:
    """Cut a text into cells.

    Parameters
    ----------
    open_lines : callable
        Returns the lines anew at each call.
    source, stem : str
        As for `Sheet`.
    format : Format
        What the user said of separator, header and rows.
    texts : sequence of str
        Names of columns that stay texts even where they look like numbers.
    findings : Findings
        Where lines that do not fit are told.

    Returns
    -------
    Sheet
        With columns of numbers where every cell is a plain number or empty, else of texts.

    Raises
    ------
    DataError
        If there is no table at all.
    """
    head = _head(open_lines(), format)
    if not head:
        raise DataError(f"{source} must hold a table; it has no line with text.")
    sep, width = _separator(head, format, source, findings)
    if width > _MAX_CELLS:
        raise DataError(
            f"{source} must have at most {_MAX_CELLS:,} columns; it has {width:,}. Leave some out."
        )
    if format.columns and len(format.columns) != width:
        raise DataError(
            f"format.columns must name each of the {width} columns of {source}; got "
            f"{len(format.columns)} names. Line {head[0][0]} is {head[0][1][:60]!r}."
        )
    plan = _plan(head, sep, width, format, set(texts))
    if plan.n_header == 0 and format.columns is None:
        _ask_for_names(head, plan, source, findings)
    sheet = _Reader(plan, format, source, stem).read(open_lines, head, findings)
    if not sheet.n_rows:
        raise DataError(
            [*findings.problems, f"{source} must have rows below its header; it has none."]
        )
    return _without_empty_end(sheet)


def _head(lines: Iterator[str], format: Format) -> list[tuple[int, str]]:
    head, n_letters = [], 0
    for number, line in islice(_relevant(lines, format), _HEAD):
        head.append((number, line))
        n_letters += len(line)
        if n_letters > _HEAD_LETTERS:
            break
    return head


def _relevant(lines: Iterator[str], format: Format) -> Lines:
    """Number the lines from 1; leave out what the user said, and what is blank."""
    for number, line in enumerate(lines, start=1):
        if number <= format.skip_rows or not line.strip():
            continue
        if format.comment and line.lstrip().startswith(format.comment):
            continue
        yield number, line


def _split(line: str, sep: str) -> list[str]:
    if sep == " ":
        return line.split()
    if '"' not in line:
        return line.split(sep)
    try:
        return next(csv.reader([line], delimiter=sep, skipinitialspace=True))
    except csv.Error:  # of a quotation that is longer than any cell
        return [line]


def _separator(
    head: list[tuple[int, str]], format: Format, source: str, findings: Findings
) -> tuple[str, int]:
    """Find the separator that cuts all lines, or at least the most, into equally many cells."""
    ranked = []
    for sep in [format.sep] if format.sep else _SEPARATORS:
        counts = Counter(len(_split(line, sep)) for _, line in head)
        counts.pop(1, None)
        if counts:
            width, n_lines = max(counts.items(), key=lambda item: (item[1], item[0]))
            ranked.append((n_lines / len(head), width, sep))
    if not ranked:
        blank = Counter(len(line.split()) for _, line in head)
        one = Findings()
        one.ask(
            f"{source} must have cells that {format.sep or ', ; tab or |'!r} separates; line "
            f"{head[0][0]} is {head[0][1][:60]!r}.",
            *([{"format": {"sep": " "}}] if len(blank) == 1 and 1 not in blank else []),
            cure="Or name it with format.sep, or save the table as CSV.",
        )
        raise DataError(one.problems)
    ranked.sort(key=lambda item: (-item[0], -item[1]))
    fits = [sep for share, _, sep in ranked if share == 1.0]
    if len(fits) > 1:
        findings.ask(
            f"{source} must have one separator; {fits[0]!r} and {fits[1]!r} both cut every line "
            "into equally many cells.",
            *({"format": {"sep": sep}} for sep in fits),
        )
    return ranked[0][2], ranked[0][1]


def _plan(
    head: list[tuple[int, str]], sep: str, width: int, format: Format, texts: set[str]
) -> _Plan:
    rows = [_split(line, sep) for _, line in head]
    fitting = [[cell.strip() for cell in row] for row in rows if len(row) == width]
    plan = _Plan(sep, width, 0, texts)
    if format.header is not None or format.columns is not None:
        plan.n_header = format.header or 0
    else:
        first = next(place for place, row in enumerate(rows) if len(row) == width)
        above = [cell.strip() for cell in rows[first - 1]] if first else []
        if len(above) == width - 1 and not any(row[-1] for row in fitting):
            plan.has_trailing, fitting = True, [[*above, ""], *fitting]
        plan.n_header = _header_depth(fitting)
    plan.levels = fitting[: plan.n_header] or ([list(format.columns)] if format.columns else [])
    return plan


def _header_depth(rows: list[list[str]]) -> int:
    """Count the rows of names: they hold no date, and no number but in the first of them."""
    if _is_data(rows[0]):
        return 0
    depth = 1
    while depth < min(_MOST_NAMES, len(rows)) and not _has_values(rows[depth]):
        depth += 1
    return depth


def _is_data(row: list[str]) -> bool:
    """Numbers alone may be names in a header, with the name of the date column before them."""
    # More than one date in a row: a table that lies on its side, with its dates as names.
    n_dates = len(list(islice(filter(_is_date, row[:_LOOKED_AT]), 2)))
    numeric = (cell in USUAL_MISSING or is_numeral(cell) for cell in row)
    return (n_dates > 0 and not (n_dates > 1 and len(row) > 3)) or (bool(row[0]) and all(numeric))


def _has_values(row: list[str]) -> bool:
    return any(is_numeral(cell) or _is_date(cell) for cell in row[:_LOOKED_AT])


def _is_date(cell: str) -> bool:
    return bool(cell) and not PLAIN.fullmatch(cell) and bool(possible_readings([cell]))


def _ask_for_skipping(
    head: list[tuple[int, str]], plan: _Plan, source: str, findings: Findings
) -> bool:
    """Whether lines of other things, as wide as the table, stand above its names."""
    rows = [[cell.strip() for cell in _split(text, plan.sep)] for _, text in head]
    first = next((k for k, row in enumerate(rows) if _is_date(row[0])), 0)
    above = first
    while above and first - above < 2 and any(rows[above - 1][1:]):
        if _has_values(rows[above - 1]):
            break
        above -= 1
    if above in (0, first) or any(len(row) != plan.width for row in rows):
        return False
    plan.n_header, plan.levels = first, rows[above:first]
    findings.ask(
        f"{source} must begin with its names; they are on line {head[above][0]} only.",
        {"format": {"skip_rows": head[above][0] - 1}},
    )
    return True


def _ask_for_names(
    head: list[tuple[int, str]], plan: _Plan, source: str, findings: Findings
) -> None:
    if _ask_for_skipping(head, plan, source, findings):
        return
    rows = [(n, t, cells) for n, t in head if len(cells := _split(t, plan.sep)) == plan.width]
    line, text, first = rows[0]
    has_many = len(first) > _LOOKED_AT
    if has_many:
        proposed = [[f"column_{place}" for place in range(len(first))]]
    else:
        proposed = proposed_names([[c.strip() for c in cells] for _, _, cells in rows], _is_date)
    plan.levels = [proposed[0]]
    findings.ask(
        f"{source} must have a header; line {line} already holds values ({text[:50]!r}). "
        "Name the columns (open, high, low, close, volume where they are such).",
        *({"format": {"header": 0, "columns": names}} for names in proposed if not has_many),
        cure="Write a line of names above them." if has_many else "",
    )


class _Reader:
    """One pass over the rows; fast where they are plain, cell by cell where they are not."""

    def __init__(self, plan: _Plan, format: Format, source: str, stem: str) -> None:
        self.plan, self.format, self.source, self.stem = plan, format, source, stem
        self.width = plan.width

    def read(
        self,
        open_lines: Callable[[], Iterator[str]],
        head: list[tuple[int, str]],
        findings: Findings,
    ) -> Sheet:
        self.has_quotes = any('"' in line for _, line in head)
        first = self._first_number(head)
        columns = None if first is None else self._read_plain(open_lines(), first)
        if columns is None:
            columns = self._read_texts(open_lines())
        sheet = Sheet(
            source=self.source,
            stem=self.stem,
            levels=self.plan.levels,
            columns=columns,
            lines=self.lines,
            header_lines=self.header_lines,
            sep=self.plan.sep,
            has_quotes=self.has_quotes,
        )
        return _tell_of_strays(self.strays, sheet, findings)

    def _rows(self, lines: Iterator[str], n_cells: int) -> Iterator[list[str]]:
        """Yield each row below the header as its first `n_cells` and the rest of the line.

        What has another number of cells is kept aside.
        """
        self.lines: list[int] = []
        self.header_lines: list[int] = []
        self.strays: list[_Stray] = []
        n_header, sep = self.plan.n_header, self.plan.sep
        for number, line in _relevant(lines, self.format):
            is_simple = '"' not in line and sep != " "
            cells = [] if is_simple else _split(line, sep)
            width = line.count(sep) + 1 if is_simple else len(cells)
            if self.plan.has_trailing and n_header > 0:
                width += 1
            if width != self.width:
                self.strays.append(_Stray(number, width, line.strip(), len(self.lines)))
                if len(self.strays) == _MAX_STRAYS:
                    return
            elif n_header > 0:
                n_header -= 1
                self.header_lines.append(number)
            elif line.strip(f"{sep} "):  # not a row of separators only, as spreadsheets leave them
                self.lines.append(number)
                if is_simple:
                    yield line.split(sep, n_cells)
                else:
                    yield [*cells[:n_cells], sep.join(cells[n_cells:])]
                if len(self.lines) == self.format.max_rows:
                    return

    def _first_number(self, head: list[tuple[int, str]]) -> int | None:
        """Find the column from which on all are plain numbers; None where a cell needs thought."""
        rows = [[c.strip() for c in _split(line, self.plan.sep)] for _, line in head]
        rows = [row for row in rows if len(row) == self.width][self.plan.n_header :]
        names = self.plan.levels[-1] if self.plan.levels else [""] * self.width
        first, has_point = 0, self.plan.sep == "," and not self.has_quotes
        for place, cells in enumerate(zip(*rows, strict=True)):
            present = [cell for cell in cells if cell not in USUAL_MISSING]
            is_plain = all(map(PLAIN.fullmatch, present))
            # Whole numbers may be dates or names, of which zeros at the front are part.
            name = names[place]
            is_measure = is_plain and (
                any("." in cell for cell in present)
                or place > _FEW
                or (is_field(name) and not is_usual_date(name))
            )
            if not is_measure or name in self.plan.keep_text:
                first = place + 1
            has_point = has_point or any(map(is_certain_point, present))
        return first if has_point and first < self.width else None

    def _read_plain(self, lines: Iterator[str], first: int) -> list[Column] | None:
        """Read numbers as they come; None as soon as one cell needs thought."""
        texts: list[list[str]] = [[] for _ in range(first)]
        n_numbers = self.width - first
        slabs = Slabs(n_numbers)
        rows = self._rows(lines, first)
        while part := list(islice(rows, max(1, _BLOCK_CELLS // n_numbers))):
            numbers = parse_row(self.plan.sep.join(cells[first] for cells in part), self.plan.sep)
            # A separator inside of quotes makes more cells than there are columns.
            if numbers is None or len(numbers) != len(part) * n_numbers:
                return None
            slabs.add(numbers.reshape(len(part), n_numbers))
            for place, column in enumerate(texts):
                column += [cells[place].strip() for cells in part]
        return [*texts, *slabs.columns()]

    def _read_texts(self, lines: Iterator[str]) -> list[Column]:
        columns: list[list[str]] = [[] for _ in range(self.width)]
        for cells in self._rows(lines, self.width):
            for column, cell in zip(columns, cells, strict=False):
                column.append(cell.strip())
        return list(columns)


def _tell_of_strays(strays: list[_Stray], sheet: Sheet, findings: Findings) -> Sheet:
    """Tell of lines that do not fit, and cut the sheet as their cure would."""
    if not strays:
        return sheet
    width, n_rows = len(sheet.columns), sheet.n_rows
    marks = {stray.text[:1] for stray in strays}
    if len(marks) == 1 and (mark := marks.pop()) in _COMMENTS:
        findings.ask(
            f"{sheet.source}, line {strays[0].line}: a comment ({strays[0].text[:40]!r}) is no "
            "row of a table.",
            {"format": {"comment": mark}},
        )
        return sheet
    first = sheet.lines[0] if sheet.lines else strays[-1].line + 1
    above = [stray for stray in strays if stray.n_rows_before == 0 and stray.line < first]
    below = [stray for stray in strays if stray not in above]
    cure: dict[str, object] = {}
    if above:
        cure["skip_rows"] = above[-1].line
    ends = [
        row
        for row, n_cells in ((stray.n_rows_before, stray.n_cells) for stray in below)
        if row == n_rows or (n_cells == 1 and _begins_anew(sheet, row))
    ]
    torn = [s for s in below if not ends or s.n_rows_before < ends[0]]
    if ends and not torn:
        cure["max_rows"] = ends[0]
    if cure:
        told = (above[-1:] if above else []) + (below[:1] if "max_rows" in cure else [])
        where = " and ".join(f"line {stray.line} ({stray.text[:40]!r})" for stray in told)
        findings.ask(
            f"{sheet.source} must hold one table of {width} columns and nothing else; got {where}.",
            {"format": cure},
        )
    findings.ask_of_many(
        [
            f"{sheet.source}, line {stray.line}: a row must have {width} cells as the header has; "
            f"got {stray.n_cells} ({stray.text[:60]!r})."
            for stray in torn
        ],
        cure="Complete or delete the line.",
    )
    return sheet.keep(range(ends[0])) if "max_rows" in cure else sheet


def _begins_anew(sheet: Sheet, row: int) -> bool:
    """Whether another section begins with a row: a header, or what was told before it."""
    names = {*sheet.levels[-1]} - {""} if sheet.levels else set()
    if any(column[row] in names for column in sheet.columns if isinstance(column, list)):
        return True
    # A date or, of a long table, a date and an asset.
    told = [*zip(*(c for c in sheet.columns[:2] if isinstance(c, list)), strict=True)]
    return not {*told[:row]}.isdisjoint(told[row:])


def _without_empty_end(sheet: Sheet) -> Sheet:
    """Drop last columns without a name and a value: lines that end with a separator."""
    while sheet.columns and not any(level[-1] for level in sheet.levels):
        last = sheet.columns[-1]
        is_empty = not any(last) if isinstance(last, list) else np.isnan(last).all()
        if not is_empty or not sheet.levels:
            break
        del sheet.columns[-1]
        for level in sheet.levels:
            del level[-1]
    return sheet
