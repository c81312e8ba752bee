"""Rows per year, by their dates."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from psann._rates import rows_per_year
from psann.errors import DataError
from psann.evaluation.comparison import growth_difference
from psann.evaluation.judgement import Terms, judge, judge_baselines, judge_policy
from psann.metrics import portfolio_metrics

WEEKS = pd.date_range("2015-01-02", periods=200, freq="W-FRI")
DRAWS = np.random.default_rng(0).normal(size=(200, 2))
PRICES = pd.DataFrame(np.exp(0.02 * DRAWS.cumsum(axis=0)), index=WEEKS, columns=["A", "B"])
WEIGHTS = PRICES * 0 + 0.5

DOORS: dict[str, Callable[..., object]] = {
    "figures": lambda rate: portfolio_metrics(WEIGHTS.to_numpy(), PRICES, periods_per_year=rate),
    "judge": lambda rate: judge(WEIGHTS, PRICES, terms=Terms(periods_per_year=rate)),
    "policy": lambda rate: judge_policy(WEIGHTS, PRICES, terms=Terms(periods_per_year=rate)),
    "baselines": lambda rate: judge_baselines(PRICES, terms=Terms(periods_per_year=rate)),
    "difference": lambda rate: growth_difference(PRICES["A"], PRICES["B"], periods_per_year=rate),
}


def test_rows_per_year_count_moves_over_the_whole_span() -> None:
    week = np.arange("2021-01-04", "2021-01-09", dtype="datetime64[D]")
    assert rows_per_year(week) == pytest.approx(365.25)
    assert rows_per_year(week[:2]) is None


def test_rows_per_year_know_nothing_of_a_stretch_that_is_missing() -> None:
    days = np.arange("2019-01-01", "2021-01-01", dtype="datetime64[D]")
    weekdays = days[np.is_busday(days)]
    assert rows_per_year(np.delete(weekdays, np.s_[200:320])) == pytest.approx(261, abs=1)


@pytest.mark.parametrize("rate", [0, "weekly"])
def test_what_is_no_rate_is_refused_before_anything_is_said_of_it(rate: Any) -> None:
    for door in DOORS.values():
        with pytest.raises(DataError, match="`periods_per_year` must be"):
            door(rate)


@pytest.mark.parametrize("door", DOORS)
def test_figures_per_year_that_dates_deny_are_warned_of_with_the_cure_that_works(door: str) -> None:
    with pytest.warns(UserWarning, match=r"about 52.2 rows are a year, .* 252 .*_per_year=52.2"):
        DOORS[door](252)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DOORS[door](52.2)
        DOORS[door](52)
