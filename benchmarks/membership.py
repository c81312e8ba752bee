"""What knowing who can be held costs an update: CPU milliseconds with and without, eager engine.

    OMP_NUM_THREADS=1 python benchmarks/membership.py

Prints, for universes of several sizes, the CPU time of an update without `active`, with late
listings, and with halts besides; the median of some repetitions each.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from psann import PSANNRegressor
from psann.holdings import HALTED, OUTSIDE

ROWS, EPOCHS, UPDATES, REPETITIONS = 3000, 15, 8, 5
HISSO = {"window": 64, "batch_episodes": 32, "updates_per_epoch": UPDATES}


def universe(n_assets: int, *, halts: int, seed: int = 0) -> np.ndarray:
    """Codes of assets, every other one listed late, each with so many halts of 3 rows."""
    draws = np.random.default_rng(seed)
    codes = np.ones((ROWS, n_assets), dtype=np.int8)
    for asset in range(1, n_assets):
        first = int(draws.integers(0, ROWS // 3)) if asset % 2 else 0
        codes[:first, asset] = OUTSIDE
        for row in draws.integers(first + 1, ROWS - 10, halts):
            codes[row : row + 3, asset] = HALTED
    return codes


def update_ms(n_assets: int, active: Any) -> float:
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
    estimator.fit(X, prices=prices, active=active, hisso=HISSO)
    return 1e3 * (time.process_time() - started) / EPOCHS / UPDATES


def main() -> None:
    """Print a table."""
    print("assets     none     mask            halts besides")
    for n_assets in (8, 20, 100):
        kinds = [None, universe(n_assets, halts=0), universe(n_assets, halts=5)]
        # In turn, so that a busy moment of the machine meets all alike.
        runs = [[update_ms(n_assets, active) for active in kinds] for _ in range(REPETITIONS)]
        none, mask, halts = (statistics.median(column) for column in zip(*runs, strict=True))
        print(
            f"{n_assets:6d} {none:8.2f} {mask:8.2f} ({mask / none:.2f}x) "
            f"{halts:8.2f} ({halts / none:.2f}x)"
        )


if __name__ == "__main__":
    main()
