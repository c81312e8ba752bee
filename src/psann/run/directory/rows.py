"""The rows of `events.csv`, read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from psann.run.directory.columns import COLUMNS, FLAG_COLUMNS, TEXT_COLUMNS, WHOLE_COLUMNS

Row = dict[str, Any]


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
    """
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")[:-1]
    if not lines:
        return [], []
    header = _cells(lines[0]) or []
    problems = []
    if "event" not in header or "epoch" not in header or len(set(header)) != len(header):
        return [], ["events.csv cannot be read: its first line is not the header of a run's log."]
    if tuple(header) != COLUMNS:
        problems.append("events.csv has the columns of another version: those in common are read.")
    rows, bad = [], []
    for number, line in enumerate(lines[1:], start=2):
        cells = _cells(line)
        try:
            if cells is None or len(cells) != len(header):
                raise ValueError
            read = {name: _value(name, cell) for name, cell in zip(header, cells, strict=True)}
            rows.append({**dict.fromkeys(COLUMNS), **read})
        except ValueError:
            bad.append(number)
    if bad:
        n_bad = f"{len(bad)} rows" if len(bad) > 1 else "1 row"
        problems.append(f"events.csv: {n_bad} cannot be read, the first in line {bad[0]}.")
    return rows, problems


def _cells(line: str) -> list[str] | None:
    try:
        (cells,) = csv.reader([line], strict=True)
    except (csv.Error, ValueError):
        return None
    return cells


def _value(name: str, cell: str) -> Any:
    if name in TEXT_COLUMNS or name not in COLUMNS:
        return cell or None
    if not cell:
        return None
    if name in FLAG_COLUMNS:
        return cell == "true"
    return int(cell) if name in WHOLE_COLUMNS else float(cell)


def monitor_values(epochs: Sequence[Row], column: str) -> list[float | None]:
    """Values of a column by epoch of the main phase, of the first seed and fold.

    Parameters
    ----------
    epochs : sequence of dict
        Rows of epochs.
    column : str
        Such as `val_reward_mean`.
    """
    rows = [row for row in epochs if row["phase"] != "warm_start"]
    first = [(row["seed"], row["fold"]) for row in rows[:1]]
    return [row[column] for row in rows if (row["seed"], row["fold"]) in first]
