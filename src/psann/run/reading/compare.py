"""`hisso-runs compare`: what differs between runs, their numbers side by side, their curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psann._terminal import Terminal
from psann.errors import UsageError
from psann.presentation.rendering import show
from psann.run.reading.comparison import Name, comparison_sections, monitor_curves, names_of
from psann.run.reading.reading import RunView, read_runs

_CURVE_WIDTH = 50


def chosen_runs(paths: Sequence[Path]) -> list[RunView]:
    """Read the runs that a command line names.

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
            why = "may not be looked into" if found.unreadable else "holds no run"
            problems.append(f"{path} must be a run directory or hold some; it {why}.")
        for run in found:
            runs.setdefault(run.path.resolve(), run)
    if problems:
        raise UsageError(problems)
    return list(runs.values())


def show_comparison(runs: Sequence[RunView], terminal: Terminal) -> None:
    """Write what differs between runs, their numbers with unit and direction, their curves.

    Raises
    ------
    UsageError
        If there are fewer than two.
    """
    if len(runs) < 2:
        raise UsageError(f"compare needs at least two runs; got {len(runs)}.")
    name_of = names_of(runs)
    differing, beside = comparison_sections(runs, name_of)
    show(differing, terminal)
    terminal.line()
    show(beside, terminal)
    _show_curves(runs, name_of, terminal)
    for run in runs:
        terminal.lines(f"{name_of(run)}: {problem}" for problem in run.problems)


def _show_curves(runs: Sequence[RunView], name_of: Name, terminal: Terminal) -> None:
    for column, curves in monitor_curves(runs).items():
        known = [value for _, values in curves for value in values if value is not None]
        span = min(known), max(known)
        rows = [
            [name_of(run), terminal.curve(values, width=_CURVE_WIDTH, span=span), str(len(values))]
            for run, values in curves
        ]
        terminal.line()
        head = f"{column} by epoch, {span[0]:.4g} to {span[1]:.4g}"
        terminal.table(["run", head, "epochs"], rows, n_texts=2)
