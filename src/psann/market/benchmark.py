"""One column of a table that is not traded: what a policy is shown beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from psann._inputs import show
from psann._typing import Floats
from psann.errors import DataError, did_you_mean
from psann.market.panel import Panel, PriceTable


def split_off(table: PriceTable, name: str) -> tuple[PriceTable, Floats]:
    """Take a column out of a table, so that nobody holds it and no feature sees it.

    Parameters
    ----------
    table : PriceTable
    name : str
        One of its assets.

    Returns
    -------
    table : PriceTable
        Of the other assets.
    prices : ndarray of shape (n,)
        NaN where there is none.

    Raises
    ------
    DataError
        If there is no such column, or no other.
    """
    if not isinstance(name, str) or name not in table.assets:
        got = repr(name) if isinstance(name, str) else type(name).__name__
        raise DataError(
            f"benchmark must name one of the {len(table.assets)} columns of prices; got {got}."
            f"{did_you_mean(name, table.assets) if isinstance(name, str) else ''}"
        )
    if len(table.assets) == 1:
        raise DataError(
            f"benchmark must leave assets to hold; {name} is the only one. Leave benchmark out."
        )
    place = table.assets.index(name)
    others = np.arange(len(table.assets)) != place
    rest = replace(
        table,
        assets=tuple(asset for asset in table.assets if asset != name),
        prices=table.prices[:, others],
        fields={field: values[:, others] for field, values in table.fields.items()},
        notes=(*table.notes, f"{name} is the benchmark, which is not traded"),
    )
    return rest, table.prices[:, place]


def on_rows_of(panel: Panel, table: PriceTable, prices: Floats, name: str) -> Floats:
    """Prices ``(n,)`` of a benchmark on the rows of a panel that was made of its table.

    Raises
    ------
    DataError
        If it has none on some row.
    """
    found: Floats = prices[np.searchsorted(table.dates, panel.dates)]
    missing = np.isnan(found)
    if missing.any():
        first = panel.dates[int(missing.argmax())]
        raise DataError(
            f"benchmark {name} must have a price on every row of the assets; it has none on "
            f"{int(missing.sum())} of {len(found)}, the first {show(first)}. Choose rows by start "
            "and end on which it has one, or fill its gaps."
        )
    return found
