"""The report of one run, from its summary in words to the digests of its files."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

from psann.errors import counted
from psann.run.config.model import RunConfig
from psann.run.config.schema import config_keys
from psann.run.reading.content import Section, clock, number, printable, printable_block, wealth
from psann.run.reading.reading import RunView
from psann.run.reading.sentences import result_sentences
from psann.run.reading.tables import (
    config_table,
    files_table,
    key_figures_table,
    origin_tables,
    result_table,
    seeds_of,
    seeds_table,
)
from psann.run.report.run_pictures import (
    allocation_picture,
    timing_picture,
    training_pictures,
    wealth_picture,
)

_MAX_WARNINGS = 50


def run_sections(run: RunView, *, level: int, points: int) -> tuple[Section, ...]:
    """Everything that a report says about one run; what the run lacks is left out.

    Parameters
    ----------
    points : int
        Most points per line in the pictures.
    """
    result, key_figures, seeds = result_table(run), key_figures_table(run), seeds_table(run)
    drawn = [wealth_picture(run, points=points), allocation_picture(run, points=points)]
    config, timing = config_table(run, _defaults()), timing_picture(run)
    files = files_table(run)
    sections = (
        Section(
            title="Summary",
            level=level,
            sentences=tuple(summary(run)),
            tables=() if key_figures is None else (key_figures,),
        ),
        Section(title="Problems", level=level, warnings=tuple(_problems(run)), blocks=_error(run)),
        Section(
            title="Result beside the baselines",
            level=level,
            sentences=tuple(_terms(run)),
            tables=() if result is None else (result,),
            pictures=tuple(picture for picture in drawn if picture is not None),
        ),
        Section(
            title="Seeds",
            level=level,
            sentences=("Several seeds trained side by side; the figures above are their means.",)
            if seeds is not None
            else (),
            tables=() if seeds is None else (seeds,),
        ),
        Section(
            title="Training and time",
            level=level,
            pictures=(
                *training_pictures(run, points=points),
                *([] if timing is None else [timing]),
            ),
        ),
        Section(
            title="Configuration",
            level=level,
            sentences=tuple(_config_notes(run)),
            tables=() if config is None else (config,),
            is_folded=True,
        ),
        Section(
            title="Provenance",
            level=level,
            sentences=tuple(_identity(run)),
            tables=(*origin_tables(run), *([] if files is None else [files])),
            is_folded=True,
        ),
    )
    return tuple(section for section in sections if not section.is_empty)


def summary(run: RunView) -> Iterator[str]:
    """Say in words what the run was, how it ended, and what must not be missed."""
    yield _what_it_was(run)
    if run.status in ("dead", "stale", "unknown", "running"):
        yield printable(run.status_reason)
    policy, uniform = (
        run.figure(f"{field}.cum_return") for field in ("portfolio_metrics", "baselines.uniform")
    )
    if policy is not None:
        n_steps = run.figure("portfolio_metrics.n_steps")
        rows = "the evaluation rows" if n_steps is None else f"{n_steps:,.0f} evaluation rows"
        beside = "" if uniform is None else f"; 1/N turned it into {wealth(1 + uniform)}"
        yield f"Over {rows}{_net(run)} the policy turned 1.00 into {wealth(1 + policy)}{beside}."
    yield from map(printable, result_sentences(run.metrics))


def _what_it_was(run: RunView) -> str:
    metrics = run.metrics
    estimator = run.config.get("estimator")
    target = estimator.get("target") if isinstance(estimator, dict) else None
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


def _net(run: RunView) -> str:
    cost = run.figure("trans_cost")
    return "" if cost is None else f", net of {1e4 * cost:g} bp per unit traded,"


def _terms(run: RunView) -> Iterator[str]:
    evaluation = run.config.get("evaluation")
    if run.figure("portfolio_metrics.n_steps") is None or not isinstance(evaluation, dict):
        return
    terms = {
        "prices": evaluation.get("portfolio_prices_key"),
        "cost per unit traded": run.figure("trans_cost"),
        "first holdings": evaluation.get("initial"),
        "rows per year": evaluation.get("periods_per_year"),
    }
    known = {name: value for name, value in terms.items() if value is not None}
    written = (
        f"{name} {number(value, 'g') if isinstance(value, float) else printable(value)}"
        for name, value in known.items()
    )
    yield f"Terms: {', '.join(written)}."


def _problems(run: RunView) -> Iterator[str]:
    yield from map(printable, run.problems)
    nonfinite = run.metrics["nonfinite"]
    if isinstance(nonfinite, list) and nonfinite:
        yield f"Not finite, and null in metrics.json: {printable(', '.join(map(str, nonfinite)))}."
    if run.metrics["resume_exact"] is False:
        yield f"A resume was not exact: {printable(run.metrics['resume_differences'])}."
    rows = [row for row in run.events if row["level"] in ("WARNING", "ERROR", "CRITICAL")]
    for row in rows[:_MAX_WARNINGS]:
        yield f"{printable(row['level']).lower()}: {printable(row['message'] or '')}"
    if len(rows) > _MAX_WARNINGS:
        yield f"{counted(len(rows) - _MAX_WARNINGS, 'more warning')} in events.csv."


def _error(run: RunView) -> tuple[str, ...]:
    error = run.metrics["error"]
    return (printable_block(error),) if isinstance(error, str) and error.strip() else ()


def _config_notes(run: RunView) -> Iterator[str]:
    recorded = run.config.get("recorded")
    if not isinstance(recorded, dict):
        return
    if recorded.get("seed_from") is not None:
        yield f"The seed is from the {printable(recorded['seed_from'])}."
    notes = recorded.get("notes")
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
        yield "config_resolved.yaml, given to hisso-log-run --config, repeats this run."


@functools.cache
def _defaults() -> dict[str, object]:
    """Values of the configuration's keys where nobody sets them."""
    keys = config_keys(RunConfig).values()
    with_default = [key for key in keys if key.default not in ("required", "")]
    return {".".join(key.path): json.loads(key.default) for key in with_default}
