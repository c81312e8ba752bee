"""What `evaluation.npz` must look like, by itself and beside `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from psann._typing import Floats
from psann.accounting import executed_late, weight_changes
from psann.errors import DataError, reason_of
from psann.evaluation.comparison import growth_difference
from psann.evaluation.costs import figures_at_multiples
from psann.evaluation.limits import limit_problems
from psann.holdings import of_members
from psann.metrics import deflated_sharpe_ratio, wealth_figures
from psann.run.config.model import RunConfig
from psann.run.directory.evaluation import Evaluation, read_evaluation

# Sums in another order, and what is traded by weights kept in float32.
_CLOSE, _ROUGH = {"rel_tol": 1e-7, "abs_tol": 1e-10}, {"rel_tol": 1e-4, "abs_tol": 1e-6}
_BEYOND_CASH = ("sharpe", "psr", "sortino")
Figures = Mapping[str, Any]


def problems_of_evaluation(
    path: Path, figures: Figures, *, is_over: bool, config: RunConfig | None = None
) -> list[str]:
    """What is wrong with the series of a run.

    Parameters
    ----------
    path : Path
        `evaluation.npz` or `walk_forward.npz`; it may come from a stranger.
    figures : mapping
        `metrics.json` or its `walk_forward`, already checked by itself.
    is_over : bool
        Whether the record tells of the end, so that its figures are those of the series.
    config : RunConfig, optional
        On what terms it was judged; None computes no figure again.

    Returns
    -------
    list of str
        One phrase per problem; empty if the arrays fit each other and the figures.
    """
    try:
        series = read_evaluation(path)
    except (OSError, ValueError) as error:
        return [reason_of(error)]
    if not is_over:
        return []
    with np.errstate(all="ignore"):  # a stranger's may grow beyond all numbers
        problems = list(_problems_of_ends(series, figures))
        if problems or config is None:
            return problems
        try:
            again = _Again(series, config).problems(figures)
            return [*limit_problems(series.allocations, config.hisso), *again]
        except DataError as error:
            return [f"gives no figures: {str(error).rstrip('.')}"]


def _owners(told: Figures) -> dict[str, Figures]:
    """What has figures of a policy of its own, by the name of its series."""
    if not told.get("per_seed"):
        return {"policy": told}
    owners = {f"seed_{entry.get('seed')}": entry for entry in told["per_seed"]}
    return owners | ({"ensemble": told["ensemble"]} if told.get("ensemble") else {})


def _problems_of_ends(series: Evaluation, told: Figures) -> Iterator[str]:
    figures = dict(told.get("baselines") or {})
    for name, entry in {"policy": told, **_owners(told)}.items():
        figures[name] = entry.get("portfolio_metrics")
        for when in ("_delay_1", "_advance_1"):
            figures[f"{name}{when}"] = entry.get(f"portfolio_metrics{when}")
    for name, net in zip(series.names, series.net, strict=True):
        growth = (figures.get(name) or {}).get("cum_return")
        if growth is None:
            continue
        if not math.isclose(net[-1], 1 + growth, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{name} ends at {net[-1]:.6g}, but metrics.json says {1 + growth:.6g}"
    if (judged := told.get("judged")) is not None and not told.get("per_seed"):
        lost = series.net[list(series.names).index("policy")] <= 0
        yield from _others(
            ("ruined_at", told.get("ruined_at"), int(lost.argmax()) if lost.any() else None),
            ("judged.n_rows", judged.get("n_rows"), len(series.allocations)),
        )
    known = {name for name, values in figures.items() if values is not None}
    if missing := sorted(known - set(series.names)):
        yield f"has no series of {', '.join(missing)}"


def _others(*figures: tuple[str, object, object]) -> Iterator[str]:
    for name, said, found in figures:
        if said != found:
            yield f"gives {name} {found}, but metrics.json says {said}"


class _Again:
    """Every figure that follows from the series, computed again."""

    def __init__(self, series: Evaluation, config: RunConfig) -> None:
        self._paths = {
            name: (net, gross)
            for name, net, gross in zip(series.names, series.net, series.gross, strict=True)
            if np.isfinite([net, gross]).all() and min(net.min(), gross.min()) > 0
        }
        self._allocations, self._active = series.allocations, series.active
        judging = config.evaluation
        self._delay = config.hisso.delay
        self._periods, rate = judging.periods_per_year, judging.cash_rate
        # Of rates of each row the series say nothing, nor of what is beyond them.
        self._knows_cash = not isinstance(rate, str)
        self._cash = 0.0 if isinstance(rate, str) else rate
        self._rows = {"periods_per_year": self._periods, "cash_rate": self._cash}
        told = config.judging_cost
        # Where assets or rows differ, what was paid does not tell what was traded.
        self._cost = told if isinstance(told, float | int) else 0.0
        paid = series.net != series.gross if isinstance(told, str) else told
        self._has_costs = bool(np.any(paid))

    def problems(self, told: Figures) -> Iterator[str]:
        """One phrase per figure of the record that is another."""
        for name, figures in (told.get("baselines") or {}).items():
            yield from self._compare(f"baselines.{name}", figures, self._of_path(name))
        owners = _owners(told)
        for name, entry in owners.items():
            where = "" if entry is told else f"{name}."
            for suffix, shift in (("", 0), ("_delay_1", 1), ("_advance_1", -1)):
                again = self._of_path(f"{name}{suffix}", shift=shift)
                if shift == 0 and name in ("policy", "ensemble") and again:
                    again["turnover"] = self._turnover()
                figures = entry.get(f"portfolio_metrics{suffix}")
                yield from self._compare(f"{where}portfolio_metrics{suffix}", figures, again)
                if shift == 0:
                    yield from self._at_cost(where, name, entry)
                # Beside other delays 1/N begins later or earlier too, and is not kept.
                versus = self._versus(name) if shift == 0 else {}
                told_versus = entry.get(f"versus_uniform{suffix}")
                yield from self._compare(f"{where}versus_uniform{suffix}", told_versus, versus)
            yield from self._compare(where[:-1] or "metrics.json", entry, self._luck(name, entry))

    def _at_cost(self, where: str, name: str, entry: Figures) -> Iterator[str]:
        if name not in self._paths:
            return
        net, gross = (path[self._delay :] for path in self._paths[name])
        again = figures_at_multiples(net, gross, has_costs=self._has_costs, **self._rows)
        own = entry.get("portfolio_metrics") or {}
        traded = {key: own[key] for key in ("turnover", "turnover_traded") if own.get(key)}
        for multiple, figures in again.items():
            field = f"portfolio_metrics_cost_{multiple}"
            yield from self._compare(f"{where}{field}", entry.get(field), figures | traded)

    def _turnover(self) -> float:
        told = self._allocations.astype(np.float64)
        executed, active = executed_late(self._delay, told, self._active)
        targets = executed if active is None else of_members(executed, active)
        return float(weight_changes(targets).mean())

    def _net(self, name: str) -> Floats:
        """Wealth from the row on which the first action is executed."""
        net: Floats = self._paths[name][0]
        return net[self._delay :]

    def _of_path(self, name: str, *, shift: int = 0) -> dict[str, Any]:
        if name not in self._paths:
            return {}
        net, gross = (path[self._delay + shift :] for path in self._paths[name])
        return dict(wealth_figures(net, gross, trans_cost=self._cost, **self._rows))

    def _versus(self, name: str) -> dict[str, Any]:
        if name not in self._paths or "uniform" not in self._paths:
            return {}
        net, other = self._net(name), self._net("uniform")
        return asdict(growth_difference(net, other, periods_per_year=self._periods))

    def _luck(self, name: str, entry: Figures) -> dict[str, Any]:
        n_trials = entry.get("n_trials")
        if name not in self._paths or not isinstance(n_trials, int) or n_trials < 1:
            return {}
        net, cash = self._net(name), self._cash / self._periods
        ratio = deflated_sharpe_ratio(net[1:] / net[:-1] - 1 - cash, n_trials=n_trials)
        if "uniform" not in self._paths:
            return {"deflated_sharpe": ratio}
        beside = growth_difference(net, self._net("uniform"), periods_per_year=self._periods)
        return {"deflated_sharpe": ratio, "deflated_skill": beside.deflated_sharpe(n_trials)}

    def _compare(self, where: str, told: Figures | None, again: Figures) -> Iterator[str]:
        for name, value in again.items():
            if not self._knows_cash and any(each in name for each in _BEYOND_CASH):
                continue
            said = None if told is None else told.get(name)
            if said is None:
                if told is not None and name in told and math.isfinite(value):
                    yield f"gives {where}.{name} {value:.9g}, which metrics.json lacks"
            elif not math.isclose(said, value, **(_ROUGH if name == "turnover" else _CLOSE)):
                yield f"gives {where}.{name} {value:.9g}, but metrics.json says {said:.9g}"
