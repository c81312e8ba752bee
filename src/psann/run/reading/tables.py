"""The tables of one run: results beside baselines, key figures, configuration, origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from psann.errors import counted
from psann.presentation.content import Table, number, printable, setting, wealth
from psann.run.directory.fields import Record
from psann.run.directory.groups import SeedFigures
from psann.run.reading.quantities import QUANTITIES, Quantity, quantity
from psann.run.reading.reading import RunView, flat
from psann.run.reading.strategies import STRATEGIES, distinct, strategy_name

_ON_OTHER_TERMS = ("advance_1", "delay_1", "cost_2", "cost_3")
Columns = tuple[tuple[str, str, str], ...]
# Column, key of portfolio_metrics, form. What a figure means stands in docs/artefacts.md.
_RESULT_COLUMNS = (
    ("wealth", "cum_return", ""),
    ("gross", "gross_log_growth", "+.3f"),
    ("growth", "annual_log_growth", "+.3f"),
    ("volatility", "annual_volatility", ".1%"),
    ("Sharpe", "annual_sharpe", ".2f"),
    ("std. error", "annual_sharpe_se", ".2f"),
    ("drawdown", "max_drawdown", ".1%"),
    ("traded", "turnover_traded", ".4f"),
)
# On a page, for whoever does not think in logarithms.
_PAGE_COLUMNS = (
    ("wealth", "cum_return", ""),
    ("return", "annual_return", "+.1%"),
    ("volatility", "annual_volatility", ".1%"),
    ("worst drawdown", "max_drawdown", ".1%"),
    ("Sharpe ratio", "annual_sharpe", ".2f"),
    ("its standard error", "annual_sharpe_se", ".2f"),
    ("log growth", "annual_log_growth", "+.3f"),
    ("before costs", "gross_log_growth", "+.3f"),
    ("traded", "turnover_traded", ".1%"),
)
_SEED_QUANTITIES = tuple(
    map(
        quantity,
        (
            *("best_epoch", "val_reward_mean", "test_reward_mean", "val_loss", "test_loss"),
            *("portfolio_metrics.annual_log_growth", "excess_growth"),
            *("portfolio_metrics.annual_sharpe", "portfolio_metrics.max_drawdown"),
        ),
    )
)
_RESULT_NOTE = (
    "Final wealth from 1.00; growth (log), volatility and Sharpe ratio per year; traded weight per "
    "row; all net of costs but the gross growth."
)
_PAGE_NOTE = (
    "What 1.00 became; per year the return, volatility, Sharpe ratio and log growth; per row what "
    "was bought and sold, as part of the wealth. All net of costs but the log growth before them."
)
_HINDSIGHT_NOTE = " (*) chosen on these very rows: unattainable."
_ALIKE_NOTE = " Baselines that do what 1/N does are left out."


def result_table(run: RunView, *, is_page: bool = False) -> Table | None:
    """The policy beside its baselines, on the same rows at the same cost.

    Parameters
    ----------
    is_page : bool
        Whether there is room, and returns are told in percent.

    Returns
    -------
    Table or None
        None without portfolio figures.
    """
    if run.metrics["portfolio_metrics"] is None:
        return None
    baselines, fields = run.metrics["baselines"] or {}, _result_fields(run)
    shown = distinct(baselines)
    columns, note = (_PAGE_COLUMNS, _PAGE_NOTE) if is_page else (_RESULT_COLUMNS, _RESULT_NOTE)
    note += _HINDSIGHT_NOTE * ("bcrp_hindsight" in shown)
    rows = [(printable(label), *_result_cells(run, field, columns)) for label, field in fields]
    if seeds_of(run):
        rows.insert(1, ("  spread over seeds", *_spread_cells(run, columns)))
    return Table(
        columns=("strategy", *(head for head, _, _ in columns)),
        rows=tuple(rows),
        n_numbers=len(columns),
        note=note + _ALIKE_NOTE * (len(shown) < len(baselines)),
        spare=("std. error", "volatility"),
    )


def net_of(run: RunView) -> str:
    """What the figures are net of: basis points, of costs by asset or by row those on average."""
    cost = run.figure("trans_cost")
    told = run.setting("evaluation.trans_cost")
    told = run.setting("hisso.transition_penalty") if told is None else told
    average = " on average" if isinstance(told, list | str) else ""
    return "" if cost is None else f"net of {1e4 * cost:.4g} bp{average}"


def _result_cells(run: RunView, field: str, columns: Columns) -> Iterator[str]:
    for _, name, form in columns:
        value = run.figure(f"{field}.{name}")
        yield number(value, form) if form else wealth(_final_wealth(run, field, value))


def _final_wealth(run: RunView, field: str, cum_return: float | None) -> float | None:
    """The wealth itself, which has its digits also near total loss; earlier runs lack it."""
    told = run.figure(f"{field}.final_wealth")
    return told if told is not None or cum_return is None else 1 + cum_return


def _spread_cells(run: RunView, columns: Columns) -> Iterator[str]:
    """Standard deviations over the seeds, written as what they are of, but without a sign."""
    for _, name, form in columns:
        # The wealth is 1 + cum_return, and spreads as that does.
        yield number(run.figure(f"spread.portfolio_metrics.{name}"), form.lstrip("+") or ",.2f")


def _result_fields(run: RunView) -> list[tuple[str, str]]:
    """Name of each strategy with figures, and the dotted key of these."""
    n_seeds = len(seeds_of(run))
    policy = f"policy, mean of {n_seeds} seeds" if n_seeds else STRATEGIES["policy"]
    delay = run.metrics["delay"]
    names = {"policy": f"{policy}, {counted(delay, 'row')} late" if delay else policy}
    if benchmark := (run.metrics["judged"] or {}).get("benchmark"):
        names["benchmark"] = f"{STRATEGIES['benchmark']} {benchmark}"
    fields = {
        "policy": "portfolio_metrics",
        **{f"policy_{how}": f"portfolio_metrics_{how}" for how in _ON_OTHER_TERMS},
        "ensemble": "ensemble.portfolio_metrics",
        **{name: f"baselines.{name}" for name in distinct(run.metrics["baselines"])},
    }
    order = (*STRATEGIES, *fields)
    return [
        (names.get(name, strategy_name(name)), fields[name])
        for name in sorted(fields, key=order.index)
        if isinstance(run.value(fields[name]), dict)
    ]


def seeds_of(run: RunView) -> list[SeedFigures]:
    """Figures of each of several seeds; empty for a single one."""
    return [entry for entry in run.metrics["per_seed"] or () if isinstance(entry, dict)]


def seeds_table(run: RunView) -> Table | None:
    """The seeds of one run beside each other, then their mean and spread."""
    seeds = seeds_of(run)
    if not seeds:
        return None
    of_seeds = [replace(run, metrics=cast(Record, {**run.metrics, **entry})) for entry in seeds]
    known = [each for each in _SEED_QUANTITIES if any(each.of(own) is not None for own in of_seeds)]
    if any(each.key.endswith("reward_mean") for each in known):
        known = [each for each in known if not each.key.endswith("loss")]  # they are minus those
    rows = [
        (printable(entry.get("seed")), *(each.write(each.of(own)) for each in known))
        for entry, own in zip(seeds, of_seeds, strict=True)
    ]
    # The best epoch of the run is that of its best seed.
    means = [None if each.key == "best_epoch" else each.of(run) for each in known]
    rows.append(("mean", *(each.write(mean) for each, mean in zip(known, means, strict=True))))
    spreads = (each.write(_spread(run, each)).lstrip("+") for each in known)
    rows.append(("standard deviation", *spreads))
    heads = [each.head([run]) for each in known]
    return Table(columns=("seed", *heads), rows=tuple(rows), n_numbers=len(heads))


def _spread(run: RunView, each: Quantity) -> float | None:
    return run.figure(f"spread.{each.field}")


def key_figures_table(run: RunView) -> Table | None:
    """Rewards, losses, portfolio figures and effort, as far as the run has them."""
    rows = [
        (each.shown.label, each.unit([run]), each.write(value))
        for each in QUANTITIES
        if (value := each.of(run)) is not None
    ]
    if not rows:
        return None
    return Table(columns=("quantity", "unit", "value"), rows=tuple(rows), n_numbers=1)


def config_table(run: RunView, defaults: Mapping[str, object] | None = None) -> Table | None:
    """Every key in force; where defaults are given by dotted key, those at theirs are set back."""
    values = {key: value for key, value in run.config.items() if key != "recorded"}
    rows: list[tuple[str, ...]] = []
    quiet = set()
    for key, value in flat(values).items():
        row: tuple[str, ...] = (printable(key), setting(value))
        if defaults is not None:
            is_default = key in defaults and defaults[key] == value
            quiet |= {len(rows)} if is_default else set()
            row = (*row, "default" if is_default else "set")
        rows.append(row)
    if not rows:
        return None
    heads = ("key", "value", "")[: len(rows[0])]
    return Table(columns=heads, rows=tuple(rows), quiet_rows=frozenset(quiet))


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
