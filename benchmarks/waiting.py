"""What a user waits for around the updates: first fits, predictions, portfolios to compare with.

Run from the repository root::

    OMP_NUM_THREADS=1 python benchmarks/waiting.py

A first fit has 64 rows and one epoch, in a process that has imported psann and done nothing else
(a fork of this one). Predictions are of 2 x 64 units, beside scikit-learn's tanh network of the
same size. The best constantly rebalanced portfolio of 1,000 rows is looked for as `bcrp` does, and
among all assets at once. Minimum variance and risk parity choose once by 252 moves, as they do and
with the covariance formed as a matrix. Contenders take turns. Seconds of CPU on one thread,
medians.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from measuring import ONE_THREAD, description, median, save
from sklearn.neural_network import MLPRegressor

from psann import PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor, covariance
from psann.baselines import _interior_optimum, bcrp

FIRST_FITS: dict[str, tuple[type, dict[str, Any]]] = {
    "PSANNRegressor": (PSANNRegressor, {}),
    "PSANNRegressor, stateful": (PSANNRegressor, {"stateful": True}),
    "ResPSANNRegressor": (ResPSANNRegressor, {}),
    "WaveResNetRegressor": (WaveResNetRegressor, {}),
    "WaveResNetRegressor, norm rms": (WaveResNetRegressor, {"norm": "rms"}),
    "WaveResNetRegressor, norm weight": (WaveResNetRegressor, {"norm": "weight"}),
}
FIRST_FIT_GOAL_S = 0.05
ROWS = (1, 1_000, 1_000_000)
# Times scikit-learn's tanh network.
PREDICT_GOALS = {"tanh": 1.0, "sine": 1.5}
N_FEATURES = 8
ASSETS = (36, 500, 2_000)
ASSETS_BY_RISK = (36, 500, 1_000, 2_000, 5_000)
MOST_AS_MATRIX = 2_000
_SHRUNK = covariance.shrunk_covariance


def first_fit_s(cls: type, params: dict[str, Any], *, is_hisso: bool) -> float:
    """CPU seconds of one fit in a fork of this process, which has fitted nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        X = np.random.default_rng(0).normal(size=(64, 4))
        data: dict[str, Any] = {"y": X[:, 0]}
        if is_hisso:
            data = {"prices": np.exp(0.01 * X[:, :2]), "hisso": {"window": 16}}
        begun = time.process_time()
        cls(**params, epochs=1, random_state=0, device="cpu").fit(X, **data)
        os.write(writer, repr(time.process_time() - begun).encode())
        os._exit(0)
    os.waitpid(child, 0)
    seconds = float(os.read(reader, 64))
    os.close(reader)
    os.close(writer)
    return seconds


def first_fits(repeats: int) -> list[dict[str, Any]]:
    """Every estimator on targets and on episodes."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        for name, (cls, params) in FIRST_FITS.items():
            for kind in ("targets", "episodes"):
                seconds = first_fit_s(cls, params, is_hisso=kind == "episodes")
                found.setdefault((name, kind), []).append(seconds)
    print(f"\n1. first fit of a process, CPU seconds (goal {FIRST_FIT_GOAL_S})")
    rows = []
    for name in FIRST_FITS:
        row = {f"{kind}_cpu_s": median(found[name, kind]) for kind in ("targets", "episodes")}
        print(f"{name:<34}{row['targets_cpu_s']:>8.3f}{row['episodes_cpu_s']:>8.3f}")
        rows.append({"case": name, **row, "goal_s": FIRST_FIT_GOAL_S})
    return rows


def fitted() -> dict[str, Any]:
    """Three networks of one size that predict."""
    X = np.random.default_rng(0).normal(size=(64, N_FEATURES))
    size = {"hidden_layers": 2, "hidden_units": 64, "epochs": 1, "device": "cpu", "threads": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's has not converged
        theirs = MLPRegressor(hidden_layer_sizes=(64, 64), activation="tanh", max_iter=1)
        theirs.fit(X, X[:, 0])
    return {
        "scikit-learn": theirs,
        "tanh": PSANNRegressor(**size, activation="tanh").fit(X, X[:, 0]),
        "sine": PSANNRegressor(**size).fit(X, X[:, 0]),
    }


def seconds_of(call: Callable[[], object], *, calls: int) -> float:
    """CPU seconds of one of so many calls."""
    begun = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - begun) / calls


def predictions(repeats: int) -> list[dict[str, Any]]:
    """Milliseconds of `predict` by rows, and times scikit-learn's."""
    models = fitted()
    print("\n2. predict, CPU milliseconds, and times scikit-learn's tanh network")
    rows = []
    for n_rows in ROWS:
        X = np.random.default_rng(1).normal(size=(n_rows, N_FEATURES))
        calls = max(1, 100_000 // (200 + n_rows))
        found: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(repeats):
            for name, model in models.items():
                call = lambda model=model, X=X: model.predict(X)  # noqa: E731
                found[name].append(1e3 * seconds_of(call, calls=calls))
        row: dict[str, Any] = {"rows": n_rows}
        for name, values in found.items():
            row[name] = {"cpu_ms": median(values), "goal": PREDICT_GOALS.get(name)}
            row[name]["ratio"] = row[name]["cpu_ms"] / row["scikit-learn"]["cpu_ms"]
        cells = "".join(f"{n} {row[n]['cpu_ms']:.3f} ({row[n]['ratio']:.2f}x)  " for n in models)
        print(f"{n_rows:>9,} rows  {cells}", flush=True)
        rows.append(row)
    return rows


def portfolios(repeats: int) -> list[dict[str, Any]]:
    """Seconds of `psann.baselines.bcrp` by assets, and of its optimiser on all assets at once."""
    print("\n3. best constantly rebalanced portfolio of 1,000 rows, CPU seconds: all at once, bcrp")
    rows = []
    for n_assets in ASSETS:
        rng = np.random.default_rng(0)
        growth = np.exp(rng.normal(0.0, 0.02, size=(999, n_assets)))
        prices = np.vstack([np.ones(n_assets), np.cumprod(growth, axis=0)])
        calls: dict[str, Callable[[], object]] = {
            "all": lambda growth=growth: _interior_optimum(growth),
            "bcrp": lambda prices=prices: bcrp(prices, fitted_on=prices),
        }
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(min(3, repeats)):
            for name, call in calls.items():
                found[name].append(seconds_of(call, calls=1))
        row = {f"{name}_cpu_s": median(values) for name, values in found.items()}
        print(f"{n_assets:>9,} assets  {row['all_cpu_s']:.3f}  {row['bcrp_cpu_s']:.3f}", flush=True)
        rows.append({"assets": n_assets, **row})
    return rows


def as_matrix(returns: Any) -> covariance.Dense:
    """The shrunk covariance as a matrix, however many assets there are."""
    found = _SHRUNK(returns)
    if isinstance(found, covariance.Dense):
        return found
    return covariance.Dense(found.rows.T @ found.rows + np.diag(found.own))


def choices_by_risk(repeats: int) -> list[dict[str, Any]]:
    """Seconds of one choice by 252 moves: with a matrix, and as it is."""
    print("\n4. one choice by 252 moves, CPU seconds: with a matrix, as it is")
    rules = {
        "minimum_variance": covariance._minimum_variance,
        "risk_parity": covariance._risk_parity,
    }
    rows = []
    for n_assets in ASSETS_BY_RISK:
        rng = np.random.default_rng(0)
        common = rng.normal(0.0, 0.01, (252, 1)) * rng.uniform(0.5, 1.5, n_assets)
        returns = common + rng.normal(0.0, 0.015, (252, n_assets))
        row: dict[str, Any] = {"assets": n_assets}
        for name, rule in rules.items():
            call = lambda rule=rule, returns=returns: rule(returns)  # noqa: E731
            found: dict[str, list[float]] = {"matrix": [], "now": []}
            for _ in range(min(3, repeats)):
                found["now"].append(seconds_of(call, calls=1))
                if n_assets <= MOST_AS_MATRIX:
                    with mock.patch.object(covariance, "shrunk_covariance", as_matrix):
                        found["matrix"].append(seconds_of(call, calls=1))
            row[name] = {f"{key}_cpu_s": median(v) for key, v in found.items() if v}
        print(row, flush=True)
        rows.append(row)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write `benchmarks/results/waiting.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="measurements per figure")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    if any(os.environ.get(name, "1") != "1" for name in ONE_THREAD) or torch.get_num_threads() > 1:
        sys.exit("set OMP_NUM_THREADS=1: a pool of threads does not outlive a fork")
    report = description("OMP_NUM_THREADS=1 python benchmarks/waiting.py")
    report |= {"repeats": options.repeats, "first_fits": first_fits(options.repeats)}
    report["predictions"] = predictions(options.repeats)
    report["portfolios"] = portfolios(options.repeats)
    report["choices_by_risk"] = choices_by_risk(options.repeats)
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    if not options.no_save:
        save("waiting", report)


if __name__ == "__main__":
    main()
