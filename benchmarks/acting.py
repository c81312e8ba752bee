"""Seconds from a row to its weights: loading a policy, one row of features, a table of prices.

Run from the repository root::

    python benchmarks/acting.py

The recipe's network for the 36 stocks of NYSE (O) and, on prices, for 20 stocks of the S&P 500,
trained for one epoch: what the weights are makes no difference. One thread.
"""

from __future__ import annotations

import os

from measuring import ONE_THREAD, description, save

os.environ.update(ONE_THREAD)

import gzip
import importlib.util
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from psann import load_policy
from psann.scripts.hisso_log_run import main as train

GOAL_MS = 1.0
RECIPE = Path(__file__).parents[1] / "configs" / "hisso"
SHORT = ("training.epochs=1", "hisso.updates_per_epoch=1", "training.lr_schedule=constant")


def run_of(template: str, folder: Path, *overrides: str) -> Path:
    arguments = ["--config", str(RECIPE / f"{template}.yaml"), "--output-dir", str(folder)]
    arguments += [part for text in (*SHORT, *overrides) for part in ("--set", text)]
    code = train([*arguments, "--run-name", template, "--device", "cpu", "--quiet"])
    if code:
        raise SystemExit(code)
    return folder / template


def milliseconds(work, repeats: int) -> dict[str, float]:
    """Median and 99th percentile of single calls."""
    for _ in range(repeats // 10 + 1):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return {"median_ms": float(np.median(times)), "p99_ms": float(np.quantile(times, 0.99))}


def main() -> None:
    torch.set_num_threads(1)
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        features = run_of("nyse_o", folder)
        table = folder / "prices.csv"
        # Only where it lies: to import it needs more than its files.
        (home,) = importlib.util.find_spec("skfolio").submodule_search_locations
        source = Path(home) / "datasets" / "data" / "sp500_dataset.csv.gz"
        table.write_bytes(gzip.decompress(source.read_bytes()))
        prices = run_of("own_prices", folder, f"data.prices={table}")
        policy, own = load_policy(features), load_policy(prices)
        row = draws.standard_normal((1, 216))
        frame = pd.read_csv(table, index_col=0, parse_dates=True).tail(40)
        cases = {
            "load a policy": milliseconds(lambda: load_policy(features), 20),
            "one row of features": milliseconds(lambda: policy.predict_actions(row), 2000),
            "one row by the estimator": milliseconds(lambda: policy.of_estimators(row), 500),
            "a frame of 40 rows of prices": milliseconds(lambda: own.act(frame), 50),
            "a file of 8,313 rows of prices": milliseconds(lambda: own.act(table), 5),
        }
    for name, times in cases.items():
        print(f"{name:32} {times['median_ms']:9.3f} ms  (p99 {times['p99_ms']:.3f})")
    if cases["one row of features"]["median_ms"] > GOAL_MS:
        print(f"one row of features takes more than {GOAL_MS:g} ms")
    save("acting", {**description("python benchmarks/acting.py"), "cases": cases})


if __name__ == "__main__":
    main()
