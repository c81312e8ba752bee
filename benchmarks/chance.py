"""How often chance is taken for more: the test of a mean beside others, and of skill.

Run from the repository root::

    python benchmarks/chance.py

Every series is noise of mean zero, so that whatever is called distinguishable is so by mistake:
5 % of them should be. `power` is the share that is found where the mean is three standard errors
of independent rows. Then how often chance looks like skill: portfolios drawn without looking at
prices, in markets that rise. The results are those of the seed; eight minutes on one core.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
from measuring import HERE, description, save
from numpy.typing import NDArray
from scipy.stats import t as student

from psann.evaluation.judgement import Terms, judge_policy
from psann.metrics import mean_test, optimal_block_length, stationary_bootstrap_ci

sys.path.insert(0, str(HERE.parent / "tests"))  # the same noise as in the tests
from noise import NOISES

Floats = NDArray[np.float64]

SEED = 0
N_ROWS = (12, 30, 60, 250, 1000)
N_SERIES, N_RESAMPLED = 10_000, 1_000
N_RESAMPLES = 299
LEVEL = 0.05


def by_cosines(series: Floats) -> bool:
    """What psann does: `psann.metrics.mean_test`."""
    p = mean_test(series).p_value
    return min(p, 1 - p) < LEVEL / 2


def by_student(series: Floats) -> bool:
    """Student's t, as if rows were independent."""
    n = len(series)
    t = math.sqrt(n) * series.mean() / series.std(ddof=1)
    return bool(abs(t) > student.ppf(1 - LEVEL / 2, n - 1))


def by_fixed_b(series: Floats) -> bool:
    """Bartlett's kernel over all rows; critical value of Kiefer & Vogelsang 2002, table I."""
    sums = np.cumsum(series - series.mean())
    variance = 2 * float(sums @ sums) / len(series) ** 2
    return bool(abs(math.sqrt(len(series)) * series.mean()) > 4.771 * math.sqrt(variance))


def by_percentiles(series: Floats) -> bool:
    """Percentiles of the stationary bootstrap, which psann used before."""
    block = optimal_block_length(series)
    interval = stationary_bootstrap_ci(series, seed=0, mean_block=block, n_resamples=N_RESAMPLES)
    return interval[0] > 0 or interval[1] < 0


def by_studentised_blocks(series: Floats) -> bool:
    """Percentiles of t over resamples of whole blocks, each with its own error (Goetze & Kuensch).

    Blocks of ``n^(1/3)`` rows at least, from a circle.
    """
    n = len(series)
    length = max(math.ceil(n ** (1 / 3)), math.ceil(optimal_block_length(series)))
    n_blocks = n // length
    if n_blocks < 2:
        return False
    circle = np.concatenate([series, series[: length - 1]])
    means = np.convolve(circle, np.ones(length) / length, mode="valid")  # (n,): of each block
    draws = np.random.Generator(np.random.Philox(key=0))
    drawn = means[draws.integers(0, n, size=(N_RESAMPLES, n_blocks))]
    spread = drawn.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        resampled = np.abs(drawn.mean(axis=1) - series.mean()) / spread
    own = means[: n_blocks * length : length]
    return bool(abs(series.mean()) / own.std(ddof=1) > np.quantile(resampled, 1 - LEVEL))


# Method, and of how many series its rate is taken.
METHODS: dict[str, tuple[Callable[[Floats], bool], int]] = {
    "cosines": (by_cosines, N_SERIES),
    "student": (by_student, N_SERIES),
    "fixed_b": (by_fixed_b, N_SERIES),
    "percentiles": (by_percentiles, N_RESAMPLED),
    "studentised_blocks": (by_studentised_blocks, N_RESAMPLED),
}


def rates(noise: str, n: int) -> dict[str, dict[str, float]]:
    """By method, the share of series called distinguishable, without a mean and with one."""
    draws = np.random.Generator(np.random.Philox(key=SEED))
    series = NOISES[noise](draws, (N_SERIES, n))
    found = {}
    for name, (method, n_series) in METHODS.items():
        some = series[:n_series]
        found[name] = {
            "rate": round(float(np.mean([method(one) for one in some])), 4),
            "power": round(float(np.mean([method(one + 3 / math.sqrt(n)) for one in some])), 4),
        }
    return found


# Rows, assets, and the market: a Sharpe ratio of 0.7 per year with a volatility of 16 %.
N_DAYS, N_ASSETS, N_MARKETS = 504, 5, 1000
DRIFT, MARKET, OWN = 0.11 / 252, 0.16 / math.sqrt(252), 0.25 / math.sqrt(252)


def skill_rates() -> dict[str, float]:
    """Share of portfolios without skill whose probability of a positive Sharpe ratio is over 95 %.

    Weights stay as they are drawn; at no cost, so that chance alone decides.
    """
    draws = np.random.Generator(np.random.Philox(key=SEED))
    found = {"psr": 0, "psr_hac": 0, "versus_uniform.psr": 0}
    for _ in range(N_MARKETS):
        moves = DRIFT + MARKET * draws.standard_normal((N_DAYS, 1))
        prices = np.exp(np.cumsum(moves + OWN * draws.standard_normal((N_DAYS, N_ASSETS)), axis=0))
        weights = np.tile(draws.dirichlet(np.ones(N_ASSETS)), (N_DAYS, 1))
        verdict = judge_policy(weights, prices, terms=Terms())
        figures = verdict.judgement.figures
        for name, probability in (
            ("psr", figures["psr"]),
            ("psr_hac", figures["psr_hac"]),
            ("versus_uniform.psr", verdict.versus_uniform.psr),
        ):
            found[name] += probability > 0.95
    return {name: round(n / N_MARKETS, 4) for name, n in found.items()}


def main() -> None:
    """Print the rates and write them to `benchmarks/results/chance.json`."""
    report = {
        **description("python benchmarks/chance.py"),
        "seed": SEED,
        "n_series": {name: n_series for name, (_, n_series) in METHODS.items()},
        "rates": {},
    }
    for noise in NOISES:
        for n in N_ROWS:
            found = rates(noise, n)
            report["rates"][f"{noise}, {n} rows"] = found
            cells = (
                f"{name} {each['rate']:6.1%} ({each['power']:4.0%})" for name, each in found.items()
            )
            print(f"{noise:8s} {n:5d} rows: {', '.join(cells)}", flush=True)
    report["portfolios_without_skill"] = skill_rates()
    print(f"portfolios without skill: {report['portfolios_without_skill']}")
    save("chance", report)


if __name__ == "__main__":
    main()
