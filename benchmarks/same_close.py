"""Choose a recipe on the first 80 % of three markets, then judge it once on the last 20 %.

Run from the repository root, with one thread as in the recorded results::

    OMP_NUM_THREADS=1 python benchmarks/same_close.py --jobs 2

Four parts, each a table and an entry of the JSON file; `--parts` computes some of them and leaves
the other entries as they are. `choose` walks forward through the rows before the test rows, and no
test row is read there. `test` judges the recipe beside what anybody could have done and beside
other penalties in training; `planted` and `placebo` see what it makes of a signal that is known to
be there, and of none. `docs/same_close_recipe.md` explains the results.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from studies import Row, run_parts, without_actions

from psann import PSANNRegressor
from psann.accounting import net_growth
from psann.baselines import buy_and_hold, olmar, uniform
from psann.datasets import load_olps, load_sp500_20, make_planted_signal
from psann.evaluation.comparison import growth_difference
from psann.metrics import portfolio_metrics

Floats = NDArray[np.float64]
Data = dict[str, Floats]

COST = 0.001  # 10 basis points per unit traded, in training as in deployment
HIGHER_COST = 0.0025
SEEDS, CHOICE_SEEDS, PLACEBO_SEEDS = 5, 3, 40
MARKETS = ("nyse_o", "nyse_n", "sp500_20")
# Ends of the rows for training, validation and judging, as shares of all: as long, one to the
# other, as in the last split, and all before its test rows.
FOLDS = ((0.36, 0.48, 0.60), (0.42, 0.56, 0.70), (0.48, 0.64, 0.80))
LAST_SPLIT = (0.6, 0.8, 1.0)
# Log growth per year that a recipe may lose to 1/N in a fold and still count as harmless.
HARM = 0.01

RECIPE: Row = {
    "activation": "tanh",
    "hidden_layers": 1,
    "hidden_units": 32,
    "epochs": 60,
    "lr": 5e-3,
    "lr_schedule": "cosine",
    "weight_decay": 7e-4,
}
SINE: Row = {"activation": "psann", "weight_decay": 3e-3}
HISSO: Row = {
    "window": 64,
    "batch_episodes": 32,
    "updates_per_epoch": 8,
    "transition_penalty": COST,
    "refit": True,
    "temperature_scaling": True,
    "min_improvement": 2e-4,  # 5 % a year
}
PLAIN: Row = {"temperature_scaling": False, "min_improvement": 0.0}
LARGE: Row = {"hidden_layers": 2, "hidden_units": 64, "weight_decay": 2.5e-4}
# Each differs from the recipe in these settings and options. The network was chosen first ...
NETWORKS: dict[str, tuple[Row, Row]] = {
    "1 x 32, 7e-4": ({}, PLAIN),
    "1 x 32, 3e-4": ({"weight_decay": 3e-4}, PLAIN),
    "1 x 32, 5e-4": ({"weight_decay": 5e-4}, PLAIN),
    "1 x 32, 1e-3": ({"weight_decay": 1e-3}, PLAIN),
    "1 x 32 sine, 3e-3": (SINE, PLAIN),
}
# ... and how it acts afterwards. The rest shows what the other choices would have been.
CANDIDATES: dict[str, tuple[Row, Row]] = {
    **NETWORKS,
    "temperature": ({}, {"min_improvement": 0.0}),
    "improvement": ({}, {"temperature_scaling": False}),
    "both": ({}, {}),
    "lambda 0": ({}, {**PLAIN, "transition_penalty": 0.0}),
    "both, lambda 0": ({}, {"transition_penalty": 0.0}),
    "both, 3e-4": ({"weight_decay": 3e-4}, {}),
    "both, 5e-4": ({"weight_decay": 5e-4}, {}),
    "both, 6e-4": ({"weight_decay": 6e-4}, {}),
    "both, 8e-4": ({"weight_decay": 8e-4}, {}),
    "both, 2 x 32, 2.5e-4": ({**LARGE, "hidden_units": 32}, {}),
    "both, 2 x 64, 2.5e-4": (LARGE, {}),
    "both, sine, 3e-3": (SINE, {}),
}
# What is judged on test rows: the recipe, and it with other settings or options.
TESTED: dict[str, tuple[Row, Row]] = {
    "recipe": ({}, {}),
    "sine": (SINE, {}),
    "lambda 0": ({}, {"transition_penalty": 0.0}),
    "lambda 0.002": ({}, {"transition_penalty": 2 * COST}),
    # Looked at before there was a temperature.
    "neither": ({}, PLAIN),
    "neither, lambda 0": ({}, {**PLAIN, "transition_penalty": 0.0}),
    "decay 3e-4": ({"weight_decay": 3e-4}, PLAIN),
    "two layers": (LARGE, PLAIN),
}
# The planted signal has no noise at rho = 1: nothing to hold back from, so larger and bolder.
PLANTED: Row = {
    **RECIPE,
    "activation": "psann",
    "hidden_units": 64,
    "epochs": 40,
    "lr": 0.1,
    "weight_decay": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training, and the rows on which it is judged."""

    market: str
    seed: int
    split: tuple[float, float, float] = LAST_SPLIT
    settings: Row = field(default_factory=dict)
    hisso: Row = field(default_factory=dict)
    placebo: bool = False
    """Whether returns are shuffled in time, so that the features foretell nothing."""


@functools.cache
def rows_of(market: str, split: tuple[float, float, float]) -> Data:
    """Training and validation rows, and as test rows those up to the end of the split."""
    train, val, end = split
    fractions = {"train_fraction": train, "val_fraction": val - train}
    load: Callable[..., Data] = functools.partial(load_olps, market)
    if market == "sp500_20":
        load = load_sp500_20
    data = load(**fractions)
    n_moves = round((len(data["prices_test"]) - 1) / (1 - val))
    n_judged = int(end * n_moves) - int(val * n_moves) + (end == 1.0)
    return {key: rows[:n_judged] if key.endswith("_test") else rows for key, rows in data.items()}


def shuffled(data: Data, seed: int) -> Data:
    """The same features before the same returns in another order, split by split."""
    generator = np.random.default_rng(seed)
    changed = dict(data)
    for split in ("train", "val", "test"):
        prices = data[f"prices_{split}"]
        moves = generator.permutation(prices[1:] / prices[:-1])
        changed[f"prices_{split}"] = np.cumprod(np.vstack([np.ones(len(moves[0])), moves]), axis=0)
    return changed


def data_of(trial: Trial) -> Data:
    """The arrays of a trial."""
    if trial.market.startswith("planted"):
        return make_planted_signal(float(trial.market.split()[1]), seed=trial.seed)
    data = rows_of(trial.market, trial.split)
    return shuffled(data, trial.seed) if trial.placebo else data


def run(trial: Trial) -> Row:
    """Train, and judge the kept weights from cash beside 1/N."""
    data = data_of(trial)
    model = PSANNRegressor(
        **{**RECIPE, **trial.settings}, random_state=trial.seed, device="cpu", threads=1
    )
    started = time.process_time()
    model.fit(
        data["X_train"],
        prices=data["prices_train"],
        validation_data={key: data[f"{key}_val"] for key in ("X", "prices")},
        hisso={**HISSO, **trial.hisso},
        evaluation={"trans_cost": COST, "initial": "cash"},
    )
    cpu_s = time.process_time() - started
    actions, prices = model.predict_actions(data["X_test"]), data["prices_test"]
    row = {**judge(actions, prices), "best_epoch": model.best_epoch_, "cpu_s": cpu_s}
    row["excess"] = row["growth_10bp"] - judge(uniform(prices), prices)["growth_10bp"]
    row["versus_uniform"] = versus_uniform(actions, prices)
    if trial.market.startswith("planted"):
        best = judge(foresight(prices), prices)["growth_10bp"]
        row["share"] = row["excess"] / (best - row["growth_10bp"] + row["excess"])
    return {**row, "actions": actions}


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


def versus_uniform(actions: Floats, prices: Floats) -> Row:
    """Annual growth beyond 1/N with its 95 % interval, and whether that excludes 0."""
    wealth, plain = (
        net_growth(weights, prices, trans_cost=COST, initial="cash").wealth
        for weights in (actions, uniform(prices))
    )
    found = growth_difference(wealth, plain, periods_per_year=252)
    return {name: getattr(found, name) for name in ("low", "high", "is_distinguishable")}


def foresight(prices: Floats) -> Floats:
    """All wealth in the asset that grows most over the next step; the last row earns nothing."""
    best = (prices[1:] / prices[:-1]).argmax(axis=1)
    actions: Floats = np.eye(prices.shape[1])[np.append(best, best[-1])]
    return actions


Map = Callable[[Callable[[Trial], Row], Iterable[Trial]], Iterable[Row]]


def summary(rows: Sequence[Row]) -> Row:
    """Mean and spread over seeds, every seed, and the equal-weight ensemble's actions."""
    names = [key for key, value in rows[0].items() if isinstance(value, float)]
    values = {name: np.array([row[name] for row in rows]) for name in names}
    return {
        "mean": {name: float(column.mean()) for name, column in values.items()},
        "spread": {name: float(column.std(ddof=1)) for name, column in values.items()},
        "per_seed": {name: column.tolist() for name, column in values.items()},
        "best_epochs": [row["best_epoch"] for row in rows],
    }


def choose(compute: Map) -> Row:
    """Walk every candidate forward through the markets, before their test rows."""
    print(f"\nchoose: growth beyond 1/N per year, {CHOICE_SEEDS} seeds, mean and least of 3 folds")
    keys = [
        (name, market, fold, seed)
        for name in CANDIDATES
        for market in MARKETS
        for fold in FOLDS
        for seed in range(CHOICE_SEEDS)
    ]
    trials = [
        Trial(
            market=market,
            seed=seed,
            split=fold,
            settings=CANDIDATES[name][0],
            hisso=CANDIDATES[name][1],
        )
        for name, market, fold, seed in keys
    ]
    done = dict(zip(keys, (without_actions(row) for row in compute(run, trials)), strict=True))
    heads = [f"{market:>18}" for market in MARKETS]
    print(f"{'candidate':<22}{''.join(heads)}{'worst':>8}{'mean':>8}{'25 bp':>8}{'traded':>8}")
    table = {name: candidate_row(done, name) for name in CANDIDATES}
    for name, row in table.items():
        cells = [
            f"{row['markets'][market]['mean']:10.3f}{row['markets'][market]['least']:8.3f}"
            for market in MARKETS
        ]
        print(
            f"{name:<22}{''.join(cells)}{row['worst']:8.3f}{row['mean']:8.3f}"
            f"{row['growth_25bp']:8.3f}{row['traded']:8.3f}"
        )
    chosen = best_harmless({name: table[name] for name in NETWORKS})
    print(f"network chosen: {chosen}")
    trained = [{"trial": list(key), **row} for key, row in done.items()]
    return {"candidates": table, "network_chosen": chosen, "trials": trained}


def candidate_row(done: Mapping[tuple[Any, ...], Row], name: str) -> Row:
    """Excess over 1/N of a candidate by market and fold, means over seeds."""
    markets = {}
    for market in MARKETS:
        folds = [
            float(np.mean([done[name, market, fold, s]["excess"] for s in range(CHOICE_SEEDS)]))
            for fold in FOLDS
        ]
        markets[market] = {"mean": float(np.mean(folds)), "least": min(folds), "folds": folds}
    own = [row for key, row in done.items() if key[0] == name]
    return {
        "markets": markets,
        "worst": min(each["least"] for each in markets.values()),
        "mean": float(np.mean([each["mean"] for each in markets.values()])),
        "growth_25bp": float(np.mean([row["growth_25bp"] for row in own])),
        "traded": float(np.mean([row["traded"] for row in own])),
    }


def best_harmless(table: Mapping[str, Row]) -> str:
    """Of the candidates that lose at most `HARM` in every fold, the one that gains most."""
    harmless = [name for name, row in table.items() if row["worst"] >= -HARM]
    return max(harmless or table, key=lambda name: float(table[name]["mean"]))


def final_test(compute: Map) -> Row:
    """Judge the recipe on the test rows, beside variants and what anybody could have done."""
    results: Row = {}
    for market in MARKETS:
        prices = rows_of(market, LAST_SPLIT)["prices_test"]
        print(
            f"\ntest, {market}: {'growth':>8}{'(spread)':>9}{'25 bp':>8}{'delay 1':>9}{'wealth':>9}"
            f"{'sharpe':>8}{'drawdown':>10}{'traded':>8}{'CPU s':>7}  best epochs"
        )
        results[market] = {
            name: {"mean": judge(strategy(prices), prices)}
            for name, strategy in (("1/N", uniform), ("buy and hold", buy_and_hold))
        }
        results[market]["OLMAR-1"] = {"mean": judge(olmar(prices), prices)}
        for name, (settings, hisso) in TESTED.items():
            trials = [
                Trial(market=market, seed=s, settings=settings, hisso=hisso) for s in range(SEEDS)
            ]
            rows = list(compute(run, trials))
            together = np.mean([row["actions"] for row in rows], axis=0)
            results[market][name] = summary(rows)
            results[market][f"{name}, ensemble"] = {
                "mean": judge(together, prices),
                "versus_uniform": versus_uniform(together, prices),
            }
        for name, result in results[market].items():
            print_result(name, result)
    return results


def print_result(name: str, result: Row) -> None:
    mean = result["mean"]
    spread = f"({result['spread']['growth_10bp']:.3f})" if "spread" in result else ""
    line = (
        f"{name:<20}{mean['growth_10bp']:8.3f}{spread:>9}{mean['growth_25bp']:8.3f}"
        f"{mean['growth_10bp_delay_1']:9.3f}{mean['wealth']:9.2f}{mean['sharpe']:8.2f}"
        f"{mean['drawdown']:10.3f}{mean['traded']:8.3f}"
    )
    if "spread" in result:
        line += f"{mean['cpu_s']:7.1f}  {result['best_epochs']}"
    print(line)


def planted(compute: Map) -> Row:
    """Measure the share of foresight recovered at rho 1, and the excess over 1/N at rho 0."""
    print("\nplanted: test rows")
    found = [
        without_actions(row)
        for row in compute(
            run,
            [
                Trial(market="planted 1", seed=s, settings=PLANTED, hisso={"refit": False})
                for s in range(SEEDS)
            ],
        )
    ]
    share, cpu_s = ([row[name] for row in found] for name in ("share", "cpu_s"))
    print(
        f"rho 1, {SEEDS} seeds: share of the gap {min(share):.4f} to {max(share):.4f}, mean "
        f"{np.mean(share):.4f}; CPU s at most {max(cpu_s):.1f}"
    )
    trials = [Trial(market="planted 0", seed=s, settings=PLANTED) for s in range(PLACEBO_SEEDS)]
    return {"rho_1": found, "rho_0": nothing_there("rho 0", compute, trials)}


def placebo(compute: Map) -> Row:
    """Train the recipe where the returns were shuffled in time."""
    print("\nplacebo: test rows of NYSE(O), returns shuffled within each split")
    trials = [Trial(market="nyse_o", seed=s, placebo=True) for s in range(PLACEBO_SEEDS)]
    return nothing_there("shuffled time", compute, trials)


def nothing_there(name: str, compute: Map, trials: Sequence[Trial]) -> Row:
    """Excess over 1/N where there is nothing to find, and how often it looks like something."""
    rows = [without_actions(row) for row in compute(run, trials)]
    excess = np.array([row["excess"] for row in rows])
    n_significant = sum(row["versus_uniform"]["is_distinguishable"] for row in rows)
    print(
        f"{name}, {len(rows)} seeds: excess over 1/N per year {excess.min():.4f} to "
        f"{excess.max():.4f}, mean {excess.mean():.4f}; significant at 5 %: {n_significant}; "
        f"epoch 0 kept by {sum(row['best_epoch'] == 0 for row in rows)}"
    )
    return {"mean": float(excess.mean()), "n_significant": n_significant, "trials": rows}


PARTS = {
    "choose": choose,
    "test": final_test,
    "planted": planted,
    "placebo": placebo,
}


if __name__ == "__main__":
    settings = {"recipe": RECIPE, "hisso": HISSO, "planted_recipe": PLANTED}
    run_parts("same_close", PARTS, settings, about=__doc__.splitlines()[0])
