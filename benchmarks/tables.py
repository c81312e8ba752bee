"""What reading a large table costs beside pandas: CPU seconds and the most memory, in turns.

Run from the repository root::

    OMP_NUM_THREADS=1 python benchmarks/tables.py

A made table of prices, a column per asset, is written to a temporary folder as CSV and as Parquet;
each reading has a process of its own. Memory is the most that a process had, less what it had after
its imports, in multiples of the panel of float64. `results/tables.json` has the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import description, median, save

READERS = {
    "pandas": "import pandas\nread = lambda p: pandas.read_csv(p, index_col=0, parse_dates=True)",
    "psann": "from psann.market import read_prices as read",
}
_READ = """
import json, pathlib, sys, time
{reader}
def used():
    # Not getrusage: that of a child begins with what its parent had.
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before, started = used(), time.process_time()
table = read(sys.argv[1])
print(json.dumps({{"cpu_s": time.process_time() - started, "bytes": used() - before}}))
"""


def write_table(folder: Path, n_rows: int, n_assets: int) -> dict[str, Path]:
    """A CSV and a Parquet file of the same prices, with two decimals, a tenth listed late."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    draws = np.random.default_rng(0)
    moves = 0.01 * draws.standard_normal((n_rows, n_assets))
    prices = np.round(50 * np.exp(np.cumsum(moves, axis=0)), 2)
    for asset in range(0, n_assets, 10):
        prices[: draws.integers(1, n_rows // 2), asset] = np.nan
    dates = np.datetime64("2000-01-03") + np.arange(n_rows)
    columns = {
        f"A{asset:04d}": pa.array(prices[:, asset], from_pandas=True) for asset in range(n_assets)
    }
    table = pa.table({"date": pa.array(dates), **columns})
    paths = {"csv": folder / "prices.csv", "parquet": folder / "prices.parquet"}
    pa.csv.write_csv(table, paths["csv"])
    pa.parquet.write_table(table, paths["parquet"])
    return paths


def reading(reader: str, path: Path) -> dict[str, float]:
    """CPU seconds and bytes of one reading."""
    done = subprocess.run(
        [sys.executable, "-c", _READ.format(reader=READERS[reader]), str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measured(paths: dict[str, Path], *, panel_bytes: int, repeats: int) -> dict[str, Any]:
    """Medians of each reading, and of their ratios to pandas in the same turn."""
    cases = {
        "pandas csv": ("pandas", "csv"),
        "csv": ("psann", "csv"),
        "parquet": ("psann", "parquet"),
    }
    turns = []
    for _ in range(repeats):
        turn = {name: reading(who, paths[kind]) for name, (who, kind) in cases.items()}
        print(turn, flush=True)
        turns.append(turn)
    return {
        name: {
            "cpu_s": median([turn[name]["cpu_s"] for turn in turns]),
            "of_pandas": median(
                [turn[name]["cpu_s"] / turn["pandas csv"]["cpu_s"] for turn in turns]
            ),
            "memory_in_panels": median([turn[name]["bytes"] for turn in turns]) / panel_bytes,
        }
        for name in cases
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write `benchmarks/results/tables.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--assets", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_table(Path(folder), options.rows, options.assets)
        sizes = {f"{kind}_bytes": path.stat().st_size for kind, path in paths.items()}
        panel_bytes = 8 * options.rows * options.assets
        figures = measured(paths, panel_bytes=panel_bytes, repeats=options.repeats)
    for name, values in figures.items():
        print(
            f"{name:12s} {values['cpu_s']:7.2f} s  {values['of_pandas']:.2f} of pandas' time  "
            f"{values['memory_in_panels']:.2f} times the panel"
        )
    if not options.no_save:
        report = description("OMP_NUM_THREADS=1 python benchmarks/tables.py")
        report |= {"rows": options.rows, "assets": options.assets, "repeats": options.repeats}
        save("tables", report | sizes | {"readings": figures})


if __name__ == "__main__":
    main()
