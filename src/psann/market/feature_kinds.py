"""The kinds of features: numbers of a row from this row and earlier ones, before any scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from psann._typing import Floats
from psann.errors import DataError
from psann.market.columns import plain
from psann.market.panel import Panel

HORIZONS = (1, 2, 3, 5, 10, 20)  # rows over which the default looks back
ASSETWISE_HORIZONS = (1, 2, 5, 10, 20, 60)  # ... and features of each asset by itself


@dataclass(frozen=True)
class Block:
    """The numbers of one kind."""

    parts: list[tuple[str, Floats]]
    """Names with arrays `(n, M)`, or `(n, 1)` where they are the same for all assets."""
    history: int = 0
    """Rows at the start that lack a full history."""
    is_scaled: bool = False
    """The numbers have their scale already."""
    n_silent: int = 0
    """Rows at the start of which a function of the user's says nothing."""


def log_moves(prices: Floats, rows: Sequence[int] = HORIZONS) -> Floats:
    """Log returns over the last k rows, ``log(p_t / p_{t-k}) / sqrt(k)``.

    Parameters
    ----------
    prices : ndarray of shape (n, M)
    rows : sequence of int
        The K numbers k, each at least 1.

    Returns
    -------
    ndarray of shape (n, K M)
        M columns for each k; 0 on rows without history.
    """
    logs = np.log(prices)  # (n, M)
    moves = np.zeros((len(rows), *logs.shape))  # (K, n, M)
    for block, k in zip(moves, rows, strict=True):
        block[k:] = (logs[k:] - logs[:-k]) / math.sqrt(k)
    return np.hstack(list(moves))  # (n, K M)


def _moves(panel: Panel, rows: Sequence[int] = HORIZONS) -> Block:
    """Log return over the last k rows over sqrt(k)."""
    moves = np.split(log_moves(_known_quotes(panel), rows), len(rows), axis=1)
    return Block([(f"move_{k}", part) for k, part in zip(rows, moves, strict=True)], max(rows))


def _volatility(panel: Panel, rows: int = 20) -> Block:
    """Log of the root mean square of the last moves, over that of five times as many."""
    squares = np.square(log_moves(_known_quotes(panel), [1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = 0.5 * np.log(_mean(squares, rows) / _mean(squares, 5 * rows))
    return Block([(f"volatility_{rows}", values)], 5 * rows)


def _range(panel: Panel, rows: int = 20) -> Block:
    """Log of high over low, in parts of its mean over the last rows, less 1."""
    high, low = _field(panel, "range", "high"), _field(panel, "range", "low")
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.log(high / low)
        return Block([(f"range_{rows}", width / _mean(width, rows) - 1.0)], rows)


def _volume_change(panel: Panel, rows: int = 20) -> Block:
    """Log of the volume over its mean of the last rows."""
    volume = _field(panel, "volume_change", "volume")
    with np.errstate(divide="ignore", invalid="ignore"):
        return Block([(f"volume_{rows}", np.log(volume / _mean(volume, rows)))], rows)


def _moving_average_gap(panel: Panel, rows: int = 50) -> Block:
    """Log of the price over its mean of the last rows."""
    quotes = _known_quotes(panel)
    return Block([(f"gap_{rows}", np.log(quotes / _mean(quotes, rows)))], rows)


def _rank(panel: Panel, rows: int = 20) -> Block:
    """Place among the members by the return over the last rows, from -1 to 1; equals share it."""
    moves = log_moves(_known_quotes(panel), [rows])
    ranks = np.zeros_like(moves)
    for row in range(rows, len(moves)):
        some = np.flatnonzero(panel.active[row] & np.isfinite(moves[row]))
        if len(some) > 1:
            values = np.sort(moves[row, some])
            places = [np.searchsorted(values, moves[row, some], side) for side in ("left", "right")]
            ranks[row, some] = (places[0] + places[1] - 1.0) / (len(some) - 1) - 1.0
    return Block([(f"rank_{rows}", ranks)], rows, is_scaled=True)


def _market(panel: Panel, rows: Sequence[int] = (1, 5, 20)) -> Block:
    """Mean of the members' moves, the same for all assets."""
    parts = []
    for k in rows:
        moves = log_moves(_known_quotes(panel), [k])
        known = panel.active & np.isfinite(moves)
        total = np.where(known, moves, 0.0).sum(axis=1, keepdims=True)
        parts.append((f"market_{k}", total / np.maximum(known.sum(axis=1, keepdims=True), 1)))
    return Block(parts, max(rows))


def _calendar(panel: Panel) -> Block:
    """Sine and cosine of the time of the week and of the year, the same for all assets."""
    days = panel.dates.astype("datetime64[s]").astype(np.int64) / 86400.0
    parts = []
    for name, turns in (("week", days / 7.0), ("year", days / 365.2425)):
        angle = 2.0 * math.pi * turns[:, None]
        parts += [(f"{name}_sin", np.sin(angle)), (f"{name}_cos", np.cos(angle))]
    return Block(parts, is_scaled=True)


FEATURES: dict[str, Callable[..., Block]] = {
    "moves": _moves,
    "volatility": _volatility,
    "range": _range,
    "volume_change": _volume_change,
    "moving_average_gap": _moving_average_gap,
    "rank": _rank,
    "market": _market,
    "calendar": _calendar,
}
"""Features by name; the parameters of a function are those of the feature."""


def _known_quotes(panel: Panel) -> Floats:
    """Quotes with the last one carried over rows without; NaN before the first."""
    if not panel.has_holes:
        return panel.quotes
    row = np.arange(len(panel.quotes))[:, None]
    latest = np.maximum.accumulate(np.where(np.isfinite(panel.quotes), row, 0), axis=0)
    return np.asarray(np.take_along_axis(panel.quotes, latest, axis=0))


def _field(panel: Panel, feature: str, name: str) -> Floats:
    for key, values in panel.fields.items():
        if plain(key) == name:
            return values
    raise DataError(
        f"features: {feature} must have the field {name} in the table; there are "
        f"{', '.join(panel.fields) or 'none'}. Take {feature} out."
    )


def _mean(values: Floats, rows: int) -> Floats:
    """Mean of those of the last rows that have a number; NaN before so many rows have passed."""
    known = np.isfinite(values)
    total = np.cumsum(np.where(known, values, 0.0), axis=0, dtype=np.float64)
    count = np.cumsum(known, axis=0)
    total[rows:] -= total[:-rows].copy()
    count[rows:] -= count[:-rows].copy()
    mean = np.full_like(total, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    mean[: rows - 1] = np.nan
    return mean
