"""What is hard to believe of the prices that the newest weights come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from psann._inputs import show
from psann._typing import Dates, Floats
from psann.plausibility.finding import few_of_each
from psann.plausibility.prices import leap_findings, price_findings

# What features take for moves, or for their absence, that nobody saw; and what accounts do.
_DOUBTS = frozenset({"split", "print", "swap", "stale", "filled", "constant"})
_OF_MOVES = frozenset({"split", "print", "swap"})


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
    told = _of_each(prices, dates, assets, kinds=_DOUBTS)
    return [*_of_the_last(prices, dates), *(f"of the newest {len(prices)} rows: {t}" for t in told)]


def judged_doubts(prices: Floats, dates: Dates, assets: Sequence[str]) -> list[str]:
    """Say which moves nobody can have earned on rows that are judged.

    Parameters
    ----------
    prices, dates, assets
        As for `newest_doubts`.
    """
    told = _of_each(prices, dates, assets, kinds=_OF_MOVES)
    return [f"hard to believe of the {len(prices)} rows judged: {each}" for each in told]


def _of_the_last(prices: Floats, dates: Dates) -> Iterator[str]:
    """Of one asset a price may well be that of before; of all of them it was copied."""
    known = np.isfinite(prices).all(axis=0)
    if known.sum() > 1 and len(prices) > 1 and (prices[-1] == prices[-2])[known].all():
        yield (
            f"the prices of {show(dates[-1])} are those of {show(dates[-2])}, of every asset: "
            "filled, or not there yet?"
        )


def _of_each(
    prices: Floats, dates: Dates, assets: Sequence[str], *, kinds: frozenset[str]
) -> Iterator[str]:
    whole = np.flatnonzero(np.isfinite(prices).all(axis=0))
    if len(prices) < 2 or not len(whole):
        return
    known, names = prices[:, whole], [assets[column] for column in whole.tolist()]
    found = [f for f in price_findings(known, labels=names) if f.name in kinds]
    for finding in few_of_each([*found, *leap_findings(known, labels=names)]):
        at = f" Row {finding.row} is {show(dates[finding.row])}." if finding.row is not None else ""
        yield f"{finding.message}{at}"


@dataclass(frozen=True)
class Age:
    """When rows are old, and when they are yet to come."""

    now: datetime | None
    """None tells nothing."""
    stale_after: float
    """Rows that could have come since."""

    def warning(self, newest: np.datetime64, mean_s: float) -> list[str]:
        """Say so of the newest row, of those that come so many seconds apart."""
        if self.now is None:
            return []
        moment = np.datetime64(self.now.replace(tzinfo=None), "us")
        n_rows = float((moment - newest).astype(np.int64)) / 1e6 / mean_s
        # Some stamp the end of a day or month, and east of here it is tomorrow.
        if n_rows < -1.0 - 86_400.0 / mean_s:
            return [
                f"the newest row is of {show(newest)}, which is yet to come: are its day, month "
                "and zone as they should be?"
            ]
        if n_rows <= self.stale_after:
            return []
        return [
            f"the newest row is of {show(newest)}: about {n_rows:.0f} rows could have come since, "
            f"more than {self.stale_after:g}."
        ]
