"""`hisso-runs show` and `status`: one run on a terminal, finished or alive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from psann._terminal import Terminal
from psann._text import clock_text, mask_secrets
from psann.errors import counted
from psann.presentation.content import Table
from psann.presentation.rendering import draw
from psann.run.directory.columns import MONITOR_COLUMNS
from psann.run.directory.fields import Record
from psann.run.directory.liveness import DEAD, STALE, UNKNOWN
from psann.run.directory.paths import RunPaths
from psann.run.directory.rows import Row, monitor_values
from psann.run.reading.growing_log import GrowingLog
from psann.run.reading.reading import RunView, read_run
from psann.run.reading.sentences import result_sentences, rows_judged
from psann.run.reading.tables import config_table, key_figures_table, origin_tables, result_table

_LAST_LINES = 30
BAD_ENDINGS = frozenset({DEAD, UNKNOWN, "failed", "diverged", "ruined"})
"""Statuses that a script should not go on from."""


def show_run(run: RunView, terminal: Terminal) -> None:
    """Write what is known of a run: status, numbers, curve, configuration, origin, problems."""
    terminal.lines(status_lines(run))
    if run.status not in ("running", UNKNOWN):
        terminal.lines(result_sentences(cast(Record, {**run.metrics, "status": run.status})))
    _show_tables([key_figures_table(run)], terminal)
    if (result := result_table(run)) is not None:
        terminal.lines(["", rows_judged(run.metrics)])
        _show_tables([result], terminal)
    if curve := _curve_lines(run, run.epochs, terminal):
        terminal.lines(["", *curve])
    origin = origin_tables(run)[-1:]
    _show_tables([config_table(run), *origin], terminal)
    _show_block("problems", run.problems, terminal)
    _show_block("error", (run.metrics["error"] or "").rstrip().split("\n"), terminal)


def _show_tables(tables: Sequence[Table | None], terminal: Terminal) -> None:
    for table in filter(None, tables):
        terminal.line()
        draw(table, terminal)


def to_json_text(run: RunView) -> str:
    """Write everything about a run but its log rows as JSON, in ASCII."""
    content = {
        "status": run.status,
        "status_reason": run.status_reason,
        "problems": run.problems,
        "metrics": run.metrics,
        "config": run.config,
        "starts": run.starts,
    }
    return json.dumps(mask_secrets(content), indent=2, allow_nan=False) + "\n"


def status_lines(run: RunView) -> list[str]:
    """Say in a few lines how a run is doing."""
    metrics = run.metrics
    facts = [metrics["mode"], metrics["device"]]
    if metrics["seed"] is not None:
        facts.append(f"seed {metrics['seed']}")
    if metrics["resumes"]:
        facts.append(f"resumed {counted(metrics['resumes'], 'time')}")
    lines = [f"{run.name}: {run.status}. {run.status_reason}", ", ".join(filter(None, facts))]
    return [line for line in (*lines, _progress(metrics)) if line]


def watch_run(path: Path, *, every_s: float) -> Iterator[tuple[RunView, list[Row]]]:
    """Read a run again and again until it has ended; only files are read.

    Parameters
    ----------
    path : Path
        The run directory; it may be mounted, or a copy that rsync renews.
    every_s : float
        Seconds between two looks.

    Yields
    ------
    run : RunView
        As it is now.
    rows : list of dict
        All rows of epochs so far; of the log, only what is new has been read.
    """
    log = GrowingLog(RunPaths(path).events)
    while True:
        run = read_run(path)
        log.read_on()
        yield run, [row for row in log.rows if row["event"] == "epoch"]
        # Without a readable record its first copy may be under way.
        if run.status not in ("running", STALE, UNKNOWN):
            return
        time.sleep(every_s)


def show_status(path: Path, terminal: Terminal, *, every_s: float | None = None) -> RunView:
    """Write how a run is doing, once or until it ends.

    Parameters
    ----------
    terminal : Terminal
        Where to; one that is looked at is drawn anew, to any other a line is added when there
        is news.
    every_s : float, optional
        Seconds between two looks; one look when not given.

    Returns
    -------
    RunView
        The run as it was last seen.
    """
    if every_s is None:
        run = read_run(path)
        terminal.lines([*status_lines(run), *run.metrics_problems])
        return run
    shown: str | None = None
    for run, rows in watch_run(path, every_s=every_s):
        if terminal.is_live:
            terminal.redraw([*status_lines(run), *_curve_lines(run, rows, terminal)])
        elif (news := f"{run.name}: {run.status}. {_progress(run.metrics)}") != shown:
            terminal.line(news)
            shown = news
    return run


def _progress(metrics: Record) -> str:
    parts = []
    if metrics["phase"] is not None:
        epochs = (metrics["epoch"], metrics["epochs_total"])
        known = None not in epochs
        parts.append(metrics["phase"] + (f" epoch {epochs[0]} of {epochs[1]}" if known else ""))
    if metrics["best_epoch"] is not None:
        value, seeds = metrics["monitor_value"], metrics["per_seed"]
        whose = "" if seeds is None else " of the best seed"
        mean = "" if seeds is None else f"mean of {len(seeds)} seeds: "
        of = "" if value is None else f" ({mean}{metrics['monitor']} {value:.4g})"
        parts.append(f"best epoch {metrics['best_epoch']}{whose}{of}")
    if metrics["duration_seconds"] is not None:
        parts.append(clock_text(metrics["duration_seconds"]))
    return ", ".join(parts)


def _curve_lines(run: RunView, rows: Sequence[Row], terminal: Terminal) -> list[str]:
    column = MONITOR_COLUMNS.get(str(run.metrics["monitor"]), "train_loss")
    values = monitor_values(rows, column)
    known = [value for value in values if value is not None]
    if not known:
        return []
    n_seeds = len({(row["seed"], row["fold"]) for row in rows})
    which = f" of seed {rows[0]['seed']}" if n_seeds > 1 else ""
    return [
        f"{column}{which} by epoch, {min(known):.4g} to {max(known):.4g}",
        terminal.curve(values),
    ]


def _show_block(title: str, lines: Sequence[str], terminal: Terminal) -> None:
    if not any(lines):
        return
    terminal.lines(["", title])
    if len(lines) > _LAST_LINES:
        terminal.line(f"  ({len(lines) - _LAST_LINES} lines before)")
    terminal.lines(f"  {line}" for line in lines[-_LAST_LINES:])
