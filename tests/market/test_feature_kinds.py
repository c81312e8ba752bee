"""Each kind of feature, by hand and without a look ahead."""

from __future__ import annotations

import numpy as np
import pytest

from made_panels import panel_of, table_of, walks
from psann.errors import DataError
from psann.market import align
from psann.market.feature_kinds import FEATURES, log_moves

PRICES = walks(150, 3)
BARS = {
    "High": PRICES * 1.02,
    "Low": PRICES * 0.99,
    "Volume": 1000.0 + np.arange(450.0).reshape(150, 3),
}
PANEL = align(table_of(PRICES, **BARS))
LOGS = np.log(PRICES)


def values(kind: str, **parameters: object) -> np.ndarray:
    return FEATURES[kind](PANEL, **parameters).parts[0][1]


def test_moves_are_log_returns_over_the_root_of_their_rows() -> None:
    block = FEATURES["moves"](PANEL)
    assert [name for name, _ in block.parts] == [f"move_{k}" for k in (1, 2, 3, 5, 10, 20)]
    assert block.history == 20
    assert block.parts[3][1][44, 2] == pytest.approx((LOGS[44, 2] - LOGS[39, 2]) / 5**0.5)
    np.testing.assert_array_equal(log_moves(PRICES, [5])[:5], 0.0)


def test_volatility_compares_the_last_rows_with_five_times_as_many() -> None:
    moves = np.diff(LOGS[:, 1])
    expected = 0.5 * np.log(np.mean(moves[89:99] ** 2) / np.mean(moves[49:99] ** 2))
    assert values("volatility", rows=10)[99, 1] == pytest.approx(expected)


def test_range_compares_with_its_own_mean() -> None:
    table = table_of(PRICES, **{**BARS, "High": BARS["High"].copy()})
    table.fields["High"].flags.writeable = False
    np.testing.assert_allclose(values("range", rows=10)[9:], 0.0, atol=1e-12)
    high = BARS["High"].copy()
    high[99] = PRICES[99] * 0.99 * (1.02 / 0.99) ** 2  # twice the usual width
    wider = align(table_of(PRICES, **{**BARS, "High": high}))
    assert FEATURES["range"](wider, rows=10).parts[0][1][99, 0] == pytest.approx(2 / 1.1 - 1)


def test_volume_and_price_are_compared_with_their_means() -> None:
    volume = BARS["Volume"]
    assert values("volume_change", rows=4)[50, 1] == pytest.approx(
        np.log(volume[50, 1] / volume[47:51, 1].mean())
    )
    assert values("moving_average_gap", rows=7)[50, 1] == pytest.approx(
        np.log(PRICES[50, 1] / PRICES[44:51, 1].mean())
    )


def test_ranks_go_from_minus_one_to_one_and_equals_share_theirs() -> None:
    prices = np.tile([[1.0, 1.0, 1.0, 1.0]], (3, 1))
    prices[2] = [1.5, 0.5, 1.2, 1.2]
    ranks = FEATURES["rank"](align(table_of(prices)), rows=1).parts[0][1]
    np.testing.assert_allclose(ranks[2], [1.0, -1.0, 0.0, 0.0], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(ranks[1], 0.0)


def test_ranks_and_the_market_are_of_members_only() -> None:
    prices = walks(30, 4)
    prices[20, 3] = np.nan
    panel = panel_of(prices)
    ranks = FEATURES["rank"](panel, rows=5).parts[0][1][20]
    assert (sorted(ranks[:3]), ranks[3]) == ([-1.0, 0.0, 1.0], 0.0)
    market = FEATURES["market"](panel, rows=(1,)).parts[0][1]
    assert market[20, 0] == pytest.approx(np.log(prices[20, :3] / prices[19, :3]).mean())
    assert market.shape == (30, 1)


def test_the_calendar_knows_the_day_of_the_week_and_of_the_year() -> None:
    parts = dict(FEATURES["calendar"](PANEL).parts)
    assert PANEL.dates[0].astype("datetime64[D]") == np.datetime64(
        "2021-03-01"
    )  # a Monday, day 18687
    assert parts["week_sin"][0, 0] == pytest.approx(np.sin(2 * np.pi * 18687 / 7))
    np.testing.assert_allclose(parts["week_cos"][:5, 0], parts["week_cos"][5:10, 0], atol=1e-9)
    assert parts["year_cos"][0, 0] == pytest.approx(np.cos(2 * np.pi * 18687 / 365.2425))


@pytest.mark.parametrize("kind", ["range", "volume_change"])
def test_a_field_that_is_missing_is_named(kind: str) -> None:
    with pytest.raises(
        DataError, match=f"{kind} must have the field .* there are none. Take {kind} out"
    ):
        FEATURES[kind](align(table_of(PRICES)))
