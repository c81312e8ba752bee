"""`hisso-runs ls`: choose and sort runs, and write them as a table, JSON or CSV."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psann._conditions import parse_condition
from psann._terminal import NOTHING, Terminal
from psann._text import clock_text, csv_text, mask_secrets
from psann.errors import UsageError, counted, did_you_mean
from psann.run.directory.fields import FIELDS
from psann.run.reading.quantities import DERIVED, QUANTITIES, Quantity
from psann.run.reading.reading import Runs, RunView, flat, flat_metrics

_TEXT_COLUMNS = {"run": "run", "status": "status", "mode": "mode", "monitor": "monitor"}
_NUMBER_COLUMNS = tuple(each for each in QUANTITIES if each.shown.head)
# What a narrow terminal may lack: what says least of the result goes first.
_MAIN = ("val_reward_mean", "portfolio_metrics.annual_log_growth", "excess_growth")
_SPARE = (
    *("monitor", "mode", "device"),
    *(each.shown.head for each in reversed(_NUMBER_COLUMNS) if each.key not in _MAIN),
)
_DERIVED = tuple(each.key for each in DERIVED)
# Beside a reward its loss, which is minus it, says nothing.
_REWARD_OF = {
    "train_loss": "reward_mean",
    "val_loss": "val_reward_mean",
    "test_loss": "test_reward_mean",
}


@dataclass(frozen=True)
class Listing:
    """Some runs in some order, with their values by dotted name."""

    runs: Runs
    values: tuple[Mapping[str, object], ...]
    """Of each run: `run`, `status` (the true one), every field of `metrics.json` by dotted key,
    and the derived `excess_growth` and `excess_growth_delay_1`."""


def list_runs(
    runs: Runs, *, where: str | None = None, sort: str | None = None, reverse: bool = False
) -> Listing:
    """Choose and sort runs.

    Parameters
    ----------
    where : str, optional
        Condition that a run must meet, such as `val_reward_mean>0 and device=="cpu"`; the
        configuration is asked as `config.training.lr`.
    sort : str, optional
        Name to sort by, lowest first; runs without it come last. By path when not given.

    Raises
    ------
    UsageError
        If `where` is no condition, or it or `sort` names what no run has.
    """
    condition = None if where is None else parse_condition(where)
    asked = {sort} if sort is not None else set()
    asked |= condition.names if condition is not None else set()
    # Configurations are read only where they are asked for: YAML takes most of the time.
    with_config = any(name.startswith("config.") for name in asked)
    found = [(run, _values(runs, run, with_config=with_config)) for run in runs]
    known = {name for _, values in found for name in values} | set(FIELDS) | {"run", *_DERIVED}
    if condition is not None and found:
        condition.check_names(known)
        found = [(run, values) for run, values in found if condition.holds(values)]
    if sort is not None:
        if sort not in known:
            raise UsageError(
                f"--sort must name a field of metrics.json or a key of config; no run has "
                f"{sort!r}.{did_you_mean(sort, known)}"
            )
        found = _sorted(found, sort, reverse=reverse)
    elif reverse:
        found.reverse()
    chosen = replace(runs, views=tuple(run for run, _ in found))
    return Listing(chosen, tuple(values for _, values in found))


def show_table(listing: Listing, terminal: Terminal) -> None:
    """Draw one row per run, without figures that none has, then what is wrong with some of them."""
    shown = [
        each
        for each in _NUMBER_COLUMNS
        if any(_figure(values, each) is not None for values in listing.values)
    ]
    heads = [*_TEXT_COLUMNS.values(), *(each.shown.head for each in shown), "device"]
    if listing.values:
        rows = (_cells(values, shown) for values in listing.values)
        terminal.table(heads, rows, n_texts=len(_TEXT_COLUMNS), spare=_SPARE)
    terminal.line(_summary(listing))
    for folder in listing.runs.unreadable:
        terminal.line(f"{folder}: may not be looked into; what runs it holds is not known")
    for run in listing.runs:
        for problem in run.metrics_problems:
            terminal.line(f"{listing.runs.name_of(run)}: {problem}")


def to_json_text(listing: Listing) -> str:
    """Write runs as a JSON list: name, true status and its reason, problems, `metrics.json`."""
    content = [
        {
            "run": listing.runs.name_of(run),
            "status": run.status,
            "status_reason": run.status_reason,
            "problems": run.metrics_problems,
            "metrics": run.metrics,
        }
        for run in listing.runs
    ]
    # In ASCII, so that no control character of a foreign record reaches a terminal.
    return json.dumps(mask_secrets(content), indent=2, allow_nan=False) + "\n"


def to_csv_text(listing: Listing) -> str:
    """Write runs as CSV, one row each and a column for every dotted name; no cell is a formula."""
    names = list(dict.fromkeys(name for values in listing.values for name in values))
    return csv_text(names, listing.values)


def _values(runs: Runs, run: RunView, *, with_config: bool) -> dict[str, object]:
    derived = {each.key: each.of(run) for each in DERIVED}
    config = flat({"config": run.config}) if with_config else {}
    return {"run": runs.name_of(run), **flat_metrics(run), **derived, **config}


def _sorted(
    found: list[tuple[RunView, dict[str, object]]], name: str, *, reverse: bool
) -> list[tuple[RunView, dict[str, object]]]:
    having = [pair for pair in found if _is_sortable(pair[1].get(name))]
    lacking = [pair for pair in found if not _is_sortable(pair[1].get(name))]

    def place(pair: tuple[RunView, dict[str, object]]) -> tuple[bool, Any]:
        value = pair[1][name]
        return isinstance(value, str), value  # numbers before texts, which cannot be compared

    return sorted(having, key=place, reverse=reverse) + lacking


def _is_sortable(value: object) -> bool:
    return isinstance(value, str | int | float)


def _figure(values: Mapping[str, object], each: Quantity) -> object:
    told = values.get(_REWARD_OF.get(each.key, ""))
    return values.get(each.key) if told is None else None


def _cells(values: Mapping[str, object], shown: Sequence[Quantity]) -> Sequence[str]:
    texts = [str(values.get(name) or NOTHING) for name in _TEXT_COLUMNS]
    numbers = [
        _write(each, value) if isinstance(value := _figure(values, each), int | float) else NOTHING
        for each in shown
    ]
    return [*texts, *numbers, str(values.get("device") or NOTHING)]


def _write(each: Quantity, value: float) -> str:
    return clock_text(value) if each.shown.unit == "s" else each.write(value)


def _summary(listing: Listing) -> str:
    n_runs = len(listing.values)
    if n_runs == 0:
        return "no runs"
    counts = Counter(str(values["status"]) for values in listing.values)
    parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return f"{counted(n_runs, 'run')}: {parts}"
