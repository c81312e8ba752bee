"""The broker's book where assets come, halt and end: values by hand, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_simulator import simulate
from made_panels import holey, panel_of

COSTS = ["drift", "exact", "target_l1"]
SOME = pytest.mark.parametrize("cost", COSTS)


def members_actions(panel, seed, cash=0.0):
    """Random weights of members; nothing on rows without one."""
    draws = np.random.default_rng(seed).random(panel.active.shape) * panel.active
    total = draws.sum(axis=1, keepdims=True)
    return (1 - cash) * np.divide(draws, total, out=np.zeros_like(draws), where=total > 0)


def test_a_halted_position_can_only_be_kept() -> None:
    # B halts on row 1, when the policy wants all in A, and jumps to the fourfold on row 2.
    actions = [[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]]
    prices = [[1.0, 1.0], [1.0, 1.0], [1.0, 4.0]]
    halted = [[False, False], [False, True], [False, False]]
    assert simulate(actions, prices, halted=halted).tolist() == [1.0, 1.0, 2.5]
    assert simulate(actions, prices).tolist() == [1.0, 1.0, 1.0]


def test_nobody_enters_during_a_halt() -> None:
    # The policy asks for B only once it is back; its jump was nobody's.
    actions = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    prices = [[1.0, 1.0], [1.0, 1.0], [1.0, 4.0], [1.0, 8.0]]
    halted = [[False, False], [False, True], [False, False], [False, False]]
    assert simulate(actions, prices, halted=halted).tolist() == [1.0, 1.0, 1.0, 2.0]


def test_targets_are_parts_of_what_is_not_locked() -> None:
    # Half is locked in C; of the other half all goes from A to B, which doubles.
    actions = [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    prices = [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 2.0, 1.0]]
    halted = [[False] * 3, [False, False, True], [False] * 3]
    assert simulate(actions, prices, halted=halted).tolist() == [1.0, 1.0, 1.5]
    # Sold 0.5 and bought 0.5 at 10 %: a fee of 0.1 from all, locked or not.
    wealth = simulate(actions, prices, halted=halted, trans_cost=0.1)
    assert wealth[-1] == pytest.approx(0.9 * 1.5)
    # From the orders alone: 0.5 = f + 0.1 (0.5 + f), f = 0.45 / 1.1.
    wealth = simulate(actions, prices, halted=halted, trans_cost=0.1, cost="exact")
    assert wealth[-1] == pytest.approx(0.5 + 2 * 0.45 / 1.1)
    # Of target weights 0.5 leave A and 0.5 come to B; then 0.5 leave C, which trades again, for B.
    wealth = simulate(actions, prices, halted=halted, trans_cost=0.1, cost="target_l1")
    np.testing.assert_allclose(wealth, [1.0, 0.9, 1.35 - 0.1 * 0.9])


@SOME
def test_an_end_costs_what_was_told_and_no_fee(cost: str) -> None:
    # A ends after row 0 at -30 %; the money waits, since there is nobody to hold on row 1.
    actions, prices = [[1.0], [0.0], [0.0]], [[2.0], [1.4], [1.4]]
    ended = [[False], [True], [False]]
    wealth = simulate(actions, prices, ended=ended, trans_cost=0.1, cost=cost)
    np.testing.assert_allclose(wealth, [1.0, 0.7, 0.7])


@pytest.mark.parametrize(("cost", "last"), [("drift", 0.9), ("exact", 0.9), ("target_l1", 0.9)])
def test_whoever_leaves_a_universe_is_sold_for_the_fee(cost: str, last: float) -> None:
    actions, prices = [[1.0], [0.0], [0.0]], [[1.0], [1.0], [5.0]]
    wealth = simulate(actions, prices, trans_cost=0.1, cost=cost)
    assert wealth[-1] == pytest.approx(last)


@given(seed=st.integers(0, 200), cost=st.sampled_from(COSTS), cash=st.sampled_from([0.0, 0.3]))
@settings(max_examples=15, deadline=None)
def test_prices_of_those_who_are_not_held_are_without_effect(
    seed: int, cost: str, cash: float
) -> None:
    panel = panel_of(holey(seed=seed))
    actions = members_actions(panel, seed, cash)
    options = {"trans_cost": 0.002, "cost": cost, "halted": panel.halted, "ended": panel.ended}
    wealth = simulate(actions, panel.prices, **options)
    other = panel.prices.copy()
    row = np.arange(len(other))[:, None]
    first = panel.active.argmax(axis=0)
    over = row > len(other) - 1 - panel.active[::-1].argmax(axis=0) + 1
    other[(row < first) | over] = 77.0
    np.testing.assert_allclose(simulate(actions, other, **options), wealth, rtol=1e-12)
    assert (wealth > 0).all()


@given(seed=st.integers(0, 200), cost=st.sampled_from(COSTS))
@settings(max_examples=20, deadline=None)
def test_a_fee_never_enriches(seed: int, cost: str) -> None:
    panel = panel_of(holey(seed=seed))
    actions = members_actions(panel, seed)
    options = {"cost": cost, "halted": panel.halted, "ended": panel.ended}
    paths = [
        simulate(actions, panel.prices, trans_cost=k, **options)[-1] for k in (0.0, 0.001, 0.01)
    ]
    assert paths[0] > paths[1] > paths[2]


@SOME
def test_a_halt_of_somebody_who_is_not_held_is_without_effect(cost: str) -> None:
    panel = panel_of(holey(seed=3))
    actions = np.zeros(panel.active.shape)
    actions[:, 0] = 1.0  # the first asset is whole
    options = {"trans_cost": 0.002, "cost": cost, "initial": "cash"}
    alone = simulate(actions[:, :1], panel.prices[:, :1], **options)
    wealth = simulate(actions, panel.prices, halted=panel.halted, ended=panel.ended, **options)
    np.testing.assert_allclose(wealth, alone, rtol=1e-13)
