"""Long series made short for drawing, without losing what the eye must see."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def thin(values: ArrayLike, limit: int) -> NDArray[np.intp]:
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


def bin_means(values: ArrayLike, n_bins: int) -> tuple[NDArray[np.intp], Floats]:
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
