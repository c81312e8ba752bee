"""One picture of a table: prices on a log scale, and who has a price when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psann._inputs import show
from psann._typing import Dates, Floats
from psann.errors import DataError, counted
from psann.market.panel import PriceTable
from psann.presentation.axes import log_axis, numbers_of, time_axis
from psann.presentation.charts import LOOKS, bars_panel
from psann.presentation.content import printable
from psann.presentation.drawing import to_svg
from psann.presentation.figure import Area, Figure, Line, Look, Mark, Panel
from psann.presentation.series import thin

_POINTS = 500
_MOST_LINES = 40  # more are drawn as a spread
_THIN = 0.9


@dataclass(frozen=True, kw_only=True, repr=False)
class TablePicture(Figure):
    """The picture of a table, which a notebook shows."""

    label: str
    """What it is of."""

    def __repr__(self) -> str:
        return f"<{self.label}>"

    def _repr_svg_(self) -> str:
        return to_svg(self, label=self.label).decode()


def draw(table: PriceTable) -> TablePicture:
    """Draw a table.

    Parameters
    ----------
    table : PriceTable

    Returns
    -------
    TablePicture
        A notebook shows it; `psann.presentation.drawing.to_svg` makes a file of it. Above, each
        asset's price over its first one, of up to five by name; of more than 40 the median and
        where the middle 50 % and 90 % lie. Below, a bar for each asset over the rows with a price.
    """
    if not isinstance(table, PriceTable):
        raise DataError(
            f"draw must be given a PriceTable; got {type(table).__name__}. Read it first: "
            "draw(read_prices(prices))."
        )
    has_price = np.isfinite(table.prices)
    first = np.take_along_axis(table.prices, has_price.argmax(axis=0)[None], axis=0)
    growth, names = table.prices / first, [printable(name) for name in table.assets]
    lines = _lines if len(names) <= _MOST_LINES else _spread
    above = Panel(
        title="price / first price (equal steps are equal factors)",
        marks=lines(table.dates, growth, names),
        y=log_axis(growth),
        height_px=260,
    )
    below = bars_panel([(has_price, "blue", "has a price")], names, x=table.dates)
    first_row, last_row = (show(date) for date in table.dates[[0, -1]])
    label = f"Prices of {counted(len(names), 'asset')}, {first_row} to {last_row}"
    return TablePicture(
        panels=[above, below], x=time_axis(table.dates), x_title="date", label=label
    )


def _lines(x: Dates, growth: Floats, names: Sequence[str]) -> list[Mark]:
    if len(names) <= len(LOOKS):
        return [
            _line(x, y, look, who) for y, look, who in zip(growth.T, LOOKS, names, strict=False)
        ]
    colours = [look.colour for look in LOOKS]
    looks = [Look(colours[place % len(colours)], width=_THIN) for place in range(len(names))]
    return [_line(x, y, look) for y, look in zip(growth.T, looks, strict=True)]


def _line(x: Dates, y: Floats, look: Look, label: str = "") -> Line:
    kept = thin(y, _POINTS)
    return Line(x=numbers_of(x[kept]), y=y[kept], look=look, label=label)


def _spread(x: Dates, growth: Floats, _: Sequence[str]) -> list[Mark]:
    some = np.isfinite(growth).any(axis=1)
    levels = np.full((5, len(growth)), np.nan)
    levels[:, some] = np.nanpercentile(growth[some], [5, 25, 50, 75, 95], axis=1)
    kept = np.union1d(thin(levels[0], _POINTS), thin(levels[4], _POINTS))
    at = numbers_of(x[kept])
    bands = ((0, 4, 0.15, "the middle 90 % of the assets"), (1, 3, 0.3, "the middle 50 %"))
    return [
        *(
            Area(
                x=at,
                low=levels[low][kept],
                high=levels[high][kept],
                colour="blue",
                opacity=opacity,
                label=label,
            )
            for low, high, opacity, label in bands
        ),
        _line(x, levels[2], LOOKS[0], "median"),
    ]
