"""The report of one run, from its summary in words to the digests of its files."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from psann._model_keys import config_keys
from psann.errors import counted, listed
from psann.presentation.content import (
    Section,
    Table,
    clock,
    number,
    printable,
    printable_block,
    wealth,
)
from psann.presentation.terms import explained
from psann.run.config.model import RunConfig
from psann.run.directory.fields import OF_PORTFOLIO
from psann.run.reading.reading import RunView
from psann.run.reading.sentences import are_few, result_sentences, rows_judged
from psann.run.reading.tables import (
    config_table,
    files_table,
    key_figures_table,
    net_of,
    origin_tables,
    result_table,
    seeds_of,
    seeds_table,
)
from psann.run.report.periods import falls_table, folds_table, years_table
from psann.run.report.run_pictures import (
    allocation_picture,
    availability_picture,
    folds_picture,
    judged_series,
    placebo_picture,
    series_of_folds,
    training_pictures,
    wealth_picture,
)

_KINDS_OF_WORK = {
    "data_s": "drawing and transfer",
    "step_s": "updates",
    "val_s": "validation",
    "checkpoint_s": "checkpoints",
    "studies_s": "trainings beside it",
}
_MAX_WARNINGS, _MAX_NAMED, _MOST_OPEN = 50, 3, 8
_N_STEPS = "portfolio_metrics.n_steps"
# Weights of more than this, long and short together, are borrowed: rounding is less.
_ALL_OF_IT = 1.005
_T = TypeVar("_T")


@np.errstate(all="ignore")  # a stranger's series may hold anything
def run_sections(run: RunView, *, level: int, points: int) -> tuple[Section, ...]:
    """Everything that a report says about one run, what matters most first.

    Parameters
    ----------
    points : int
        Most points per line in the pictures.
    """
    sections = (*_results(run, points=points), *_details(run, points=points))
    shown = (replace(section, level=level) for section in sections if not section.is_empty)
    return tuple(explained(shown))


def _results(run: RunView, *, points: int) -> Iterator[Section]:
    """The verdict, the pictures of it, then its tables."""
    series, folds = judged_series(run), series_of_folds(run)  # what is damaged is told then
    yield Section(title="Summary", sentences=tuple(summary(run)))
    drawn = (
        wealth_picture(run, points=points),
        allocation_picture(run, points=points),
        availability_picture(run),
    )
    yield Section(title="Wealth and weights", sentences=tuple(_held(run)), pictures=_some(*drawn))
    yield Section(
        title="Result beside the baselines",
        sentences=tuple(_terms(run)),
        tables=_some(result_table(run, is_page=True)),
    )
    if series is not None:
        yield Section(title="When", tables=_some(years_table(series), falls_table(series)))
    if (seeds := seeds_table(run)) is not None:
        told = "Several seeds trained side by side; the figures of the run are their means."
        yield Section(title="Seeds", sentences=(told,), tables=(seeds,))
    if folds is not None:
        yield Section(
            title="Walk-forward",
            tables=_some(folds_table(folds, delay=run.metrics["delay"] or 0)),
            pictures=(folds_picture(run, folds, points=points),),
        )
    yield Section(title="Placebo", pictures=_some(placebo_picture(run)))


def _details(run: RunView, *, points: int) -> Iterator[Section]:
    """Problems, and folded what only some readers ask for.

    Where no portfolio was judged, figures and training are all there is to see.
    """
    problems, is_judged = tuple(problems_told(run)), run.metrics["portfolio_metrics"] is not None
    error = run.metrics["error"]
    yield Section(
        title="Problems",
        warnings=problems,
        blocks=(printable_block(error),) if isinstance(error, str) and error.strip() else (),
        is_folded=len(problems) > _MOST_OPEN and error is None,
    )
    yield Section(title="All figures", tables=_some(key_figures_table(run)), is_folded=is_judged)
    yield Section(
        title="Training and time",
        tables=_some(_timing_table(run)),
        pictures=training_pictures(run, points=points),
        is_folded=is_judged,
    )
    yield Section(
        title="Configuration",
        sentences=tuple(_config_notes(run)),
        tables=_some(config_table(run, _defaults())),
        is_folded=True,
    )
    yield Section(
        title="Provenance",
        sentences=tuple(_identity(run)),
        tables=(*origin_tables(run), *_some(files_table(run))),
        is_folded=True,
    )


def _some(*found: _T | None) -> tuple[_T, ...]:
    return tuple(each for each in found if each is not None)


def summary(run: RunView) -> Iterator[str]:
    """Say in words what came of a run, what must not be missed, and what it was."""
    if run.status in ("dead", "stale", "unknown", "running"):
        yield printable(run.status_reason)
    yield from _outcome(run)
    yield from map(printable, result_sentences(run.metrics))
    if n_problems := len(list(problems_told(run))):
        yield f"{counted(n_problems, 'warning')}: see Problems."
    yield _what_it_was(run)


def _outcome(run: RunView) -> Iterator[str]:
    """What became of the money, and in which period."""
    policy = run.figure("portfolio_metrics.cum_return")
    if policy is None:
        return
    n_steps = run.figure(_N_STEPS)
    rows = rows_judged(run.metrics)
    over = "" if n_steps is None else f", {n_steps:,.0f} steps"
    uniform = run.figure("baselines.uniform.cum_return")
    beside = ""
    if uniform is not None:
        beside = f"; 1/N turned it into {wealth(1 + uniform)}{_yearly(run, 'baselines.uniform')}"
    net = f"{told} per unit traded " if (told := net_of(run)) else ""
    yield (
        f"{rows}{over}: {net}the policy turned 1.00 into "
        f"{wealth(1 + policy)}{_yearly(run, 'portfolio_metrics')}{beside}."
    )


def _yearly(run: RunView, field: str) -> str:
    """A return by the year, where there are rows enough to speak of one."""
    rate, n_steps = (run.figure(of) for of in (f"{field}.annual_return", _N_STEPS))
    return "" if rate is None or are_few(n_steps) else f" ({number(rate, '+.1%')} per year)"


def _held(run: RunView) -> Iterator[str]:
    """Weights that never change are no picture."""
    series = judged_series(run)
    if series is None:
        return
    weights = series.allocations
    if not weights.any():
        yield "The policy wants to hold nothing but cash on every row."
    elif (weights == weights[0]).all():
        is_even = bool((weights[0] == weights[0][0]).all())
        how = f": {float(weights[0][0]):.1%} in each asset" if is_even else ""
        yield f"The policy wants the same weights on every row{how}."
    most = float(np.abs(weights).sum(axis=1, dtype=np.float64).max())
    if most > _ALL_OF_IT:
        rate = run.setting("evaluation.borrow_rate")
        paid = f" costs {printable(rate)} per year" if rate else " is had for nothing here"
        yield (
            f"It wants up to {most:.0%} of the wealth, long and short together; what is borrowed"
            f"{paid} (evaluation.borrow_rate)."
        )


def _timing_table(run: RunView) -> Table | None:
    """Where the wall time went."""
    timing = run.metrics["timing"]
    if not isinstance(timing, dict):
        return None
    seconds = {
        _KINDS_OF_WORK.get(key, printable(key)): value
        for key in timing
        if (value := run.figure(f"timing.{key}")) is not None and value >= 0
    }
    total = run.figure("duration_seconds")
    if total is not None and (rest := total - sum(seconds.values())) > 0:
        seconds["start, judging, the rest"] = rest
    whole = sum(seconds.values())
    if not whole:
        return None
    rows = [(what, f"{value:,.2f}", f"{value / whole:.0%}") for what, value in seconds.items()]
    note = f"{clock(whole)} of wall time in all starts together."
    return Table(columns=("work", "seconds", "part"), rows=tuple(rows), n_numbers=2, note=note)


def _what_it_was(run: RunView) -> str:
    metrics = run.metrics
    target = run.setting("estimator.target")
    subject = "A run" if target is None else f"A run of {printable(target)}"
    n_seeds = f"{len(seeds_of(run))} seeds from " if seeds_of(run) else ""
    details = [
        "" if metrics["mode"] is None else f"mode {printable(metrics['mode'])}",
        "" if metrics["seed"] is None else f"{n_seeds}seed {printable(metrics['seed'])}",
        "" if metrics["device"] is None else f"on {printable(metrics['device'])}",
    ]
    done, planned = run.figure("epoch"), run.figure("epochs_total")
    epochs = "" if done is None or planned is None else f" after epoch {done:g} of {planned:g}"
    took = run.figure("duration_seconds")
    time = "" if took is None else f", {clock(took)} of wall time"
    listed = "".join(f", {detail}" for detail in details if detail)
    return f"{subject}{listed}: {printable(run.status).replace('_', ' ')}{epochs}{time}."


def _terms(run: RunView) -> Iterator[str]:
    if run.figure(_N_STEPS) is None or run.setting("evaluation") is None:
        return
    terms = {
        "prices": run.setting("evaluation.portfolio_prices_key"),
        "cost per unit traded": run.figure("trans_cost"),
        "first holdings": run.setting("evaluation.initial"),
        "rows per year": run.setting("evaluation.periods_per_year"),
    }
    known = {name: value for name, value in terms.items() if value is not None}
    written = (
        f"{name} {number(value, 'g') if isinstance(value, float) else printable(value)}"
        for name, value in known.items()
    )
    yield f"Terms: {', '.join(written)}."


def problems_told(run: RunView) -> Iterator[str]:
    """What is wrong with the files of a run, and what it warned of."""
    yield from map(printable, run.problems)
    nonfinite = run.metrics["nonfinite"]
    names = [*map(printable, nonfinite)] if isinstance(nonfinite, list) else []
    # Figures of a portfolio are undefined where nothing varies: over 1/N, of a policy that is it.
    if odd := [name for name in names if set(OF_PORTFOLIO).isdisjoint(name.split("."))]:
        yield f"Not finite, and null in metrics.json: {listed(odd, _MAX_NAMED)}."
    if run.metrics["resume_exact"] is False:
        yield f"A resume was not exact: {printable(run.metrics['resume_differences'])}."
    rows = [row for row in run.events if row["level"] in ("WARNING", "ERROR", "CRITICAL")]
    for row in rows[:_MAX_WARNINGS]:
        yield f"{printable(row['level']).lower()}: {printable(row['message'] or '')}"
    if len(rows) > _MAX_WARNINGS:
        yield f"{counted(len(rows) - _MAX_WARNINGS, 'more warning')} in events.csv."


def _config_notes(run: RunView) -> Iterator[str]:
    if (source := run.setting("recorded.seed_from")) is not None:
        yield f"The seed is from the {printable(source)}."
    notes = run.setting("recorded.notes")
    yield from map(printable, notes if isinstance(notes, list) else [])


def _identity(run: RunView) -> Iterator[str]:
    labels = {"run_id": "Run", "config_sha256": "Configuration", "data_sha256": "Data"}
    known = [
        f"{label} {printable(run.value(key))}"
        for key, label in labels.items()
        if run.value(key) is not None
    ]
    if known:
        yield f"{'; '.join(known)}."
    parent = run.metrics["parent"]
    if isinstance(parent, dict):
        yield f"Began from {printable(', '.join(f'{k} {v}' for k, v in parent.items()))}."
    if run.config:
        yield (
            "config_resolved.yaml, given to hisso-log-run --config, repeats this run on the same "
            "data."
        )


@functools.cache
def _defaults() -> dict[str, object]:
    """Values of the configuration's keys where nobody sets them."""
    keys = config_keys(RunConfig).values()
    with_default = [key for key in keys if key.default not in ("required", "")]
    return {".".join(key.path): key.default_value for key in with_default}
