"""Final wealth of what anybody could have done, on the sets of the literature, with its costs.

Run from the repository root::

    python benchmarks/baselines.py

It prints the tables of `docs/baselines.md`: the whole series, started from cash, so that the first
purchase is paid for too. Cost is per unit of traded weight.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from psann.baselines import bcrp, buy_and_hold, eg, olmar, pamr, uniform
from psann.datasets import load_olps_prices
from psann.metrics import portfolio_metrics

Floats = NDArray[np.float64]

SETS = ("nyse_o", "nyse_n", "tse", "sp500", "msci", "djia")
BASIS_POINTS = (0, 10, 25)
STRATEGIES: dict[str, Callable[[Floats], Floats]] = {
    "1/N": uniform,
    "buy and hold": buy_and_hold,
    "EG 0.05": eg,
    "PAMR 0.5": pamr,
    "OLMAR-1": olmar,
    "BCRP in hindsight (unattainable)": lambda prices: bcrp(prices, fitted_on=prices),
}


def wealth_text(wealth: float) -> str:
    """Three digits, or a power of ten where the number is very large or small."""
    if wealth == 0 or 0.005 <= wealth < 1e5:
        return f"{wealth:,.2f}"
    return f"{wealth:.1e}".replace("e+", "e")


def table(name: str) -> list[str]:
    """Rows of markdown for one set."""
    prices = load_olps_prices(name)
    years = (len(prices) - 1) / 252
    lines = [
        f"**{name}**: {prices.shape[1]} series, {len(prices) - 1} moves, {years:.1f} years of 252",
        "",
        "| | 0 bp | 10 bp | 25 bp | 10 bp, one row later | traded per move |",
        "|---|---|---|---|---|---|",
    ]
    for label, strategy in STRATEGIES.items():
        allocations = strategy(prices)
        figures = [
            portfolio_metrics(allocations, prices, trans_cost=points / 1e4, initial="cash")
            for points in BASIS_POINTS
        ]
        late = portfolio_metrics(allocations[:-1], prices[1:], trans_cost=0.001, initial="cash")
        cells = [wealth_text(each["cum_return"] + 1) for each in (*figures, late)]
        traded = f"{figures[0]['turnover_traded']:.3f}"
        lines.append("| " + " | ".join([label, *cells, traded]) + " |")
    return lines


def main() -> None:
    """Print all tables."""
    for name in SETS:
        sys.stdout.write("\n".join([*table(name), "", ""]))


if __name__ == "__main__":
    main()
