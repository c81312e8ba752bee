"""The rows of `events.csv`, read: its only parser.

Whoever reads a log takes lines from `split_log` and cells from `cells_of`; what is made of a row
that cannot be read is the caller's to say.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from psann.errors import counted
from psann.run.directory.columns import COLUMNS, columns_of, kind_of

# Far beyond any log of ours, and what is made of more would take seconds and gigabytes.
_MAX_BAD_ROWS = 1000
_MAX_COLUMNS = 256
_MAX_ROW_BYTES = 2**20
_MAX_DIGITS = 32  # no number of 64 bits needs more

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
    text = line.decode() if isinstance(line, bytes) else line
    try:
        (cells,) = csv.reader([text.removesuffix("\n").removesuffix("\r")], strict=True)
    except csv.Error as problem:
        raise ValueError(f"is no row: {problem}") from None
    if len(cells) != len(columns):
        raise ValueError(f"must have {len(columns)} cells; it has {len(cells)}")
    return dict(zip(columns, cells, strict=True))


def values_of(cells: Mapping[str, str]) -> Row:
    """Turn cells into what they mean: numbers, flags, texts; None for an empty one.

    Raises
    ------
    ValueError
        If a cell holds no number where one must be.
    """
    # Most cells are empty.
    return {name: _value(name, cell) if cell else None for name, cell in cells.items()}


def _value(name: str, cell: str) -> str | int | float | bool:
    kind = kind_of(name)
    if kind == "flag":
        return cell == "true"
    if kind == "text":
        return cell
    if len(cell) > _MAX_DIGITS:
        raise ValueError(f"{cell[:_MAX_DIGITS]}... has too many digits")
    return int(cell) if kind == "whole" else float(cell)


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
        One sentence for all rows that cannot be read, one for a foreign header.

    Raises
    ------
    ValueError
        If more than 1000 rows cannot be read.
    """
    lines = io.BytesIO(data)  # one at a time: a list of them would be larger than the file
    first = lines.readline(_MAX_ROW_BYTES)
    if not first.endswith(b"\n") and len(first) < _MAX_ROW_BYTES:
        return [], []
    first = first.rstrip(b"\r\n")
    header = first.decode("utf-8", "replace").split(",", _MAX_COLUMNS)
    is_ours = {"event", "epoch"} <= set(header) and len(set(header)) == len(header)
    if len(header) > _MAX_COLUMNS or not is_ours:
        return [], ["events.csv cannot be read: its first line is not the header of a run's log."]
    problems = []
    if columns_of(first) is None:
        problems.append("events.csv has the columns of another version: those in common are read.")
    rows, bad = [], []
    for number, line in enumerate(lines, start=2):
        if not line.endswith(b"\n"):
            break
        try:
            read = values_of(cells_of(line.decode("utf-8", "replace"), header))
            rows.append({**dict.fromkeys(COLUMNS), **read})
        except ValueError:
            bad.append(number)
            if len(bad) > _MAX_BAD_ROWS:
                raise ValueError(f"more than {_MAX_BAD_ROWS:,} rows are none") from None
    if bad:
        n_bad = counted(len(bad), "row")
        problems.append(f"events.csv: {n_bad} cannot be read, the first in line {bad[0]}.")
    return rows, problems


def monitor_values(epochs: Sequence[Row], column: str) -> list[float | None]:
    """Values of a column by epoch of the main phase, of the first seed and fold."""
    rows = [row for row in epochs if row["phase"] != "warm_start"]
    first = [(row["seed"], row["fold"]) for row in rows[:1]]
    of_first = [row[column] for row in rows if (row["seed"], row["fold"]) in first]
    return [value if isinstance(value, int | float) else None for value in of_first]
