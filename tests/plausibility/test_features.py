"""Features that know what nobody could are suspected; honest ones, also strong ones, are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from noise import NOISES
from psann.plausibility.features import feature_findings, next_move_findings
from thinning import parted

N, M, LAGS = 500, 3, (1, 5, 20)


def market(noise: str = "iid", seed: int = 0) -> tuple[Any, Any]:
    """Returns over the rows before, asset by asset and lag by lag, and prices."""
    moves = NOISES[noise](np.random.default_rng(seed), (M, N + 20)).T
    logs = 0.01 * moves.cumsum(axis=0)
    past = [logs[20:] - logs[20 - lag : -lag] for lag in LAGS]
    return np.concatenate(past, axis=1), np.exp(logs[20:])


def later(values: Any, rows: int = 1) -> Any:
    return np.concatenate([values[rows:], np.repeat(values[-1:], rows, axis=0)])


def suspects(X: Any, prices: Any) -> list[int | None]:
    return [finding.column for finding in next_move_findings(X, prices)]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("seeds", parted(range(10), fast=3))
def test_honest_features_are_not_suspected(noise: str, seeds: list[int]) -> None:
    for seed in seeds:
        X, prices = market(noise, seed)
        draws = np.random.default_rng(seed)
        walk = draws.standard_normal((N, 2)).cumsum(axis=0)
        assert suspects(np.hstack([X, walk, prices, np.log(prices)]), prices) == []


def test_a_market_that_follows_another_by_a_row_is_no_suspicion_of_its_past() -> None:
    """Asia follows New York: what is over tells of the next move, and even more of its own."""
    leader = 0.01 * np.random.default_rng(1).standard_normal(N)
    follower = 0.8 * np.roll(leader, 1) + 0.006 * np.random.default_rng(2).standard_normal(N)
    logs = np.stack([leader, follower], axis=1).cumsum(axis=0)
    X = np.diff(logs, axis=0, prepend=logs[:1])
    assert np.corrcoef(X[1:-1, 0], X[2:, 1])[0, 1] > 0.7
    assert suspects(X, np.exp(logs)) == []


@pytest.mark.parametrize("lag", range(3))
def test_a_return_that_ends_one_row_late_is_suspected_whatever_its_length(lag: int) -> None:
    X, prices = market()
    columns = X.copy()
    columns[:, 3 * lag + 1] = later(X)[:, 3 * lag + 1]
    (finding,) = next_move_findings(columns, prices, labels=[f"f{c}" for c in range(9)])
    assert finding.column == 3 * lag + 1
    assert "the very next move of asset 1" in finding.message
    assert f"eature {3 * lag + 1} ('f{3 * lag + 1}')" in finding.message


def test_a_price_of_the_next_row_is_suspected_by_its_change() -> None:
    X, prices = market()
    (finding,) = next_move_findings(np.hstack([X, later(prices[:, :1])]), prices)
    assert finding.column == 9
    assert finding.message.startswith("The change of feature 9 has a correlation of 1.00")


@pytest.mark.parametrize("half", [1, 2, 5, 15])
def test_a_centred_mean_is_suspected_and_one_that_ends_at_the_row_is_not(half: int) -> None:
    X, prices = market()
    window = np.ones(2 * half + 1) / (2 * half + 1)
    mean = np.convolve(prices[:, 0], window, mode="valid")[:, None]
    ends, centred = slice(2 * half, N), slice(half, N - half)
    assert suspects(np.hstack([X[ends], mean]), prices[ends]) == []
    assert suspects(np.hstack([X[centred], mean]), prices[centred]) == [9]


def test_every_feature_is_suspected_where_time_runs_backwards() -> None:
    X, prices = market()
    assert suspects(X[::-1], prices[::-1]) == list(range(9))


def test_what_knows_the_future_as_a_whole_is_not_seen() -> None:
    _, prices = market()
    assert suspects((prices - prices.mean(0)) / prices.std(0), prices) == []


@pytest.mark.parametrize("kind", ["close", "return"])
@pytest.mark.parametrize("length", [5, 15])
def test_what_stands_on_the_days_of_its_own_week_is_suspected_and_of_the_last_one_is_not(
    kind: str, length: int
) -> None:
    logs = (0.01 * np.random.default_rng(3).standard_normal((1200, 2))).cumsum(axis=0)
    closes = logs[length - 1 :: length, :1]
    weeks = closes if kind == "close" else np.diff(closes, axis=0, prepend=closes[:1])
    names = {"labels": ["weekly"], "assets": ["A", "B"]}
    own = np.repeat(weeks, length, axis=0)
    (finding,) = next_move_findings(own, np.exp(logs), **names)
    assert finding.message.startswith(
        ("Feature 0 ('weekly') ", "The change of feature 0 ('weekly')")
    )
    assert "of asset 0 ('A')" in finding.message
    # The cure, from the row on which the week is over: its last one.
    over = np.vstack([np.repeat(weeks[:1], length - 1, axis=0), own])[: len(own)]
    assert next_move_findings(over, np.exp(logs), **names) == []


def test_who_moves_on_a_few_rows_only_is_suspected_of_nothing() -> None:
    draws = np.random.default_rng(0)
    moves = draws.standard_normal((1000, 40)) * (np.arange(1000) < 25)[:, None]  # listed late
    prices, features = np.exp(0.01 * moves.cumsum(axis=0)), np.vstack([moves[:1], moves[:-1]])
    assert next_move_findings(features, prices) == []
    # As many moves on all rows tell of the next one, which these would know.
    whole = draws.standard_normal((1000, 2))
    prices = np.exp(0.01 * np.vstack([whole[:1], whole[:-1]]).cumsum(axis=0))
    assert len(next_move_findings(whole, prices)) == 2


def test_of_few_rows_nothing_is_claimed_and_one_wild_row_decides_nothing() -> None:
    X, prices = market()
    late = later(X)[:, :3]  # returns of the very next move
    assert suspects(late[:100], prices[:100]) == [0, 1, 2]
    assert suspects(late[:99], prices[:99]) == []
    wild, noise = prices.copy(), np.random.default_rng(3).standard_normal((N, 1))
    wild[251:] *= 50.0
    noise[250] = 1e4
    assert suspects(noise, wild) == []


def test_a_wild_last_row_hides_no_foreknowledge() -> None:
    """Of a feature that stands at 0 mostly, the squares of all other rows are rounding to it."""
    draws = np.random.default_rng(3)
    moves = draws.standard_normal(N) * (draws.random(N) < 0.3)
    knowing = later(moves)
    knowing[-1] = 1e10
    prices = np.exp(0.01 * moves.cumsum())[:, None]
    (finding,) = next_move_findings(knowing[:, None], prices)
    assert "a correlation of 1.00 with the very next move" in finding.message


def test_what_varies_on_the_last_rows_only_is_suspected_of_nothing() -> None:
    for seed in range(360, 390):  # 365 and 388: if rounding were taken for what varies before
        draws = np.random.default_rng(seed)
        X = np.full((100, 1), 0.3)
        X[-10:] += draws.standard_normal((10, 1))
        moves = draws.standard_normal((100, M)) * (draws.random((100, M)) < 0.02)
        assert suspects(X, np.exp(0.01 * moves.cumsum(axis=0))) == []


def test_constant_features_and_those_of_another_magnitude_are_named() -> None:
    X = np.random.default_rng(4).standard_normal((50, 4))
    assert feature_findings(X) == []
    X[:, 1], X[:, 3] = 5.0, 2e4 * X[:, 3]
    found = feature_findings(X, labels=["a", "b", "c", "volume"])
    assert [(f.name, f.column) for f in found] == [("constant", None), ("magnitude", 3)]
    assert found[1].message.startswith("Feature 3 ('volume') is of the size")
    (both,) = feature_findings(np.ones((5, 2)))
    assert both.message == "Features 0 and 1 never change. Leave them out."
