"""What an account holds where assets come, halt and end, against a broker's book and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from event_simulator import simulate
from made_panels import holey, panel_of
from psann.accounting import Carry, growth_and_traded_weight, net_growth
from psann.hisso.constraints import transform_of
from psann.hisso.options import HISSOOptions
from psann.holdings import (
    ENDED,
    HALTED,
    MEMBER,
    OUTSIDE,
    code_problems,
    codes_of,
    has_halts,
    held_weights,
    held_weights_at_once,
    with_ends,
)
from psann.market import Panel
from psann.metrics import portfolio_metrics

COSTS = ["drift", "exact", "target_l1"]


def account(seed: int, n: int = 120, cash: float = 0.0) -> tuple[Panel, np.ndarray, np.ndarray]:
    """A panel with holes, its codes, and random weights of its members."""
    panel = panel_of(holey(n, 4, seed))
    draws = np.random.default_rng(seed).random(panel.active.shape) ** 3 * panel.active
    total = draws.sum(axis=1, keepdims=True)
    actions = np.divide(draws, total, out=np.zeros_like(draws), where=total > 0)
    return panel, codes_of(panel.active, panel.halted, panel.ended), (1 - cash) * actions


def book(panel: Panel, actions: np.ndarray, **terms: object) -> np.ndarray:
    return simulate(actions, panel.prices, halted=panel.halted, ended=panel.ended, **terms)


@pytest.mark.parametrize("trans_cost", [0.002, [0.001, 0.004, 0.0, 0.03]], ids=["one", "each"])
@pytest.mark.parametrize("cost", COSTS)
def test_6000_rows_agree_with_the_book_order_by_order(cost: str, trans_cost: object) -> None:
    parts = [account(seed, 750, cash=0.1 * (seed % 2)) for seed in range(8)]
    names = max(len(panel.assets) for panel, _, _ in parts)
    assert names == 4
    prices = np.concatenate([panel.prices for panel, _, _ in parts])
    codes = np.concatenate([codes for _, codes, _ in parts])
    # What stands between two parts is nobody's: on the last row of each all is sold.
    actions = np.concatenate([actions for _, _, actions in parts])
    edges = np.cumsum([len(panel.prices) for panel, _, _ in parts])[:-1]
    for edge in edges:
        actions[edge - 1], codes[edge - 1] = 0.0, np.maximum(codes[edge - 1], OUTSIDE)
    assert len(prices) == 6000 and has_halts(codes) and (codes == ENDED).any()
    terms = {"trans_cost": np.array(trans_cost)[()], "initial": "cash", "cost": cost}
    theirs = simulate(actions, prices, halted=codes == HALTED, ended=codes == ENDED, **terms)
    ours = net_growth(actions, prices, active=codes, **terms).wealth  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@given(
    seed=st.integers(0, 500),
    cost=st.sampled_from(COSTS),
    start=st.sampled_from(["cash", "invested"]),
)
@settings(max_examples=25, deadline=None)
def test_random_universes_agree_with_the_book(seed: int, cost: str, start: str) -> None:
    panel, codes, actions = account(seed, 60, cash=0.3)
    terms = {"trans_cost": 0.01, "initial": start, "cost": cost}
    ours = net_growth(actions, panel.prices, active=codes, **terms).wealth  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, book(panel, actions, **terms), rtol=1e-11)


def test_a_halted_position_is_kept_and_jumps_with_its_price() -> None:
    # B halts on row 1, when all is wanted in A, and comes back at the fourfold.
    actions = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    prices = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 4.0]])
    codes = np.array([[1, 1], [1, -1], [1, 1]])
    assert held_weights(actions, prices, codes)[1].tolist() == [0.5, 0.5]
    growth = net_growth(actions, prices, active=codes)
    assert growth.wealth.tolist() == [1.0, 1.0, 2.5] and growth.traded.tolist() == [0.0, 0.0]


def test_nobody_enters_during_a_halt_whatever_is_asked_for() -> None:
    actions = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    prices = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 4.0]])
    codes = np.array([[1, 1], [1, -1], [1, 1]])
    assert held_weights(actions, prices, codes)[1].tolist() == [0.0, 0.0]
    assert net_growth(actions, prices, active=codes).wealth.tolist() == [1.0, 1.0, 1.0]


def test_an_end_is_paid_out_without_a_fee_and_an_exit_with_one() -> None:
    actions, prices = np.array([[1.0], [0.0], [0.0]]), np.array([[2.0], [1.4], [1.4]])
    for code, last in ((ENDED, 0.7), (OUTSIDE, 0.7 * 0.9)):
        codes = np.array([[MEMBER], [code], [OUTSIDE]])
        wealth = net_growth(actions, prices, active=codes, trans_cost=0.1).wealth
        assert wealth[-1] == pytest.approx(last)


@given(seed=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_short_episodes_at_once_hold_what_row_by_row_gives(seed: int) -> None:
    panel, codes, actions = account(seed, 64, cash=0.2)
    at = torch.tensor([[*range(first, first + 20)] for first in (0, 7, 25, 44)])
    tensors = [torch.from_numpy(np.array(a))[at] for a in (actions, panel.prices, codes)]
    together = held_weights_at_once(*tensors)
    alone = held_weights(*tensors)
    np.testing.assert_allclose(together.numpy(), alone.numpy(), atol=1e-14)
    for episode, rows in zip(alone.numpy(), at.numpy(), strict=True):
        own = held_weights(actions[rows], panel.prices[rows], codes[rows])
        np.testing.assert_allclose(episode, own, atol=1e-15)


def test_gradients_agree_with_finite_differences() -> None:
    panel, codes, actions = account(3, 40, cash=0.2)
    rows = slice(0, 14)
    assert has_halts(codes[rows])
    prices, active = (torch.from_numpy(np.array(a[rows]))[None] for a in (panel.prices, codes))

    def earned(weights: torch.Tensor) -> torch.Tensor:
        held = held_weights_at_once(weights, prices, active)
        growth, traded = growth_and_traded_weight(held, prices, cash=True, active=active)
        return (growth.log() - 0.01 * traded).sum()

    weights = torch.from_numpy(actions[rows])[None].requires_grad_()
    (slope,) = torch.autograd.grad(earned(weights), weights)
    assert (slope[active != MEMBER] == 0).all()
    for place in np.argwhere((active == MEMBER).numpy())[::3]:
        step = torch.zeros_like(weights)
        step[tuple(place)] = 1e-6
        with torch.no_grad():
            difference = (earned(weights + step) - earned(weights - step)) / 2e-6
        assert float(slope[tuple(place)]) == pytest.approx(float(difference), abs=1e-6)


def test_members_throughout_are_what_no_membership_is() -> None:
    prices = np.exp(0.02 * np.random.default_rng(0).standard_normal((50, 3)).cumsum(0))
    actions = np.random.default_rng(1).dirichlet(np.ones(3), 50)
    codes = np.ones((50, 3), dtype=np.int8)
    for cost in COSTS:
        terms = {"trans_cost": 0.003, "initial": "cash", "cost": cost}
        usual = portfolio_metrics(actions, prices, **terms)  # type: ignore[arg-type]
        ours = portfolio_metrics(actions, prices, active=codes, **terms)  # type: ignore[arg-type]
        assert ours == pytest.approx(usual, rel=1e-9, nan_ok=True)


def test_codes_that_say_nothing_are_told_with_the_shape_wanted() -> None:
    codes = np.ones((4, 2))
    assert code_problems(codes, who="active", shape=(4, 2)) == []
    assert (
        "must be of the shape of the prices, (3,)"
        in code_problems(codes, who="active", shape=(3,))[0]
    )
    codes[1, 1] = 2
    assert "or -2 (has ended); got 2." in code_problems(codes, who="active", shape=(2,))[0]


def test_an_end_is_paid_once_however_long_it_is_marked() -> None:
    codes = np.full((60, 2), MEMBER)
    codes[20:, 1] = ENDED
    prices = np.exp(np.random.default_rng(0).normal(scale=0.01, size=(60, 2)).cumsum(axis=0))
    changed = with_ends(prices, codes, move=-1.0)
    np.testing.assert_allclose(changed[:20], prices[:20])
    np.testing.assert_allclose(changed[20:, 1], prices[19, 1] * 1e-12)
    np.testing.assert_allclose(changed[:, 0], prices[:, 0])


def test_codes_of_a_frame_are_taken_by_their_names() -> None:
    index = pd.RangeIndex(4)
    weights = pd.DataFrame([[1.0, 0.0]] * 4, index=index, columns=["a", "b"])
    prices = pd.DataFrame([[1.0, 1.0], [1.1, 1.0], [1.2, 1.0], [1.3, 1.0]], index, ["a", "b"])
    codes = pd.DataFrame([[MEMBER, OUTSIDE]] * 4, index, ["a", "b"])
    usual = portfolio_metrics(weights, prices, trans_cost=0.0, initial="invested", active=codes)
    turned = codes[["b", "a"]]
    found = portfolio_metrics(weights, prices, trans_cost=0.0, initial="invested", active=turned)
    assert found == usual
    assert found["cum_return"] == pytest.approx(0.3)


def test_costs_borrow_and_cash_rate_over_6000_rows_with_membership_and_limits() -> None:
    panel, codes, _ = account(3, 6000)
    limits = HISSOOptions(
        primary_transform="long_short", max_weight=0.4, gross_limit=1.4, net_limit=0.5
    )
    z = torch.from_numpy(np.random.default_rng(4).normal(0, 2, panel.prices.shape))
    actions = transform_of(limits).function(z, torch.from_numpy(codes)).numpy()
    assert (actions < 0).any() and np.abs(actions).max() <= 0.4 + 1e-9 and has_halts(codes)
    carry = Carry(cash=0.0002, borrow=0.0007)
    rates = np.array([0.0005, 0.0, 0.002, 0.001])
    for cost in COSTS:
        terms: dict[str, Any] = {"trans_cost": rates, "initial": "cash", "cost": cost}
        ours = net_growth(actions, panel.prices, active=codes, carry=carry, **terms)
        theirs = book(panel, actions, cash_rate=0.0002, borrow_rate=0.0007, **terms)
        np.testing.assert_allclose(ours.wealth, theirs, rtol=1e-10)
        without = net_growth(actions, panel.prices, active=codes, **terms)
        assert not np.allclose(ours.wealth, without.wealth, rtol=1e-3)
