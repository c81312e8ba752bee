"""Long series made short for drawing, without losing what the eye must see."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from psann._typing import Floats, Places


def thin(values: ArrayLike, limit: int) -> Places:
    """Choose the samples of a series that a line through few points must pass.

    The series is cut into equal stretches; of each the lowest and the highest sample are kept, and
    the first and the last of all, so that no peak or trough is lost.

    Parameters
    ----------
    values : array-like of shape (T,)
        The series; NaN is a gap and is never lowest or highest.
    limit : int
        Most samples to keep, at least 4.

    Returns
    -------
    ndarray of int
        Ascending indices, at most `limit`.

    Examples
    --------
    >>> thin([0, 1, 9, 1, 0, 1, -9, 1, 0, 0], 6)
    array([0, 2, 5, 6, 9])
    """
    series = np.asarray(values, dtype=float)
    n = len(series)
    if n <= limit:
        return np.arange(n)
    low, high = (
        np.where(np.isnan(series), np.inf, series),
        np.where(np.isnan(series), -np.inf, series),
    )
    edges = np.linspace(0, n, (limit - 2) // 2 + 1).astype(int)
    kept = {0, n - 1}
    for start, stop in itertools.pairwise(edges):
        kept |= {start + int(np.argmin(low[start:stop])), start + int(np.argmax(high[start:stop]))}
    return np.array(sorted(kept), dtype=np.intp)


def drawdown(equity: ArrayLike) -> Floats:
    """Fall of a wealth path below its highest value so far, the initial 1.0 included.

    Returns
    -------
    ndarray of shape (..., T)
        At most 0.

    Examples
    --------
    >>> drawdown([0.5, 2.0, 1.0]).tolist()
    [-0.5, 0.0, -0.5]
    """
    wealth = np.asarray(equity, dtype=float)
    return wealth / np.maximum(np.maximum.accumulate(wealth, axis=-1), 1.0) - 1.0


def bin_means(values: ArrayLike, n_bins: int) -> tuple[Places, Floats]:
    """Average the rows of a table over equal stretches.

    Parameters
    ----------
    values : array-like of shape (T, M)
        One row per time.
    n_bins : int
        Most stretches.

    Returns
    -------
    edges : ndarray of int, shape (n + 1,)
        First row of each stretch, then T.
    means : ndarray of shape (n, M)
        Mean row of each.

    Examples
    --------
    >>> edges, means = bin_means([[1.0], [3.0], [5.0], [7.0]], 2)
    >>> edges.tolist(), means.tolist()
    ([0, 2, 4], [[2.0], [6.0]])
    """
    table = np.asarray(values, dtype=float)
    edges = np.linspace(0, len(table), min(n_bins, len(table)) + 1).astype(np.intp)
    sums = np.add.reduceat(table, edges[:-1], axis=0)
    return edges, sums / np.diff(edges)[:, None]


@dataclass(frozen=True)
class Fall:
    """A stretch below the highest wealth so far, by rows."""

    first: int
    """The last row at the peak."""
    lowest: int
    recovered: int | None
    """The first row at the peak again; None if there is none."""
    depth: float
    """At most 0."""


def worst_falls(equity: ArrayLike, n: int) -> list[Fall]:
    """The deepest falls of a wealth path, the deepest first; none overlap.

    Examples
    --------
    >>> [(fall.first, fall.depth) for fall in worst_falls([1.0, 0.5, 1.0, 2.0, 1.5], 2)]
    [(0, -0.5), (3, -0.25)]
    """
    depth = drawdown(equity)
    is_below = np.concatenate(([False], depth < 0, [False]))
    edges = np.flatnonzero(np.diff(is_below)).reshape(-1, 2).tolist()
    falls = []
    for start, stop in edges:
        lowest = start + int(np.argmin(depth[start:stop]))
        recovered = stop if stop < len(depth) and depth[stop] == 0 else None
        falls.append(Fall(max(start - 1, 0), lowest, recovered, float(depth[lowest])))
    return sorted(falls, key=lambda fall: fall.depth)[:n]


def period_returns(equity: ArrayLike, starts: ArrayLike) -> Floats:
    """Return of each period of a wealth path that is 1.0 before its first row.

    Parameters
    ----------
    equity : array-like of shape (T,)
        Wealth after each row.
    starts : array-like of int
        First row of each period, ascending from 0.

    Examples
    --------
    >>> period_returns([1.0, 2.0, 1.0, 3.0], [0, 2]).tolist()
    [1.0, 0.5]
    """
    wealth, first = np.asarray(equity, dtype=float), np.asarray(starts, dtype=np.intp)
    ends = np.append(wealth[first[1:] - 1], wealth[-1])
    with np.errstate(all="ignore"):  # after a ruin there is no return
        returns: Floats = ends / np.append(1.0, ends[:-1]) - 1.0
    return returns
