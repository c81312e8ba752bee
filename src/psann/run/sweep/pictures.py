"""The pictures of a sweep: values by trial and against each key, and the best side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from psann._charts import log_ticks
from psann._drawing import COLOURS, drawing_style, named, new_figure
from psann.run.reading.content import Picture, printable, setting
from psann.run.sweep.reading import SweepView, best_ten, value_head
from psann.run.sweep.record import TrialRow

_LEAST_FACTOR_OF_LOG = 8.0  # between smallest and largest value of a key


def pictures_of(sweep: SweepView) -> tuple[Picture, ...]:
    """Every picture that there is something to draw of."""
    rows = [row for row in sweep.rows if row["value"] is not None]
    if not rows:
        return ()
    label = value_head(sweep.record)
    drawn = [_by_trial(rows, label), *_by_key(rows, sweep.record["keys"], label)]
    if len(rows) > 1 and len(sweep.record["keys"]) > 1:
        drawn.append(_side_by_side(best_ten(rows), sweep.record["keys"], label))
    return tuple(drawn)


def _by_trial(rows: Sequence[TrialRow], label: str) -> Picture:
    with drawing_style():
        figure = new_figure(2.6)
        axes = figure.subplots()
        numbers = [int(row["run"].removeprefix("t")) for row in rows]
        _dots(axes, numbers, rows)
        axes.set_xlabel("trial")
        axes.set_ylabel(label)
    return Picture(
        name="trials",
        title="Validation value by trial",
        figure=figure,
        caption="The best is ringed. Trials without a value are not drawn.",
    )


def _by_key(rows: Sequence[TrialRow], keys: Sequence[str], label: str) -> Iterator[Picture]:
    for key in keys:
        having = [row for row in rows if key in row["overrides"]]
        if not having:
            continue
        with drawing_style():
            figure = new_figure(2.6)
            axes = figure.subplots()
            places, ticks = _places([row["overrides"][key] for row in having])
            _dots(axes, places, having)
            _label_axis(axes, places, ticks)
            axes.set_xlabel(named(printable(key)) or "")
            axes.set_ylabel(label)
        yield Picture(
            name=f"key-{keys.index(key) + 1}",
            title=f"Validation value against {printable(key)}",
            figure=figure,
            caption="Each dot is a trial; what else it varies differs too.",
        )


def _side_by_side(rows: Sequence[TrialRow], keys: Sequence[str], label: str) -> Picture:
    """Each key an axis from its least to its largest value, each trial a line."""
    columns = [_places([row["overrides"].get(key) for row in rows])[0] for key in keys]
    columns.append([row["value"] or 0.0 for row in rows])
    with drawing_style():
        figure = new_figure(3.2)
        axes = figure.subplots()
        heights = np.array([_spread(column) for column in columns])  # (key, trial)
        for place in range(len(rows) - 1, -1, -1):
            is_best = place == 0
            axes.plot(
                heights[:, place],
                color=COLOURS["blue" if is_best else "muted"],
                linewidth=2.4 if is_best else 0.9,
                marker="o",
                markersize=3.5,
            )
        axes.set_xticks(range(len(columns)), [*(printable(key) for key in keys), label])
        axes.tick_params(axis="x", labelrotation=15)
        axes.set_yticks([0, 1], ["least", "largest"])
        axes.margins(x=0.04)
    return Picture(
        name="parallel",
        title=f"The best {len(rows)} trials" if len(rows) > 1 else "The best trial",
        figure=figure,
        caption="Each line is a trial, the broad one the best; where lines meet, a key matters.",
    )


def _dots(axes: Axes, places: Sequence[float], rows: Sequence[TrialRow]) -> None:
    """One dot per trial; `rows` are the best first."""
    values = [row["value"] or 0.0 for row in rows]
    axes.scatter(places, values, s=16, color=COLOURS["blue"])
    axes.scatter(places[:1], values[:1], s=90, facecolors="none", edgecolors=COLOURS["vermillion"])


def _places(values: Sequence[object]) -> tuple[list[float], list[str] | None]:
    """Where values lie on an axis, and names of its whole numbers where they are no numbers."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values], None  # type: ignore[arg-type]
    texts = [setting(value) for value in values]
    names = sorted(set(texts))
    return [float(names.index(text)) for text in texts], names


def _label_axis(axes: Axes, places: Sequence[float], names: list[str] | None) -> None:
    if names is not None:
        axes.set_xticks(range(len(names)), [named(name) or "" for name in names])
        axes.margins(x=0.2)
        return
    low, high = min(places), max(places)
    if low > 0 and high / low >= _LEAST_FACTOR_OF_LOG:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(low * 0.9, high * 1.1)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def _spread(values: Sequence[float]) -> list[float]:
    """Values as shares of the way from least to largest; on a log scale where they span much."""
    low, high = min(values), max(values)
    if low > 0 and high / low >= _LEAST_FACTOR_OF_LOG:
        logs = [float(np.log(value)) for value in values]
        return _spread(logs) if any(a != b for a, b in pairwise(logs)) else [0.5] * len(values)
    if high == low:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]
