"""Sheets from frames of pandas or polars, and from Parquet and Feather files."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from psann._digest import new_digest
from psann._inputs import is_missing, utc
from psann._typing import Array
from psann.errors import DataError, unavailable
from psann.market.sheet import Column, Sheet

INSTALL = 'pip install "psann[tables]"'


def is_frame(source: object) -> bool:
    """Say whether something is a frame: it has columns and turns into an array."""
    return hasattr(source, "columns") and hasattr(source, "to_numpy")


def read_frame(frame: Any) -> Sheet:
    """Make a sheet of a frame; of pandas the index is a column too.

    Raises
    ------
    DataError
        If the frame has no row or no column.
    """
    if hasattr(frame, "reset_index") and _tells_something(frame.index):
        frame = frame.reset_index()
    names = list(frame.columns)
    # By place, since a name may stand twice.
    arrays = [
        frame.iloc[:, place] if hasattr(frame, "iloc") else frame[name]
        for place, name in enumerate(names)
    ]
    depth = max((len(name) for name in names if isinstance(name, tuple)), default=1)
    rows = [name if isinstance(name, tuple) else (name, *[""] * (depth - 1)) for name in names]
    levels = [[_text(row[level]) for row in rows] for level in range(depth)]
    if not len(names) or not len(frame):
        raise DataError(
            f"The frame must have rows and columns; got shape {tuple(frame.shape)}. Give prices."
        )
    zones = {str(zone) for array in arrays if (zone := _zone_of(array))}
    return Sheet(
        source="the frame",
        stem="asset",
        levels=levels,
        columns=[_column(array.to_numpy()) for array in arrays],
        lines=None,
        in_pandas="FRAME" if hasattr(frame, "set_index") else "FRAME.to_pandas()",
        zone=zones.pop() if len(zones) == 1 else ("UTC" if zones else None),
    )


def _tells_something(index: Any) -> bool:
    """A plain count of the rows says nothing."""
    return any(name is not None for name in index.names) or index.dtype.kind not in "iu"


def _zone_of(array: Any) -> object:
    dtype = getattr(array, "dtype", None)
    return getattr(dtype, "tz", None) or getattr(dtype, "time_zone", None)


def _text(name: object) -> str:
    if isinstance(name, float) and name.is_integer():
        return str(int(name))
    return "" if is_missing(name) or name in ("index", "level_0") else str(name).strip()


def _column(array: Array) -> Column:
    """Numbers and dates as such, all else as text."""
    if array.dtype.kind in "iuf":
        return array.astype(np.float64, copy=False)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]", copy=False)
    values = array.tolist() if array.dtype.kind != "O" else list(array)
    present = [value for value in values if not is_missing(value)]
    if present and all(isinstance(value, datetime.date) for value in present):
        return np.array([_moment(value) for value in values], dtype="datetime64[us]")
    if present and all(hasattr(v, "__float__") and not isinstance(v, str | bool) for v in present):
        return np.array([np.nan if is_missing(value) else float(value) for value in values])
    return ["" if is_missing(value) else str(value).strip() for value in values]


def _moment(value: Any) -> np.datetime64:
    return np.datetime64("NaT" if is_missing(value) else utc(value).isoformat(), "us")


def digest_of_sheet(sheet: Sheet) -> str:
    """SHA-256 of a sheet's names and cells, in hexadecimal."""
    digest = new_digest(repr(sheet.levels).encode())
    for column in sheet.columns:
        content = "\0".join(column).encode() if isinstance(column, list) else column.tobytes()
        digest.update(content)
    return digest.hexdigest()


def read_arrow(path: Path, source: str) -> Sheet:
    """Make a sheet of a Parquet or Feather file.

    Raises
    ------
    DataError
        If pyarrow is not installed, or the file is damaged.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path} must be read with pyarrow, and {unavailable(error, install=INSTALL)}"
        ) from error
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        if is_parquet:
            # Mapped, and column by column: half of the time of the usual way.
            table = parquet.ParquetFile(path, memory_map=True, pre_buffer=False).read()
        else:
            table = pyarrow.ipc.open_file(path).read_all()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} must be a whole Parquet or Feather file; got one that pyarrow cannot read "
            f"({str(error).splitlines()[0]}). Write it again."
        ) from error
    zones = {field.type.tz for field in table.schema if getattr(field.type, "tz", None)}
    names = ["" if n.startswith("__index_level_") else n.strip() for n in table.column_names]
    return Sheet(
        source=source,
        stem=path.stem,
        levels=[names],
        columns=[_of_arrow(column) for column in table.itercolumns()],
        lines=None,
        in_pandas=f"pandas.read_{'parquet' if is_parquet else 'feather'}(FILE)",
        zone=zones.pop() if len(zones) == 1 else ("UTC" if zones else None),
    )


def _of_arrow(column: Any) -> Column:
    """Numbers and dates by their bytes, since pyarrow's own way imports pandas first."""
    from pyarrow import types

    kind = column.type
    if types.is_timestamp(kind) or types.is_date(kind):
        stamps = column.cast("timestamp[us]", safe=False)
        return _of_chunks(stamps, "datetime64[us]", np.datetime64("NaT", "us"))
    if types.is_float64(kind):
        return _of_chunks(column, "float64", np.float64("nan"))
    return _column(column.to_numpy())


def _of_chunks(column: Any, dtype: str, missing: np.generic) -> Array:
    """Numbers of 8 bytes each, as Arrow lays them out: bits of who is there, then values."""
    parts = []
    for chunk in filter(len, column.chunks):  # what is empty may have no memory
        bits, values = chunk.buffers()
        rows = slice(chunk.offset, chunk.offset + len(chunk))
        part = np.frombuffer(values, dtype=dtype, count=rows.stop)[rows]
        if chunk.null_count:
            is_there = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little")
            part = np.where(is_there[rows] == 1, part, missing)
        parts.append(part)
    return np.concatenate([np.empty(0, dtype), *parts]) if len(parts) != 1 else parts[0]
