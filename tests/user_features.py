"""Features as a user writes them, right and wrong."""

from __future__ import annotations

import numpy as np

from psann.market import Panel


def reversal(panel: Panel, rows: int = 3) -> np.ndarray:
    """Minus the return over the last rows."""
    quotes = np.asarray(panel.quotes)
    values = np.full_like(quotes, np.nan)
    values[rows:] = 1 - quotes[rows:] / quotes[:-rows]
    return values


def activity(panel: Panel) -> np.ndarray:
    """How much was traded of each asset; without volumes, how far the whole market moved."""
    if "volume" in panel.fields:
        return np.log(panel.fields["volume"])
    return np.vstack([[np.nan], np.diff(np.log(panel.quotes).mean(axis=1))[:, None]])[:, 0]


def whole_mean(panel: Panel) -> np.ndarray:
    """The gap to the mean of all rows: it knows the future."""
    return panel.quotes / np.nanmean(panel.quotes, axis=0) - 1


def last_price(panel: Panel) -> np.ndarray:
    """1 on the row of an asset's last price, which nobody knows."""
    return np.isfinite(panel.quotes) & ~np.isfinite(
        np.vstack([panel.quotes[1:], panel.quotes[-1:]])
    )


def fate(panel: Panel) -> np.ndarray:
    """What is left of a holding, which is for the accounting alone."""
    return panel.prices / np.roll(panel.prices, 1, axis=0)


def wrong_shape(panel: Panel) -> list[float]:
    """Three numbers."""
    return [1.0, 2.0, 3.0]


def drawn(panel: Panel, seed: int | None = None) -> np.ndarray:
    """Noise, of each row its own."""
    return np.random.default_rng(seed).standard_normal(panel.quotes.shape)


def words(panel: Panel) -> np.ndarray:
    return np.full(panel.quotes.shape, "up")
