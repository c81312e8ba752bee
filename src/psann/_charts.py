"""Charts of wealth, epochs, weights and seconds: arrays in, matplotlib figures out.

They touch no file and keep no state. Every axis says what it shows and in which unit. Lines are
thinned with their extremes kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)
from numpy.typing import NDArray

from psann._drawing import COLOURS, add_legend, drawing_style, named, new_figure
from psann._npz import Array
from psann._series import bin_means, drawdown, thin
from psann.accounting import weight_changes

_MAX_ASSETS = 8
_MAX_BINS = 120
_LAYERS = ("blue", "orange", "sky", "vermillion", "green", "purple", "olive", "muted")
_HATCHES = ("", "////", "", "\\\\\\\\", "", "xxxx", "", "----")
_REST = COLOURS["rule"]

Floats = NDArray[np.float64]
_Draw = TypeVar("_Draw", bound=Callable[..., Figure])


@dataclass(frozen=True)
class Look:
    """How a line is drawn: told apart by colour, and without colour by its style."""

    colour: str
    dashes: str | tuple[int, tuple[int, ...]] = "-"
    width: float = 1.2


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line: `x` and `y` of the same length, NaN where there is nothing."""

    label: str
    x: Array
    y: Floats
    look: Look
    is_main: bool = True
    """Whether its drawdown is drawn as well."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An epoch that a reader must find: a line through all panels, a star where `y` is known."""

    label: str
    x: float
    y: float | None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes: what stands on the left, and the lines."""

    y_label: str
    curves: Sequence[Curve]
    is_log: bool = False


def wealth_figure(curves: Sequence[Curve], *, x_label: str, points: int) -> Figure:
    """Wealth on a log scale, and below it the fall from the highest value so far.

    Parameters
    ----------
    curves : sequence of Curve
        Wealth from 1.0 on; a value that is not positive is ruin and ends the line. The fall is
        shown of the main ones, if there are any.
    points : int
        Most points per line.
    """
    with drawing_style():
        has_drawdown = any(curve.is_main for curve in curves)
        figure = new_figure(4.0 if has_drawdown else 2.9)
        column = _column(figure, 2 if has_drawdown else 1)
        positive = [np.where(curve.y > 0, curve.y, np.nan) for curve in curves]
        for curve, y in zip(curves, positive, strict=True):
            _line(column[0], curve, y, points)
            if curve.is_main:
                _line(column[-1], curve, drawdown(curve.y), points)
        column[0].set_ylabel("wealth, start = 1 (log)")
        _log_scale(column[0], np.concatenate(positive))
        if has_drawdown:
            column[-1].set_ylabel("drawdown")
            column[-1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
            column[-1].yaxis.set_major_locator(MaxNLocator(4))
        column[-1].set_xlabel(x_label)
        column[-1].margins(x=0.01)
        add_legend(figure)
    return figure


def epochs_figure(panels: Sequence[Panel], *, mark: Mark | None, points: int) -> Figure:
    """Quantities over the epochs, one panel each, with the best epoch marked.

    Parameters
    ----------
    mark : Mark or None
        The best epoch; its value lies in the first panel.
    points : int
        Most points per line.
    """
    with drawing_style():
        figure = new_figure(1.1 + 1.5 * len(panels) if len(panels) > 1 else 2.9)
        column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, panel in zip(column, panels, strict=True):
            for curve in panel.curves:
                _line(axes, curve, curve.y, points)
            axes.set_ylabel(panel.y_label)
            if panel.is_log:
                _log_scale(axes, np.concatenate([curve.y for curve in panel.curves]))
            else:
                axes.yaxis.set_major_locator(MaxNLocator(5))
        if mark is not None:
            _draw_mark(list(column), mark)
        column[-1].set_xlabel("epoch")
        column[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
        figure.align_ylabels()
        # One line per panel is named by its axis.
        if mark is not None or any(len(panel.curves) > 1 for panel in panels):
            add_legend(figure)
    return figure


def allocation_figure(
    allocations: Array,
    assets: Sequence[str],
    *,
    x: Array,
    x_label: str,
    points: int,
) -> Figure:
    """Weights over time, stacked, and below them what averaging would hide.

    Parameters
    ----------
    allocations : ndarray of shape (T, M)
        Target weights; above, their means over stretches of time.
    points : int
        Most points per line.

    Notes
    -----
    The assets of the largest mean weight are shown by name, the others together. Weights below 0
    cannot be stacked: these assets are drawn as lines then.
    """
    weights = np.asarray(allocations, dtype=float)
    order = np.argsort(-np.abs(weights).mean(axis=0), kind="stable")
    n_shown = len(assets) if len(assets) <= _MAX_ASSETS else _MAX_ASSETS - 1
    edges, means = bin_means(weights, _MAX_BINS)
    shown, rest = means[:, order[:n_shown]], means[:, order[n_shown:]].sum(axis=1)
    labels = [assets[i] for i in order[:n_shown]]
    if n_shown < len(assets):
        shown = np.column_stack([shown, rest])
        labels.append(f"{len(assets) - n_shown} others")
    with drawing_style():
        figure = new_figure(3.9)
        upper, lower = _column(figure, 2)
        steps = np.append(x[edges[:-1]], x[-1])
        is_stacked = float(weights.min()) > -1e-6
        (_stack if is_stacked else _steps)(upper, steps, shown, labels)
        n_rows = -(-len(weights) // (len(edges) - 1))
        upper.set_ylabel("weight" if n_rows == 1 else f"weight, mean of {n_rows} rows")
        changes = np.append(0.0, weight_changes(weights))  # the first row has none before it
        lines = {
            "change of weights": (changes, Look(COLOURS["orange"], "-", 0.6)),
            "largest weight": (np.abs(weights).max(axis=1), Look(COLOURS["blue"], "-", 1.1)),
        }
        for label, (y, look) in lines.items():
            _line(lower, Curve(label=label, x=x, y=y, look=look), y, points)
        lower.set_ylabel("per row")
        lower.set_ylim(bottom=0)
        lower.yaxis.set_major_locator(MaxNLocator(4))
        lower.set_xlabel(x_label)
        lower.set_xlim(x[0], x[-1])
        add_legend(figure)
    return figure


def timing_figure(seconds: Mapping[str, float]) -> Figure:
    """Where the time of a run went.

    Parameters
    ----------
    seconds : mapping
        Seconds by kind of work, in the order of the bars.
    """
    with drawing_style():
        figure = new_figure(0.7 + 0.3 * len(seconds))
        axes = figure.subplots()
        values = np.array(list(seconds.values()))
        bars = axes.barh(list(seconds), values, color=COLOURS["blue"], height=0.62)
        total = values.sum() or 1.0
        texts = [f"{value:,.2f} s ({value / total:.0%})" for value in values]
        axes.bar_label(bars, texts, padding=4, color=COLOURS["ink"])
        axes.set_xlim(0, max(values.max(), 1e-9) * 1.32)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
        axes.set_xlabel("seconds")
    return figure


def _column(figure: Figure, n_panels: int) -> list[Axes]:
    """Panels below each other on one time axis, the first one higher."""
    ratios = (5, *[3] * (n_panels - 1))
    grid = figure.subplots(n_panels, 1, sharex=True, squeeze=False, height_ratios=ratios)
    return list(grid[:, 0])


def _line(axes: Axes, curve: Curve, y: Floats, points: int) -> None:
    kept = thin(y, points)
    look = curve.look
    is_dot = np.count_nonzero(~np.isnan(y)) == 1
    axes.plot(
        curve.x[kept],
        y[kept],
        color=look.colour,
        linestyle=look.dashes,
        linewidth=look.width,
        label=named(curve.label),
        marker="o" if is_dot else "",
        markersize=4,
    )


def _draw_mark(column: list[Axes], mark: Mark) -> None:
    label = mark.label if mark.y is None else None
    for axes in column:
        axes.axvline(
            mark.x, color=COLOURS["muted"], linestyle=":", linewidth=1.2, label=named(label)
        )
    if mark.y is None:
        return
    column[0].plot(
        [mark.x],
        [mark.y],
        linestyle="none",
        marker="*",
        markersize=11,
        color=COLOURS["vermillion"],
        label=named(mark.label),
        zorder=5,
        clip_on=False,
    )


def _stack(axes: Axes, edges: Array, means: Floats, labels: Sequence[str]) -> None:
    """Draw layers with a step at each edge; hatching tells them apart in grey."""
    base = np.zeros(len(means))
    for place, (label, layer) in enumerate(zip(labels, means.T, strict=True)):
        colour = COLOURS[_LAYERS[place % len(_LAYERS)]]
        is_rest = place == _MAX_ASSETS - 1
        axes.fill_between(
            edges,
            np.append(base, base[-1]),
            np.append(base + layer, base[-1] + layer[-1]),
            step="post",
            facecolor=_REST if is_rest else colour,
            hatch="" if is_rest else _HATCHES[place % len(_HATCHES)],
            edgecolor=COLOURS["paper"],
            linewidth=0.0,
            label=named(label),
        )
        base = base + layer
    axes.set_ylim(0, max(1.0, float(base.max())))
    axes.grid(visible=False)


def _steps(axes: Axes, edges: Array, means: Floats, labels: Sequence[str]) -> None:
    for place, (label, layer) in enumerate(zip(labels, means.T, strict=True)):
        axes.step(
            edges,
            np.append(layer, layer[-1]),
            where="post",
            color=COLOURS[_LAYERS[place % len(_LAYERS)]],
            linestyle=("-", "--", "-.", ":")[place % 4],
            linewidth=1.0,
            label=named(label),
        )


def _log_scale(axes: Axes, values: Floats) -> None:
    """Use a log scale whose labels are plain numbers, also where less than a decade is seen."""
    seen = values[np.isfinite(values) & (values > 0)]
    if not len(seen):
        return
    low, high = float(seen.min()), float(seen.max())
    axes.set_yscale("log")
    margin = (high / low) ** 0.05 if high > low else 1.05
    axes.set_ylim(low / margin, high * margin)
    ticks = log_ticks(low / margin, high * margin)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def log_ticks(low: float, high: float) -> list[float]:
    """Choose four to eight round numbers within a positive range that a log axis shows.

    Parameters
    ----------
    low, high : float
        The range, `0 < low < high`.

    Examples
    --------
    >>> log_ticks(0.5, 20)
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    """
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    candidates = [np.outer(10.0**decades, digits).ravel() for digits in ([1, 2, 5], [1, 3], [1])]
    stride = max(1, len(decades) // 7)
    candidates.append(10.0 ** decades[::stride])
    for ticks in candidates:
        inside = [
            float(f"{tick:.6g}") for tick in ticks if low <= tick * 1.0000001 <= high * 1.0000002
        ]
        if len(inside) < 3:
            break
        if len(inside) <= 8:
            return inside
    linear = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in linear if low <= tick <= high and tick > 0]
