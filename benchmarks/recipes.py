"""Choose a recipe on validation rows, then judge it once on test rows.

Run from the repository root, with one thread as in the recorded results::

    OMP_NUM_THREADS=1 python benchmarks/recipes.py

Four tables, also written as JSON: (1) candidate settings on the validation rows of NYSE(O), with
the winner by the rule in `choose`; no test row is read there; (2) the recipe on the test rows of
three markets beside what anybody could have done; (3, 4) the same two steps on the planted signal,
where the right answer is known. `docs/recipes.md` explains the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann import PSANNRegressor
from psann.baselines import buy_and_hold, olmar, uniform
from psann.datasets import load_olps, load_sp500_20, make_planted_signal
from psann.metrics import portfolio_metrics

Floats = NDArray[np.float64]
Data = Mapping[str, Floats]
Settings = dict[str, Any]

COST = 0.001  # 10 basis points per unit traded, in training as in deployment
HIGHER_COST = 0.0025
ACTIVATIONS = ("psann", "tanh")
RHO_ZERO_SEEDS = 10
# Log growth per year: less than the standard error of a score from five seeds, about 0.03.
CLOSE = 0.02

RECIPE: Settings = {
    "hidden_layers": 1,
    "hidden_units": 32,
    "epochs": 60,
    "lr": 5e-3,
    "lr_schedule": "cosine",
    "weight_decay": 3e-4,
}
HISSO: Settings = {
    "window": 64,
    "batch_episodes": 32,
    "updates_per_epoch": 8,
    "transition_penalty": COST,
}
# Each differs from the recipe in one setting: its name, and what it changes in RECIPE and HISSO.
CANDIDATES: tuple[tuple[str, Settings, Settings], ...] = (
    ("the recipe", {}, {}),
    ("weight_decay 1e-3", {"weight_decay": 1e-3}, {}),
    ("weight_decay 1e-4", {"weight_decay": 1e-4}, {}),
    ("lr 2e-3", {"lr": 2e-3}, {}),
    ("lr 1e-2", {"lr": 1e-2}, {}),
    ("hidden_units 16", {"hidden_units": 16}, {}),
    ("hidden_layers 2", {"hidden_layers": 2}, {}),
    ("updates_per_epoch 2", {}, {"updates_per_epoch": 2}),
)
# The planted signal has no noise at rho = 1: nothing to hold back from, so larger and bolder.
PLANTED: Settings = {
    **RECIPE,
    "hidden_units": 64,
    "epochs": 40,
    "lr": 0.1,
    "weight_decay": 0.0,
}
PLANTED_RATES = (0.03, 0.05, 0.1)


def train(
    data: Data, seed: int, settings: Settings, hisso: Settings
) -> tuple[PSANNRegressor, float]:
    """Train on the training rows, keep the best epoch on validation; model and CPU seconds."""
    model = PSANNRegressor(**settings, random_state=seed, device="cpu", threads=1)
    started = time.process_time()
    model.fit(
        data["X_train"],
        data["y_train"],
        prices=data["prices_train"],
        validation_data={key: data[f"{key}_val"] for key in ("X", "y", "prices")},
        hisso=hisso,
        evaluation={"trans_cost": COST, "initial": "cash"},
    )
    return model, time.process_time() - started


def judge(actions: Floats, prices: Floats) -> dict[str, float]:
    """Figures of a span from cash; `growth_*` are annual log growth net of that cost."""

    def at(cost: float, late: int = 0) -> dict[str, float]:
        return portfolio_metrics(
            actions[: len(actions) - late], prices[late:], trans_cost=cost, initial="cash"
        )

    net = at(COST)
    return {
        "growth_10bp": net["annual_log_growth"],
        "growth_25bp": at(HIGHER_COST)["annual_log_growth"],
        "growth_10bp_delay_1": at(COST, late=1)["annual_log_growth"],
        "wealth": 1 + net["cum_return"],
        "sharpe": net["annual_sharpe"],
        "drawdown": net["max_drawdown"],
        "traded": net["turnover_traded"],
    }


def trials(
    data: Data, split: str, n_seeds: int, settings: Settings, hisso: Settings
) -> dict[str, Any]:
    """Mean and spread over seeds of the figures of one split, best epochs and CPU seconds."""
    figures, best_epochs, cpu_s = [], [], []
    for seed in range(n_seeds):
        model, seconds = train(data, seed, settings, hisso)
        figures.append(judge(model.predict_actions(data[f"X_{split}"]), data[f"prices_{split}"]))
        best_epochs.append(model.best_epoch_)
        cpu_s.append(round(seconds, 2))
    table = {key: np.array([row[key] for row in figures]) for key in figures[0]}
    return {
        "mean": {key: float(values.mean()) for key, values in table.items()},
        "spread": {key: float(values.std(ddof=1)) for key, values in table.items()},
        "per_seed": {key: values.tolist() for key, values in table.items()},
        "best_epochs": best_epochs,
        "cpu_s": cpu_s,
    }


def search(n_seeds: int) -> list[dict[str, Any]]:
    """Judge every candidate on the validation rows of NYSE(O)."""
    data = {key: rows for key, rows in load_olps("nyse_o").items() if not key.endswith("_test")}
    print(f"\n1. NYSE(O), validation rows, {n_seeds} seeds: annual log growth net of 10 bp")
    print(f"{'candidate':<22}{'sine':>8}{'spread':>8}{'tanh':>8}{'spread':>8}{'score':>8}")
    rows = []
    for name, changes, hisso_changes in CANDIDATES:
        row: dict[str, Any] = {"candidate": name}
        for activation in ACTIVATIONS:
            settings = {**RECIPE, **changes, "activation": activation}
            row[activation] = trials(data, "val", n_seeds, settings, {**HISSO, **hisso_changes})
        row["score"] = score(row)
        rows.append(row)
        cells = [
            row[activation][part]["growth_10bp"]
            for activation in ACTIVATIONS
            for part in ("mean", "spread")
        ]
        print(f"{name:<22}" + "".join(f"{cell:8.3f}" for cell in [*cells, row["score"]]))
    print(f"chosen: {choose(rows)}")
    return rows


def score(row: Mapping[str, Any]) -> float:
    """Mean less spread of the net growth on validation, averaged over the two activations."""
    results = [row[activation] for activation in ACTIVATIONS]
    return float(np.mean([r["mean"]["growth_10bp"] - r["spread"]["growth_10bp"] for r in results]))


def choose(rows: Sequence[Mapping[str, Any]]) -> str:
    """Take the first candidate whose score is within `CLOSE` of the highest."""
    top = max(row["score"] for row in rows)
    return next(str(row["candidate"]) for row in rows if row["score"] >= top - CLOSE)


def final_test(n_seeds: int) -> dict[str, Any]:
    """Judge the recipe on the test rows of the markets, beside 1/N, buy and hold, and OLMAR-1."""
    markets = {
        "nyse_o": load_olps("nyse_o"),
        "sp500_20": load_sp500_20(),
        "nyse_n": load_olps("nyse_n"),
    }
    print(f"\n2. test rows, from cash at 10 bp unless said, mean of {n_seeds} seeds (spread)")
    results: dict[str, Any] = {}
    for market, data in markets.items():
        print(
            f"{market:<14}{'growth':>8}{'(spread)':>9}{'25 bp':>8}{'delay 1':>9}{'wealth':>9}"
            f"{'sharpe':>8}{'drawdown':>10}{'traded':>8}{'CPU s':>7}  best epochs"
        )
        prices = data["prices_test"]
        results[market] = {
            name: {"mean": judge(strategy(prices), prices)}
            for name, strategy in (("1/N", uniform), ("buy and hold", buy_and_hold))
        }
        results[market]["OLMAR-1"] = {"mean": judge(olmar(prices), prices)}
        for activation in ACTIVATIONS:
            settings = {**RECIPE, "activation": activation}
            results[market][activation] = trials(data, "test", n_seeds, settings, HISSO)
        for name, result in results[market].items():
            print_result(name, result)
    return results


def print_result(name: str, result: Mapping[str, Any]) -> None:
    mean = result["mean"]
    spread = f"({result['spread']['growth_10bp']:.3f})" if "spread" in result else ""
    line = (
        f"{name:<14}{mean['growth_10bp']:8.3f}{spread:>9}{mean['growth_25bp']:8.3f}"
        f"{mean['growth_10bp_delay_1']:9.3f}{mean['wealth']:9.2f}{mean['sharpe']:8.2f}"
        f"{mean['drawdown']:10.3f}{mean['traded']:8.3f}"
    )
    if "cpu_s" in result:
        line += f"{np.mean(result['cpu_s']):7.1f}  {result['best_epochs']}"
    print(line)


def foresight(prices: Floats) -> Floats:
    """All wealth in the asset that grows most over the next step; the last row earns nothing."""
    best = (prices[1:] / prices[:-1]).argmax(axis=1)
    actions: Floats = np.eye(prices.shape[1])[np.append(best, best[-1])]
    return actions


def planted_search(n_seeds: int) -> list[dict[str, Any]]:
    """Compare learning rates on the validation rows of the planted signal, rho = 1."""
    print(f"\n3. planted signal, rho 1, validation rows, {n_seeds} seeds: share of the gap")
    rows = []
    for lr in PLANTED_RATES:
        settings = {**PLANTED, "lr": lr}
        share = [planted_trial(1.0, seed, "val", settings)["share"] for seed in range(n_seeds)]
        rows.append({"lr": lr, "share": share})
        print(f"lr {lr:<6g} mean {np.mean(share):.4f}, lowest {min(share):.4f}")
    return rows


def planted(n_seeds: int) -> dict[str, Any]:
    """Measure the share of foresight recovered at rho = 1, and the excess over 1/N at rho = 0."""
    print("\n4. planted signal, test rows, annual log growth net of 10 bp from cash")
    results: dict[str, Any] = {}
    for rho, seeds in ((1.0, n_seeds), (0.0, RHO_ZERO_SEEDS)):
        rows = [planted_trial(rho, seed, "test", PLANTED) for seed in range(seeds)]
        results[f"rho_{rho:.0f}"] = rows
        share = [row["share"] for row in rows]
        excess = [row["policy"] - row["1/N"] for row in rows]
        print(
            f"rho {rho:.0f}, {seeds} seeds: 1/N {rows[0]['1/N']:.4f}, foresight "
            f"{rows[0]['foresight']:.4f}, policy {np.mean([row['policy'] for row in rows]):.4f}; "
            f"share of the gap {min(share):.4f} to {max(share):.4f}; excess over 1/N "
            f"{min(excess):.4f} to {max(excess):.4f}; best epochs "
            f"{[row['best_epoch'] for row in rows]}; CPU s at most "
            f"{max(row['cpu_s'] for row in rows):.1f}"
        )
    return results


def planted_trial(rho: float, seed: int, split: str, settings: Settings) -> dict[str, Any]:
    """Train on the planted signal; net growth of policy, 1/N and foresight on a split."""
    data = make_planted_signal(rho, seed=seed)
    model, cpu_s = train(data, seed, settings, HISSO)
    prices = data[f"prices_{split}"]
    growth = {
        name: judge(actions, prices)["growth_10bp"]
        for name, actions in (
            ("policy", model.predict_actions(data[f"X_{split}"])),
            ("1/N", uniform(prices)),
            ("foresight", foresight(prices)),
        )
    }
    share = (growth["policy"] - growth["1/N"]) / (growth["foresight"] - growth["1/N"])
    return {**growth, "share": share, "best_epoch": model.best_epoch_, "cpu_s": round(cpu_s, 2)}


def description() -> dict[str, Any]:
    """Where, with what and when this was measured."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.system(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("psann", "torch", "numpy")},
        },
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": " ".join(["python", *sys.argv]),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5, help="seeds per setting, at least 2")
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/results/recipes.json"), help="JSON file"
    )
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error(f"--seeds must be at least 2, for a spread; got {options.seeds}.")
    report = description()
    print(json.dumps(report, indent=2))
    report |= {"recipe": RECIPE, "hisso": HISSO, "planted_recipe": PLANTED}
    report["search"] = search(options.seeds)
    report["chosen"] = choose(report["search"])
    report["test"] = final_test(options.seeds)
    report["planted_search"] = planted_search(options.seeds)
    report["planted"] = planted(options.seeds)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    print(f"\nwritten: {options.output}")


if __name__ == "__main__":
    main()
