"""When it was earned and lost: returns by year or month, the worst falls, the folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from psann._inputs import show
from psann._typing import Array, Floats
from psann.presentation.content import NOTHING, Table, number
from psann.presentation.series import period_returns, worst_falls
from psann.run.directory.evaluation import Evaluation
from psann.run.reading.strategies import strategy_name
from psann.run.report.run_pictures import time_of

_MOST_MONTHS, _FEWEST, _MOST = 18, 3, 60
_MOST_FALLS = 5
_BESIDE = ("policy", "uniform", "benchmark")


def years_table(series: Evaluation) -> Table | None:
    """Returns by calendar year, of short spans by month; None without dates."""
    x, title = time_of(series)
    if title != "date":
        return None
    months = x.astype("M8[M]")
    is_short = int((months.max() - months.min()).astype(int)) < _MOST_MONTHS
    periods = months if is_short else x.astype("M8[Y]")
    starts = np.append(0, np.flatnonzero(periods[1:] != periods[:-1]) + 1)
    if not _FEWEST <= len(starts) <= _MOST:
        return None
    labels = [str(periods[start]) for start in starts]
    return _returns_table(series, labels, starts, head="month" if is_short else "year")


def folds_table(series: Evaluation, *, delay: int = 0) -> Table:
    """Returns by fold of a walk-forward: what its actions earned, executed so many rows later."""
    assert series.fold is not None
    x, _ = time_of(series)
    starts = np.append(0, np.flatnonzero(np.diff(series.fold)) + 1)
    ends = [*(starts[1:] - 1), len(x) - 1]
    labels = [
        f"{series.fold[first]}: {show(x[first])} ... {show(x[last])}"
        for first, last in zip(starts, ends, strict=True)
    ]
    # What a fold's last action earns shows on the next fold's first row.
    earned = np.append(0, np.minimum(starts[1:] + 1 + delay, len(x)))
    return _returns_table(series, labels, earned, head="fold")


def _returns_table(series: Evaluation, labels: Sequence[str], starts: Array, *, head: str) -> Table:
    paths = dict(zip(series.names, series.net, strict=True))
    shown = {name: period_returns(paths[name], starts) for name in _BESIDE if name in paths}
    heads = [strategy_name(name) for name in shown]
    columns = list(shown.values())
    if "uniform" in shown:
        heads.insert(2, "policy less 1/N")
        columns.insert(2, shown["policy"] - shown["uniform"])
    rows = [
        (label, *(_percent(column[place]) for column in columns))
        for place, label in enumerate(labels)
    ]
    note = f"The return of each {head}, net of costs."
    if "uniform" in shown:
        n_better = int((np.round(columns[2], 3) > 0).sum())  # as it is printed
        note += f" The policy returned more than 1/N in {n_better} of {len(labels)}."
    return Table(columns=(head, *heads), rows=tuple(rows), n_numbers=len(heads), note=note)


def falls_table(series: Evaluation) -> Table | None:
    """The deepest drawdowns of the policy, with 1/N over the same rows."""
    x, title = time_of(series)
    paths = dict(zip(series.names, series.net, strict=True))
    falls = worst_falls(paths["policy"], _MOST_FALLS)
    if not falls:
        return None
    uniform = paths.get("uniform")
    rows = []
    for fall in falls:
        back = NOTHING if fall.recovered is None else show(x[fall.recovered])
        cells = [show(x[fall.first]), show(x[fall.lowest]), back, f"{fall.depth:.1%}"]
        if uniform is not None:
            cells.append(_percent(_change(uniform, fall.first, fall.lowest)))
        rows.append(tuple(cells))
    unit = "" if title == "date" else "row "
    heads = [f"{unit}from", f"{unit}lowest", f"{unit}recovered", "policy"]
    heads += [] if uniform is None else ["1/N meanwhile"]
    return Table(
        columns=tuple(heads),
        rows=tuple(rows),
        n_numbers=len(heads) - 1,
        note="The worst drawdowns, from the peak to the lowest point.",
    )


def _change(path: Floats, first: int, last: int) -> float:
    return float(path[last] / path[first] - 1) if path[first] > 0 else float("nan")


def _percent(value: float) -> str:
    return number(float(value), "+.1%") if np.isfinite(value) else NOTHING
