"""The progress of a whole sweep: a table that is drawn anew on a terminal, silence in a pipe."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from psann._terminal import Terminal
from psann._text import clock_text
from psann.errors import counted
from psann.run.sweep.plan import settings
from psann.run.sweep.record import (
    FAILED,
    PRUNED,
    SweepPaths,
    SweepRecord,
    TrialRow,
    best_row,
    n_data_sets,
)

_MOST_RUNNING = 8


class Progress:
    """What a worker's terminal shows, of its own trials and of all others.

    Parameters
    ----------
    terminal : Terminal
        Nothing is written where nobody looks on.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._began_s: float | None = None
        self._n_at_start = 0

    def look(self, record: SweepRecord) -> None:
        """Show the sweep as it is now."""
        n_over = sum(is_over(row) for row in record["trials"])
        if self._began_s is None:
            self._began_s, self._n_at_start = time.monotonic(), n_over
        if not self._terminal.is_live:
            return
        elapsed_s, n_done = time.monotonic() - self._began_s, n_over - self._n_at_start
        left_s = elapsed_s / n_done * (record["planned"] - n_over) if n_done else None
        self._terminal.redraw(progress_lines(record, left_s=left_s))


def is_over(row: TrialRow) -> bool:
    """Whether nothing more comes of a trial."""
    return row["value"] is not None or row["status"] in (*FAILED, PRUNED)


def progress_lines(record: SweepRecord, *, left_s: float | None) -> list[str]:
    """How a sweep is doing: counts, the best so far, what runs.

    Parameters
    ----------
    left_s : float or None
        Seconds until it is done at the pace so far; None before there is one.
    """
    rows = record["trials"]
    left = "" if left_s is None else f", about {clock_text(left_s)} left"
    lines = [f"{counts_text(rows, record['planned'])}{left}"]
    lines += _best_text(record)
    running = [row for row in rows if row["status"] == "running"]
    for row in running[:_MOST_RUNNING]:
        lines.append(f"  {row['run']}  {settings(row['overrides'])}")
    if len(running) > _MOST_RUNNING:
        lines.append(f"  and {len(running) - _MOST_RUNNING} more")
    return lines


def counts_text(rows: Sequence[TrialRow], planned: int) -> str:
    """How many trials are over, run, failed, wait.

    Examples
    --------
    >>> counts_text([], 4)
    '0 of 4 trials done, 4 waiting'
    """
    counts = Counter(row["status"] for row in rows)
    n_done = sum(row["value"] is not None for row in rows)
    parts = [f"{n_done} of {counted(planned, 'trial')} done"]
    others = ("running", PRUNED, *FAILED, "preempted", "interrupted")
    parts += [f"{counts[name]} {name}" for name in others if counts[name]]
    if planned > len(rows):
        parts.append(f"{planned - len(rows)} waiting")
    return ", ".join(parts)


def _best_text(record: SweepRecord) -> list[str]:
    """The line of the best trial, where there is one."""
    rows = record["trials"]
    if (n_data := n_data_sets(rows)) > 1:
        return [f"trials are of {n_data} data sets, so none is best: sweep anew, into a new folder"]
    if (best := best_row(rows, record["monitor"])) is None:
        return []
    return [f"best on validation: {value_text(record, best['run'])}, {settings(best['overrides'])}"]


def value_text(record: SweepRecord, run: str) -> str:
    """A trial with its value, and how many others have the same: nothing tells them apart."""
    value = next(row["value"] for row in record["trials"] if row["run"] == run)
    n_others = sum(row["value"] == value for row in record["trials"]) - 1
    alike = f" (and {counted(n_others, 'other')} alike)" if n_others else ""
    return f"{run}{alike}, {record['monitor']} {value:.6g}"


def closing_lines(record: SweepRecord, sweep: Path, paths: SweepPaths) -> Iterator[str]:
    """What a worker leaves behind, and what comes next."""
    rows = record["trials"]
    yield f"{paths.root}: {counts_text(rows, record['planned'])}"
    best = _best_text(record)
    yield from (f"  {line}" for line in best)
    failed = [row for row in rows if row["status"] in FAILED]
    for row in failed:
        yield f"  {row['status']}: {row['run']}, {settings(row['overrides'])}"
    if failed:
        yield f"  why: hisso-runs show {paths.runs / failed[0]['run']}"
    n_over = sum(is_over(row) for row in rows)
    if n_over < record["planned"]:
        yield "  the same command goes on with the rest, or joins whoever works on it"
    elif best and n_data_sets(rows) == 1:
        yield f"  next: hisso-runs sweep {sweep} -o {paths.root} --finish"
