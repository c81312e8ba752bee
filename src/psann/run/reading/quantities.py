"""What the numbers of a run are called, in which unit, and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from psann.run.reading.reading import RunView

_POLICY, _DELAYED, _UNIFORM = "portfolio_metrics", "portfolio_metrics_delay_1", "baselines.uniform"
_GROWTH = "annual_log_growth"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number of a run."""

    key: str
    """Its dotted key in `metrics.json`; `excess_growth` and `excess_growth_delay_1` are
    differences of two."""
    label: str
    unit: str
    better: Literal["higher", "lower", ""]
    """Empty where neither is better."""
    write: Callable[[float], str] = "{:.4g}".format

    def of(self, run: RunView) -> float | None:
        """Value in a run; None where it has none."""
        minuend = _EXCESSES.get(self.key)
        if minuend is None:
            return run.figure(self.key)
        growth, uniform = run.figure(f"{minuend}.{_GROWTH}"), run.figure(f"{_UNIFORM}.{_GROWTH}")
        return None if growth is None or uniform is None else growth - uniform


_EXCESSES = {"excess_growth": _POLICY, "excess_growth_delay_1": _DELAYED}
_SIGNED, _SHARE, _WHOLE = "{:+.4f}".format, "{:.2%}".format, "{:,.0f}".format

_ROWS: tuple[tuple[str, str, str, Literal["higher", "lower", ""], Callable[[float], str]], ...] = (
    ("val_reward_mean", "validation reward", "per row", "higher", "{:.4g}".format),
    ("test_reward_mean", "test reward", "per row", "higher", "{:.4g}".format),
    ("reward_mean", "training reward", "per row", "higher", "{:.4g}".format),
    ("train_loss", "training loss", "", "lower", "{:.4g}".format),
    ("val_loss", "validation loss", "", "lower", "{:.4g}".format),
    ("test_loss", "test loss", "", "lower", "{:.4g}".format),
    (f"{_POLICY}.{_GROWTH}", "test log growth", "per year", "higher", _SIGNED),
    ("excess_growth", "test log growth over 1/N", "per year", "higher", _SIGNED),
    ("excess_growth_delay_1", "... traded one row later", "per year", "higher", _SIGNED),
    (f"{_POLICY}.annual_sharpe", "Sharpe ratio", "per year", "higher", "{:.2f}".format),
    (f"{_POLICY}.annual_volatility", "volatility", "per year", "lower", _SHARE),
    (f"{_POLICY}.max_drawdown", "max drawdown", "of wealth", "higher", _SHARE),
    (f"{_POLICY}.cum_return", "return", "of initial wealth", "higher", _SHARE),
    (f"{_POLICY}.turnover_traded", "traded weight", "per row", "lower", "{:.4f}".format),
    (f"{_POLICY}.cost_paid", "cost paid", "log growth", "lower", "{:.4f}".format),
    ("best_epoch", "best epoch", "", "", _WHOLE),
    ("temperature", "temperature", "", "", "{:.3g}".format),
    ("episodes", "episodes", "", "", _WHOLE),
    ("duration_seconds", "duration", "s", "lower", "{:,.1f}".format),
    ("throughput_eps_per_sec", "throughput", "episodes/s", "higher", _WHOLE),
)
QUANTITIES = tuple(
    Quantity(key=key, label=label, unit=unit, better=better, write=write)
    for key, label, unit, better, write in _ROWS
)
"""The numbers that runs are compared by, the most telling first."""


def quantity(key: str) -> Quantity:
    """One of `QUANTITIES` by its key.

    Examples
    --------
    >>> quantity("val_loss").better
    'lower'
    """
    return next(each for each in QUANTITIES if each.key == key)
