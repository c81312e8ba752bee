"""The rows of `events.csv`, read: its only parser.

Whoever wants what a log says takes `parse_log`, which tells in the same words, whoever asks, what
is wrong with it; whoever copies or goes on with a log takes lines from `split_log`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from psann.errors import counted
from psann.run.directory.columns import COLUMNS, columns_of, header_of, kind_of

# Far beyond any log of ours, and what is made of more would take seconds and gigabytes.
_MAX_BAD_ROWS = 1000
_MAX_COLUMNS = 256
_MAX_ROW_BYTES = 2**20
_MAX_DIGITS = 32  # no number of 64 bits needs more

_READERS: dict[str, tuple[str, Callable[[str], int | float | bool]]] = {
    "flag": ("true or false", {"true": True, "false": False}.__getitem__),
    "whole": ("a whole number", int),
    "number": ("a number", float),
}

Cells = dict[str, str]
Row = dict[str, str | int | float | bool | None]


def split_log(data: bytes) -> tuple[bytes | None, Iterator[bytes], int]:
    r"""Cut a log into its first line, its whole further lines, and a torn rest.

    Parameters
    ----------
    data : bytes
        The file, or what of it has been written so far.

    Returns
    -------
    header : bytes or None
        Without its line end; None while there is no whole line.
    lines : iterator of bytes
        Each without its line feed; every row of ours ends in a carriage return then. Of what is
        longer than any row of ours only the beginning.
    n_torn : int
        Bytes that follow the last line feed.

    Examples
    --------
    >>> header, lines, n_torn = split_log(b"a,b\r\n1,2\r\n3")
    >>> header, list(lines), n_torn
    (b'a,b', [b'1,2\r'], 1)
    """
    lines = _whole_lines(data)
    header = next(lines, None)
    n_torn = len(data) - data.rfind(b"\n") - 1
    return None if header is None else header.removesuffix(b"\r"), lines, n_torn


def _whole_lines(data: bytes) -> Iterator[bytes]:
    # One at a time: a list of them may be a hundred times as large as the file.
    start = 0
    while (stop := data.find(b"\n", start)) >= 0:
        yield data[start : min(stop, start + _MAX_ROW_BYTES + 1)]
        start = stop + 1


def cells_of(line: bytes | str, columns: Sequence[str] = COLUMNS) -> Cells:
    """Read one line.

    Raises
    ------
    ValueError
        If it is not UTF-8, no row of RFC 4180, or has another number of cells.
    """
    if len(line) > _MAX_ROW_BYTES:
        raise ValueError(f"is longer than {_MAX_ROW_BYTES:,} bytes")
    try:
        text = line.decode() if isinstance(line, bytes) else line
        (cells,) = csv.reader([text.removesuffix("\n").removesuffix("\r")], strict=True)
    except UnicodeDecodeError:
        raise ValueError("is no row: it is not in UTF-8") from None
    except csv.Error as problem:
        raise ValueError(f"is no row: {str(problem).partition(' - ')[0]}") from None
    if len(cells) != len(columns):
        raise ValueError(f"must have {len(columns)} cells; it has {len(cells)}")
    return dict(zip(columns, cells, strict=True))


def values_of(cells: Mapping[str, str]) -> Row:
    """Turn cells into what they mean: numbers, flags, texts; None for an empty one.

    Raises
    ------
    ValueError
        If a cell holds no number, or no flag, where one must be.
    """
    # Most cells are empty.
    return {name: _value(name, cell) if cell else None for name, cell in cells.items()}


def _value(name: str, cell: str) -> str | int | float | bool:
    if (kind := kind_of(name)) == "text":
        return cell
    what, read = _READERS[kind]
    try:
        return read(cell if len(cell) <= _MAX_DIGITS else "")
    except (ValueError, KeyError):
        raise ValueError(f"must have {what} as {name}; it has {cell[:_MAX_DIGITS]!r}") from None


def parse_log(data: bytes) -> tuple[list[Row], list[str]]:
    """Read the rows of an `events.csv` of any version, as far as they can be read.

    Parameters
    ----------
    data : bytes
        The file; a last row without its line end is left out, as a live process may be writing it.

    Returns
    -------
    rows : list of dict
        Every column of this version (None where the file lacks it), then unknown ones as text.
    problems : list of str
        One phrase for a foreign header, one for all rows that cannot be read, one for the first
        that does not go on from the row before. Beyond 1000 rows that are none nothing is read.
    """
    header, lines, _ = split_log(data)
    if header is None and (header_of(COLUMNS) + b"\r").startswith(data):
        return [], []
    header = header or b""
    columns = header.decode("utf-8", "replace").split(",", _MAX_COLUMNS)
    is_ours = {"event", "epoch"} <= set(columns) and len(set(columns)) == len(columns)
    if len(columns) > _MAX_COLUMNS or not is_ours:
        return [], ["must begin with the header of a run's log; its first line is another"]
    problems = []
    if columns_of(header) is None:
        problems.append("has the columns of another version: those in common are read")
    rows: list[Row] = []
    bad: list[str] = []
    for number, line in enumerate(lines, start=2):
        try:
            rows.append({**dict.fromkeys(COLUMNS), **values_of(cells_of(line, columns))})
        except ValueError as problem:
            bad.append(f"line {number} {problem}")
            if len(bad) > _MAX_BAD_ROWS:
                break
    if len(bad) > _MAX_BAD_ROWS:
        n_rows = f"more than {_MAX_BAD_ROWS:,} rows that cannot be read, and is read no further"
        problems.append(f"has {n_rows}; the first: {bad[0]}")
    elif bad:
        first = "" if len(bad) == 1 else ", of which the first is told"
        problems.append(f"has {counted(len(bad), 'row')} that cannot be read{first}: {bad[0]}")
    # Of rows that cannot be read others will lack something.
    return rows, problems if bad else [*problems, *_breaks(rows)]


def _breaks(rows: Sequence[Row]) -> Iterator[str]:
    """Tell of the first row that does not go on from the rows before: some are lost, or twice."""
    last, done = 0, Counter[object]()
    for row in rows:
        if isinstance(seq := row["seq"], int):
            if seq <= last:
                yield f"must number its rows upwards; row {last} is followed by row {seq}"
                return
            last = seq
        if row["event"] == "epoch":
            done[phase := (row["phase"], row["seed"], row["fold"])] += 1
            if row["epoch"] != done[phase]:
                yield (
                    f"must go on with epoch {done[phase]} of phase {row['phase']}; row {seq} has "
                    f"epoch {row['epoch']}"
                )
                return


def monitor_values(epochs: Sequence[Row], column: str) -> list[float | None]:
    """Values of a column by epoch of the main phase, of the first seed and fold."""
    rows = [row for row in epochs if row["phase"] != "warm_start"]
    first = [(row["seed"], row["fold"]) for row in rows[:1]]
    of_first = [row[column] for row in rows if (row["seed"], row["fold"]) in first]
    return [value if isinstance(value, int | float) else None for value in of_first]
