"""Prices that are none are named with row and asset; prices that are some are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from noise import NOISES
from psann.plausibility.prices import forgetful_findings, leap_findings, price_findings


def market(rows: int = 300, assets: int = 4, seed: int = 0) -> Any:
    moves = 0.02 * np.random.default_rng(seed).standard_normal((rows, assets))
    return 40 * np.exp(moves.cumsum(axis=0))


def told(prices: Any, **arguments: Any) -> list[tuple[str, int | None, int | None]]:
    return [(f.name, f.row, f.column) for f in price_findings(prices, **arguments)]


@pytest.mark.parametrize("noise", NOISES)
def test_honest_prices_of_any_scale_are_not_suspected(noise: str) -> None:
    draws = np.random.default_rng(1)
    for _ in range(30):
        prices = np.exp(0.02 * NOISES[noise](draws, (5, 200)).T.cumsum(axis=0))
        assert told(prices) == []
        assert told(1e-6 * prices) == []
        assert told(prices[:, :1]) == []


def test_growth_factors_are_told_from_prices_and_so_are_shuffled_rows() -> None:
    prices = market()
    assert told(prices[1:] / prices[:-1]) == [("relatives", None, None)]
    assert told(np.random.default_rng(2).permutation(prices)) == [("shuffled", None, None)]
    (finding,) = price_findings(prices[1:] / prices[:-1])
    assert "numpy.cumprod" in finding.message
    # The cure makes prices of them that nobody suspects.
    assert told(np.cumprod(prices[1:] / prices[:-1], axis=0)) == []


def test_assets_that_lack_a_price_have_no_say_in_what_others_remember() -> None:
    relatives = market()[1:] / market()[:-1]
    relatives[:9, 1] = np.nan
    (found,) = forgetful_findings(relatives)
    assert found.name == "relatives"
    assert forgetful_findings(relatives[:, [1]]) == forgetful_findings(market()) == []
    relatives[:, 1] = np.inf
    (found,) = forgetful_findings(relatives)
    assert found.name == "relatives"


def test_thirty_rows_are_needed_to_tell_the_shape_of_a_path() -> None:
    relatives = market(31)[1:] / market(31)[:-1]
    assert [name for name, _, _ in told(relatives)] == ["relatives"]
    assert told(relatives[:29]) == []


@pytest.mark.parametrize("ratio", [2.0, 3.0, 10.0, 0.5, 0.25])
def test_a_split_is_named_with_row_asset_and_ratio(ratio: float) -> None:
    prices = market()
    prices[120:, 2] *= ratio
    ((finding),) = price_findings(prices, labels=["a", "b", "c", "d"])
    assert (finding.name, finding.row, finding.column) == ("split", 120, 2)
    near = f"{ratio:g}" if ratio > 1 else f"1/{1 / ratio:g}"
    assert "asset 2 ('c')" in finding.message and f"near {near}:" in finding.message


def test_a_move_of_all_assets_or_of_no_usual_ratio_is_no_split() -> None:
    crash = market()
    crash[120:] *= 0.5
    assert told(crash) == []
    odd = market()
    odd[120:, 2] *= 2.5
    assert told(odd) == []
    assert [(f.name, f.row, f.column) for f in leap_findings(odd)] == [("leap", 120, 2)]
    assert leap_findings(crash) == leap_findings(market()) == []
    wild = np.exp(0.3 * np.random.default_rng(3).standard_normal((300, 4)).cumsum(axis=0))
    assert told(wild) == []


@pytest.mark.parametrize("ratio", [0.01, 0.6, 1.7, 30.0])
def test_one_price_that_is_far_from_both_its_neighbours_is_a_wrong_print(ratio: float) -> None:
    prices = market()
    wrong = prices.copy()
    wrong[120, 2] *= ratio
    (finding,) = price_findings(wrong, labels=["a", "b", "c", "d"])
    assert (finding.name, finding.row, finding.column) == ("print", 120, 2)
    assert finding.message.startswith("The price of asset 2 ('c') at row 120 is ")
    times = wrong[120, 2] / wrong[119, 2]
    assert f"is {times:.3g} times that of the row before" in finding.message
    together = prices.copy()
    together[120] *= min(ratio, 2.0)  # what all assets do is no print of one
    assert "print" not in [name for name, _, _ in told(together)]


def test_another_unit_is_named_where_it_begins_and_ends() -> None:
    prices = market()
    prices[100:140, 1] *= 100.0
    prices[200:, 3] /= 1000.0
    assert told(prices) == [("split", 100, 1), ("split", 140, 1), ("split", 200, 3)]
    assert all("another unit?" in f.message for f in price_findings(prices))


def test_a_price_that_stands_still_is_stale_unless_it_often_does() -> None:
    prices = market()
    prices[40:53, 1] = prices[40, 1]
    assert told(prices) == [("stale", 40, 1)]
    (finding,) = price_findings(prices)
    assert "stands still for 12 moves from row 40" in finding.message
    # A stock that trades in large ticks: most of its moves are nothing.
    moves = np.random.default_rng(4).choice([0.0, 0.0, 0.0, 0.0, 0.02, -0.02], size=(300, 2))
    assert told(np.exp(moves.cumsum(axis=0))) == []


def closed(rows: int = 400, assets: int = 4) -> Any:
    """Every day of the week, with Friday's prices on Saturdays and Sundays."""
    traded = np.arange(rows) % 7 < 5
    return market(rows, assets)[np.maximum.accumulate(np.where(traded, np.arange(rows), 0))]


def test_weekends_that_were_filled_are_told_whoever_else_trades_then() -> None:
    (found,) = price_findings(closed())
    assert (found.name, found.row) == ("filled", 5)
    assert found.message.startswith("On 114 of 400 rows no price moves, first on row 5")
    assert told(closed(assets=1)) == [("filled", 5, None)]
    mixed = np.column_stack([market(400, seed=2)[:, :1], closed(assets=2)])
    (found,) = price_findings(mixed, labels=["a", "b", "c"])
    assert "On 114 of 400 rows no price of assets 1 ('b') and 2 ('c') moves" in found.message


def test_holidays_that_were_filled_are_told_but_not_quiet_days() -> None:
    prices = market(520)
    for row in range(20, 520, 29):  # 18 of them, nine a year
        prices[row] = prices[row - 1]
    assert told(prices) == [("filled", 20, None)]
    assert told(prices[:180]) == []  # six of them are no custom
    moves = np.random.default_rng(3).standard_normal((400, 3))
    moves *= np.exp(np.random.default_rng(4).standard_normal((400, 1)))
    on_a_coarse_grid = np.exp(0.02 * np.round(moves).cumsum(axis=0))
    together = (np.diff(np.log(on_a_coarse_grid), axis=0) == 0).all(axis=1)
    assert together.sum() > 30
    assert told(on_a_coarse_grid) == []


def test_assets_that_seldom_move_or_stood_still_once_are_not_filled() -> None:
    moves = np.random.default_rng(5).standard_normal((400, 2))
    moves *= np.random.default_rng(6).random((400, 2)) < 0.05
    assert "filled" not in [name for name, _, _ in told(np.exp(0.02 * moves.cumsum(axis=0)))]
    halted = market(assets=1)
    halted[40:120] = halted[40]
    assert told(halted) == [("stale", 40, 0)]
    together = market(assets=2)
    together[40:60] = together[40]
    assert told(together) == [("stale", 40, 0), ("stale", 40, 1)]


def test_a_copy_at_another_scale_and_a_constant_are_named() -> None:
    prices = market()
    doubled = np.column_stack([prices, 7 * prices[:, 1], np.full(300, 3.0), np.full(300, 4.0)])
    assert told(doubled) == [("constant", None, None), ("copy", None, 4)]
    assert "asset 4 are those of asset 1." in price_findings(doubled)[-1].message


def test_a_crash_that_is_followed_by_turmoil_is_no_split() -> None:
    draws = np.random.default_rng(4)
    moves = 0.01 * draws.standard_normal((400, 4))
    moves[200, 1] = np.log(0.5)
    calm = np.exp(moves.cumsum(axis=0))
    assert [finding.name for finding in price_findings(calm)] == ["split"]
    moves[201:215, 1] *= 6
    assert price_findings(np.exp(moves.cumsum(axis=0))) == []


def test_a_price_on_a_coarse_grid_may_stand_still_for_a_week() -> None:
    prices = np.exp(0.01 * np.random.default_rng(5).standard_normal((400, 2)).cumsum(axis=0))
    for length, n_told in ((7, 0), (9, 1)):
        still = prices.copy()
        still[100 : 101 + length, 0] = still[100, 0]
        assert len(price_findings(still)) == n_told


def test_two_columns_that_were_exchanged_are_named_with_the_row() -> None:
    prices = market()
    prices[120:, [1, 3]] = prices[120:, [3, 1]]
    (finding,) = price_findings(prices, labels=["a", "b", "c", "d"])
    assert (finding.name, finding.row) == ("swap", 120)
    assert finding.message.startswith("The prices of assets 1 ('b') and 3 ('d') change places at")
    prices[120:, 1] *= 1.3  # to where nobody was
    assert "swap" not in [name for name, _, _ in told(prices)]
