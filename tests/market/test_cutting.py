"""Training, validation and test rows: nothing crosses a border, nothing looks ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_panels import holey, panel_of, table_of, walks
from psann import datasets
from psann._frames import SPLITS
from psann.errors import DataError
from psann.holdings import ENDED, HALTED, MEMBER
from psann.market import align, splits

PRICES = walks(200, 3)
PANEL = align(table_of(PRICES))


@pytest.mark.parametrize("features", ["default", "assetwise"])
def test_features_are_to_the_last_bit_what_the_loaders_of_psann_compute(features: Any) -> None:
    loaded = datasets._market(PRICES, PANEL.dates, 0.6, 0.2, features)
    ours = splits(PANEL, val=0.2, test=0.2, features=features)
    for key, array in loaded.items():
        np.testing.assert_array_equal(ours[key], array)
    assert set(ours) - set(loaded) == {"asset_names", "feature_names"}


def test_dates_are_the_first_of_validation_and_test() -> None:
    data = splits(PANEL, val=PANEL.dates[100].astype(object).date(), test="2021-10-01")
    assert data["time_val"][0] == PANEL.dates[100]
    assert data["time_test"][0] == np.datetime64("2021-10-01")
    assert sum(len(data[f"X_{name}"]) for name in SPLITS) == 200 - 20


@given(val=st.integers(30, 90), test=st.integers(95, 115), gap=st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_splits_share_no_row_and_no_move_crosses_a_border(val: int, test: int, gap: int) -> None:
    panel = align(table_of(walks(120, 2)))
    dates = [str(panel.dates[row])[:10] for row in (val, test)]
    data = splits(panel, val=dates[0], test=dates[1], gap=gap)
    assert [len(data[f"y_{name}"]) for name in SPLITS] == [
        val - gap - 20,
        test - gap - val,
        120 - test,
    ]
    time = np.concatenate([data[f"time_{name}"] for name in SPLITS])
    assert (time[1:] > time[:-1]).all()
    for name in SPLITS:
        prices, y = data[f"prices_{name}"], data[f"y_{name}"]
        np.testing.assert_allclose(y[:-1], prices[1:] / prices[:-1] - 1, rtol=0, atol=1e-15)
        assert (y[-1] == 0).all()


@given(seed=st.integers(0, 300), row=st.integers(60, 118))
@settings(max_examples=30, deadline=None)
def test_later_prices_change_nothing_that_a_policy_sees_up_to_a_row(seed: int, row: int) -> None:
    prices = holey(seed=seed)
    other = prices.copy()
    other[row + 1 :] = np.where(np.isfinite(other[row + 1 :]), 2.0 * other[row + 1 :] ** 0.9, 5.0)
    one, two = (panel_of(p) for p in (prices, other))
    if one.has_holes != two.has_holes or one.assets != two.assets:
        return
    val, test = (str(one.dates[place])[:10] for place in (45, 55))
    first, second = (splits(panel, val=val, test=test) for panel in (one, two))
    for name, begin in (("train", 20), ("val", 45), ("test", 55)):
        n = max(row + 1 - begin, 0)
        np.testing.assert_array_equal(first[f"X_{name}"][:n], second[f"X_{name}"][:n])
        if one.has_holes:  # whether a missing price is a halt or an end is known later
            of_members = (data[f"active_{name}"][:n] == MEMBER for data in (first, second))
            np.testing.assert_array_equal(*of_members)


def test_holes_come_with_who_may_be_held_and_what_became_of_it() -> None:
    prices = walks(100, 3)
    prices[:30, 1] = np.nan
    prices[50:53, 2] = np.nan
    prices[80:, 2] = np.nan
    data = splits(panel_of(prices), val=0.2, test=0.2)
    active = np.concatenate([data[f"active_{name}"] for name in SPLITS])
    np.testing.assert_array_equal(active == MEMBER, np.isfinite(prices[20:]))
    assert np.argwhere(active == HALTED).tolist() == [[30, 2], [31, 2], [32, 2]]
    assert np.argwhere(active == ENDED).tolist() == [[60, 2]]
    assert (data["y_train"][data["active_train"] != MEMBER] == 0).all()
    assert data["y_test"][0, 2] == pytest.approx(-0.3)
    assert data["feature_names"][-3:].tolist() == ["A.active", "B.active", "C.active"]


def test_intraday_stamps_keep_their_time_of_day() -> None:
    table = table_of(walks(60, 2))
    hours = np.datetime64("2021-03-01T00:00", "us") + np.arange(60) * np.timedelta64(1, "h")
    panel = align(type(table)(**{**vars(table), "dates": hours}))
    time = splits(panel, val=0.2, test=0.2)["time_val"]
    assert (np.diff(time) == np.timedelta64(1, "h")).all()
    # Warnings are errors: none of an offset that NumPy does not know.
    zoned = splits(panel, val="2021-03-01T20:00-05:00", test="2021-03-02T20:00+00:00")
    assert str(zoned["time_val"][0]) == "2021-03-02T01:00:00.000000"
    assert str(zoned["time_test"][0]) == "2021-03-02T20:00:00.000000"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"val": "soon", "test": "2021-10-01"},
            r"split\.val must be a date within the table, 2021-03-01 to 2021-12-03.*got 'soon'",
        ),
        (
            {"val": 0.2, "test": "2021-10-01"},
            r"split\.val must be a date.*or a share in \(0, 1\); got 0\.2",
        ),
        ({"val": 2021, "test": 2022}, r"split\.val must be a date"),
        ({"val": "2021-10-01", "test": "2021-09-01"}, r"split\.val must come before split\.test"),
        ({"val": 0.5, "test": 0.5}, r"split\.val \+ split\.test must be less than 1"),
        (
            {"val": 0.2, "test": 0.2, "gap": -1},
            "gap must be a whole number of rows, at least 0, or features; got -1",
        ),
        (
            {"val": "2021-03-10", "test": "2021-10-01"},
            "The train split must have at least 2 rows; got 0, since features need a history of 20",
        ),
        (
            {"val": "2021-09-30", "test": "2021-10-01"},
            "The val split must have at least 2 rows; got 1",
        ),
        (
            {"val": "2021-09-30", "test": "2031-10-01"},
            "The test split must have at least 2 rows; got 0",
        ),
    ],
)
def test_borders_that_cannot_be_meant_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        splits(PANEL, **options)  # type: ignore[arg-type]
