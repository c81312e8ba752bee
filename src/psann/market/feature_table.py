"""A table of features that somebody else computed: rows with dates, named columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from psann._typing import Dates, Floats
from psann.errors import DataError, listed
from psann.market.cells import read_text
from psann.market.findings import Findings
from psann.market.frames import digest_of_sheet, is_frame, read_arrow, read_frame
from psann.market.lines import digest_of, files_of, given_file, is_arrow, lines_of, stem_of
from psann.market.options import Format
from psann.market.sheet import Column, Sheet


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureTable:
    """Features as a file or frame tells them."""

    names: tuple[str, ...]
    """Of the columns."""
    X: Floats
    """Shape (n, columns)."""
    dates: Dates | None
    """Shape (n,); None where no column reads as dates."""
    sha256: str
    """Digest of the file, or of a frame's content."""


def read_features(source: object) -> FeatureTable:
    """Read a table whose first column may be dates (ISO), and all others numbers.

    Parameters
    ----------
    source : path or frame
        CSV, TSV or text (also `.gz`), Parquet or Feather; or a frame of pandas or polars.

    Raises
    ------
    DataError
        If a column is no numbers, or dates do not increase.
    """
    if is_frame(source):
        sheet = read_frame(source)
        sha256 = digest_of_sheet(sheet)
    else:
        file, *others = files_of([given_file("data", str(source))])
        if others:
            held = listed([each.name for each in (file, *others)], 4)
            raise DataError(
                f"data must be one table of features; {source} holds {held}. Name one of them."
            )
        sheet, sha256 = _read_file(file), digest_of(file)
    names = sheet.levels[-1] if sheet.levels else [str(n) for n in range(len(sheet.columns))]
    dates = _dates(sheet.columns[0])
    first = 0 if dates is None else 1
    columns, problems = [], []
    for name, column in zip(names[first:], sheet.columns[first:], strict=True):
        try:
            columns.append(np.asarray(column, dtype=np.float64))
        except (TypeError, ValueError):
            problems.append(f"{sheet.source}: the feature {name!r} must be numbers in every row.")
    if dates is not None and not (np.diff(dates) > np.timedelta64(0, "us")).all():
        problems.append(f"{sheet.source}: dates must increase from row to row. Sort the table.")
    if not problems and not columns:
        problems.append(f"{sheet.source} must have columns of features; got {listed(names)}.")
    if problems:
        raise DataError(problems)
    return FeatureTable(
        names=tuple(names[first:]), X=np.column_stack(columns), dates=dates, sha256=sha256
    )


def _read_file(file: Path) -> Sheet:
    if is_arrow(file):
        return read_arrow(file, file.name)
    findings = Findings()
    sheet = read_text(
        partial(lines_of, file, None),
        source=file.name,
        stem=stem_of(file),
        format=Format(),
        texts=(),
        findings=findings,
    )
    findings.stop()
    return sheet


def _dates(column: Column) -> Dates | None:
    if isinstance(column, np.ndarray):
        return column.astype("datetime64[us]") if column.dtype.kind == "M" else None
    try:
        found = np.array(column, dtype="datetime64[us]")
    except ValueError:
        return None
    return None if np.isnat(found).any() else found
