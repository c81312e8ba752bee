"""Placebo: the same training on moves that no feature foretells.

What it tests is one thing: whether the features of a row tell of the move that follows it. Moves
change places in blocks of rows, all assets together, while the features stay; so everything else
survives: the moves themselves, how assets move together, clusters of volatility and whatever
else lies within a block, and the growth of every asset over the whole span.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from psann._seed import stream_generator
from psann._typing import Floats, Places, is_whole
from psann.accounting import relatives
from psann.baselines import checked_prices
from psann.errors import DataError
from psann.evaluation.comparison import SAME_GROWTH

BLOCK_ROWS = 20
"""Rows of a block: as long as volatility clusters, a month of days."""


def shuffled_order(n_rows: int, *, seed: int, number: int, span: str = "") -> Places:
    """Draw an order of the moves of a span of rows, in which blocks of moves stay together.

    The moves, taken as a circle, are cut into blocks from a row that is drawn, so that hardly any
    block comes to lie where it was.

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
        A permutation that depends on nothing but the arguments. Blocks have `BLOCK_ROWS` rows, or
        a tenth of the moves where those are few.

    Raises
    ------
    DataError
        If one of the numbers is none.

    References
    ----------
    Kuensch 1989, "The jackknife and the bootstrap for general stationary observations",
    https://doi.org/10.1214/aos/1176347265, on why blocks.
    """
    least = {"n_rows": (n_rows, 0), "seed": (seed, 0), "number": (number, 1)}
    if problems := [
        f"`{name}` must be a whole number of at least {lowest}; got {value!r}."
        for name, (value, lowest) in least.items()
        if not is_whole(value, lowest)
    ]:
        raise DataError(problems)
    n = max(n_rows - 1, 0)
    if not n:
        return np.arange(0)
    draws = stream_generator(seed, f"placebo.{span}", epoch=number)
    length = max(1, min(BLOCK_ROWS, n // 10))
    circle = np.roll(np.arange(n), -int(draws.integers(n)))
    blocks = np.split(circle, range(length, n, length))
    return np.concatenate([blocks[place] for place in draws.permutation(len(blocks))])


def shuffled_prices(prices: Any, order: Places) -> Floats:
    """Prices whose moves are the same in another order, all assets together.

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

    Raises
    ------
    DataError
        If prices are none, or the order is no permutation of their moves.
    """
    values = checked_prices(prices, "prices")
    if not np.array_equal(np.sort(np.ravel(order)), np.arange(len(values) - 1)):
        raise DataError(
            f"`order` must have each of the {len(values) - 1} moves of `prices` once; got shape "
            f"{np.shape(order)}. Give shuffled_order({len(values)}, seed=..., number=...)."
        )
    steps = np.log(relatives(values))[order]
    paths: Floats = values[:1] * np.exp(np.concatenate([0 * steps[:1], np.cumsum(steps, axis=0)]))
    return paths


def share_as_good(growth: float, placebos: Sequence[float]) -> float:
    """Share of placebos that grew at least as much over 1/N as the policy did, but for rounding.

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
    if not len(placebos) or math.isnan(growth):
        return math.nan
    return sum(placebo >= growth - SAME_GROWTH for placebo in placebos) / len(placebos)
