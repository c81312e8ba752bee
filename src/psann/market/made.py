"""A made market in which nobody survives by construction: what survivorship is worth, known."""

from __future__ import annotations

from typing import Any

import numpy as np

from psann._typing import Array
from psann.market.cutting import splits
from psann.market.membership import align
from psann.market.panel import PriceTable

END = -0.3
"""The move after a last price."""
_LOWEST = 0.6  # an asset that has fallen to this part of its first price is delisted
_PAUSE = 20  # rows until another is listed in its place
_MARKET, _OWN = 0.008, 0.02  # deviations of a row's moves


def make_delisted(
    *,
    rows: int = 1500,
    places: int = 20,
    drift: float = 0.0003,
    seed: int = 0,
    features: str = "default",
) -> dict[str, Array]:
    """Make a universe of assets that are delisted once they have lost two fifths.

    Log moves are those of a market and of each asset, ``drift + m_t + e_ti``, so that nobody can
    foretell who does well. Whoever has fallen to 0.6 of its first price loses 30 % more and is
    gone; 20 rows later another is listed in its place, as a column of its own.

    Parameters
    ----------
    rows : int
        Weekdays from 2015-01-02 on, at least 200.
    places : int
        Assets that are listed at a time.
    drift : float
        Mean log move of an asset.
    seed : int
    features : str
        As of `psann.market.splits`.

    Returns
    -------
    dict of str to ndarray
        As of `psann.market.splits`, with `active_*`; validation and test are a fifth each.
    """
    panel = align(delisted_table(rows=rows, places=places, drift=drift, seed=seed), **_ENDED)
    return splits(panel, val=0.2, test=0.2, features=features)


_ENDED: dict[str, Any] = {"ended": {"default": END}, "rows": 0.01}


def delisted_table(*, rows: int, places: int, drift: float, seed: int) -> PriceTable:
    """Make the prices alone, NaN where an asset is not listed; see `make_delisted`."""
    draws = np.random.default_rng(seed)
    market = _MARKET * draws.standard_normal(rows)
    columns = []
    for _ in range(places):
        first = 0
        while first < rows - 2:
            own = drift + market[first:] + _OWN * draws.standard_normal(rows - first)
            own[0] = 0.0
            path = 50.0 * np.exp(np.cumsum(own))
            is_low = path < 50.0 * _LOWEST
            length = int(is_low.argmax()) + 1 if is_low.any() else len(path)
            column = np.full(rows, np.nan)
            column[first : first + length] = path[:length]
            columns.append(column)
            first += length + _PAUSE
    weekdays = np.busday_offset(np.datetime64("2015-01-02"), np.arange(rows))
    return PriceTable(
        dates=weekdays.astype("datetime64[us]"),
        assets=tuple(f"A{number:03d}" for number in range(1, len(columns) + 1)),
        prices=np.column_stack(columns),
        fields={},
        notes=(),
        sha256="",
        layout="made",
        options={},
    )
