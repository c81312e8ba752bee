"""Shuffled moves keep everything but their order; the share counts what is as good."""

from __future__ import annotations

import math

import numpy as np
import pytest

from noise import garch
from psann.errors import DataError
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


def moves_of(prices: np.ndarray) -> np.ndarray:
    return np.diff(np.log(prices[:, 0]))


def test_what_foretold_a_move_no_longer_does() -> None:
    known = np.random.default_rng(1).standard_normal(2001)
    prices = np.exp(0.01 * np.append(0.0, known[:-1]).cumsum())[:, None]  # row t knows its move
    assert np.corrcoef(known[:-1], moves_of(prices))[0, 1] > 0.99
    for number in range(1, 6):
        shuffled = shuffled_prices(prices, shuffled_order(2001, seed=0, number=number))
        assert abs(np.corrcoef(known[:-1], moves_of(shuffled))[0, 1]) < 0.1


def test_clusters_of_volatility_survive_which_single_moves_would_not() -> None:
    prices = np.exp(0.01 * garch(np.random.default_rng(2), (1, 4000))[0].cumsum())[:, None]

    def clustering(moves: np.ndarray) -> float:
        return float(np.corrcoef(moves[1:] ** 2, moves[:-1] ** 2)[0, 1])

    usual = clustering(moves_of(prices))
    shuffled = shuffled_prices(prices, shuffled_order(4000, seed=0, number=1))
    alone = np.random.default_rng(3).permutation(moves_of(prices))
    assert usual > 0.15
    assert clustering(moves_of(shuffled)) > 0.75 * usual
    assert clustering(alone) < 0.3 * usual


@pytest.mark.parametrize(("n_rows", "length"), [(1000, 20), (61, 6), (6, 1)])
def test_blocks_of_moves_stay_together_and_leave_their_place(n_rows: int, length: int) -> None:
    n, stayed = n_rows - 1, 0
    for number in range(1, 21):
        order = shuffled_order(n_rows, seed=0, number=number)
        assert sorted(order.tolist()) == list(range(n))
        n_joints = int((np.diff(order) % n != 1).sum())
        assert n_joints <= math.ceil(n / length) - 1
        assert length == 1 or n_joints >= 0.4 * n / length
        stayed += int((order == np.arange(n)).sum())
    assert stayed / (20 * n) < max(0.05, 2 / n)


def test_what_is_no_order_of_the_moves_of_prices_is_refused() -> None:
    prices = np.ones((5, 2))
    for wrong in ({"n_rows": -1}, {"n_rows": 5.5}, {"seed": "a"}, {"seed": -1}, {"number": 0}):
        with pytest.raises(DataError, match=f"`{next(iter(wrong))}` must be a whole number of at"):
            shuffled_order(**{"n_rows": 5, "seed": 0, "number": 1, **wrong})
    for order in (np.arange(3), np.arange(1, 5), np.zeros(4, int), "x", None):
        with pytest.raises(DataError, match="`order` must have each of the 4 moves of `prices`"):
            shuffled_prices(prices, order)
    with pytest.raises(DataError, match="`prices` must be above 0"):
        shuffled_prices(0 * prices, np.arange(4))


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
    assert share_as_good(0.1, np.array([0.2, 0.05])) == 0.5
    assert math.isnan(share_as_good(0.1, []))
    assert math.isnan(share_as_good(math.nan, [0.1]))
