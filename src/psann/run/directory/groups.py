"""Figures that stand together in a field of `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

Figures = Mapping[str, float | None]
"""Numbers by name; null where one is not defined."""
Groups = Mapping[str, float | Figures | None]
"""Numbers by name, some in groups."""
Spread = Mapping[str, float | Groups | None]
"""The same of fields, some of which have groups of their own."""


class Versus(TypedDict, total=False):
    """A policy beside 1/N: the paired difference of log growth per year, and how sure it is."""

    growth: float | None
    low: float | None
    high: float | None
    is_distinguishable: bool
    standard_error: float | None
    degrees: float
    n_steps: float
    confidence: float
    annual_sharpe: float | None
    annual_sharpe_se: float | None
    psr: float | None


class SeedFigures(TypedDict, total=False):
    """What one of several seeds came to: fields of the record under their own names."""

    seed: int
    epoch: int | None
    stopped_early: bool
    best_epoch: int | None
    monitor_value: float | None
    cautions: list[str]
    portfolio_metrics: Figures | None
    portfolio_metrics_delay_1: Figures | None
    portfolio_metrics_cost_2: Figures | None
    portfolio_metrics_cost_3: Figures | None
    portfolio_metrics_advance_1: Figures | None
    versus_uniform: Versus | None


class Judged(TypedDict, total=False):
    """The rows that portfolio figures are of."""

    split: str
    n_rows: int
    benchmark: str
    """Name of the benchmark among the baselines; absent without one."""
    first: str
    """Date of the first row, and of the last; absent where rows have no dates."""
    last: str
    test_withheld: bool
    """Whether the test rows were left shut; absent where they were not."""


class WalkForward(TypedDict, total=False):
    """Figures of the folds' actions as one sequence."""

    portfolio_metrics: Figures | None
    portfolio_metrics_delay_1: Figures | None
    portfolio_metrics_advance_1: Figures | None
    versus_uniform: Versus | None
    versus_uniform_delay_1: Versus | None
    versus_uniform_advance_1: Versus | None
    baselines: Mapping[str, Figures]
    reward_mean: float
    """Reward per row; only where actions are no portfolio weights."""
    folds: list[Mapping[str, object]]


class Placebo(TypedDict, total=False):
    """Growth over 1/N of trainings on shuffled moves."""

    n: int
    growth: float | None
    share_as_good: float | None
    growths: list[float]
