"""What a report says of several runs together, before it tells of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from psann.errors import counted
from psann.run.directory.columns import MONITOR_COLUMNS
from psann.run.directory.rows import monitor_values
from psann.run.reading.differences import (
    Difference,
    Group,
    circumstances,
    config_differences,
    group_by_config,
    verdict,
)
from psann.run.reading.quantities import Quantity, quantity
from psann.run.reading.reading import RunView
from psann.run.report.content import (
    NOTHING,
    Picture,
    Report,
    Section,
    Table,
    listed,
    printable,
    setting,
)
from psann.run.report.figures import Curve, Panel, epochs_figure, wealth_figure
from psann.run.report.run_pictures import short, time_axis
from psann.run.report.run_sections import run_sections
from psann.run.report.strategies import Look, run_look, strategy_look

_MOST_COLUMNS = 6
_MOST_DRAWDOWNS = 5
# What a reader ranks runs by.
_MAIN = tuple(
    map(
        quantity,
        (
            *("val_reward_mean", "test_reward_mean", "portfolio_metrics.annual_log_growth"),
            *("excess_growth", "excess_growth_delay_1", "portfolio_metrics.annual_sharpe"),
            *("portfolio_metrics.max_drawdown", "portfolio_metrics.turnover_traded"),
            *("best_epoch", "duration_seconds"),
        ),
    )
)

_Name = Callable[[RunView], str]


def report_of(runs: Sequence[RunView], *, points: int) -> Report:
    """Gather the content of a report.

    Parameters
    ----------
    runs : sequence of RunView
        One or more.
    points : int
        Most points per line in the pictures.
    """
    name_of = _names(runs)
    if len(runs) == 1:
        (run,) = runs
        sections = run_sections(run, level=2, points=points)
        return Report(title=name_of(run), status=printable(run.status), sections=sections)
    together = [_differences(runs, name_of), _side_by_side(runs, name_of, points=points)]
    for run in runs:
        title = f"{name_of(run)}: {printable(run.status).replace('_', ' ')}"
        together += [Section(title=title), *run_sections(run, level=3, points=points)]
    return Report(title=f"Comparison of {len(runs)} runs", status="", sections=tuple(together))


def _names(runs: Sequence[RunView]) -> _Name:
    """Name runs as they were named at their start, which moving them does not change."""
    labels: dict[int, str] = {}
    for run in runs:
        name = label = printable(run.metrics["run_name"] or run.name)
        place = 1
        while label in labels.values():
            place += 1
            label = f"{name} ({place})"
        labels[id(run)] = label
    return lambda run: labels[id(run)]


def _differences(runs: Sequence[RunView], name_of: _Name) -> Section:
    found = (config_differences(runs), circumstances(runs))
    return Section(
        title="What differs",
        sentences=tuple(map(printable, verdict(runs, name_of))),
        tables=tuple(_difference_table(each, runs, name_of) for each in found if each),
    )


def _difference_table(
    differences: Sequence[Difference], runs: Sequence[RunView], name_of: _Name
) -> Table:
    """Keys by runs; of many runs, one row each."""
    keys = [printable(each.key) for each in differences]
    cells = [[setting(value) for value in each.values] for each in differences]
    names = [name_of(run) for run in runs]
    if len(runs) <= _MOST_COLUMNS:
        rows = [(key, *of_key) for key, of_key in zip(keys, cells, strict=True)]
        return Table(columns=("key", *names), rows=tuple(rows))
    by_run = zip(names, *cells, strict=True)
    return Table(columns=("run", *keys), rows=tuple(by_run))


def _side_by_side(runs: Sequence[RunView], name_of: _Name, *, points: int) -> Section:
    groups = group_by_config(runs)
    several = [group for group in groups if len(group.runs) > 1]
    drawn = [
        _wealth_picture(groups, name_of, points=points),
        *_monitor_pictures(groups, name_of, points=points),
    ]
    return Section(
        title="Side by side",
        sentences=tuple(_group_sentences(several, name_of)),
        tables=(_ranking(runs, several, name_of),),
        pictures=tuple(picture for picture in drawn if picture is not None),
    )


def _group_sentences(several: Sequence[Group], name_of: _Name) -> Iterator[str]:
    for group in several:
        members = listed([name_of(run) for run in group.runs])
        yield (
            f"{_group_name(group, name_of)}: mean ± standard deviation over "
            f"{counted(len(group.runs), 'run')} of one configuration, {members}."
        )


def _ranking(runs: Sequence[RunView], several: Sequence[Group], name_of: _Name) -> Table:
    """Every run and group of several beside each other; of many, one row each."""
    shown = [each for each in _MAIN if any(each.of(run) is not None for run in runs)]
    best = {each.key: _best(runs, each) for each in shown}
    groups = [*(Group((run,)) for run in runs), *several]
    names = [
        _group_name(group, name_of) if len(group.runs) > 1 else name_of(group.runs[0])
        for group in groups
    ]
    statuses = [
        ", ".join(dict.fromkeys(printable(run.status).replace("_", " ") for run in group.runs))
        for group in groups
    ]
    cells = [[_cell(group, each, best[each.key]) for group in groups] for each in shown]
    note = "* the best of the runs."
    if len(groups) > _MOST_COLUMNS:
        by_group = zip(names, *cells, statuses, strict=True)
        columns = ("run", *map(_head, shown), "status")
        return Table(columns=columns, rows=tuple(by_group), n_numbers=len(shown), note=note)
    by_quantity = [
        (each.label, *of_each, each.unit, each.better)
        for each, of_each in zip(shown, cells, strict=True)
    ]
    return Table(
        columns=("figure", *names, "unit", "better"),
        rows=(*by_quantity, ("status", *statuses, "", "")),
        n_numbers=len(groups),
        note=note,
    )


def _best(runs: Sequence[RunView], each: Quantity) -> float | None:
    values = [value for run in runs if (value := each.of(run)) is not None]
    if not each.better or len(set(values)) < 2:
        return None
    return max(values) if each.better == "higher" else min(values)


def _cell(group: Group, each: Quantity, best: float | None) -> str:
    mean, spread = group.mean(each), group.spread(each)
    if mean is None:
        return NOTHING
    if len(group.runs) > 1:
        return each.write(mean) + (f" ± {each.write(spread).lstrip('+')}" if spread else "")
    return f"* {each.write(mean)}" if mean == best else each.write(mean)


def _head(each: Quantity) -> str:
    details = ", ".join(filter(None, [each.unit, each.better and f"{each.better} is better"]))
    return f"{each.label} ({details})" if details else each.label


def _group_name(group: Group, name_of: _Name) -> str:
    return f"{name_of(group.runs[0])} and {len(group.runs) - 1} more"


def _lines(groups: Sequence[Group], name_of: _Name) -> Iterator[tuple[RunView, str, Look]]:
    """Each run with the name and look of its group: seeds of one configuration look alike."""
    for place, group in enumerate(groups):
        label = _group_name(group, name_of) if len(group.runs) > 1 else name_of(group.runs[0])
        for run in group.runs:
            yield run, short(label), run_look(place)


def _wealth_picture(groups: Sequence[Group], name_of: _Name, *, points: int) -> Picture | None:
    found = [
        (run, run.evaluation, label, look)
        for run, label, look in _lines(groups, name_of)
        if run.evaluation is not None and "policy" in run.evaluation.names
    ]
    if not found:
        return None
    axes = [time_axis(run, series) for run, series, _, _ in found]
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


def _monitor_pictures(groups: Sequence[Group], name_of: _Name, *, points: int) -> Iterator[Picture]:
    """One picture per quantity that chose the best epoch."""
    by_column: dict[str, list[Curve]] = {}
    for run, label, look in _lines(groups, name_of):
        column = MONITOR_COLUMNS.get(str(run.metrics["monitor"]), "train_loss")
        values = monitor_values(run.epochs, column)
        y = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        if not np.isnan(y).all():
            x = np.arange(1, len(y) + 1)
            by_column.setdefault(column, []).append(Curve(label=label, x=x, y=y, look=look))
    for column, curves in by_column.items():
        name = quantity(column).label
        panel = Panel(y_label=name, curves=curves)
        yield Picture(
            name=column.replace("_", "-"),
            title=f"{name.capitalize()} by epoch",
            figure=epochs_figure([panel], mark=None, points=points),
            caption="The quantity that chooses the best epoch.",
        )
