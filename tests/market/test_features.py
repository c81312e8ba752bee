"""Named features: scaled by training rows, causal, and nothing of those who are no members."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_panels import holey, panel_of, table_of, walks
from psann.errors import DataError, ImportTargetError
from psann.market import align
from psann.market.features import compute, head, scaled

PRICES = walks(200, 3)
PANEL = align(table_of(PRICES))
TRAIN = slice(0, 120)
ALL: list[object] = [
    "moves",
    {"volatility": {"rows": 5}},
    {"moving_average_gap": {"rows": 10}},
    "rank",
    "market",
    "calendar",
    {"moves": {"rows": [4], "scale": "trailing"}},
]


def test_default_features_are_named_feature_by_feature() -> None:
    made = compute(PANEL, "default", train=TRAIN)
    assert made.names[:4] == ("A.move_1", "B.move_1", "C.move_1", "A.move_2")
    assert (len(made.names), made.values.shape, made.history) == (18, (200, 18), 20)


def test_assetwise_features_are_the_moves_of_each_asset_with_a_scale_for_each_horizon() -> None:
    made = compute(PANEL, "assetwise", train=TRAIN)
    assert (made.values.shape, made.history) == ((200, 3, 6), 60)
    assert made.names[:6] == tuple(f"A.move_{k}" for k in (1, 2, 5, 10, 20, 60))
    assert made.names[6] == "B.move_1"
    logs = np.log(PRICES)
    for place, k in enumerate((1, 2, 5, 10, 20, 60)):
        moves = (logs[60:] - logs[60 - k : -k]) / k**0.5
        expected = np.clip(moves / moves[:60].std(), -4, 4)
        np.testing.assert_allclose(made.values[60:, :, place], expected, rtol=1e-9)


def test_assetwise_features_say_nothing_of_those_who_are_no_members() -> None:
    panel = panel_of(holey(300, 4, seed=2))
    made = compute(panel, "assetwise", train=slice(0, 200))
    assert panel.has_holes
    assert (made.values[~panel.active] == 0).all()
    assert made.values.shape == (300, 4, 6)


def test_all_numbers_of_a_kind_share_the_deviation_of_the_training_rows() -> None:
    made = compute(PANEL, [{"moves": {"rows": [1, 4]}}], train=TRAIN)
    logs = np.log(PRICES)
    moves = np.hstack([(logs[4:] - logs[4 - k : -k]) / k**0.5 for k in (1, 4)])  # from row 4 on
    np.testing.assert_allclose(
        made.values[4:], np.clip(moves / moves[:116].std(), -4, 4), rtol=1e-12
    )


def test_a_trailing_scale_is_the_root_mean_square_of_the_last_250_rows() -> None:
    panel = align(table_of(walks(400, 2)))
    made = compute(panel, [{"moves": {"rows": [1], "scale": "trailing"}}], train=slice(0, 300))
    moves = np.diff(np.log(panel.quotes[:, 0]))
    expected = moves[349] / np.sqrt(np.mean(moves[100:350] ** 2))
    assert made.values[350, 0] == pytest.approx(expected)
    assert (made.values[:19] == 0).all()
    assert (made.values[25] != 0).all()


@given(
    seed=st.integers(0, 300),
    row=st.integers(35, 118),
    kinds=st.lists(st.sampled_from(range(len(ALL))), min_size=1, max_size=4, unique=True),
)
@settings(max_examples=40, deadline=None)
def test_later_rows_never_change_features_of_earlier_ones(
    seed: int, row: int, kinds: list[int]
) -> None:
    prices = holey(seed=seed)
    other = prices.copy()
    other[row + 1 :] = np.where(np.isfinite(other[row + 1 :]), 3.0 * other[row + 1 :] ** 0.5, 7.0)
    items = [ALL[kind] for kind in kinds]
    train = slice(0, row + 1)
    one, two = (compute(panel_of(p), items, train=train) for p in (prices, other))
    if one.names == two.names:
        np.testing.assert_array_equal(one.values[: row + 1], two.values[: row + 1])


@given(seed=st.integers(0, 300))
@settings(max_examples=25, deadline=None)
def test_rows_after_training_never_change_a_scale(seed: int) -> None:
    prices = walks(120, 3, seed)
    other = prices.copy()
    other[80:] *= np.random.default_rng(seed).uniform(0.5, 2, (40, 3))
    one, two = (compute(align(table_of(p)), ALL, train=slice(0, 80)) for p in (prices, other))
    np.testing.assert_array_equal(one.values[:80], two.values[:80])


@given(seed=st.integers(0, 300))
@settings(max_examples=25, deadline=None)
def test_those_who_are_no_members_have_nothing_but_what_all_share(seed: int) -> None:
    panel = panel_of(holey(seed=seed))
    made = compute(panel, ALL, train=TRAIN)
    for place, asset in enumerate(panel.assets):
        own = [column for column, name in enumerate(made.names) if name.startswith(f"{asset}.")]
        assert (made.values[~panel.active[:, place]][:, own] == 0).all()
    if panel.has_holes:
        columns = [made.names.index(f"{asset}.active") for asset in panel.assets]
        np.testing.assert_array_equal(made.values[:, columns], panel.active)
    assert np.isfinite(made.values).all()
    assert (abs(made.values) <= 4).all()


def test_a_panel_cut_short_knows_no_end() -> None:
    prices = walks(30, 2)
    prices[20:, 1] = np.nan
    cut = head(panel_of(prices), 20)
    assert not cut.ended.any() and not cut.halted.any() and len(cut.dates) == 20


def test_features_of_ones_own_are_scaled_and_named() -> None:
    made = compute(PANEL, [{"user_features.reversal": {"rows": 2}}], train=TRAIN)
    assert made.names == ("A.reversal", "B.reversal", "C.reversal")
    expected = 1 - PRICES[50] / PRICES[48]
    np.testing.assert_allclose(made.values[50] / made.values[50, 0], expected / expected[0])


@pytest.mark.parametrize("name", ["whole_mean", "last_price", "fate"])
def test_features_of_ones_own_that_look_ahead_are_refused_with_the_row(name: str) -> None:
    prices = walks(120, 3)
    prices[60:, 1] = np.nan
    prices[30:33, 2] = np.nan
    message = rf"{name} must use this row and earlier ones only; what it says of 2021-.* \(row \d"
    with pytest.raises(DataError, match=message):
        compute(panel_of(prices), [f"user_features.{name}"], train=slice(0, 50))


def test_a_random_feature_is_not_said_to_look_ahead_and_a_seeded_one_is_fine() -> None:
    with pytest.raises(DataError, match="drawn must say the same of the same prices; asked twice"):
        compute(PANEL, ["user_features.drawn"], train=TRAIN)
    compute(PANEL, [{"user_features.drawn": {"seed": 0}}], train=TRAIN)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["user_features.words"], "user_features.words must return numbers; could not convert"),
        ("moves", "features must be default, assetwise or a list"),
        ([], "features must be default, assetwise or a list"),
        ([3], "features must hold names"),
        ([{"moves": 3}], "features must hold names"),
        (["move"], "must be of moves, .* got 'move'. Did you mean 'moves'?"),
        (
            [{"moves": {"row": [1]}}],
            r"features\.moves\.row is not known; there are rows, scale\. Did you mean 'rows'\?",
        ),
        (
            [{"moves": {"rows": [0]}}],
            r"moves\.rows must be whole numbers of rows, several of them, from 1 to 199; got \[0\]",
        ),
        (
            [{"volatility": {"rows": [3]}}],
            r"features\.volatility\.rows must be whole numbers of rows from 1 to 199; got \[3\]",
        ),
        ([{"rank": {"rows": 200}}], "from 1 to 199; got 200"),
        (
            [{"moves": {"scale": "all"}}],
            r"features\.moves\.scale must be train or trailing; got 'all'",
        ),
        ([{"rank": {"rows": 9}}, {"rank": {"rows": 9}}], "must not have rank twice. Take one out."),
        (["user_features.activity"] * 2, "must not have user_features.activity twice"),
        (["os.getcwd"], "belongs to Python itself"),
        (["user_features.wrong_shape"], r"shape \(200,\) or \(200, 3\); got \(3, 1\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(features: object, message: str) -> None:
    with pytest.raises((DataError, ImportTargetError), match=message):
        compute(PANEL, features, train=TRAIN)


def test_the_scale_is_that_of_the_training_rows_alone() -> None:
    values = np.array([[1.0], [-1.0], [3.0], [90.0]])
    np.testing.assert_allclose(scaled(values, slice(0, 2))[:, 0], [1, -1, 3, 4])


def test_numbers_of_one_kind_may_stand_beside_each_other_by_other_rows_and_scales() -> None:
    kinds = [{"moves": {"rows": [1]}}, {"moves": {"rows": [2]}}]
    kinds += [{"moves": {"rows": [1], "scale": "trailing"}}, {"moves": {"rows": [1, 3]}}]
    assert compute(PANEL, kinds, train=TRAIN).values.shape == (200, 15)
