"""Panels with and without holes, made up; as tables first, since alignment is part of the path."""

from __future__ import annotations

import numpy as np

from made_tables import days
from psann.market import Panel, PriceTable, align


def walks(n: int = 120, m: int = 3, seed: int = 0) -> np.ndarray:
    """Random walks near 50."""
    moves = 0.02 * np.random.default_rng(seed).standard_normal((n, m))
    return 50.0 * np.exp(np.cumsum(moves, axis=0))


def table_of(prices: np.ndarray, **fields: np.ndarray) -> PriceTable:
    """A table of weekdays with assets A, B, C ..."""
    n, m = prices.shape
    return PriceTable(
        dates=np.array(days(n), dtype="datetime64[us]"),
        assets=tuple("ABCDEFGHIJ"[:m]),
        prices=prices,
        fields=fields,
        notes=(),
        sha256="",
        layout="made",
        options={},
    )


def holey(n: int = 120, m: int = 4, seed: int = 0) -> np.ndarray:
    """Walks of which the first asset is whole; others come late, halt and end at random."""
    draws = np.random.default_rng(seed + 1)
    prices = walks(n, m, seed)
    for asset in range(1, m):
        start, end = sorted(draws.choice(np.arange(1, n), 2, replace=False))
        if draws.random() < 0.5:
            prices[:start, asset] = np.nan
        if draws.random() < 0.5:
            prices[max(end, start + 2) :, asset] = np.nan
        for row in draws.integers(0, n - 4, 3):
            part = prices[row : row + draws.integers(1, 4), asset]
            part[:] = np.nan
        if not np.isfinite(prices[:, asset]).any():
            prices[0, asset] = 50.0
    return prices


def panel_of(prices: np.ndarray, **options: object) -> Panel:
    """Align with a loss at the end unless told otherwise."""
    return align(table_of(prices), **{"ended": {"default": -0.3}, "rows": 0.01, **options})  # type: ignore[arg-type]
