"""How often honest data are suspected, and how often dishonest data are.

Run from the repository root::

    python benchmarks/plausibility.py

Honest are the markets that the loaders read, with either kind of features, and markets that are
drawn: independent, GARCH and heavy-tailed moves, features of past returns and of noise; and made
universes in which assets come and end. Then features are made that know what nobody could, and
prices that are none; `found` is the share that is named.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
from measuring import HERE, description, save
from numpy.typing import NDArray

from psann.datasets import load_french_12, load_olps, load_sp500_20
from psann.market.made import make_delisted
from psann.plausibility.doubts import find_doubts
from psann.plausibility.features import feature_findings, next_move_findings
from psann.plausibility.finding import Finding
from psann.plausibility.prices import price_findings
from psann.plausibility.rows import gap_findings, overlap_findings

sys.path.insert(0, str(HERE.parent / "tests"))  # the same noise as in the tests
from noise import autoregressive, garch, independent

Floats = NDArray[np.float64]

OLPS = ("nyse_o", "nyse_n", "tse", "sp500", "msci", "djia")
FEATURES = ("default", "assetwise")
N_DRAWN, N_MADE = 200, 100
LAGS = (1, 2, 3, 5, 10, 20)


def heavy_tailed(draws: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Student's t with three degrees of freedom."""
    return draws.standard_t(3, shape) / np.sqrt(3)


KINDS = (independent, garch, heavy_tailed, autoregressive)


def market(number: int) -> tuple[Floats, Floats]:
    """Features and prices of one drawn market; a function of its number."""
    draws = np.random.Generator(np.random.Philox(key=number))
    n, m = int(draws.integers(150, 1500)), int(draws.integers(1, 12))
    own, common = (KINDS[number % 4](draws, (k, n + max(LAGS))).T for k in (m, 1))
    logs = (0.01 * own + 0.01 * common).cumsum(axis=0)
    past = [logs[max(LAGS) :] - logs[max(LAGS) - lag : -lag] for lag in LAGS]
    noise = draws.standard_normal((n, 3))
    noise[:, 2] = noise[:, 2].cumsum()
    return np.concatenate([*past, noise], axis=1), np.exp(logs[max(LAGS) :])


def centred_mean(prices: Floats, half: int) -> Floats:
    """Mean of each price over the rows from `half` before to `half` after."""
    window = np.ones(2 * half + 1) / (2 * half + 1)
    padded = np.pad(prices, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window, mode="valid") for column in padded.T], axis=1)


def held(prices: Floats, rows: int, *, late: int) -> Floats:
    """Closes of so many rows, and their changes, held over all rows of those that follow.

    Where nothing is `late`, over their own rows, of which most are to come.
    """
    periods = np.arange(len(prices)) // rows
    closes = prices[np.minimum((np.unique(periods) + 1) * rows, len(prices)) - 1]
    both = np.hstack([closes, np.diff(np.log(closes), axis=0, prepend=np.log(closes[:1]))])
    return both[np.maximum(periods - late, 0)]


def later(values: Floats, rows: int = 1) -> Floats:
    """Values of so many rows later; the last ones stay."""
    return np.concatenate([values[rows:], np.repeat(values[-1:], rows, axis=0)])


def split(prices: Floats) -> Floats:
    """A third of the price from the middle on, of the first asset."""
    ratio = np.ones_like(prices)
    ratio[len(prices) // 2 :, 0] = 1 / 3
    return prices * ratio


def unit(prices: Floats) -> Floats:
    """In hundredths from the middle on, of the first asset."""
    ratio = np.ones_like(prices)
    ratio[len(prices) // 2 :, 0] = 100
    return prices * ratio


def wrong_print(prices: Floats) -> Floats:
    """One price of the first asset that is 1.7 times what it should be."""
    ratio = np.ones_like(prices)
    ratio[len(prices) // 2, 0] = 1.7
    return prices * ratio


def stale(prices: Floats) -> Floats:
    """The first asset stands still for twelve rows."""
    still = prices.copy()
    still[40:53, 0] = still[40, 0]
    return still


CHEATS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "all returns one row late": lambda X, prices: later(X[:, :-3]),
    "price one row late": lambda X, prices: later(prices),
    "return over 20 rows, one row late": lambda X, prices: later(X[:, [-3 - prices.shape[1]]]),
    "price, centred mean of 5 rows": lambda X, prices: centred_mean(prices, 2),
    "price, centred mean of 15 rows": lambda X, prices: centred_mean(prices, 7),
    "close and return of its own week": lambda X, prices: held(prices, 5, late=0),
    "next return under as much noise": lambda X, prices: (
        later(X[:, :1]) + X[:, :1].std() * X[:, -3:-2]
    ),
    "next return under three times the noise": lambda X, prices: (
        later(X[:, :1]) + 3 * X[:, :1].std() * X[:, -3:-2]
    ),
    "z-score over all rows": lambda X, prices: (prices - prices.mean(0)) / prices.std(0),
}
WRONG_PRICES: dict[str, Callable[[Floats], Floats]] = {
    "relatives": lambda prices: prices[1:] / prices[:-1],
    "shuffled": lambda prices: 50 * np.random.default_rng(0).permutation(prices),
    "split": split,
    "print": wrong_print,
    "stale": stale,
    "copy": lambda prices: np.concatenate([prices, 7 * prices[:, :1]], axis=1),
    "constant": lambda prices: np.concatenate([prices, np.ones_like(prices[:, :1])], axis=1),
}


def weekdays(n: int) -> NDArray[np.datetime64]:
    """Days from Monday to Friday."""
    days = np.arange(2 * n + 7) + np.datetime64("2000-01-03")
    return days[np.is_busday(days)][:n]


def five_minutes(n: int) -> NDArray[np.datetime64]:
    """78 bars on each weekday."""
    clock = np.timedelta64(570, "m") + np.arange(78) * np.timedelta64(5, "m")
    return (weekdays(n // 78 + 1).astype("datetime64[m]")[:, None] + clock).ravel()[:n]


def months(n: int) -> NDArray[np.datetime64]:
    """First days of months."""
    return (np.datetime64("1900-01") + np.arange(n)).astype("datetime64[D]")


TIMES = (weekdays, five_minutes, months)


def without(times: NDArray[np.datetime64], n: int) -> NDArray[np.datetime64]:
    """So many rows in the middle are missing."""
    middle = len(times) // 2
    return np.delete(times, np.s_[middle : middle + n])


def names_of(findings: list[Finding]) -> dict[str, int]:
    """How many findings of each name there are."""
    return dict(Counter(finding.name for finding in findings))


def shipped(features: str) -> dict[str, dict[str, int]]:
    """Findings by market, on training rows and between splits."""
    found = {}
    for name in (*OLPS, "sp500_20", "french_12"):
        loaders = {"sp500_20": load_sp500_20, "french_12": load_french_12}
        options = {"features": features}
        data = loaders[name](**options) if name in loaders else load_olps(name, **options)
        prices = data["prices_train"]
        flat = {split: data[f"X_{split}"] for split in ("train", "val", "test")}
        splits = {split: rows.reshape(len(rows), -1) for split, rows in flat.items()}
        X = splits["train"]
        found[name] = names_of(
            [
                *price_findings(prices),
                *feature_findings(X),
                *next_move_findings(X, prices),
                *overlap_findings(splits, least=1),
                *(gap for split in splits for gap in gap_findings(data[f"time_{split}"])),
            ]
        )
    return found


def with_holes(features: str) -> float:
    """Share of made universes of which anything is doubted."""
    n_doubted = 0
    for seed in range(N_MADE):
        draws = np.random.default_rng(seed)
        rows, places = int(draws.integers(200, 1500)), int(draws.integers(2, 20))
        made = make_delisted(rows=rows, places=places, seed=seed, features=features)
        n_doubted += bool(find_doubts(made))
    return n_doubted / N_MADE


def drawn() -> dict[str, float]:
    """Share of drawn honest markets with a finding, by name."""
    counts: Counter[str] = Counter()
    for number in range(N_DRAWN):
        X, prices = market(number)
        X = np.hstack([X, held(prices, 5, late=1), held(prices, 21, late=1), np.sign(X[:, :2])])
        thirds = dict(zip("abc", np.array_split(X, 3), strict=True))
        counts.update(names_of(price_findings(prices)).keys())
        counts.update(names_of(next_move_findings(X, prices)).keys())
        counts.update(names_of(overlap_findings(thirds, least=1)).keys())
        counts.update(names_of(gap_findings(TIMES[number % 3](len(X)))).keys())
    return {name: count / N_DRAWN for name, count in sorted(counts.items())}


def main() -> None:
    """Print what was found and write it to `benchmarks/results/plausibility.json`."""
    markets = [market(number) for number in range(N_DRAWN)]
    report = {
        **description("python benchmarks/plausibility.py"),
        "n_drawn": N_DRAWN,
        "shipped": {kind: shipped(kind) for kind in FEATURES},
        "n_made": N_MADE,
        "made_with_holes": {kind: with_holes(kind) for kind in FEATURES},
        "drawn": drawn(),
        "features_found": {
            name: float(np.mean([bool(next_move_findings(cheat(*one), one[1])) for one in markets]))
            for name, cheat in CHEATS.items()
        },
        "time_runs_backwards_found": float(
            np.mean([bool(next_move_findings(X[::-1], prices[::-1])) for X, prices in markets])
        ),
        "gaps_found": {
            f"{n} weekdays": float(
                np.mean([bool(gap_findings(without(weekdays(len(X)), n))) for X, _ in markets])
            )
            for n in (5, 10, 20, 60)
        },
        "unit_found": float(
            np.mean(["split" in names_of(price_findings(unit(prices))) for _, prices in markets])
        ),
        "prices_found": {
            name: float(
                np.mean([name in names_of(price_findings(wrong(prices))) for _, prices in markets])
            )
            for name, wrong in WRONG_PRICES.items()
        },
    }
    print(f"another unit: {report['unit_found']}")
    print(f"time runs backwards: {report['time_runs_backwards_found']}")
    for part in ("shipped", "drawn", "features_found", "gaps_found", "prices_found"):
        for name, value in report[part].items():
            print(f"{part}: {name}: {value}")
    save("plausibility", report)


if __name__ == "__main__":
    main()
