"""One picture of a table: prices on a log scale, and who has a price when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from psann.errors import DataError
from psann.market.panel import PriceTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_WIDTH_IN, _PRICES_IN, _MOST_IN = 8.0, 4.0, 6.0
_MOST_TIMES = 15.0  # the highest price over the lowest, up to which minor ticks have numbers
_MOST_LINES = 40  # more are drawn as a spread
_MOST_NAMES = 60
_INK, _BLUE = "#59636e", "#0072b2"


def draw(table: PriceTable) -> Figure:
    """Draw a table.

    Parameters
    ----------
    table : PriceTable

    Returns
    -------
    matplotlib.figure.Figure
        Above, each asset's price over its first one; of more than 40 assets the median and where
        the middle 50 % and 90 % lie. Below, a bar for each asset over the rows with a price.

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullFormatter
    except ImportError as error:
        raise DataError(
            "Pictures must be drawn with matplotlib, which is not installed. Install it with: "
            'pip install "psann[report]"'
        ) from error
    n_assets = len(table.assets)
    bars_in = min(0.6 + 0.16 * n_assets, _MOST_IN)
    figure = Figure(figsize=(_WIDTH_IN, _PRICES_IN + bars_in), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[_PRICES_IN, bars_in])
    days = table.dates.astype("datetime64[s]").astype(object)
    growth = table.prices / _first_prices(table.prices)
    if n_assets <= _MOST_LINES:
        for column in growth.T:
            above.plot(days, column, linewidth=0.8)
        if n_assets <= 10:
            # By number: a name that begins with "_" would be left out.
            numbers, columns = [str(place) for place in range(n_assets)], min(n_assets, 5)
            legend = above.legend(
                above.get_lines(), numbers, fontsize=8, frameon=False, ncols=columns
            )
            _show_as_they_are(legend.get_texts(), table.assets)
    else:
        _draw_spread(above, days, growth)
    above.set_yscale("log")
    above.yaxis.set_major_formatter("{x:g}")
    # Over more than some decades the numbers between the powers of ten would lie on each other.
    is_narrow = np.nanmax(growth) < _MOST_TIMES * np.nanmin(growth)
    above.yaxis.set_minor_formatter("{x:g}" if is_narrow else NullFormatter())
    above.set_ylabel("price / first price")
    _draw_bars(below, table)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(which="both", labelcolor=_INK, color=_INK)
    return figure


def _first_prices(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    first = np.isfinite(prices).argmax(axis=0)
    return np.asarray(np.take_along_axis(prices, first[None], axis=0))


def _draw_spread(axes: object, days: object, growth: NDArray[np.float64]) -> None:
    some = np.isfinite(growth).any(axis=1)
    levels = np.full((5, len(growth)), np.nan)
    levels[:, some] = np.nanpercentile(growth[some], [5, 25, 50, 75, 95], axis=1)
    for low, high, alpha in ((0, 4, 0.15), (1, 3, 0.3)):
        axes.fill_between(days, levels[low], levels[high], color=_BLUE, alpha=alpha, linewidth=0)  # type: ignore[attr-defined]
    axes.plot(days, levels[2], color=_BLUE, linewidth=1.2)  # type: ignore[attr-defined]


def _draw_bars(axes: object, table: PriceTable) -> None:
    """Draw a bar for each run of rows with a price, first asset on top."""
    from matplotlib.dates import date2num

    stamps = date2num(table.dates.astype("datetime64[s]"))  # type: ignore[no-untyped-call]
    height = 0.7 if len(table.assets) <= _MOST_LINES else 1.0  # thin gaps would flicker
    # A bar lasts until the next row; the last row as long as the one before.
    ends = np.append(stamps[1:], 2 * stamps[-1] - stamps[-2] if len(stamps) > 1 else stamps[-1] + 1)
    for place, column in enumerate(np.isfinite(table.prices).T):
        edges = np.flatnonzero(np.diff(np.concatenate(([False], column, [False]))))
        runs = edges.reshape(-1, 2)
        bars = [(stamps[first], ends[last - 1] - stamps[first]) for first, last in runs]
        axes.broken_barh(bars, (place - height / 2, height), color=_BLUE)  # type: ignore[attr-defined]
    axes.set_ylim(len(table.assets) - 0.5, -0.5)  # type: ignore[attr-defined]
    step = -(-len(table.assets) // _MOST_NAMES)
    shown = range(0, len(table.assets), step)
    names = [table.assets[place] for place in shown]
    axes.set_yticks(shown, names, fontsize=7)  # type: ignore[attr-defined]
    _show_as_they_are(axes.get_yticklabels(), names)  # type: ignore[attr-defined]
    axes.xaxis_date()  # type: ignore[attr-defined]


def _show_as_they_are(texts: Sequence[Text], names: Sequence[str]) -> None:
    """Show names that are no formulas, whatever signs they hold."""
    for text, name in zip(texts, names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
