"""Thinned series keep what the eye must see."""

from __future__ import annotations

import numpy as np
import pytest

from psann.presentation.series import bin_means, drawdown, period_returns, thin, worst_falls


@pytest.mark.parametrize("limit", [4, 37, 500])
def test_thinned_series_keeps_its_ends_and_every_extreme(limit: int) -> None:
    rng = np.random.default_rng(0)
    series = np.cumsum(rng.normal(size=6000))
    series[[1234, 4321]] = [1e3, -1e3]
    kept = thin(series, limit)
    assert len(kept) <= limit
    assert (np.diff(kept) > 0).all()
    assert {0, 1234, 4321, 5999} <= set(kept.tolist())


def test_highest_and_lowest_of_every_stretch_are_kept() -> None:
    series = np.random.default_rng(1).normal(size=1000)
    kept = thin(series, 102)
    for start in range(0, 1000, 20):
        stretch = range(start, start + 20)
        inside = series[[i for i in kept if i in stretch]]
        assert inside.max() == series[start : start + 20].max()
        assert inside.min() == series[start : start + 20].min()


def test_short_series_is_left_whole() -> None:
    assert thin([3.0, 1.0, 2.0], 4).tolist() == [0, 1, 2]
    assert thin([], 4).tolist() == []


@pytest.mark.parametrize("extreme", [7.0, -7.0])
def test_gaps_never_count_as_extremes(extreme: float) -> None:
    series = np.zeros(100)
    series[10:90] = np.nan
    series[95] = extreme
    assert 95 in thin(series, 10)


def test_drawdown_counts_the_start() -> None:
    assert drawdown([0.8, 1.2, 0.9, 0.0]).tolist() == pytest.approx([-0.2, 0.0, -0.25, -1.0])


def test_stretches_cover_every_row_once() -> None:
    table = np.random.default_rng(2).normal(size=(1131, 3))
    edges, means = bin_means(table, 120)
    assert (edges[0], edges[-1], len(means)) == (0, 1131, 120)
    assert np.diff(edges) @ means == pytest.approx(table.sum(axis=0))


def test_worst_falls_are_from_peak_to_recovery_the_deepest_first() -> None:
    wealth = [0.9, 1.0, 1.2, 0.6, 0.9, 1.2, 1.3, 1.1]
    falls = worst_falls(wealth, 5)
    told = [(fall.first, fall.lowest, fall.recovered) for fall in falls]
    assert told == [(2, 3, 5), (6, 7, None), (0, 0, 1)]
    assert [fall.depth for fall in falls] == pytest.approx([-0.5, 1.1 / 1.3 - 1, -0.1])
    assert worst_falls([1.0, 1.1], 5) == []
    assert worst_falls([1.0, 0.5, float("nan")], 5)[0].recovered is None
    assert len(worst_falls(wealth, 1)) == 1


def test_returns_of_periods_multiply_to_the_whole() -> None:
    wealth = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.1, 50)))
    returns = period_returns(wealth, [0, 7, 8, 31])
    assert np.prod(1 + returns) == pytest.approx(wealth[-1])
    assert returns[1] == pytest.approx(wealth[7] / wealth[6] - 1)


def test_after_a_ruin_there_is_no_return() -> None:
    first, second = period_returns([1.0, 0.0, 0.0], [0, 2])
    assert first == -1.0
    assert np.isnan(second)
