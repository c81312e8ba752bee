"""What is hard to believe of the prices that the newest weights come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from psann._inputs import show
from psann._typing import Dates, Floats
from psann.plausibility.finding import few_of_each
from psann.plausibility.prices import leap_findings, price_findings

# What features take for moves, or for their absence, that nobody saw.
_DOUBTS = frozenset({"split", "print", "swap", "stale", "constant"})


def newest_doubts(prices: Floats, dates: Dates, assets: Sequence[str]) -> list[str]:
    """Say what is hard to believe of the newest rows, asset by asset.

    Parameters
    ----------
    prices : ndarray of shape (n, M)
        Those that the newest weights come from; NaN where there is none, and of an asset that
        lacks one nothing is said.
    dates : ndarray of shape (n,)
    assets : sequence of M str
    """
    whole = np.flatnonzero(np.isfinite(prices).all(axis=0))
    if len(prices) < 2 or not len(whole):
        return []
    known, names = prices[:, whole], [assets[column] for column in whole.tolist()]
    return [*_of_the_last(known, dates), *_of_each(known, dates, names)]


def _of_the_last(prices: Floats, dates: Dates) -> Iterator[str]:
    """Of one asset a price may well be that of before; of all of them it was copied."""
    if prices.shape[1] > 1 and (prices[-1] == prices[-2]).all():
        yield (
            f"the prices of {show(dates[-1])} are those of {show(dates[-2])}, of every asset: "
            "filled, or not there yet?"
        )


def _of_each(prices: Floats, dates: Dates, assets: Sequence[str]) -> Iterator[str]:
    rows = f"of the newest {len(prices)} rows:"
    found = [f for f in price_findings(prices, labels=assets) if f.name in _DOUBTS]
    for finding in few_of_each([*found, *leap_findings(prices, labels=assets)]):
        told = f"{rows} {finding.message}"
        if finding.row is not None:
            told += f" Row {finding.row} is {show(dates[finding.row])}."
        yield told
