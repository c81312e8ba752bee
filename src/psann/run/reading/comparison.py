"""What is said of several runs together: by `compare` on a terminal, and in a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from psann.errors import counted
from psann.presentation.content import NOTHING, Section, Table, conjoined, printable, setting
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
from psann.run.reading.ranking import judged_apart, may_rank
from psann.run.reading.reading import RunView

MOST_COLUMNS = 6
"""Runs that may stand beside each other; more stand below each other."""
_MOST_NAMED = 6
# Of many runs, one row each: what a reader ranks them by.
_MAIN = (
    *("val_reward_mean", "test_reward_mean", "portfolio_metrics.annual_log_growth"),
    *("excess_growth", "portfolio_metrics.annual_sharpe", "portfolio_metrics.max_drawdown"),
    "best_epoch",
)

Name = Callable[[RunView], str]


def names_of(runs: Sequence[RunView]) -> Name:
    """Name runs by their directories, with as many parents as tell them from each other."""
    paths = [Path(os.path.abspath(run.path)) for run in runs]
    labels = {}
    for run, path in zip(runs, paths, strict=True):
        others = [other for other in paths if other != path]
        n = 1
        while any(other.parts[-n:] == path.parts[-n:] for other in others):
            n += 1
        labels[id(run)] = printable("/".join(path.parts[-n:]))
    return lambda run: labels[id(run)]


def group_name(group: Group, name_of: Name) -> str:
    """Name a group by its first run."""
    first = name_of(group.runs[0])
    return first if len(group.runs) == 1 else f"{first} and {len(group.runs) - 1} more"


def comparison_sections(runs: Sequence[RunView], name_of: Name) -> tuple[Section, Section]:
    """What differs between runs, and their numbers side by side."""
    found = (config_differences(runs), circumstances(runs))
    groups = group_by_config(runs)
    several = [group for group in groups if len(group.seeds) > 1]
    differing = Section(
        title="What differs",
        sentences=tuple(map(printable, verdict(runs, *found, name_of))),
        tables=tuple(_difference_table(each, runs, name_of) for each in found if each),
    )
    beside = Section(
        title="Side by side",
        sentences=(
            *_copies(runs, name_of),
            *_group_sentences(several, name_of),
            *_unranked(runs),
            *_candidates(runs),
        ),
        tables=(_side_by_side(runs, groups, several, name_of),),
    )
    return differing, beside


def _difference_table(
    differences: Sequence[Difference], runs: Sequence[RunView], name_of: Name
) -> Table:
    """Keys by runs; of many runs, one row each."""
    keys = [printable(each.key) for each in differences]
    cells = [[setting(value) for value in each.values] for each in differences]
    names = [name_of(run) for run in runs]
    if len(runs) <= MOST_COLUMNS:
        rows = [(key, *of_key) for key, of_key in zip(keys, cells, strict=True)]
        return Table(columns=("key", *names), rows=tuple(rows))
    return Table(columns=("run", *keys), rows=tuple(zip(names, *cells, strict=True)))


def _copies(runs: Sequence[RunView], name_of: Name) -> Iterator[str]:
    """Runs that are one and the same: no second result."""
    by_identity: dict[str, list[RunView]] = {}
    for run in runs:
        if (identity := run.metrics["run_id"]) is not None:
            by_identity.setdefault(identity, []).append(run)
    for same in by_identity.values():
        if len(same) > 1:
            yield f"{_some([name_of(run) for run in same])} are copies of one run."


def _group_sentences(several: Sequence[Group], name_of: Name) -> Iterator[str]:
    for group in several:
        seeds, members = ", ".join(map(str, group.seeds)), [name_of(run) for run in group.runs]
        is_repeated = len(group.runs) > len(group.seeds)
        n_each = len(group.runs[0].metrics["per_seed"] or (None,))
        over = f"{counted(len(group.seeds), 'seed')} ({seeds})"
        if n_each > 1:
            over = f"{len(group.seeds)} runs of {n_each} seeds each (from {seeds} on)"
        yield (
            f"{group_name(group, name_of)}: mean ± standard deviation over {over} of one "
            "configuration: "
            f"{_some(members)}{', of each seed the first' if is_repeated else ''}."
        )
    if several:
        yield (
            "Seeds of a group have their rows in common: the luck of those is no part of a "
            "deviation over seeds."
        )


def _some(names: Sequence[str]) -> str:
    n_more = len(names) - _MOST_NAMED
    return conjoined(names if n_more < 2 else [*names[:_MOST_NAMED], f"{n_more} more"])


def _unranked(runs: Sequence[RunView]) -> Iterator[str]:
    """Say why figures that have a better and a worse are not ranked."""
    apart = [name for each in QUANTITIES if each.better for name in judged_apart(each, runs)]
    if apart:
        what = conjoined([*dict.fromkeys(apart)])
        yield f"The runs differ in what judges them, {what}: figures of that are not ranked."


def _candidates(runs: Sequence[RunView]) -> Iterator[str]:
    """Say how many candidates a choice among runs has: a probability of each knows its own only."""
    counts = {run.metrics["run_id"]: run.metrics["n_trials"] for run in runs}
    known = [n for n in counts.values() if n is not None]
    if len(known) > 1:
        yield (
            f"Each run counts its own candidates alone; whoever chooses one of these runs has "
            f"compared up to {sum(known):,}."
        )


def _side_by_side(
    runs: Sequence[RunView], groups: Sequence[Group], several: Sequence[Group], name_of: Name
) -> Table:
    """Runs and groups of seeds by quantities; of many, one row each with the main ones."""
    columns = [*(Group((run,)) for run in runs), *several]
    is_few = len(columns) <= MOST_COLUMNS
    if not is_few:
        columns = list(groups)
    wanted = [each for each in QUANTITIES if is_few or each.key in _MAIN]
    shown = [each for each in wanted if any(each.of(run) is not None for run in runs)]
    names = [group_name(group, name_of) for group in columns]
    statuses = [", ".join(dict.fromkeys(run.status for run in group.runs)) for group in columns]
    cells = [[_cell(each, group, _best(each, columns)) for group in columns] for each in shown]
    if is_few:
        rows = [
            (each.shown.label, each.unit(runs), each.better, *of_each)
            for each, of_each in zip(shown, cells, strict=True)
        ]
        return Table(
            columns=("", "unit", "better", *names),
            rows=(("status", "", "", *statuses), *rows),
            n_numbers=len(columns),
            note="* best" * _has_best(rows),
        )
    of_runs = tuple(zip(names, statuses, *cells, strict=True))
    heads = [each.shown.head or each.shown.label for each in shown]
    least = [head for each, head in zip(shown, heads, strict=True) if each.key not in _MAIN[:4]]
    return Table(
        columns=("run", "status", *(each.head(runs) for each in shown)),
        short_columns=("run", "status", *heads),
        spare=(*least, "test reward", "growth/year"),
        rows=of_runs,
        n_numbers=len(shown),
        note="* best" * _has_best(of_runs),
    )


def _has_best(rows: Sequence[tuple[str, ...]]) -> bool:
    return any(cell.startswith("* ") for row in rows for cell in row[2:])


def _best(quantity: Quantity, groups: Sequence[Group]) -> str | None:
    """The best as it is written; None where there is nothing to choose, or nothing to choose by."""
    means = [mean for group in groups if (mean := group.mean(quantity)) is not None]
    are_alike = len({quantity.write(mean) for mean in means}) < 2
    if are_alike or not may_rank(quantity, [run for each in groups for run in each.runs]):
        return None
    return quantity.write(max(means) if quantity.better == "higher" else min(means))


def _cell(quantity: Quantity, group: Group, best: str | None) -> str:
    mean, spread = group.mean(quantity), group.spread(quantity)
    if mean is None:
        return NOTHING
    text = quantity.write(mean)
    text = f"* {text}" if text == best else text
    if spread is not None:
        text += f" ± {quantity.write(spread).lstrip('+')}"
    n_values, n_seeds = len(group.values(quantity)), len(group.seeds)
    if n_values < n_seeds:
        text += f" (of {n_values})"
    return text


def monitor_curves(runs: Sequence[RunView]) -> dict[str, list[tuple[RunView, list[float | None]]]]:
    """What chose the best epoch, by epoch: the runs with values, by column of the log."""
    found: dict[str, list[tuple[RunView, list[float | None]]]] = {}
    for run in runs:
        column = MONITOR_COLUMNS.get(str(run.metrics["monitor"]), "train_loss")
        values = monitor_values(run.epochs, column)
        if any(value is not None for value in values):
            found.setdefault(column, []).append((run, values))
    return found
