"""What a report says of several runs together, before it tells of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from psann._charts import Curve, Look, Panel, epochs_figure, wealth_figure
from psann.run.reading.comparison import (
    Name,
    comparison_sections,
    group_name,
    monitor_curves,
    names_of,
)
from psann.run.reading.content import Picture, Report, Section, printable
from psann.run.reading.differences import Group, group_by_config
from psann.run.reading.quantities import quantity
from psann.run.reading.reading import RunView
from psann.run.report.run_pictures import short, time_axis
from psann.run.report.run_sections import run_sections
from psann.run.report.strategies import run_look, strategy_look

_MOST_DRAWDOWNS = 5


def report_of(runs: Sequence[RunView], *, points: int) -> Report:
    """Gather the content of a report.

    Parameters
    ----------
    points : int
        Most points per line in the pictures.
    """
    name_of = names_of(runs)
    if len(runs) == 1:
        (run,) = runs
        sections = run_sections(run, level=2, points=points)
        return Report(title=name_of(run), status=printable(run.status), sections=sections)
    differing, beside = comparison_sections(runs, name_of)
    together = [differing, replace(beside, pictures=_pictures(runs, name_of, points=points))]
    for run in runs:
        title = f"{name_of(run)}: {printable(run.status).replace('_', ' ')}"
        together += [Section(title=title), *run_sections(run, level=3, points=points)]
    return Report(title=f"Comparison of {len(runs)} runs", status="", sections=tuple(together))


def _pictures(runs: Sequence[RunView], name_of: Name, *, points: int) -> tuple[Picture, ...]:
    groups = group_by_config(runs)
    drawn = [
        _wealth_picture(groups, name_of, points=points),
        *_monitor_pictures(groups, name_of, points=points),
    ]
    return tuple(picture for picture in drawn if picture is not None)


def _lines(groups: Sequence[Group], name_of: Name) -> Iterator[tuple[RunView, str, Look]]:
    """Each run with the name and look of its group: seeds of one configuration look alike."""
    for place, group in enumerate(groups):
        for run in group.runs:
            yield run, short(group_name(group, name_of)), run_look(place)


def _wealth_picture(groups: Sequence[Group], name_of: Name, *, points: int) -> Picture | None:
    found = [
        (run, run.evaluation, label, look)
        for run, label, look in _lines(groups, name_of)
        if run.evaluation is not None and "policy" in run.evaluation.names
    ]
    if not found:
        return None
    axes = [time_axis(series) for _, series, _, _ in found]
    kinds = {(label, x.dtype.kind) for x, label in axes}
    curves = []
    for (_, series, label, look), (x, _) in zip(found, axes, strict=True):
        y = series.net[series.names.index("policy")]
        at = x if len(kinds) == 1 else np.arange(len(y))
        is_main = len(found) <= _MOST_DRAWDOWNS
        curves.append(Curve(label=label, x=at, y=y, look=look, is_main=is_main))
    first, series = found[0][:2]
    is_same_data = len({run.metrics["data_sha256"] for run, _, _, _ in found}) == 1
    has_uniform = is_same_data and "uniform" in series.names and first.metrics["data_sha256"]
    if has_uniform:
        y = series.net[series.names.index("uniform")]
        look = strategy_look("uniform")
        curves.append(Curve(label="1/N", x=curves[0].x, y=y, look=look, is_main=False))
    x_label = axes[0][1] if len(kinds) == 1 else "row of each run's evaluation span"
    return Picture(
        name="wealth",
        title="Wealth of the policies",
        figure=wealth_figure(curves, x_label=x_label, points=points),
        caption="What 1.00 becomes, net of each run's costs"
        + (", beside 1/N on the same rows and the first run's terms." if has_uniform else "."),
    )


def _monitor_pictures(groups: Sequence[Group], name_of: Name, *, points: int) -> Iterator[Picture]:
    """One picture per quantity that chose the best epoch."""
    looks = {id(run): (label, look) for run, label, look in _lines(groups, name_of)}
    for column, found in monitor_curves([run for group in groups for run in group.runs]).items():
        curves = []
        for run, values in found:
            y = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
            label, look = looks[id(run)]
            curves.append(Curve(label=label, x=np.arange(1, len(y) + 1), y=y, look=look))
        name = quantity(column).shown.label
        panel = Panel(y_label=name, curves=curves)
        yield Picture(
            name=column.replace("_", "-"),
            title=f"{name.capitalize()} by epoch",
            figure=epochs_figure([panel], mark=None, points=points),
            caption="The quantity that chooses the best epoch.",
        )
