"""Thinned series keep what the eye must see."""

from __future__ import annotations

import numpy as np
import pytest

from psann._series import bin_means, drawdown, thin


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
