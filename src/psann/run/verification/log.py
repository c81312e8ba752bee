"""What `events.csv` must look like, by itself and beside `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

from psann.run.directory.columns import EVENTS, MONITOR_COLUMNS, SCHEMA_VERSION, sign_of
from psann.run.directory.fields import LOGGED_FIGURES, Record
from psann.run.directory.groups import SeedFigures
from psann.run.directory.rows import Row, parse_log, split_log

Tell = Callable[[str], None]


def check_log(data: bytes, *, error: Tell, note: Tell, is_over: bool) -> list[Row]:
    """Check a log by itself.

    Parameters
    ----------
    error, note : callable
        Told what is wrong, and what is only worth knowing.
    is_over : bool
        Whether the run got to its end; only a killed process may leave a torn last row.

    Returns
    -------
    list of dict
        The rows that can be read, as `parse_log` gives them.
    """
    rows, problems = parse_log(data)
    for problem in problems:
        error(problem)
    tell = error if is_over else note
    if not problems and b"\n" not in data:
        tell("holds no row yet; the process was stopped as it began")
    elif n_torn := split_log(data)[2]:
        tell(f"the last row is torn after {n_torn} bytes")
    if data.count(b"\n") > data.count(b"\r\n"):
        error("must end every line in CRLF")
    for row in rows:
        if row["schema"] != SCHEMA_VERSION or row["event"] not in EVENTS:
            what = f"schema {row['schema']}, event {row['event']!r}"
            error(f"has a row {row['seq']} of {what}, which this psann lacks")
            break
    return rows


def _figure(figures: Mapping[str, object], name: str) -> float | None:
    value = figures.get(name)
    return value if isinstance(value, int | float) else None


def check_best(rows: list[Row], metrics: Record, *, error: Tell, note: Tell, is_over: bool) -> None:
    """Check the best epoch of `metrics.json`, and of each of several seeds, against the epoch rows.

    Parameters
    ----------
    metrics : mapping
        A `metrics.json` whose fields have the right types.
    error, note : callable
        Told what is wrong, and what is only worth knowing.
    is_over : bool
        Whether the run got to its end: record and log must tell of the same epochs then. Before,
        rows may be ahead of the record, and behind it if power failed or a resume had just begun.
    """
    entries = metrics["per_seed"]
    if entries is None or metrics["mode"] == "evaluate":
        _check_best(rows, metrics, error=error, note=note, is_over=is_over)
        return
    for entry in entries:
        seed = entry["seed"]
        _check_best(
            [row for row in rows if row["seed"] == seed],
            cast(Record, {**metrics, **entry}),
            error=_about(seed, error),
            note=_about(seed, note),
            is_over=is_over,
        )
    _check_means(entries, metrics, error)


def _about(seed: int, tell: Tell) -> Tell:
    return lambda text: tell(f"seed {seed}: {text}")


def _check_means(entries: list[SeedFigures], metrics: Record, error: Tell) -> None:
    """The flat figures are means over the seeds; the best of all is one seed's best."""
    for name in ("monitor_value", *LOGGED_FIGURES):
        values = [_figure(entry, name) for entry in entries]
        known = [value for value in values if value is not None]
        mean = math.nan if len(known) < len(values) else sum(known) / len(known)
        told = _figure(metrics, name)
        if not (math.isnan(mean) if told is None else math.isclose(told, mean, rel_tol=1e-9)):
            error(f"{name} is {told}; over the seeds of per_seed it is {mean}")
    judged = [entry for entry in entries if entry.get("monitor_value") is not None]
    if not judged or metrics["monitor"] is None:
        return
    sign = sign_of(metrics["monitor"])
    winner = max(judged, key=lambda entry: sign * (entry["monitor_value"] or 0.0))
    if metrics["best_epoch"] != winner.get("best_epoch"):
        error(
            f"best_epoch is {metrics['best_epoch']}; of the best seed, {winner['seed']}, it is "
            f"{winner.get('best_epoch')}"
        )


def _check_best(
    rows: list[Row], metrics: Record, *, error: Tell, note: Tell, is_over: bool
) -> None:
    column = MONITOR_COLUMNS.get(metrics["monitor"] or "")
    best_epoch, n_epochs = metrics["best_epoch"], metrics["epoch"]
    if column is None or best_epoch is None or n_epochs is None:
        if is_over and metrics["mode"] != "evaluate":
            error("monitor, best_epoch and epoch must be known at the end of training")
        return
    # Rows with a fold are of folds and placebos, which are trainings of their own.
    of_run = [row for row in rows if row["event"] == "epoch" and row["fold"] is None]
    epochs, refit = (
        [row for row in of_run if (row["phase"] == "refit") is is_refit]
        for is_refit in (False, True)
    )
    epochs = [row for row in epochs if row["phase"] != "warm_start"]
    # The record counts the epochs of the last phase that has begun.
    latest = refit or epochs
    if len(latest) < n_epochs or (is_over and len(latest) > n_epochs):
        tell = error if is_over else note
        tell(f"tells of {n_epochs} epochs, the log of {len(latest)}")
        return
    n_epochs = len(epochs) if refit else n_epochs
    if not 0 <= best_epoch <= n_epochs:
        # A resume goes on from the last commit, with what the record knew until it knows more.
        tell = note if not is_over and best_epoch > n_epochs else error
        tell(f"best_epoch must be one of the {n_epochs} epochs or 0; got {best_epoch}")
        return
    sign = sign_of(metrics["monitor"])
    values = [_figure(row, column) for row in epochs[:n_epochs]]
    scores = [
        -math.inf if v is None or not math.isfinite(v) else sign * v  # NaN never wins
        for v in values
    ]
    if best_epoch == 0:
        _check_untrained(scores, metrics, sign, error)
        return
    # A gate by significance may pass over a better epoch whose gain could be chance.
    first_best = best_epoch if metrics["min_significance"] else scores.index(max(scores)) + 1
    if first_best != best_epoch or values[best_epoch - 1] != metrics["monitor_value"]:
        error(
            f"best_epoch is {best_epoch} with {metrics['monitor']} {metrics['monitor_value']}; by "
            f"the log it must be {first_best} with {values[first_best - 1]}"
        )
    for name in LOGGED_FIGURES:
        logged, told = (_figure(of, name) for of in (epochs[best_epoch - 1], metrics))
        if logged != told:
            error(f"{name} is {told}; the log has {logged} for epoch {best_epoch}")


def _check_untrained(scores: list[float], metrics: Record, sign: float, error: Tell) -> None:
    """No epoch may be better than the untrained candidate, where that was kept."""
    value = metrics["monitor_value"]
    if value is None:
        error("monitor_value must be known where best_epoch is 0")
    elif metrics["min_significance"]:
        return
    elif max(scores, default=-math.inf) > sign * value + (metrics["min_improvement"] or 0.0):
        error(
            f"best_epoch is 0 with {metrics['monitor']} {value}; the log has a better epoch, "
            f"{scores.index(max(scores)) + 1}"
        )
