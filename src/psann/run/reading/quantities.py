"""The numbers that runs are compared by: fields of the record, and figures of its portfolios."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from psann.presentation.content import number
from psann.run.directory.fields import FIELDS, Shown
from psann.run.reading.reading import RunView

_POLICY, _DELAYED = "portfolio_metrics", "portfolio_metrics_delay_1"
_GROWTH = "annual_log_growth"
# Of the same rows: beside a delay, 1/N begins later too.
_EXCESSES = {
    "excess_growth": "versus_uniform.growth",
    "excess_growth_delay_1": "versus_uniform_delay_1.growth",
}


@dataclass(frozen=True)
class Quantity:
    """One number of a run."""

    key: str
    """What it is called: its dotted key in `metrics.json`, or `excess_growth` and
    `excess_growth_delay_1`."""
    shown: Shown

    @property
    def field(self) -> str:
        """Its dotted key in `metrics.json`."""
        return _EXCESSES.get(self.key, self.key)

    @property
    def better(self) -> Literal["higher", "lower", ""]:
        """Which way is better, empty where neither is."""
        return self.shown.better

    def unit(self, runs: Iterable[RunView]) -> str:
        """Its unit; empty for rewards of a user's own, whose functions alone know it."""
        is_of_own = self.key.endswith("reward_mean") and any(map(_has_own_reward, runs))
        return "" if is_of_own else self.shown.unit

    def head(self, runs: Iterable[RunView]) -> str:
        """Label, unit and direction, for the head of a column."""
        details = [self.unit(runs), self.better and f"{self.better} is better"]
        joined = ", ".join(filter(None, details))
        return f"{self.shown.label} ({joined})" if joined else self.shown.label

    def write(self, value: float | None) -> str:
        """Write a value; a dash where there is none."""
        return number(value, self.shown.form)

    def of(self, run: RunView) -> float | None:
        """Value in a run; None where it has none."""
        return run.figure(self.field)


def _has_own_reward(run: RunView) -> bool:
    name = str(run.setting("hisso.reward.target") or run.setting("hisso.reward"))
    return "." in name or ":" in name


_PORTFOLIO = {
    f"{_POLICY}.{_GROWTH}": Shown("log growth", "per year", "higher", "+.4f", "growth/year", 10),
    "excess_growth": Shown("log growth over 1/N", "per year", "higher", "+.4f", "over 1/N", 11),
    "excess_growth_delay_1": Shown(
        "... traded one row later", "per year", "higher", "+.4f", rank=12
    ),
    f"{_POLICY}.annual_sharpe": Shown("Sharpe ratio", "per year", "higher", ".2f", rank=13),
    f"{_POLICY}.annual_volatility": Shown("volatility", "per year", "lower", ".2%", rank=14),
    f"{_POLICY}.max_drawdown": Shown("max drawdown", "of wealth", "higher", ".2%", rank=15),
    f"{_POLICY}.cum_return": Shown("return", "of initial wealth", "higher", ".2%", rank=16),
    f"{_POLICY}.turnover_traded": Shown("traded weight", "per row", "lower", ".4f", rank=17),
    f"{_POLICY}.cost_paid": Shown("cost paid", "log growth", "lower", ".4f", rank=18),
}
_OF_THE_RECORD = {name: each.shown for name, each in FIELDS.items() if each.shown}
_SHOWN = sorted((_OF_THE_RECORD | _PORTFOLIO).items(), key=lambda each: each[1].rank)
QUANTITIES = tuple(Quantity(key, shown) for key, shown in _SHOWN)
"""Every one, the most telling first."""
DERIVED = tuple(each for each in QUANTITIES if each.key in _EXCESSES)
"""Those that are no figure of the record themselves."""


def quantity(key: str) -> Quantity:
    """One of `QUANTITIES` by its key.

    Examples
    --------
    >>> quantity("val_loss").better
    'lower'
    """
    return next(each for each in QUANTITIES if each.key == key)
