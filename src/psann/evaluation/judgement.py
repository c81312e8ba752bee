"""Figures and wealth paths of allocations, for policies and baselines alike.

Letters: ``T`` rows, ``M`` assets. Everything here takes actions and prices, not estimators: one
policy, one of several seeds and an ensemble of them are judged by the same lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann.accounting import Initial, net_growth
from psann.baselines import BASELINES
from psann.metrics import portfolio_metrics

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what terms allocations trade."""

    trans_cost: float = 0.0
    """Proportional cost per unit of traded weight, from 0 to below 1."""
    periods_per_year: float = 252.0
    """Rows per year."""
    initial: Initial = "invested"
    """Holdings before the first row: the first target, or all cash."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a sequence of allocations came to."""

    figures: dict[str, float]
    """`psann.metrics.portfolio_metrics`, net of costs."""
    net: Floats
    """Wealth at each row from 1.0, after costs, shape (T,)."""
    gross: Floats
    """The same without costs."""


def judge(
    actions: Any, prices: Any, *, terms: Terms, cash: bool = False, delay: int = 0
) -> Judgement:
    """Judge target weights on prices.

    Parameters
    ----------
    actions : array-like of shape (T, M)
        Target weights decided at each row.
    prices : array-like of shape (T, M) or (T, 1)
        Prices, positive; a single column stands for every asset.
    terms : Terms
        Cost, first holdings, rows per year.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash.
    delay : int
        Rows that pass before an action is executed. Nothing is held in the first `delay` rows,
        in which the wealth stays at 1; the figures are of the rows after them.

    Returns
    -------
    Judgement

    Raises
    ------
    DataError
        As `psann.metrics.portfolio_metrics`; there must be two rows more than `delay`.
    """
    actions = np.asarray(actions, dtype=np.float64)
    prices = np.broadcast_to(np.asarray(prices, dtype=np.float64), actions.shape)
    actions, prices = actions[: len(actions) - delay], prices[delay:]
    figures = portfolio_metrics(
        actions,
        prices,
        trans_cost=terms.trans_cost,
        periods_per_year=terms.periods_per_year,
        initial=terms.initial,
        cash=cash,
    )
    waiting = np.ones(delay)
    with np.errstate(over="ignore"):
        net, gross = (
            net_growth(actions, prices, trans_cost=rate, initial=terms.initial, cash=cash).wealth
            for rate in (terms.trans_cost, 0.0)
        )
    return Judgement(
        figures=figures,
        net=np.concatenate((waiting, net)),
        gross=np.concatenate((waiting, gross)),
    )


def judge_baselines(prices: Any, *, terms: Terms) -> dict[str, Judgement]:
    """Judge what stands beside every policy: same prices, same terms.

    Parameters
    ----------
    prices : array-like of shape (T, M)
        Prices, positive.
    terms : Terms
        Cost, first holdings, rows per year.

    Returns
    -------
    dict of str to Judgement
        By name of the baseline.
    """
    matrix = np.asarray(prices, dtype=np.float64)
    return {
        name: judge(rule(matrix), matrix, terms=terms)
        for name, rule in BASELINES.items()
        if name in ("uniform", "buy_and_hold")
    }


def evaluation_series(
    judgements: dict[str, Judgement],
    *,
    actions: Any,
    time: Any = None,
    assets: Iterable[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Gather what a report draws.

    Parameters
    ----------
    judgements : dict of str to Judgement
        By name, the policy first, all of the same rows.
    actions : array-like of shape (T, M)
        Target weights of the policy.
    time : array-like of shape (T,), optional
        Time of the rows.
    assets : iterable of M str, optional
        Names of the columns.

    Returns
    -------
    dict of str to ndarray
        `names (S,)`, `net (S, T)`, `gross (S, T)`, `allocations (T, M)` float32, and where given
        `time (T,)` and `assets (M,)`.
    """
    series: dict[str, NDArray[Any]] = {
        "names": np.array(list(judgements), dtype=np.str_),
        "net": np.stack([judgement.net for judgement in judgements.values()]),
        "gross": np.stack([judgement.gross for judgement in judgements.values()]),
        "allocations": np.asarray(actions, dtype=np.float32),
    }
    if time is not None:
        series["time"] = np.asarray(time, dtype=np.float64)
    if assets is not None:
        series["assets"] = np.array(list(assets), dtype=np.str_)
    return series
