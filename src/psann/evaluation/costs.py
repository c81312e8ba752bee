"""What a result would be at other costs, from its wealth before and after them."""

from __future__ import annotations

import numpy as np

from psann._typing import Floats
from psann.metrics import wealth_figures

MULTIPLES = (2, 3)
"""Times the cost of a run at which its policy is shown besides."""


def figures_at_multiples(
    net: Floats,
    gross: Floats,
    *,
    has_costs: bool,
    periods_per_year: float,
    cash_rate: float | Floats = 0.0,
) -> dict[int, dict[str, float]]:
    """Figures of the same trades at multiples of their cost.

    In the cost model ``drift`` a cost changes no weight, so that a step that kept ``1 - k c`` of
    its growth keeps ``1 - m k c`` at ``m`` times the cost.

    Parameters
    ----------
    net, gross : ndarray of shape (T,)
        Wealth after and before costs.
    has_costs : bool
        Whether trading costs anything; else there is nothing to multiply.
    periods_per_year : float
    cash_rate : float or ndarray of shape (T,)
        What cash earns per year.

    Returns
    -------
    dict of int to dict
        `psann.metrics.wealth_figures` by multiple; those at which nothing would be left
        are absent.
    """
    if not has_costs or not (np.isfinite([net, gross]).all() and min(net.min(), gross.min()) > 0):
        return {}
    growth = gross[1:] / gross[:-1]
    fee = 1 - net[1:] / net[:-1] / growth
    found = {}
    for multiple in MULTIPLES:
        kept = growth * (1 - multiple * fee)
        if (kept <= 0).any():
            continue
        wealth = np.concatenate(([1.0], np.cumprod(kept)))
        found[multiple] = wealth_figures(
            wealth, gross, periods_per_year=periods_per_year, trans_cost=0.0, cash_rate=cash_rate
        )
    return found
