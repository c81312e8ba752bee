"""Files that would make far more than they are: refused within 2 s of processor time and 200 MB.

Logs, records and configurations are in tests/run/directory/test_files.py, archives in
tests/run/reading/test_archive.py.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limits import messages_within_limits
from made_runs import made_run
from psann.run.directory.columns import COLUMNS, header_of
from thinning import slow

MIB = 2**20


def written(folder: Path, files: Mapping[str, Callable[[], bytes]]) -> list[str]:
    for name, make in files.items():
        (folder / name).write_bytes(make())
    return [str(folder / name) for name in files]


# --- arrays --------------------------------------------------------------------------------------


def npz(members: Mapping[str, bytes], *, deflated: bool = False) -> bytes:
    content = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def zeros(n_values: int) -> bytes:
    return npy(
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({n_values},)}}", bytes(8 * n_values)
    )


def many_entries() -> bytes:
    one = npz({"a.npy": zeros(1)})
    start, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    directory = b"".join(one[start:end].replace(b"a.npy", b"%05x" % n) for n in range(300_000))
    return (
        one[:start]
        + directory
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(directory), start, 0)
    )


SIDES = "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 220 + ")}"
ARRAYS: dict[str, Callable[[], bytes]] = {
    "entries.npz": many_entries,
    "zeros.npz": lambda: npz({"net.npy": zeros(2**24)}, deflated=True),
    "headers.npz": lambda: npz({f"{n}": npy("(" * 9000) for n in range(1500)}),
    "sides.npz": lambda: npz({f"{n}.npy": npy(SIDES) for n in range(2000)}),
}


FEW_ARRAYS = ["entries.npz", "headers.npz"]


@pytest.mark.parametrize("names", [FEW_ARRAYS, slow([*ARRAYS])])
def test_archives_of_arrays(tmp_path: Path, names: list[str]) -> None:
    messages_within_limits(
        "from pathlib import Path; from psann.run.directory.evaluation import read_evaluation",
        "read_evaluation(Path(argument))",
        *written(tmp_path, {name: ARRAYS[name] for name in names}),
        errors="ValueError",
        warm="import psann._npz",
    )


# --- tensors -------------------------------------------------------------------------------------


def tensor_file(header: bytes | dict[str, Any], n_bytes: int = 0) -> bytes:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(data).to_bytes(8, "little") + data + bytes(n_bytes)


def described(**tensors: object) -> dict[str, Any]:
    text = json.dumps({"format_version": 1, "sha256": "0" * 64})
    return {"__metadata__": {"psann": text}, **tensors}


def tensor(*shape: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * int(np.prod(shape))]}


TENSORS: dict[str, Callable[[], bytes]] = {
    "none": lambda: tensor_file(described(**{f"{n}": tensor(0) for n in range(60_000)})),
    "some": lambda: tensor_file(described(**{f"{n}": tensor(0) for n in range(40_000)})),
    "sides": lambda: tensor_file(described(a={"dtype": "F32", "shape": [1] * 390_000})),
    "large": lambda: tensor_file(described(a=tensor(32 * MIB)), 128 * MIB),
    "keys": lambda: tensor_file(b"{" + b",".join(b'"%d":0' % n for n in range(380_000)) + b"}"),
    "lists": lambda: tensor_file(b'{"a":[' + b"[]," * MIB + b"[]]}"),
    "depth": lambda: tensor_file(b'{"a":' * 800_000),
}


@pytest.mark.slow  # torch takes seconds
def test_estimators_and_resume_states(tmp_path: Path) -> None:
    messages_within_limits(
        "from psann import PSANNRegressor",
        "PSANNRegressor.load(argument)",
        *written(tmp_path, TENSORS),
        errors="ValueError",
    )


# --- a run that is verified ----------------------------------------------------------------------

HEADER = header_of(COLUMNS) + b"\r\n"
LOG_BYTES = 128 * MIB
ENTRY = {"bytes": 1, "sha256": "x"}


def dumped(**content: Any) -> bytes:
    return json.dumps({"schema_version": 1, **content}).encode()


def record_with(fields: Callable[[], dict[str, object]]) -> Callable[[bytes], bytes]:
    return lambda record: json.dumps({**json.loads(record), **fields()}).encode()


def numbered(n: int, value: object) -> dict[str, object]:
    return {f"x{k}": value for k in range(n)}


DAMAGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("events.csv", lambda _: HEADER + b"\n" * (LOG_BYTES - len(HEADER))),
    ("events.csv", lambda _: b"x" * LOG_BYTES),
    ("checkpoints/manifest.json", lambda _: dumped(files=numbered(390_000, 0))),
    ("checkpoints/manifest.json", lambda _: dumped(files=numbered(190_000, {"sha256": "x"}))),
    ("packed.json", lambda _: dumped(files=numbered(130_000, ENTRY), left_out=[])),
    ("provenance.json", lambda _: dumped(starts=[0] * 399_000)),
    ("metrics.json", record_with(lambda: numbered(390_000, 0))),
    ("metrics.json", record_with(lambda: {"artefacts": numbered(130_000, ENTRY)})),
    ("metrics.json", record_with(lambda: {"baselines": numbered(190_000, {"sharpe": 1.0})})),
    ("metrics.json", record_with(lambda: {"per_seed": [{"seed": k} for k in range(190_000)]})),
    ("metrics.json", record_with(lambda: {"status": "x" * 15 * MIB})),
    ("config_resolved.yaml", lambda _: b"\n".join(b"k%d: 1" % k for k in range(9000))),
    ("config_resolved.yaml", lambda _: b"mode: " + b"x" * (MIB - 6)),
]
FEW = [DAMAGES[0], DAMAGES[-1]]


@pytest.mark.parametrize("damages", [FEW, slow(DAMAGES)])
def test_verification(tmp_path: Path, damages: list[Any]) -> None:
    sound = made_run(tmp_path / "sound", n_rows=20, n_epochs=3)
    for k, (name, change) in enumerate(damages):
        root = made_run(tmp_path / f"{k}", n_rows=20, n_epochs=3)
        (root / "checkpoints").mkdir()
        before = (root / name).read_bytes() if (root / name).exists() else b""
        (root / name).write_bytes(change(before))
    messages_within_limits(
        "from psann.run.verification.verify import verify_run",
        "raise ValueError(verify_run(argument).errors[0])",
        *(str(tmp_path / f"{k}") for k in range(len(damages))),
        errors="ValueError",
        warm=f"verify_run({str(sound)!r})",
    )


# --- tables of prices ----------------------------------------------------------------------------

NAMES = b"Date,A,B\n"
SECOND = np.datetime64("2000-01-01T00:00:00")


def to_its_end(sep: str = ",", *, last: str = "x") -> bytes:
    """2 MiB of sound rows, all different, and one that is not: all has been read for nothing."""
    rows = [
        sep.join((str(SECOND + k), f"{1 + k % 977}.{k:06d}", f"{3 + k % 101}.5"))
        for k in range(2 * MIB // 38)
    ]
    return "\n".join(
        [f"Date{sep}A{sep}B", *rows, f"2030-01-01T00:00:00{sep}1.5{sep}{last}"]
    ).encode()


TABLES: dict[str, Callable[[], bytes]] = {
    "empty.csv": lambda: NAMES + b"\n" * (4 * MIB),
    "ends.csv": lambda: NAMES + b"\r" * (4 * MIB),
    "commas.csv": lambda: b"," * (16 * MIB),
    "cells.csv": lambda: NAMES + b"," * MIB,
    "quotes.csv": lambda: NAMES + b'"' * (MIB - 1) + b"\n2020-01-01,1,1\n",
    "columns.csv": lambda: b"Date" + b",A" * 100_000 + b"\n2020-01-01" + b",1" * 100_000,
    "headless.csv": lambda: b"2020-01-01" + b",1.50-05-05" * 49_000 + b"\n",
    "side.csv": lambda: b"A" + b",05/05/20" * 49_000 + b"\nB" + b",1.5" * 49_000 + b"\n",
    "names.csv": lambda: b"A" + b",99/99/20" * 49_000 + b"\nB" + b",1.5" * 49_000 + b"\n",
    "digits.csv": lambda: b"Date,A\n2020-01-01," + b"9" * (MIB - 20) + b"x\n",
    "blanks.csv": lambda: b"Date,A\n1/1/1" + b" " * (MIB - 20) + b"x,1\n",
    "comments.csv": lambda: NAMES + b"# x\n" * MIB,
    "end.csv": to_its_end,
    "german.csv": lambda: to_its_end(";").replace(b".", b","),
    "quoted.csv": lambda: to_its_end('","').replace(b"\n", b'"\n"'),
    "column.csv": lambda: to_its_end().replace(b".5\n", b".5x\n"),
    "nul.csv": lambda: NAMES + b"\0" * (4 * MIB),
    "line.csv.gz": lambda: gzip.compress(b"x" * (256 * MIB), 1),
    "lines.csv.gz": lambda: gzip.compress(NAMES + b"\n" * (256 * MIB), 1),
    "rows.csv.gz": lambda: gzip.compress(NAMES + b"2020-01-01,1.5,2.5\n" * (4 * MIB), 9),
}
FEW_TABLES = ["empty.csv", "columns.csv", "blanks.csv", "nul.csv"]


@pytest.mark.parametrize("names", [FEW_TABLES, slow([*TABLES])])
def test_tables_of_prices(tmp_path: Path, names: list[str]) -> None:
    messages_within_limits(
        "from psann.market import read_prices",
        "read_prices(argument)",
        *written(tmp_path, {name: TABLES[name] for name in names}),
        errors="ValueError",
    )
