"""Files of weights: written whole, each with its provenance, and read back believing nothing.

CSV has it as a comment in the first line (`pandas.read_csv(file, comment="#", index_col=0)`), JSON
under `provenance`, Parquet in the metadata of its schema, all under the same name.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from psann._plain_files import read_plain
from psann._strict_json import parse_strict
from psann._typing import Floats
from psann._whole_file import write_whole
from psann.errors import FileFormatError, PsannError, UsageError, reason_of, unavailable
from psann.run.acting.weights import Provenance, Weights, weights_sha256
from psann.run.directory.files import MAX_LOG_BYTES
from psann.run.directory.paths import check_output

FORMATS = (".csv", ".json", ".parquet")
INSTALL = 'pip install "psann[tables]"'
_MARK = "# psann: "
_DATE = "date"


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightsFile:
    """What a file of weights says."""

    labels: tuple[str, ...]
    """Dates or numbers of the rows, as texts."""
    assets: tuple[str, ...]
    values: Floats
    """Shape (n, M)."""
    provenance: Provenance

    @property
    def is_whole(self) -> bool:
        """Whether the weights are those that the provenance was written for."""
        return self.provenance.weights_sha256 == weights_sha256(
            self.labels, self.assets, self.values
        )


def check_weights_output(path: Path, run: Path) -> None:
    """Refuse a file that cannot be written, before anything is computed.

    Raises
    ------
    UsageError
        If its ending is of no format, it is a directory, or it lies in the run directory.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"-o must end in {', '.join(FORMATS)}, or be -; got {path}.")
    check_output(path, run)


def write_weights(weights: Weights, path: Path) -> Path:
    """Write weights as CSV, JSON or Parquet, by the ending of the name.

    Parameters
    ----------
    weights : Weights
    path : Path
        Replaced as a whole if it is there.

    Raises
    ------
    PsannError
        If Parquet is asked for and pyarrow is not installed.
    """
    as_bytes = {".csv": csv_bytes, ".json": _json_bytes, ".parquet": _parquet_bytes}
    return write_whole(path, as_bytes[path.suffix.lower()](weights))


def csv_bytes(weights: Weights) -> bytes:
    """Write weights as CSV; numbers keep every bit."""
    text = io.StringIO()
    text.write(f"{_MARK}{weights.provenance.model_dump_json()}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_DATE, *weights.assets])
    for label, row in zip(weights.labels, weights.values.tolist(), strict=True):
        writer.writerow([label, *map(repr, row)])
    return text.getvalue().encode()


def _json_bytes(weights: Weights) -> bytes:
    content = {
        "provenance": weights.provenance.model_dump(),
        "assets": list(weights.assets),
        "rows": weights.labels,
        "weights": weights.values.tolist(),
    }
    return (json.dumps(content, allow_nan=False) + "\n").encode()


def _parquet_bytes(weights: Weights) -> bytes:
    pyarrow, parquet = _arrow()
    columns = [pyarrow.array(weights.labels), *map(pyarrow.array, weights.values.T)]
    table = pyarrow.table(columns, names=[_DATE, *weights.assets])
    told = {b"psann": weights.provenance.model_dump_json().encode()}
    content = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(told), content)
    return content.getvalue()


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise PsannError(
            f"Parquet needs pyarrow, and {unavailable(error, install=INSTALL)}"
        ) from error
    return pyarrow, parquet


def read_weights(path: Path) -> WeightsFile:
    """Read a file that `write_weights` wrote.

    Raises
    ------
    FileFormatError
        If it is none, or damaged.
    """
    read = {".csv": _read_csv, ".json": _read_json, ".parquet": _read_parquet}
    suffix = path.suffix.lower()
    if suffix not in read:
        raise FileFormatError(f"{path} must end in {', '.join(FORMATS)}, as a file of weights.")
    try:
        data = read_plain(path, MAX_LOG_BYTES, follow=True)
        labels, assets, values, told = read[suffix](data)
        provenance = Provenance.model_validate_json(told)
        numbers = np.array(values, dtype=np.float64).reshape(len(labels), len(assets))
    except (ValidationError, KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        is_of_another = isinstance(error, ValidationError)
        reason = "its provenance is another" if is_of_another else reason_of(error)
        raise FileFormatError(
            f"{path} must be a file of weights as hisso-runs act writes it; {reason}. Write it "
            "again."
        ) from None
    return WeightsFile(
        labels=tuple(labels), assets=tuple(assets), values=numbers, provenance=provenance
    )


_Content = tuple[Sequence[str], Sequence[str], Any, str]


def _read_csv(data: bytes) -> _Content:
    first, _, rest = data.decode().partition("\n")
    if not first.startswith(_MARK):
        raise ValueError("it has no provenance in its first line")
    header, *rows = csv.reader(io.StringIO(rest), strict=True)
    if header[:1] != [_DATE] or any(len(row) != len(header) for row in rows):
        raise ValueError("its rows have other columns than its header")
    parse_strict(first.removeprefix(_MARK))
    numbers = [[float(cell) for cell in row[1:]] for row in rows]
    return [row[0] for row in rows], header[1:], numbers, first.removeprefix(_MARK)


def _read_json(data: bytes) -> _Content:
    content = parse_strict(data)
    if set(content) != {"provenance", "assets", "rows", "weights"}:
        raise ValueError("it has other keys")
    labels, assets = (list(map(str, content[key])) for key in ("rows", "assets"))
    return labels, assets, content["weights"], json.dumps(content["provenance"])


def _read_parquet(data: bytes) -> _Content:
    pyarrow, parquet = _arrow()
    try:
        table = parquet.read_table(io.BytesIO(data))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"pyarrow cannot read it ({str(error).splitlines()[0]})") from None
    told = (table.schema.metadata or {}).get(b"psann")
    if told is None or table.column_names[:1] != [_DATE]:
        raise ValueError("it has no provenance")
    columns = [table.column(place).to_pylist() for place in range(table.num_columns)]
    values = np.array(columns[1:], dtype=np.float64).T
    return columns[0], table.column_names[1:], values, told.decode()
