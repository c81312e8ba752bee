"""Columns of a table that are neither assets nor prices, as arrays that go with its rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from psann._inputs import show
from psann._typing import Floats, Places
from psann.errors import DataError
from psann.market.panel import Panel


def arrays_of(panel: Panel, names: Sequence[str], rows: Places | slice) -> dict[str, Floats]:
    """Further columns by name, each row with what the table has on it.

    Parameters
    ----------
    panel : Panel
        With these names among its fields.
    names : sequence of str
        As the option `arrays` has them.
    rows : ndarray of int or slice
        Of the panel.

    Returns
    -------
    dict of str to ndarray
        ``(n, 1)`` where all assets have the same, else ``(n, M)``, with 0 where an asset without a
        price has none.

    Raises
    ------
    DataError
        If a value is missing where an asset has a price.

    Examples
    --------
    >>> from psann.market.membership import align
    >>> from psann.market.tables import read_prices
    >>> import pandas
    >>> days = pandas.date_range("2020-01-01", periods=3)
    >>> table = pandas.DataFrame({"A": [1.0, 2.0, 3.0], "rate": [0.1, 0.2, 0.3]}, index=days)
    >>> panel = align(read_prices(table, arrays=["rate"]))
    >>> panel.assets, arrays_of(panel, ["rate"], slice(1, 3))["rate"].tolist()
    (('A',), [[0.2], [0.3]])
    """
    found: dict[str, Floats] = {}
    problems = []
    has_price = np.isfinite(panel.quotes[rows])
    for name in names:
        whole = panel.fields[name]
        first = np.take_along_axis(whole, np.isfinite(whole).argmax(axis=1)[:, None], axis=1)
        is_one = ((whole == first) | np.isnan(whole)).all()
        values = (first if is_one else whole)[rows]
        missing = np.isnan(values) & (is_one | has_price)
        if missing.any():
            row = panel.dates[rows][int(missing.any(axis=1).argmax())]
            problems.append(
                f"arrays: {name} must be a number on every row, of every asset that has a price on "
                f"it; it is none on {int(missing.any(axis=1).sum())} of {len(values)}, the first "
                f"{show(row)}. Choose rows by start and end on which it is one, or fill its gaps."
            )
        found[name] = np.nan_to_num(values, nan=0.0)
    if problems:
        raise DataError(problems)
    return found
