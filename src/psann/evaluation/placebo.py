"""Placebo: the same training on moves in shuffled order, where nothing can be foretold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann._seed import stream_generator
from psann.accounting import relatives

Floats = NDArray[np.float64]
Order = NDArray[np.intp]


def shuffled_order(n_rows: int, *, seed: int, number: int, span: str = "") -> Order:
    """Draw an order of the moves of a span of rows.

    Parameters
    ----------
    n_rows : int
        Rows, T; they have T - 1 moves.
    seed : int
        Seed of the run, at least 0.
    number : int
        Which placebo, at least 1.
    span : str
        Which span of rows; each has an order of its own.

    Returns
    -------
    ndarray of shape (T - 1,)
        A permutation that depends on nothing but the arguments.
    """
    draws = stream_generator(seed, f"placebo.{span}", epoch=number)
    return draws.permutation(max(n_rows - 1, 0))


def shuffled_prices(prices: Any, order: Order) -> Floats:
    """Prices whose moves are the same in another order, all assets together.

    Each row's moves stay together, so that correlations, volatility, and the growth of every asset
    over the whole span stay as they are. What came before a move no longer tells of it.

    Parameters
    ----------
    prices : array-like of shape (T, M)
        Prices, positive.
    order : ndarray of shape (T - 1,)
        As from `shuffled_order`.

    Returns
    -------
    ndarray of shape (T, M)
        With the same first row and, but for rounding, the same last row.
    """
    values = np.asarray(prices, dtype=np.float64)
    steps = np.log(relatives(values))[order]
    paths: Floats = values[:1] * np.exp(np.concatenate([0 * steps[:1], np.cumsum(steps, axis=0)]))
    return paths


def share_as_good(growth: float, placebos: Sequence[float]) -> float:
    """Share of placebos that grew at least as much over 1/N as the policy did.

    Parameters
    ----------
    growth : float
        Annual log growth of the policy over 1/N.
    placebos : sequence of float
        The same of each placebo, on its own shuffled prices; one that lost everything is NaN and
        not as good.

    Returns
    -------
    float
        In [0, 1]; NaN without placebos, or if the policy's growth is not defined.

    Examples
    --------
    >>> share_as_good(0.1, [0.2, 0.05, 0.1, -0.3])
    0.5
    """
    if not placebos or math.isnan(growth):
        return math.nan
    return sum(placebo >= growth for placebo in placebos) / len(placebos)
