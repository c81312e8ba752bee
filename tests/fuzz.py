"""Readers fed with what nobody has written: a few hundred inputs in the fast suite, or for minutes.

    PYTHONPATH=tests python -m fuzz READER MINUTES

goes on from sound files for so long, guided by what psann's lines an input reaches (`pip install
atheris` first), and keeps what was found in `/tmp/psann-fuzz/READER`. A reader may raise its
documented error and nothing else, take 2 s of processor time and 200 MB. Whatever did more is put
into `tests/fuzzed` once it is mended, and read again by `tests/test_fuzz.py` from then on.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mutations
from mutations import Mutation
from psann.run.config.model import RunConfig

CPU_S, MEMORY_BYTES = 2.0, 200 * 10**6
HOME = Path(tempfile.gettempdir(), "psann-fuzz")
# What one process of a long run does before the next takes over: whatever leaks ends with it.
_SHIFT_S = 300
# In the context, so that everything of psann that is imported from here on tells of its lines.
_SHIFT = """
import atheris, sys
with atheris.instrument_imports(include=["psann"]):
    import fuzz
    fuzz.shift(sys.argv[1], int(sys.argv[2]))
"""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One reader, or several of the same kind of file."""

    seeds: Callable[[Path], list[bytes]]
    """Sound files, made in a folder that is theirs."""
    mutate: Mutation
    read: Callable[[bytes, Path], None]
    """Reads bytes, in a folder that is its own; documented errors stay inside."""


def fresh(name: str, n: int, *, seed: int, folder: Path) -> None:
    """Read so many new inputs; an AssertionError tells of the first that does more than it may."""
    reader, draw = READERS[name], random.Random(seed)
    seeds = sound(name)
    reader.read(seeds[0], folder)  # whatever is imported late is imported now
    for _ in range(n):
        data = draw.choice(seeds)
        for _ in range(draw.choice((1, 1, 2, 4))):
            data = reader.mutate(data, draw)
        judge(reader, data, folder)


def judge(reader: Reader, data: bytes, folder: Path) -> None:
    """Read one input within its means."""
    begun = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(data, folder)
    except (Exception, RecursionError) as error:
        raise AssertionError(f"{type(error).__name__} of {data[:200]!r}") from error
    took_s = time.process_time() - begun
    assert took_s < CPU_S, f"{took_s:.1f} s for {data[:200]!r}"


@cache
def sound(name: str) -> list[bytes]:
    """The sound files from which a reader's inputs are made."""
    with tempfile.TemporaryDirectory() as folder:
        return READERS[name].seeds(Path(folder))


# --- the readers ---------------------------------------------------------------------------------


def _runs(folder: Path) -> list[Path]:
    import golden_runs

    golden_runs.unpack(folder, golden_runs.NOW)
    golden_runs.unpack(folder / "before", golden_runs.BEFORE)
    return [path.parent for path in sorted(folder.rglob("metrics.json"))]


def _files(*names: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        found = {
            path.read_bytes()
            for run in _runs(folder)
            for name in names
            for path in sorted(run.glob(name))
        }
        return sorted(found, key=len)

    return seeds


def _read_tensors(data: bytes, folder: Path) -> None:
    from psann import PSANNRegressor, WaveResNetRegressor
    from psann._tensor_file import decode
    from psann.errors import FileFormatError
    from psann.run.execution.resume import resume_point

    for read in (decode, PSANNRegressor.from_bytes, WaveResNetRegressor.from_bytes, resume_point):
        with suppress(FileFormatError):
            read(data, who="it")


def _read_npz(data: bytes, folder: Path) -> None:
    from psann._npz import read_npz
    from psann.errors import DataError
    from psann.run.directory.evaluation import read_evaluation
    from psann.run.verification.series import problems_of_evaluation

    path = folder / "evaluation.npz"
    path.write_bytes(data)
    for mmap in (False, True):
        with suppress(DataError):
            read_npz(path, mmap=mmap)
    with suppress(ValueError):
        read_evaluation(path)
    config = folder / "config.yaml"
    if not config.exists():
        with tempfile.TemporaryDirectory() as runs:
            run = next(run for run in _runs(Path(runs)) if run.name == "dense")
            shutil.copy(run / "config_resolved.yaml", config)
            shutil.copy(run / "metrics.json", folder / "metrics.json")
    metrics = json.loads((folder / "metrics.json").read_bytes())
    problems_of_evaluation(path, metrics, is_over=True, config=_config(config))


@cache
def _config(path: Path) -> RunConfig:
    from psann.run.config.load import load_run_config

    return load_run_config(path)


def _read_yaml(data: bytes, folder: Path) -> None:
    from psann._strict_yaml import parse_value, read_config_file
    from psann.errors import ConfigError
    from psann.run.config.load import dump_resolved, load_run_config

    path = folder / "c.yaml"
    path.write_bytes(data)
    with suppress(ConfigError):
        read_config_file(path)
    with suppress(ConfigError):
        dump_resolved(load_run_config(path))
    with suppress(ConfigError):
        parse_value(data.decode("utf-8", "surrogateescape"), source="--set")


def _read_json(data: bytes, folder: Path) -> None:
    from psann._strict_json import parse_strict
    from psann._strict_yaml import read_config_file
    from psann.errors import ConfigError
    from psann.run.directory.checkpoints import entries_of
    from psann.run.directory.metrics import conformed
    from psann.run.directory.packing import parse_list
    from psann.run.directory.provenance import read_starts
    from psann.run.verification.record import problems_of_record

    with suppress(ValueError):
        content = parse_strict(data)
        entries_of(content)
        try:
            problems_of_record(content)
            conformed(content)
        except ValueError as error:
            raise AssertionError("these tell of problems, and raise none") from error
    with suppress(ValueError):
        parse_list(data)
    path = folder / "provenance.json"
    path.write_bytes(data)
    with suppress(ValueError):
        read_starts(path)
    with suppress(ConfigError):
        read_config_file("c.json", data)


def _packed(folder: Path) -> list[bytes]:
    from psann.run.reading.archive import pack

    runs = [run for run in _runs(folder) if run.name in ("dense", "stopped", "seeds")]
    return [
        pack(run, folder / f"{k}{best}.tar.gz", best_only=best).path.read_bytes()
        for k, run in enumerate(runs)
        for best in (False, True)
    ]


def _read_archive(data: bytes, folder: Path) -> None:
    from psann.errors import FileFormatError
    from psann.run.reading.archive import unpack

    path, home = folder / "run.tar.gz", folder / "home"
    path.write_bytes(data)
    with suppress(FileFormatError):
        shutil.rmtree(unpack(path, home).path)
    assert list(home.iterdir()) == [], "nothing, or all"


def _read_log(data: bytes, folder: Path) -> None:
    from psann.run.directory.rows import monitor_values, parse_log
    from psann.run.verification.log import check_log

    with suppress(ValueError):
        rows, _ = parse_log(data)
        try:
            monitor_values(rows, "val_loss")
        except ValueError as error:
            raise AssertionError("it raises nothing") from error
    for is_over in (False, True):
        check_log(data, error=str, note=str, is_over=is_over)


def _tables(folder: Path) -> list[bytes]:
    from made_tables import days, ohlcv, prices, write

    close, dates = prices(30, 3), days(30)
    fields = ["Date", "Open", "High", "Low", "Close", "Volume"]
    quotes = [
        [day.strftime("%d.%m.%Y"), *row] for day, row in zip(dates, ohlcv(close[:, 0]), strict=True)
    ]
    wide = [[day, *row] for day, row in zip(dates, close, strict=True)]
    long = [[day, *pair] for day, *row in wide[:12] for pair in zip("ABC", row, strict=True)]
    # As Germans write numbers: 1.234,56.
    swapped = {ord(","): ".", ord("."): ","}
    german = [
        [day, *(f'"{1000 * price:,.2f}"'.translate(swapped) for price in row)]
        for day, *row in wide[:9]
    ]
    stamps = [[f"{day}T00:30:00+01:00", *row] for day, row in zip(dates[:9], close, strict=False)]
    levels = [["Price", "Open", "Close"], *(row[:3] for row in wide[:9])]
    found = [
        write(folder / "wide.csv", ["Date", "A", "B", "C"], wide),
        write(folder / "fields.csv", fields, quotes, sep=";"),
        write(folder / "long.csv", ["date", "ticker", "close"], long, sep="\t", end="\r\n"),
        write(folder / "german.csv", ["Datum", "A", "B", "C"], german, encoding="utf-8-sig"),
        write(folder / "levels.csv", ["Ticker", "A", "A"], levels),
        write(folder / "stamps.csv", ["time", "A", "B", "C"], stamps),
    ]
    texts = [path.read_bytes() for path in found]
    return [*texts, gzip.compress(texts[0], mtime=0)]


def _read_table(data: bytes, folder: Path) -> None:
    from psann.errors import DataError
    from psann.market import align, read_prices

    path = folder / ("t.csv.gz" if data[:2] == b"\x1f\x8b" else "t.csv")
    path.write_bytes(data)
    for format_ in (None, {"tz": "Asia/Tokyo"}, {"date_unit": "s"}):
        with suppress(DataError):
            align(read_prices(path, format=format_))


READERS = {
    "tensors": Reader(
        seeds=_files("checkpoints/*.safetensors"),
        mutate=mutations.bent_tensor_file,
        read=_read_tensors,
    ),
    "npz": Reader(seeds=_files("*.npz"), mutate=mutations.bent_npz, read=_read_npz),
    "yaml": Reader(
        seeds=_files("config_resolved.yaml"), mutate=mutations.bent_text, read=_read_yaml
    ),
    "json": Reader(
        seeds=_files("*.json", "checkpoints/*.json"), mutate=mutations.bent_json, read=_read_json
    ),
    "archive": Reader(seeds=_packed, mutate=mutations.bent_archive, read=_read_archive),
    "log": Reader(seeds=_files("events.csv"), mutate=mutations.bent_text, read=_read_log),
    "table": Reader(seeds=_tables, mutate=mutations.bent_table, read=_read_table),
}


# --- for minutes ---------------------------------------------------------------------------------


def main(name: str, minutes: float) -> None:
    """Shifts of a process each, until the time is over; what was found is said, and kept."""
    home = HOME / name
    (home / "corpus").mkdir(parents=True, exist_ok=True)
    (home / "found").mkdir(exist_ok=True)
    for k, data in enumerate(sound(name)):
        (home / "corpus" / f"seed-{k}").write_bytes(data)
    end = time.monotonic() + 60 * minutes
    while (left_s := end - time.monotonic()) > 1:
        arguments = [name, str(int(min(_SHIFT_S, left_s)) + 1)]
        code = subprocess.run([sys.executable, "-c", _SHIFT, *arguments], check=False).returncode
        if code:  # killed by what it was reading, as by SIGPROF after 2 s
            culprit = (home / "now").read_bytes()
            _keep(home, culprit, f"the process ended with {code}\n")
    n_found = len(list((home / "found").glob("*.txt")))
    n_corpus = len(list((home / "corpus").iterdir()))
    told = f"{n_corpus} inputs that differ in what they reach, {n_found} faults"
    print(f"{name}: {minutes} minutes, {told}")  # noqa: T201 (the answer of a script)


def _keep(home: Path, data: bytes, told: str) -> None:
    # One of a kind: by the last lines of the traceback, where there is one.
    key = hashlib.sha256("".join(told.splitlines()[-4:]).encode()).hexdigest()[:12]
    if not (home / "found" / f"{key}.txt").exists():
        (home / "found" / f"{key}.bin").write_bytes(data)
        (home / "found" / f"{key}.txt").write_text(told)


def shift(name: str, seconds: int) -> None:
    """One process: read what atheris makes of the corpus, with the limits set."""
    import atheris

    reader, home = READERS[name], HOME / name
    folder = Path(tempfile.mkdtemp(dir=home))
    for data in sound(name):  # as in `fresh`
        reader.read(data, folder)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES, size + MEMORY_BYTES))

    def one(data: bytes) -> None:
        (home / "now").write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, CPU_S)
        try:
            judge(reader, data, folder)
        except (AssertionError, MemoryError):
            _keep(home, data, traceback.format_exc())
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if draw.random() < 0.2:
            return atheris.Mutate(data, max_size)
        with suppress(Exception):  # what is broken enough to break the mutation is bent by bytes
            return reader.mutate(data, draw)[:max_size]
        return mutations.bent_bytes(data, draw)[:max_size]

    options = [f"-max_total_time={seconds}", "-max_len=100000", "-timeout=600", "-rss_limit_mb=0"]
    atheris.Setup(
        [name, *options, f"-artifact_prefix={home}/", str(home / "corpus")],
        one,
        custom_mutator=mutated,
    )
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
