"""The tables of one run: results beside baselines, key figures, configuration, origin."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from psann.run.quantities import QUANTITIES
from psann.run.reading import RunView, flat
from psann.run.report.content import Table, number, printable, setting, wealth
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
_RESULT_NOTE = (
    "Growth (log), volatility and Sharpe ratio per year; net of costs, on the same rows. More "
    "growth and Sharpe ratio is better, less drawdown and trading. (*) chosen on these very rows: "
    "unattainable."
)


def strategies_of(run: RunView) -> dict[str, str]:
    """Strategies with portfolio figures: key as in `evaluation.npz` -> dotted key of its figures.

    Parameters
    ----------
    run : RunView
        The run.
    """
    fields = {"policy": "portfolio_metrics", "policy_delay_1": "portfolio_metrics_delay_1"}
    found = {key: field for key, field in fields.items() if isinstance(run.metrics[field], dict)}
    baselines = run.metrics["baselines"]
    names = list(baselines) if isinstance(baselines, dict) else []
    ordered = sorted(names, key=lambda name: (*STRATEGIES, name).index(name))
    return found | {name: f"baselines.{name}" for name in ordered}


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
    strategies = strategies_of(run)
    if not strategies:
        return None
    rows = [
        (
            printable(strategy_name(key)),
            *(form(run.figure(f"{field}.{name}")) for _, name, form in RESULT_COLUMNS),
        )
        for key, field in strategies.items()
    ]
    return Table(
        columns=("strategy", *(label for label, _, _ in RESULT_COLUMNS)),
        rows=tuple(rows),
        n_numbers=len(RESULT_COLUMNS),
        note=_RESULT_NOTE,
    )


def key_figures_table(run: RunView) -> Table | None:
    """Rewards, losses and effort, as far as the run has them."""
    rows = [
        (quantity.label, quantity.write(value), quantity.unit)
        for quantity in QUANTITIES
        if "portfolio_metrics" not in quantity.key and (value := quantity.of(run)) is not None
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
    from psann.run.config import RunConfig
    from psann.run.config_schema import config_keys

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
