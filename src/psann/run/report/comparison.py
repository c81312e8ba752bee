"""What a report says of several runs together, and in short of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from psann.presentation.charts import (
    LOOKS,
    MOST_LINES,
    Curve,
    epochs_figure,
    is_constant,
    wealth_figure,
)
from psann.presentation.content import Picture, Report, Section, printable
from psann.presentation.figure import Look
from psann.presentation.terms import explained
from psann.run.directory.evaluation import Evaluation
from psann.run.reading.comparison import (
    Name,
    comparison_sections,
    group_name,
    monitor_curves,
    names_of,
)
from psann.run.reading.differences import Group, group_by_config
from psann.run.reading.quantities import quantity
from psann.run.reading.ranking import may_rank
from psann.run.reading.reading import RunView
from psann.run.reading.sentences import rows_judged
from psann.run.reading.tables import result_table
from psann.run.report.run_pictures import judged_series, short, time_of
from psann.run.report.run_sections import problems_told, run_sections, summary
from psann.run.report.strategies import strategy_look


@np.errstate(all="ignore")  # a stranger's series may hold anything
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
    drawn = _wealth_picture(runs, name_of, points=points)
    together = [
        differing,
        replace(beside, pictures=() if drawn is None else (drawn,)),
        Section(
            title="Training",
            pictures=tuple(_monitor_pictures(runs, name_of, points=points)),
            is_folded=True,
        ),
        *(_brief(run, name_of) for run in runs),
    ]
    shown = tuple(explained(section for section in together if not section.is_empty))
    return Report(title=f"Comparison of {len(runs)} runs", status="", sections=shown)


def _brief(run: RunView, name_of: Name) -> Section:
    """A run among others: its verdict and its table; the rest is in its own report."""
    result = result_table(run, is_page=True)
    return Section(
        title=f"{name_of(run)}: {printable(run.status).replace('_', ' ')}",
        sentences=tuple(summary(run)),
        warnings=tuple(problems_told(run)),
        tables=() if result is None else (result,),
        is_folded=True,
    )


def _drawn_groups(runs: Sequence[RunView]) -> tuple[Sequence[Group], str]:
    """The groups that are drawn, of many the best by validation; of how many, and which."""
    groups = group_by_config(runs)
    most, quality = MOST_LINES - 1, quantity("val_reward_mean")
    if len(groups) <= most:
        return groups, ""
    means = [-np.inf if (mean := group.mean(quality)) is None else mean for group in groups]
    if max(means) == -np.inf or not may_rank(quality, runs):
        return groups[:most], f" of {len(groups)} that are first"
    best = sorted(range(len(groups)), key=means.__getitem__, reverse=True)[:most]
    return [groups[k] for k in best], f" of {len(groups)} that are best on validation rows"


def _wealth_picture(runs: Sequence[RunView], name_of: Name, *, points: int) -> Picture | None:
    groups, of_many = _drawn_groups(runs)
    drawn = [
        (group, place, found)
        for place, group in enumerate(groups)
        if (
            found := [
                series for run in group.of_seeds if (series := judged_series(run)) is not None
            ]
        )
    ]
    if not drawn:
        return None
    axes = [time_of(found[0]) for _, _, found in drawn]
    is_one_axis = len({(title, x.dtype.kind) for x, title in axes}) == 1
    curves = []
    for (group, place, found), (x, _) in zip(drawn, axes, strict=True):
        curve = _mean_curve(found, short(group_name(group, name_of)), LOOKS[place])
        curves.append(replace(curve, x=x) if is_one_axis else curve)
    series = drawn[0][2][0]
    shown = [run for group, _, _ in drawn for run in group.runs if judged_series(run) is not None]
    judged = {rows_judged(run.metrics) for run in shown}
    data = {run.metrics["data_sha256"] for run in shown}
    is_same = len(judged) == len(data) == 1 and None not in data
    has_uniform = is_same and "uniform" in series.names
    if has_uniform:
        y = series.net[series.names.index("uniform")]
        curves.append(Curve(label="1/N", x=curves[0].x, y=y, look=strategy_look("uniform")))
    rows = judged.pop() if len(judged) == 1 else "Each on its own rows"
    caption = f"{rows}. What 1.00 becomes, net of each run's costs"
    caption += ", beside 1/N on the same rows and the first run's terms." if has_uniform else "."
    if any(curve.among is not None for curve in curves):
        caption += " Of several seeds the line is their mean, in their range."
    if of_many:
        caption += f" Drawn are the {len(drawn)}{of_many}."
    return Picture(
        name="wealth",
        title="Wealth of the policies",
        figure=wealth_figure(
            curves, x_title=axes[0][1] if is_one_axis else "row of each judged span", points=points
        ),
        caption=caption,
    )


def _mean_curve(found: Sequence[Evaluation], label: str, look: Look) -> Curve:
    """Wealth of a policy; of several seeds on the same rows their mean and range."""
    paths = [series.net[0] for series in found]  # a reader takes no series without it
    same = np.array([path for path in paths if len(path) == len(paths[0])])
    among = (same.min(axis=0), same.max(axis=0)) if len(same) > 1 else None
    x = np.arange(len(paths[0]))
    return Curve(label=label, x=x, y=same.mean(axis=0), look=look, among=among)


def _monitor_pictures(runs: Sequence[RunView], name_of: Name, *, points: int) -> Iterator[Picture]:
    """One picture per quantity that chose the best epoch."""
    groups, _ = _drawn_groups(runs)
    firsts = {id(group.runs[0]): (place, group) for place, group in enumerate(groups)}
    caption = "The quantity that chooses the best epoch"
    caption += (
        "; of several seeds that of the first." if any(len(g.runs) > 1 for g in groups) else "."
    )
    for column, found in monitor_curves([group.runs[0] for group in groups]).items():
        curves = []
        for run, values in found:
            y = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
            place, group = firsts[id(run)]
            label, x = short(group_name(group, name_of)), np.arange(1, len(y) + 1)
            curves.append(Curve(label=label, x=x, y=y, look=LOOKS[place]))
        name = quantity(column).shown.label
        if not all(is_constant(curve.y) for curve in curves):
            yield Picture(
                name=column.replace("_", "-"),
                title=f"{name.capitalize()} by epoch",
                figure=epochs_figure([(name, curves)], best=None, points=points),
                caption=caption,
            )
