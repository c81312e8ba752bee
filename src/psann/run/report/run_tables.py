"""The tables of one run: results beside baselines, key figures, configuration, origin."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from psann.run.directory.fields import Record, SeedFigures
from psann.run.reading.quantities import QUANTITIES, Quantity, quantity
from psann.run.reading.reading import RunView, flat
from psann.run.report.content import NOTHING, Table, number, printable, setting, wealth
from psann.run.report.strategies import STRATEGIES, strategy_name

_Form = Callable[[float | None], str]


def _form(text: str) -> _Form:
    return lambda value: number(value, text)


# Column, key of portfolio_metrics, form. What a figure means stands in docs/artefacts.md.
RESULT_COLUMNS: tuple[tuple[str, str, _Form], ...] = (
    ("final wealth from 1.00", "cum_return", lambda v: wealth(None if v is None else 1 + v)),
    ("growth without costs", "gross_log_growth", _form("+.3f")),
    ("growth", "annual_log_growth", _form("+.3f")),
    ("volatility", "annual_volatility", _form(".1%")),
    ("Sharpe ratio", "annual_sharpe", _form(".2f")),
    ("standard error", "annual_sharpe_se", _form(".2f")),
    ("max drawdown", "max_drawdown", _form(".1%")),
    ("traded per row", "turnover_traded", _form(".4f")),
)
_SEED_QUANTITIES = tuple(
    map(
        quantity,
        (
            *("best_epoch", "val_reward_mean", "test_reward_mean"),
            *("portfolio_metrics.annual_log_growth", "excess_growth"),
            *("portfolio_metrics.annual_sharpe", "portfolio_metrics.max_drawdown"),
        ),
    )
)
_RESULT_NOTE = (
    "Growth (log), volatility and Sharpe ratio per year; net of costs, on the same rows. More "
    "growth and Sharpe ratio is better, less drawdown and trading. (*) chosen on these very rows: "
    "unattainable."
)


def result_table(run: RunView) -> Table | None:
    """The policy beside its baselines, on the same rows at the same cost.

    Parameters
    ----------
    run : RunView
        The run.

    Returns
    -------
    Table or None
        None without portfolio figures.
    """
    fields = _result_fields(run)
    if not fields:
        return None
    rows = [
        (
            printable(label),
            *(form(run.figure(f"{field}.{name}")) for _, name, form in RESULT_COLUMNS),
        )
        for label, field in fields
    ]
    return Table(
        columns=("strategy", *(label for label, _, _ in RESULT_COLUMNS)),
        rows=tuple(rows),
        n_numbers=len(RESULT_COLUMNS),
        note=_RESULT_NOTE,
    )


def _result_fields(run: RunView) -> list[tuple[str, str]]:
    """Name of each strategy with figures, and the dotted key of these."""
    n_seeds = len(seeds_of(run))
    policy = f"policy, mean of {n_seeds} seeds" if n_seeds else "policy"
    fields = [
        ("portfolio_metrics", policy),
        ("portfolio_metrics_delay_1", STRATEGIES["policy_delay_1"]),
        ("ensemble", STRATEGIES["ensemble"]),
    ]
    found = [
        (label, "ensemble.portfolio_metrics" if field == "ensemble" else field)
        for field, label in fields
        if isinstance(run.field(field), dict)
    ]
    baselines = run.metrics["baselines"]
    names = list(baselines) if isinstance(baselines, dict) else []
    ordered = sorted(names, key=lambda name: (*STRATEGIES, name).index(name))
    return found + [(strategy_name(name), f"baselines.{name}") for name in ordered]


def seeds_of(run: RunView) -> list[SeedFigures]:
    """Figures of each of several seeds; empty for a single one."""
    return [entry for entry in run.metrics["per_seed"] or () if isinstance(entry, dict)]


def seeds_table(run: RunView) -> Table | None:
    """The seeds of one run beside each other, then their mean and spread."""
    seeds = seeds_of(run)
    if not seeds:
        return None
    rows = []
    for entry in seeds:
        own = replace(run, metrics=cast(Record, {**run.metrics, **entry}))
        cells = [_written(each, each.of(own)) for each in _SEED_QUANTITIES]
        rows.append((printable(entry.get("seed")), *cells))
    values = [each.of(run) for each in _SEED_QUANTITIES]
    spreads = [_spread(run, each) for each in _SEED_QUANTITIES]
    for name, found in (("mean", values), ("standard deviation", spreads)):
        cells = [_written(each, value) for each, value in zip(_SEED_QUANTITIES, found, strict=True)]
        rows.append((name, *cells))
    heads = [
        f"{each.label} ({each.unit})" if each.unit else each.label for each in _SEED_QUANTITIES
    ]
    return Table(columns=("seed", *heads), rows=tuple(rows), n_numbers=len(heads))


def _spread(run: RunView, each: Quantity) -> float | None:
    key = "versus_uniform.growth" if each.key == "excess_growth" else each.key
    return run.figure(f"spread.{key}")


def _written(each: Quantity, value: float | None) -> str:
    return NOTHING if value is None else each.write(value)


def key_figures_table(run: RunView) -> Table | None:
    """Rewards, losses and effort, as far as the run has them."""
    rows = [
        (each.label, each.write(value), each.unit)
        for each in QUANTITIES
        if "portfolio_metrics" not in each.key and (value := each.of(run)) is not None
    ]
    if not rows:
        return None
    return Table(columns=("figure", "value", "unit"), rows=tuple(rows), n_numbers=1)


def config_table(run: RunView) -> Table | None:
    """Every key in force, those at their default set back.

    Parameters
    ----------
    run : RunView
        The run.
    """
    defaults = _defaults()
    values = {key: value for key, value in run.config.items() if key != "recorded"}
    rows: list[tuple[str, ...]] = []
    quiet = set()
    for key, value in flat(values).items():
        is_default = key in defaults and defaults[key] == value
        if is_default:
            quiet.add(len(rows))
        rows.append((printable(key), setting(value), "default" if is_default else "set"))
    if not rows:
        return None
    return Table(columns=("key", "value", ""), rows=tuple(rows), quiet_rows=frozenset(quiet))


@functools.cache
def _defaults() -> dict[str, Any]:
    from psann.run.config.model import RunConfig
    from psann.run.config.schema import config_keys

    keys = config_keys(RunConfig).values()
    with_default = [key for key in keys if key.default not in ("required", "")]
    return {".".join(key.path): json.loads(key.default) for key in with_default}


def origin_tables(run: RunView) -> tuple[Table, ...]:
    """Where each start of the run came from, the newest last; at most the last five."""
    tables = [
        Table(columns=(f"start {place}", ""), rows=rows)
        for place, start in enumerate(run.starts, start=1)
        if (rows := tuple(_origin_rows(start)))
    ]
    return tuple(tables[-5:])


def _origin_rows(start: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    argv = start.get("argv")
    for key, value in start.items():
        if key == "argv" and isinstance(argv, list):
            yield "command", printable(" ".join(map(str, argv)))
        elif isinstance(value, dict):
            # The digest of the whole data set is enough for a page.
            parts = {k: v for k, v in value.items() if not isinstance(v, dict | list)}
            text = ", ".join(f"{k} {setting(v)}" for k, v in parts.items() if v is not None)
            yield printable(key), printable(text)
        elif value is not None:
            yield printable(key), setting(value)


def files_table(run: RunView) -> Table | None:
    """Size and digest of each file that the finished run vouches for."""
    artefacts = run.metrics["artefacts"]
    if not isinstance(artefacts, dict) or not artefacts:
        return None
    rows = [
        (printable(name), f"{entry.get('bytes')}", printable(entry.get("sha256")))
        for name, entry in artefacts.items()
        if isinstance(entry, dict)
    ]
    return Table(columns=("file", "bytes", "SHA-256"), rows=tuple(rows))
