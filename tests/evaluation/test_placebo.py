"""Shuffled moves keep everything but their order; the share counts what is as good."""

from __future__ import annotations

import math

import numpy as np
import pytest

from psann.evaluation.placebo import share_as_good, shuffled_order, shuffled_prices


def market(rows: int = 300, assets: int = 3) -> np.ndarray:
    moves = 0.02 * np.random.default_rng(0).standard_normal((rows, assets))
    return 7.0 * np.exp(np.cumsum(moves, axis=0))


def test_the_moves_are_the_same_rows_in_another_order() -> None:
    prices = market()
    order = shuffled_order(300, seed=1, number=1)
    shuffled = shuffled_prices(prices, order)
    growth, after = prices[1:] / prices[:-1], shuffled[1:] / shuffled[:-1]
    np.testing.assert_allclose(after, growth[order], rtol=1e-12)
    assert not np.array_equal(order, np.arange(299))
    np.testing.assert_allclose(shuffled[[0, -1]], prices[[0, -1]], rtol=1e-12)


def test_an_order_depends_on_seed_number_and_span_alone() -> None:
    first = shuffled_order(300, seed=1, number=1, span="train")
    assert np.array_equal(first, shuffled_order(300, seed=1, number=1, span="train"))
    for other in (
        shuffled_order(300, seed=2, number=1, span="train"),
        shuffled_order(300, seed=1, number=2, span="train"),
        shuffled_order(300, seed=1, number=1, span="test"),
    ):
        assert not np.array_equal(first, other)


def test_moves_that_follow_each_other_no_longer_do() -> None:
    steps = np.repeat(np.random.default_rng(1).standard_normal(1000), 2)[:, None]
    shuffled = shuffled_prices(
        np.exp(0.01 * steps.cumsum(0)), shuffled_order(2000, seed=0, number=1)
    )
    moves = np.diff(np.log(shuffled[:, 0]))
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.1
    assert np.corrcoef(steps[1:, 0], steps[:-1, 0])[0, 1] > 0.4


def test_one_row_has_no_move_to_shuffle() -> None:
    assert shuffled_order(1, seed=0, number=1).tolist() == []


@pytest.mark.parametrize(
    ("growth", "placebos", "share"),
    [(0.1, [0.2, 0.1, 0.0, math.nan], 0.5), (0.0, [0.0, 0.0], 1.0), (0.3, [0.2], 0.0)],
)
def test_equal_growth_is_as_good_and_ruin_is_not(
    growth: float, placebos: list[float], share: float
) -> None:
    assert share_as_good(growth, placebos) == share


def test_without_placebos_or_growth_there_is_no_share() -> None:
    assert math.isnan(share_as_good(0.1, []))
    assert math.isnan(share_as_good(math.nan, [0.1]))
