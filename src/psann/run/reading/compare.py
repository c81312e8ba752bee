"""`hisso-runs compare`: what differs between runs, their numbers side by side, their curves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from psann.errors import UsageError
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
from psann.run.reading.quantities import QUANTITIES, Quantity
from psann.run.reading.reading import RunView, read_runs
from psann.run.terminal import NOTHING, Terminal

_MOST_COLUMNS = 6
_CURVE_WIDTH = 50
_LONGEST_VALUE = 60
_DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_DIGEST = 12
# Of many runs, one row each: what a reader ranks them by.
_MAIN = (
    *("val_reward_mean", "test_reward_mean", "portfolio_metrics.annual_log_growth"),
    *("excess_growth", "portfolio_metrics.annual_sharpe", "portfolio_metrics.max_drawdown"),
    "best_epoch",
)

_Name = Callable[[RunView], str]


def chosen_runs(paths: Sequence[Path]) -> list[RunView]:
    """Read the runs that a command line names.

    Parameters
    ----------
    paths : sequence of Path
        Run directories, or directories of runs.

    Returns
    -------
    list of RunView
        In the order given, each once.

    Raises
    ------
    UsageError
        If one of them is no directory or holds no run.
    """
    runs: dict[Path, RunView] = {}
    problems: list[str] = []
    for path in paths:
        try:
            found = read_runs(path)
        except UsageError as error:
            problems += error.problems
            continue
        if not len(found):
            problems.append(f"{path} must be a run directory or hold some; it holds no run.")
        for run in found:
            runs.setdefault(run.path.resolve(), run)
    if problems:
        raise UsageError(problems)
    return list(runs.values())


def names_of(runs: Sequence[RunView]) -> _Name:
    """Name runs by their directories, by whole paths where two have the same name."""
    names = [run.name for run in runs]
    labels = {id(run): run.name if names.count(run.name) == 1 else str(run.path) for run in runs}
    return lambda run: labels[id(run)]


def show_comparison(runs: Sequence[RunView], terminal: Terminal) -> None:
    """Write what differs between runs, their numbers with unit and direction, their curves.

    Parameters
    ----------
    runs : sequence of RunView
        Two or more.
    terminal : Terminal
        Where to.

    Raises
    ------
    UsageError
        If there are fewer than two.
    """
    if len(runs) < 2:
        raise UsageError(f"compare needs at least two runs; got {len(runs)}.")
    name_of = names_of(runs)
    terminal.lines(verdict(runs, name_of))
    for differences in (config_differences(runs), circumstances(runs)):
        _show_differences(differences, runs, name_of, terminal)
    terminal.line()
    groups = group_by_config(runs)
    several = [group for group in groups if len(group.seeds) > 1]
    is_few = len(runs) + len(several) <= _MOST_COLUMNS
    columns = [*(Group((run,)) for run in runs), *several] if is_few else list(groups)
    if len(columns) <= _MOST_COLUMNS:
        _show_by_quantity(columns, name_of, terminal)
    else:
        _show_by_run(columns, name_of, terminal)
    for group in several:
        seeds = ", ".join(map(str, group.seeds))
        members = ", ".join(name_of(run) for run in group.runs)
        terminal.line(
            f"{_label(group, name_of)}: mean and standard deviation over seeds {seeds} ({members})"
        )
    _show_curves(runs, name_of, terminal)
    for run in runs:
        terminal.lines(f"{name_of(run)}: {problem}" for problem in run.problems)


def _show_differences(
    differences: Sequence[Difference], runs: Sequence[RunView], name_of: _Name, terminal: Terminal
) -> None:
    if not differences:
        return
    terminal.line()
    if len(runs) <= _MOST_COLUMNS:
        rows = [[each.key, *map(_setting, each.values)] for each in differences]
        terminal.table(["key", *map(name_of, runs)], rows)
        return
    columns = [each.key for each in differences]
    values = [list(map(_setting, each.values)) for each in differences]
    rows = [[name_of(run), *of_run] for run, *of_run in zip(runs, *values, strict=True)]
    terminal.table(["run", *columns], rows)


def _show_by_quantity(columns: Sequence[Group], name_of: _Name, terminal: Terminal) -> None:
    rows = [["status", "", "", *(_status(group) for group in columns)]]
    for quantity in QUANTITIES:
        means = [group.mean(quantity) for group in columns]
        if any(mean is not None for mean in means):
            cells = (
                _cell(group, quantity, is_best) for group, is_best in _marked(columns, quantity)
            )
            rows.append([quantity.label, quantity.unit, quantity.better, *cells])
    heads = ["", "unit", "better", *(_label(group, name_of) for group in columns)]
    terminal.table(heads, rows, n_texts=3)
    terminal.line("* best")


def _show_by_run(rows: Sequence[Group], name_of: _Name, terminal: Terminal) -> None:
    quantities = [each for each in QUANTITIES if each.key in _MAIN]
    cells = [
        [_cell(group, quantity, is_best) for group, is_best in _marked(rows, quantity)]
        for quantity in quantities
    ]
    lines = [
        [_label(group, name_of), _status(group), *of_group]
        for group, *of_group in zip(rows, *cells, strict=True)
    ]
    heads = ["run", "status", *(_head(quantity) for quantity in quantities)]
    terminal.table(heads, lines, n_texts=2)
    terminal.line("* best")


def _head(quantity: Quantity) -> str:
    details = ", ".join(
        filter(None, [quantity.unit, quantity.better and f"{quantity.better} is better"])
    )
    return f"{quantity.label} ({details})" if details else quantity.label


def _marked(groups: Sequence[Group], quantity: Quantity) -> list[tuple[Group, bool]]:
    """Each group, and whether it is the best of those that have no other's runs inside."""
    means = [group.mean(quantity) for group in groups]
    known = [mean for mean in means if mean is not None]
    if not quantity.better or len(set(known)) < 2:
        return [(group, False) for group in groups]
    best = max(known) if quantity.better == "higher" else min(known)
    return [(group, mean == best) for group, mean in zip(groups, means, strict=True)]


def _cell(group: Group, quantity: Quantity, is_best: bool) -> str:
    mean, spread = group.mean(quantity), group.spread(quantity)
    if mean is None:
        return NOTHING
    text = quantity.write(mean)
    if spread is not None:
        text += f" +- {quantity.write(spread).lstrip('+')}"
    return f"* {text}" if is_best else text


def _label(group: Group, name_of: _Name) -> str:
    first = name_of(group.runs[0])
    return first if len(group.runs) == 1 else f"{first} + {len(group.runs) - 1}"


def _status(group: Group) -> str:
    statuses = dict.fromkeys(run.status for run in group.runs)
    return ", ".join(statuses)


def _show_curves(runs: Sequence[RunView], name_of: _Name, terminal: Terminal) -> None:
    by_column: dict[str, list[tuple[str, list[float | None]]]] = {}
    for run in runs:
        column = MONITOR_COLUMNS.get(str(run.metrics["monitor"]), "train_loss")
        values = monitor_values(run.epochs, column)
        if values:
            by_column.setdefault(column, []).append((name_of(run), values))
    for column, curves in by_column.items():
        known = [value for _, values in curves for value in values if value is not None]
        span = (min(known), max(known)) if known else None
        scale = f", {span[0]:.4g} to {span[1]:.4g}" if span else ""
        rows = [
            [name, terminal.curve(values, width=_CURVE_WIDTH, span=span), str(len(values))]
            for name, values in curves
        ]
        terminal.line()
        terminal.table(["run", f"{column} by epoch{scale}", "epochs"], rows, n_texts=2)


def _setting(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if _DIGEST.fullmatch(text):
        return text[:_SHORT_DIGEST]
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
