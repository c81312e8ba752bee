"""Charts of wealth, epochs, weights and who can be held: arrays in, figures out.

They touch no file and keep no state. Every axis says what it shows and in which unit. Lines are
thinned with their extremes kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psann._typing import Array, Floats
from psann.accounting import weight_changes
from psann.holdings import ENDED, HALTED, MEMBER
from psann.presentation.axes import Axis, log_axis, names_axis, number_axis, numbers_of, time_axis
from psann.presentation.figure import Area, Bars, Dots, Figure, Line, Look, Mark, Panel, Rules
from psann.presentation.series import bin_means, drawdown, thin

LOOKS = (
    Look("blue", width=2.0),
    Look("vermillion", "6 3", 1.7),
    Look("green", "2 2", 1.7),
    Look("purple", "8 2 2 2", 1.7),
    Look("orange", "12 3", 1.7),
)
"""Of lines that are told apart in one plot; more would hide each other."""
MOST_LINES = len(LOOKS)
_MAX_LAYERS = 8
_MAX_BINS = 120
_MOST_NAMES, _LONGEST_NAME = 40, 13
_LAYERS = ("blue", "orange", "sky", "vermillion", "green", "purple", "olive", "muted")
_REST = "rule"
_DASHES = ("", "7 3", "2 2", "8 2 2 2", "12 3")
_START = Look("muted", "2 3", 1.0)
_NARROW = Look("blue", width=1.2)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line: `x` and `y` of the same length, NaN where there is nothing."""

    label: str
    x: Array
    y: Floats
    look: Look
    is_main: bool = True
    """Whether its drawdown is drawn as well."""
    among: tuple[Floats, Floats] | None = None
    """Lowest and highest of those whose mean it is."""


def wealth_figure(
    curves: Sequence[Curve],
    *,
    x_title: str,
    points: int,
    beside: Curve | None = None,
    starts: Array | None = None,
) -> Figure:
    """Wealth on a log scale, then beside another's, then the fall from the highest value so far.

    Parameters
    ----------
    curves : sequence of Curve
        Wealth from 1.0 on; a value that is not positive is ruin and ends the line. The fall is
        shown of the main ones, if there are any.
    points : int
        Most points per line.
    beside : Curve, optional
        One of the curves, by whose wealth that of the first is divided.
    starts : ndarray, optional
        Where folds begin, but the first.
    """
    xs = np.concatenate([curve.x for curve in curves])
    positive = [_positive(curve.y) for curve in curves]
    marks: list[Mark] = [
        _band(curve, points, f"range of {curve.label}") for curve in curves if curve.among
    ]
    marks += [_line(curve, y, points) for curve, y in zip(curves, positive, strict=True)]
    title = "wealth, start = 1 (equal steps are equal factors)"
    parts = _among(curves)
    panels = [_panel(title, marks, log_axis(np.concatenate([*positive, *parts])), 230)]
    ratio = None if beside is None else positive[0] / _positive(beside.y)
    if beside is not None and ratio is not None and not is_constant(ratio):
        line = _line(Curve(label="", x=curves[0].x, y=ratio, look=curves[0].look), ratio, points)
        title = f"{curves[0].label} / {beside.label}: rises while it earns more"
        panels.append(_panel(title, [line], log_axis(np.append(ratio, 1.0)), 100))
    main = [curve for curve in curves if curve.is_main]
    if main:
        falls = [drawdown(curve.y) for curve in main]
        lines = [_line(curve, y, points) for curve, y in zip(main, falls, strict=True)]
        y = number_axis(np.concatenate(falls), is_percent=True, high=0.0)
        panels.append(_panel("drawdown: below the highest wealth so far", lines, y, 110))
    if starts is not None:
        rules = [Rules(x=numbers_of(starts), look=_START, label="a fold begins")]
        panels = [_panel(p.title, [*rules, *p.marks], p.y, p.height_px) for p in panels]
    return Figure(panels=panels, x=time_axis(xs), x_title=x_title)


def epochs_figure(
    panels: Sequence[tuple[str, Sequence[Curve]]], *, best: tuple[float, str] | None, points: int
) -> Figure:
    """Quantities over the epochs, one panel each, with the best epoch marked.

    Parameters
    ----------
    panels : sequence of (str, sequence of Curve)
        What stands on the upright axis, and the lines.
    best : tuple of float and str, optional
        The best epoch and what it is called.
    points : int
        Most points per line.
    """
    drawn = []
    for title, curves in panels:
        marks: list[Mark] = []
        if best is not None:
            marks.append(
                Rules(x=np.array([best[0]]), look=Look("muted", "3 3", 1.4), label=best[1])
            )
        marks += [
            _band(curve, points, f"range of {curve.label}") for curve in curves if curve.among
        ]
        marks += [_line(curve, curve.y, points) for curve in curves]
        y = number_axis(np.concatenate([*(curve.y for curve in curves), *_among(curves)]))
        drawn.append(_panel(title, marks, y, 200 if len(panels) == 1 else 110))
    epochs = [curve.x for _, curves in panels for curve in curves]
    return Figure(panels=drawn, x=_whole(np.concatenate(epochs), best), x_title="epoch")


def allocation_figure(
    allocations: Array, assets: Sequence[str], *, x: Array, x_title: str, points: int
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
    cannot be stacked: these assets are drawn as lines then, fewer of them.
    """
    weights = np.asarray(allocations, dtype=np.float64)
    is_stacked = float(weights.min()) > -1e-6
    edges, shown, labels = _shown(weights, assets, most=_MAX_LAYERS if is_stacked else MOST_LINES)
    at = numbers_of(x)
    steps = np.append(at[edges[:-1]], at[-1])
    colours = list(_LAYERS[: len(labels)])
    if len(labels) < len(assets):
        colours[-1] = _REST if is_stacked else "muted"
    marks = (_stack if is_stacked else _steps)(steps, shown, labels, colours)
    tops = np.append(shown.sum(axis=1) if is_stacked else shown, [0.0, 1.0])
    y = number_axis(
        tops, is_percent=True, **({"low": 0.0, "high": tops.max()} if is_stacked else {})
    )
    n_rows = -(-len(weights) // (len(edges) - 1))
    up_to = "" if len(weights) % (len(edges) - 1) == 0 else "up to "
    title = "weight" if n_rows == 1 else f"weight, mean of {up_to}{n_rows} rows"
    panels = [_panel(title, marks, y, 210)]
    changes = np.append(np.nan, weight_changes(weights))  # the first row has none before it
    for title, values in (
        ("largest weight", np.abs(weights).max(axis=1)),
        ("change of weights from row to row, as part of the wealth", changes),
    ):
        if not is_constant(values):
            line = _line(Curve(label="", x=x, y=values, look=_NARROW), values, points)
            panels.append(_panel(title, [line], number_axis(values, is_percent=True, low=0.0), 90))
    return Figure(panels=panels, x=time_axis(x), x_title=x_title)


def availability_figure(active: Array, assets: Sequence[str], *, x: Array, x_title: str) -> Figure:
    """Who can be held when: a bar for each asset, the first on top.

    Parameters
    ----------
    active : ndarray of shape (T, M)
        Codes of `psann.holdings`.
    """
    codes = np.asarray(active)
    states = (
        (codes == MEMBER, "blue", "can be held"),
        (codes == HALTED, "orange", "halted: neither bought nor sold"),
        (codes == ENDED, "rule", "ended"),
    )
    return Figure(panels=[bars_panel(states, assets, x=x)], x=time_axis(x), x_title=x_title)


def bars_panel(
    states: Sequence[tuple[Array, str, str]], assets: Sequence[str], *, x: Array
) -> Panel:
    """A bar for each asset, the first on top, over the rows on which it is in a state.

    Parameters
    ----------
    states : sequence of (ndarray of shape (T, M), str, str)
        Who is in it when, its colour, what it is called.
    x : ndarray of shape (T,)
        Where the rows are; a bar lasts until the next.
    """
    at = numbers_of(x)
    # That of the last row is as long as the one before.
    ends = np.append(at[1:], 2 * at[-1] - at[-2] if len(at) > 1 else at[-1] + 1)
    marks: list[Mark] = []
    for is_on, colour, label in states:
        bars = [
            (at[first], ends[last - 1], place + 0.85, place + 0.15)
            for place, column in enumerate(is_on.T)
            for first, last in _stretches(column)
        ]
        if bars:
            marks.append(Bars(edges=np.array(bars), colour=colour, label=label))
    y = names_axis(assets, most=_MOST_NAMES, longest=_LONGEST_NAME)
    return _panel("asset", marks, y, 17 * min(len(assets), _MOST_NAMES))


def strip_figure(values: Floats, *, own: float, names: tuple[str, str], x_title: str) -> Figure:
    """Several values on one line, and one beside them.

    Parameters
    ----------
    names : tuple of two str
        What the values are called, and what the one.
    """
    x = number_axis(np.append(values, [own, 0.0]))
    marks = [
        Dots(x=values, y=np.zeros(len(values)), look=Look("muted", width=9.0), label=names[0]),
        Dots(x=np.array([own]), y=np.zeros(1), look=Look("blue", width=13.0), label=names[1]),
    ]
    panel = _panel("", marks, Axis(low=-1.0, high=1.0), 40)
    return Figure(panels=[panel], x=x, x_title=x_title)


def is_constant(values: Floats) -> bool:
    """Whether there is nothing to see: fewer than two values, or all the same."""
    known = values[np.isfinite(values)]
    return len(known) < 2 or bool(np.ptp(known) <= 1e-9 * np.abs(known).max())


# ----------------------------------------------------------------------------------------- parts


def _panel(title: str, marks: Sequence[Mark], y: Axis, height_px: int) -> Panel:
    return Panel(title=title, marks=marks, y=y, height_px=height_px)


def _positive(y: Floats) -> Floats:
    return np.where(y > 0, y, np.nan)


def _line(curve: Curve, y: Floats, points: int) -> Line:
    kept = thin(y, points)
    return Line(x=numbers_of(curve.x[kept]), y=y[kept], look=curve.look, label=curve.label)


def _band(curve: Curve, points: int, label: str) -> Area:
    low, high = curve.among or (curve.y, curve.y)
    kept = np.union1d(thin(low, points), thin(high, points))
    at = numbers_of(curve.x[kept])
    colour = curve.look.colour
    return Area(x=at, low=low[kept], high=high[kept], colour=colour, opacity=0.2, label=label)


def _among(curves: Sequence[Curve]) -> list[Floats]:
    return [values for curve in curves for values in curve.among or ()]


def _whole(epochs: Floats, best: tuple[float, str] | None) -> Axis:
    """An axis whose labels are whole numbers."""
    axis = number_axis(np.append(epochs, epochs if best is None else best[0]), margin=0.0)
    ticks = tuple(tick for tick in axis.ticks if float(tick[0]).is_integer())
    return Axis(low=axis.low, high=axis.high, ticks=ticks)


def _shown(weights: Floats, assets: Sequence[str], *, most: int) -> tuple[Array, Floats, list[str]]:
    """The largest by name and the others together, as means over stretches."""
    order = np.argsort(-np.abs(weights).mean(axis=0), kind="stable")
    n_shown = len(assets) if len(assets) <= most else most - 1
    edges, means = bin_means(weights, _MAX_BINS)
    shown, rest = means[:, order[:n_shown]], means[:, order[n_shown:]].sum(axis=1)
    labels = [assets[i] for i in order[:n_shown]]
    if n_shown < len(assets):
        shown = np.column_stack([shown, rest])
        labels.append(f"{len(assets) - n_shown} others")
    return edges, shown, labels


def _stack(
    steps: Floats, means: Floats, labels: Sequence[str], colours: Sequence[str]
) -> list[Mark]:
    """Layers with a step at each edge."""
    tops = np.cumsum(np.column_stack([np.zeros(len(means)), means]), axis=1)
    x = np.repeat(steps, 2)[1:-1]
    return [
        Area(
            x=x,
            low=np.repeat(tops[:, place], 2),
            high=np.repeat(tops[:, place + 1], 2),
            colour=colour,
            label=label,
        )
        for place, (label, colour) in enumerate(zip(labels, colours, strict=True))
    ]


def _steps(
    steps: Floats, means: Floats, labels: Sequence[str], colours: Sequence[str]
) -> list[Mark]:
    x = np.repeat(steps, 2)[1:-1]
    looks = [Look(colour, dashes, 1.4) for colour, dashes in zip(colours, _DASHES, strict=False)]
    return [
        Line(x=x, y=np.repeat(layer, 2), look=look, label=label)
        for label, layer, look in zip(labels, means.T, looks, strict=True)
    ]


def _stretches(is_on: Array) -> Array:
    """First row of each stretch, and the row after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_on, [False]))))
    return edges.reshape(-1, 2)
