"""The pictures of a sweep: values by trial and against each key, and the best side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from psann._text import shortened
from psann._typing import is_number
from psann.presentation.axes import Axis, log_axis, number_axis
from psann.presentation.content import Picture, printable, setting
from psann.presentation.figure import Dots, Figure, Line, Look, Mark, Panel
from psann.run.sweep.reading import SweepView, best_ten, value_head
from psann.run.sweep.record import TrialRow, number_of

_LEAST_FACTOR_OF_LOG = 8.0  # between smallest and largest value of a key
_LONGEST_TICK = 12
_BEST, _OTHER = Look("blue", width=2.4), Look("muted", width=0.9)


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
    numbers = [float(number_of(row)) for row in rows]
    return Picture(
        name="trials",
        title="Validation value by trial",
        figure=_dots(numbers, rows, x=number_axis(numbers), titles=("trial", label)),
        caption="The best is ringed. Trials without a value are not drawn.",
    )


def _by_key(rows: Sequence[TrialRow], keys: Sequence[str], label: str) -> Iterator[Picture]:
    for key in keys:
        having = [row for row in rows if key in row["overrides"]]
        if not having:
            continue
        places, names = _places([row["overrides"][key] for row in having])
        titles = (printable(key), label)
        yield Picture(
            name=f"key-{keys.index(key) + 1}",
            title=f"Validation value against {printable(key)}",
            figure=_dots(places, having, x=_axis(places, names), titles=titles),
            caption="Each dot is a trial; what else it varies differs too.",
        )


def _side_by_side(rows: Sequence[TrialRow], keys: Sequence[str], label: str) -> Picture:
    """Each key an axis from its least to its largest value, each trial a line."""
    columns = [_places([row["overrides"].get(key) for row in rows])[0] for key in keys]
    columns.append([row["value"] or 0.0 for row in rows])
    heights = np.array([_spread(column) for column in columns])  # (key, trial)
    places = np.arange(len(columns), dtype=np.float64)
    marks: list[Mark] = []
    for trial in range(len(rows) - 1, -1, -1):
        look = _OTHER if trial else _BEST
        named = {0: "the best trial", len(rows) - 1: "the others"}.get(trial, "")
        marks.append(Line(x=places, y=heights[:, trial], look=look, label=named))
        dots = Look(look.colour, width=6.0)
        marks.append(Dots(x=places, y=heights[:, trial], look=dots))
    names = [printable(key) for key in keys] + [label]
    shown = [_brief(name) for name in names]
    x = Axis(low=-0.2, high=places[-1] + 0.2, ticks=tuple(zip(places, shown, strict=True)))
    y = Axis(low=-0.05, high=1.05, ticks=((0.0, "least"), (1.0, "largest")))
    return Picture(
        name="parallel",
        title=f"The best {len(rows)} trials" if len(rows) > 1 else "The best trial",
        figure=Figure(
            panels=[Panel(title="place between the least and the largest", marks=marks, y=y)],
            x=x,
            x_title=", ".join(names),
        ),
        caption="Each line is a trial, the broad one the best; where lines meet, a key matters.",
    )


def _brief(name: str) -> str:
    return shortened(name.rpartition(".")[2], _LONGEST_TICK)


def _dots(
    places: Sequence[float], rows: Sequence[TrialRow], *, x: Axis, titles: tuple[str, str]
) -> Figure:
    """One dot per trial; `rows` are the best first."""
    at, values = np.array(places), np.array([row["value"] or 0.0 for row in rows])
    sizes = ((at[:1], "vermillion", 15.0), (at[:1], "paper", 11.0), (at, "blue", 6.0))
    marks = [
        Dots(x=across, y=values[: len(across)], look=Look(colour, width=width))
        for across, colour, width in sizes
    ]
    panel = Panel(title=titles[1], marks=marks, y=number_axis(values, margin=0.08), height_px=180)
    return Figure(panels=[panel], x=x, x_title=titles[0])


def _places(values: Sequence[object]) -> tuple[list[float], list[str] | None]:
    """Where values lie on an axis, and names of its whole numbers where they are no numbers."""
    if len(numbers := [float(value) for value in values if is_number(value)]) == len(values):
        return numbers, None
    texts = [setting(value) for value in values]
    names = sorted(set(texts))
    return [float(names.index(text)) for text in texts], names


def _axis(places: Sequence[float], names: list[str] | None) -> Axis:
    if names is not None:
        ticks = tuple((float(place), _brief(name)) for place, name in enumerate(names))
        return Axis(low=-0.4, high=len(names) - 0.6, ticks=ticks)
    low, high = min(places), max(places)
    return (
        log_axis(places) if low > 0 and high / low >= _LEAST_FACTOR_OF_LOG else number_axis(places)
    )


def _spread(values: Sequence[float]) -> list[float]:
    """Values as shares of the way from least to largest; on a log scale where they span much."""
    low, high = min(values), max(values)
    if low > 0 and high / low >= _LEAST_FACTOR_OF_LOG:
        logs = [float(np.log(value)) for value in values]
        return _spread(logs) if any(a != b for a, b in pairwise(logs)) else [0.5] * len(values)
    if high == low:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]
