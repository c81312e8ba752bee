"""What knowing who can be held costs an update: CPU milliseconds with and without, eager engine.

    OMP_NUM_THREADS=1 python benchmarks/membership.py

Of universes of several sizes: the CPU time of an update without `active`; with late listings; with
halts besides, on a few cells in a thousand, as markets have them; and with halts on 2 % of all
cells, which leaves hardly a row of a large universe without. Each takes its turn in every
repetition; a ratio is the median of those to the update without `active` in the same repetition.
`results/membership.json` has the figures.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from measuring import description, median, save

from psann import PSANNRegressor
from psann.holdings import HALTED, OUTSIDE

ROWS, EPOCHS, UPDATES, REPETITIONS, HALT_ROWS = 3000, 25, 8, 5, 3
HISSO = {"window": 64, "batch_episodes": 32, "updates_per_epoch": UPDATES}
# Halts of each asset, of 3 rows each.
HALTS = {"listings": 0, "halts": 5, "many halts": 22}


def universe(n_assets: int, *, halts: int, seed: int = 0) -> np.ndarray:
    """Codes of assets, every other one listed late, each with so many halts of 3 rows."""
    draws = np.random.default_rng(seed)
    codes = np.ones((ROWS, n_assets), dtype=np.int8)
    for asset in range(1, n_assets):
        first = int(draws.integers(0, ROWS // 3)) if asset % 2 else 0
        codes[:first, asset] = OUTSIDE
        for row in draws.integers(first + 1, ROWS - 10, halts):
            codes[row : row + HALT_ROWS, asset] = HALTED
    return codes


def update_ms(n_assets: int, active: Any, transform: str = "softmax") -> float:
    """CPU milliseconds of an update."""
    draws = np.random.default_rng(1)
    X = draws.standard_normal((ROWS, 6 * n_assets)).astype(np.float32)
    prices = np.exp(0.01 * draws.standard_normal((ROWS, n_assets)).cumsum(0))
    estimator = PSANNRegressor(
        hidden_layers=1,
        hidden_units=32,
        activation="tanh",
        epochs=EPOCHS,
        engine="eager",
        random_state=0,
    )
    started = time.process_time()
    estimator.fit(X, prices=prices, active=active, hisso={**HISSO, "primary_transform": transform})
    return 1e3 * (time.process_time() - started) / EPOCHS / UPDATES


def measured(n_assets: int, transform: str, *, repeats: int) -> list[dict[str, Any]]:
    """A line for each kind of universe."""
    tables = {"no membership": None}
    tables |= {name: universe(n_assets, halts=halts) for name, halts in HALTS.items()}
    runs = [
        {name: update_ms(n_assets, active, transform) for name, active in tables.items()}
        for _ in range(repeats)
    ]
    return [
        {
            "assets": n_assets,
            "transform": transform,
            "universe": name,
            "halted_cells": 0.0 if active is None else float((active == HALTED).mean()),
            "rows_with_halts": 0.0 if active is None else float((active == HALTED).any(1).mean()),
            "update_ms": median(run[name] for run in runs),
            "ratio": median(run[name] / run["no membership"] for run in runs),
        }
        for name, active in tables.items()
    ]


def main() -> None:
    """Print a line for each universe, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=REPETITIONS, help="fits of each universe")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    lines = []
    cases = ((8, "softmax"), (20, "softmax"), (20, "long_short"), (100, "softmax"))
    for n_assets, transform in cases:
        for line in measured(n_assets, transform, repeats=options.repeats):
            lines.append(line)
            print(
                f"{n_assets:4d} assets  {transform:10s}  {line['universe']:13s}  halted: "
                f"{line['halted_cells']:6.2%} of cells, {line['rows_with_halts']:4.0%} of rows  "
                f"{line['update_ms']:6.2f} ms  {line['ratio']:.2f}x",
                flush=True,
            )
    report = description("OMP_NUM_THREADS=1 python benchmarks/membership.py")
    if not options.no_save:
        save("membership", report | {"repetitions": options.repeats, "updates": lines})


if __name__ == "__main__":
    main()
