"""Who may be held on which row, and what becomes of what is held."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_panels import holey, panel_of, table_of, walks
from made_tables import cures_of, write
from psann.errors import DataError
from psann.market import align

NAN = np.nan
# A is whole, B comes late, C halts and comes back, D ends.
FOUR = np.array(
    [
        [1.0, NAN, 5.0, 8.0],
        [1.1, NAN, NAN, 8.8],
        [1.2, 3.0, NAN, 4.0],
        [1.3, 3.3, 6.0, NAN],
        [1.4, 3.6, 6.6, NAN],
    ]
)


def test_members_are_those_with_a_price_on_the_row() -> None:
    panel = panel_of(FOUR)
    np.testing.assert_array_equal(panel.active, np.isfinite(FOUR))
    # The row of the last price is a row of membership: an end is not known beforehand.
    assert panel.active[2, 3]
    assert panel.has_holes


def test_what_is_held_keeps_its_price_in_a_halt_and_ends_with_the_move_that_was_told() -> None:
    panel = panel_of(FOUR, ended={"default": -0.25})
    np.testing.assert_allclose(
        panel.prices,
        [
            [1.0, 3.0, 5.0, 8.0],
            [1.1, 3.0, 5.0, 8.8],
            [1.2, 3.0, 5.0, 4.0],
            [1.3, 3.3, 6.0, 3.0],
            [1.4, 3.6, 6.6, 3.0],
        ],
    )
    assert np.argwhere(panel.halted).tolist() == [[1, 2], [2, 2]]
    assert np.argwhere(panel.ended).tolist() == [[3, 3]]


def test_a_total_loss_leaves_next_to_nothing_and_still_a_price() -> None:
    panel = panel_of(FOUR, ended={"D": -1.0})
    assert 0 < panel.prices[3, 3] <= 4e-12


def test_without_holes_nothing_is_touched() -> None:
    panel = align(table_of(walks()))
    np.testing.assert_array_equal(panel.prices, walks())
    assert panel.active.all() and not panel.halted.any() and not panel.ended.any()
    assert not panel.has_holes and panel.notes == ()


def test_an_end_is_asked_for_by_name_and_date_and_each_advice_settles_it() -> None:
    with pytest.raises(
        DataError, match=r"assets that end before the table: D \(2021-03-03\)"
    ) as caught:
        align(table_of(FOUR))
    for cure in cures_of(caught.value)[0]:
        panel = align(table_of(FOUR), **cure)
        assert any("after the last price: D (2021-03-03)" in note for note in panel.notes)


def test_rows_on_which_few_trade_are_left_out_and_said() -> None:
    prices = walks(30, 4)
    prices[10, :3] = NAN  # one of four
    prices[20, :2] = NAN  # two of four
    panel = align(table_of(prices))
    assert len(panel.dates) == 29
    assert panel.halted.sum() == 2
    assert panel.notes == (
        "rows: 1 row left out on which too few assets have a price, first 2021-03-15.",
    )
    assert len(align(table_of(prices), rows=1.0).dates) == 28
    assert len(align(table_of(prices), rows=0.25).dates) == 30


def test_assets_that_ended_long_ago_do_not_count_as_living() -> None:
    prices = walks(60, 4)
    prices[10:, 1:] = NAN
    panel = align(table_of(prices), ended={"default": 0.0})
    # Who has not come yet is not living either.
    assert len(align(table_of(prices[::-1])).dates) == 60
    # For 20 rows three absent assets outvote the one that trades; then they are dead.
    assert len(panel.dates) == 60 - 20


@given(seed=st.integers(0, 500), row=st.integers(5, 118))
@settings(max_examples=40, deadline=None)
def test_later_rows_never_change_who_is_a_member_on_earlier_ones(seed: int, row: int) -> None:
    prices = holey(seed=seed)
    other = prices.copy()
    other[row + 1 :] = holey(seed=seed + 1000)[row + 1 :]
    other[row + 1 :, 0] = 3.0
    for share in (0.01, 0.5):
        one, two = panel_of(prices, rows=share), panel_of(other, rows=share)
        seen = table_of(prices).dates[row]
        n = int(np.searchsorted(one.dates, seen, side="right"))
        np.testing.assert_array_equal(one.dates[:n], two.dates[:n])
        both = [name for name in one.assets if name in two.assets]
        a, b = ([p.assets.index(name) for name in both] for p in (one, two))
        np.testing.assert_array_equal(one.active[:n][:, a], two.active[:n][:, b])


# --------------------------------------------------------------------------------- universes


def test_the_largest_by_traded_money_are_members_by_what_was_known() -> None:
    prices = walks(100, 3)
    volume = np.tile([3.0, 2.0, 1.0], (100, 1)) / prices
    volume[50:] = np.tile([1.0, 2.0, 39.2], (50, 1)) / prices[50:]
    panel = align(table_of(prices, Volume=volume), universe={"top": 1, "by": "trailing_volume"})
    assert panel.assets == ("A", "C")
    # C is first once its 60 rows sum to more: 39.2 k + (60 - k) > k + 3 (60 - k), k > 2.985.
    assert panel.active[:, 1].argmax() == 50 + 2
    assert (panel.active.sum(axis=1) == 1).all()
    assert not panel.halted.any()


def test_spans_of_membership_hold_from_first_to_last_date(tmp_path: Path) -> None:
    prices = walks(10, 2)
    spans = {"A": [["2021-03-02", "2021-03-03"], ["2021-03-09", None]], "B": [[None, None]]}
    panel = align(table_of(prices), universe=spans)
    assert panel.active[:, 0].tolist() == [False, True, True] + [False] * 3 + [True] * 4
    assert panel.active[:, 1].all()
    rows = [["A", "2021-03-02", "2021-03-03"], ["A", "2021-03-09", ""], ["B", "", ""]]
    path = write(tmp_path / "members.csv", ["asset", "from", "to"], rows)
    np.testing.assert_array_equal(align(table_of(prices), universe=str(path)).active, panel.active)


def test_the_last_date_of_a_membership_counts_to_its_end() -> None:
    hours = np.datetime64("2021-03-01T10:30", "us") + np.arange(6) * np.timedelta64(12, "h")
    table = replace(table_of(walks(6, 2)), dates=hours)
    spans = [["2021-03-02", "2021-03-02"]], [["2021-03", "2021-03"]], [[None, "2021-03-02T10:30"]]
    days = [False, False, True, True, False, False]
    for span, expected in zip(spans, (days, [True] * 6, [True] * 3 + [False] * 3), strict=True):
        panel = align(table, universe={"A": span, "B": [[None, None]]})
        assert panel.active[:, 0].tolist() == expected


def test_assets_that_are_never_a_member_are_dropped_and_said() -> None:
    panel = align(table_of(walks(10, 2)), universe={"B": [[None, None]]})
    assert (panel.assets, panel.prices.shape) == (("B",), (10, 1))
    assert "never a member: A." in panel.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "rows must be a share of the assets, more than 0 and at most 1; got 0"),
        ({"rows": True}, "rows must be a share"),
        ({"ended": "cash"}, r"ended must be refuse or moves by asset; got 'cash'\. Say `ended: "),
        (
            {"ended": {"DD": -0.3}},
            r"ended must name assets of the table; got 'DD'\. Did you mean 'D'\?",
        ),
        (
            {"ended": {"default": -30}},
            r"ended\.default must be a simple return of at least -1; got -30",
        ),
        ({"ended": {"default": "x"}}, r"ended\.default must be a simple return"),
        ({"universe": 50}, r"universe must be a mapping; got 50\. Say `universe: \{top: 50"),
        ({"universe": {"top": 0}}, r"universe\.top must be a whole number of at least 1"),
        (
            {"universe": {"top": 5, "by": "size"}},
            r"universe must be \{top: N, by: trailing_volume\}",
        ),
        ({"universe": {"top": 5}}, "must have a field Volume; the table has none"),
        ({"universe": {"X": [[None, None]]}}, "universe must name assets of the table; got 'X'"),
        ({"universe": {"A": ["2020"]}}, r"universe\.A must be a list of first and last dates"),
        ({"universe": {"A": [["2021-03-03", "2021-03-02"]]}}, "list of first and last dates"),
        ({"universe": {"A": [["2040-01-01", None]]}}, "it leaves none"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        align(table_of(FOUR), **{"ended": {"default": 0.0}, **options})  # type: ignore[arg-type]
