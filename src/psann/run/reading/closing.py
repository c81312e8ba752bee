"""What a run achieved, as its command prints it at the end."""

from __future__ import annotations

from typing import TextIO

from psann._terminal import Terminal
from psann._text import clock_text, labelled
from psann.presentation.rendering import draw
from psann.run.directory.fields import Record
from psann.run.directory.paths import RunPaths
from psann.run.reading.reading import RunView
from psann.run.reading.sentences import result_sentences, rows_judged
from psann.run.reading.tables import net_of, result_table

_WIDTH = 80


def show_result(run: RunView, *, stream: TextIO | None = None, quiet: bool = False) -> None:
    """Print what a run achieved: table, verdict, figures, and where its files lie."""
    terminal, record = Terminal(stream), run.metrics
    status = f"{record['run_name']}: {record['status']}"
    result = ", ".join(filter(None, [status, *_result(record)]))
    effort = ", ".join(filter(None, _effort(record)))
    if quiet:
        terminal.line(", ".join(filter(None, [result, effort, str(run.path)])))
        return
    table = result_table(run)
    if table is not None:
        terminal.lines(["", ", ".join(filter(None, [rows_judged(record), net_of(run)])), ""])
        draw(table, terminal, width=_WIDTH)
    paths = RunPaths(run.path)
    artefacts = [path for path in (paths.metrics, paths.events, paths.best) if path.exists()]
    terminal.sentences(["", *result_sentences(record), "", result])
    terminal.lines(f"  {detail}" for detail in filter(None, [effort, *map(str, artefacts)]))


def _result(record: Record) -> list[str]:
    trained, chosen = record["reward_mean"], record["val_reward_mean"]
    # Where there is a portfolio its table tells more.
    tested = None if record["portfolio_metrics"] else record["test_reward_mean"]
    what = "reward"
    if trained is None and chosen is None and record["test_reward_mean"] is None:
        trained, chosen, tested = (record["train_loss"], record["val_loss"], record["test_loss"])
        what = "loss"
    return [
        labelled(f"training {what}", trained),
        labelled(f"validation {what}", chosen),
        labelled(f"test {what}", tested),
        "" if record["best_epoch"] is None else f"best epoch {record['best_epoch']}",
        "" if record["per_seed"] is None else f"{len(record['per_seed'])} seeds",
    ]


def _effort(record: Record) -> list[str]:
    rate = record["throughput_eps_per_sec"]
    duration_s = record["duration_seconds"]
    return [
        f"{record['episodes']:,} episodes" if record["episodes"] else "",
        "" if rate is None else f"{rate:,.0f} episodes/s",
        "" if duration_s is None else clock_text(duration_s),
    ]
