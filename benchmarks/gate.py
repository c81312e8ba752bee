"""How often a training without a signal keeps another epoch than 0, with and without a gate.

Run from the repository root::

    OMP_NUM_THREADS=1 python benchmarks/gate.py --jobs 2

Markets are drawn: a common move and one of each asset, both GARCH, so that volatility clusters and
nothing can be foretold. Features are returns of the rows before. At no cost, which is the hardest
case: a policy that trades pays nothing for trying. The same training is repeated with nothing asked
of an epoch, with a demand in growth, with a bound for a single comparison, and with `auto`.
`kept_with_signal` is the share of trainings of the dense network on markets that can be foretold a
little, of which an epoch should be kept. Half an hour of CPU time.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from measuring import HERE, description, save
from numpy.typing import NDArray

from psann import PSANNRegressor, ResPSANNRegressor

sys.path.insert(0, str(HERE.parent / "tests"))  # the same noise as in the tests
from noise import garch

Floats = NDArray[np.float64]

N_TRAIN, N_ASSETS, LAGS = 400, 4, (1, 2, 5)
N_MARKETS = {"kept_without_signal": 250, "kept_with_signal": 50}
VALIDATION_ROWS = (100, 250, 1000)
# Correlation of a feature with what of the next move is an asset's own, where there is a signal.
SIGNALS = {"kept_without_signal": 0.0, "kept_with_signal": 0.15}
NETWORKS: dict[str, tuple[type, dict[str, Any]]] = {
    "dense": (PSANNRegressor, {"hidden_layers": 1, "hidden_units": 16, "activation": "tanh"}),
    "flexible": (ResPSANNRegressor, {"hidden_layers": 2, "hidden_units": 32}),
}
SETTINGS = {"epochs": 15, "lr": 5e-3, "device": "cpu", "threads": 1}
HISSO = {"window": 32, "batch_episodes": 8, "updates_per_epoch": 3}
ASKED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "min_improvement 2e-4": {"min_improvement": 2e-4},
    "min_significance 1.645": {"min_significance": 1.645},
    "min_significance auto": {"min_significance": "auto"},
}


def market(number: int, n_rows: int, *, signal: float) -> tuple[Floats, Floats]:
    """Features ``(n_rows, F)`` and prices of one market; a function of its arguments."""
    draws = np.random.Generator(np.random.Philox(key=number))
    own = garch(draws, (N_ASSETS + 1, n_rows + max(LAGS))).T  # the last column is common to all
    moves = 0.01 * (own[:, :-1] + own[:, -1:])
    logs = moves.cumsum(0)
    past = [logs[max(LAGS) : -1] - logs[max(LAGS) - lag : -lag - 1] for lag in LAGS]
    features = np.concatenate(past, axis=1) / np.std(past)
    noise = draws.standard_normal((len(features), N_ASSETS))
    told = signal * own[max(LAGS) + 1 :, :-1] + np.sqrt(1 - signal**2) * noise
    return np.concatenate([features, told], axis=1), np.exp(logs[max(LAGS) : -1])


def keeps(job: tuple[str, int, int, float]) -> list[bool]:
    """Whether a training keeps another epoch than 0, by what is asked."""
    network, n_validation, number, signal = job
    X, prices = market(number, N_TRAIN + n_validation + 1, signal=signal)
    cls, params = NETWORKS[network]
    kept: list[bool] = []
    for asked in ASKED.values():
        if kept and not kept[0]:  # where nothing was asked and no epoch was better, none is
            kept.append(False)
            continue
        model = cls(**params, **SETTINGS, random_state=number)
        model.fit(
            X[:N_TRAIN],
            prices=prices[:N_TRAIN],
            validation_data={"X": X[N_TRAIN:], "prices": prices[N_TRAIN:]},
            hisso={**HISSO, **asked},
        )
        kept.append(model.best_epoch_ > 0)
    return kept


def main() -> None:
    """Print the shares and write them to `benchmarks/results/gate.json`."""
    parser = argparse.ArgumentParser(description="How often noise is kept.")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    report: dict[str, Any] = {
        **description(f"OMP_NUM_THREADS=1 python benchmarks/gate.py --jobs {arguments.jobs}"),
        "n_markets": N_MARKETS,
        "settings": {**SETTINGS, **HISSO},
    }
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for name, signal in SIGNALS.items():
            report[name] = {}
            networks = NETWORKS if signal == 0 else ("dense",)
            for network, n_rows in itertools.product(networks, VALIDATION_ROWS):
                jobs = [(network, n_rows, number, signal) for number in range(N_MARKETS[name])]
                shares = np.mean(list(pool.map(keeps, jobs, chunksize=5)), axis=0)
                told = {asked: round(float(s), 4) for asked, s in zip(ASKED, shares, strict=True)}
                report[name][f"{network}, {n_rows} rows"] = told
                cells = ", ".join(f"{asked} {share:.1%}" for asked, share in told.items())
                print(f"{name}: {network:8s} {n_rows:4d} rows: {cells}", flush=True)
    save("gate", report)


if __name__ == "__main__":
    main()
