"""What an account holds where assets come, halt and end, against a broker's book and by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx

from event_simulator import simulate
from made_panels import holey, panel_of
from psann.accounting import net_growth
from psann.hisso.constraints import transform_of
from psann.hisso.options import HISSOOptions
from psann.holdings import (
    ENDED,
    HALTED,
    MEMBER,
    OUTSIDE,
    Carry,
    code_problems,
    codes_of,
    held_weights,
    with_ends,
)
from psann.market import Panel
from psann.metrics import portfolio_metrics
from thinning import slow, thinned

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


@pytest.mark.parametrize(
    ("trans_cost", "n_parts"),
    [([0.001, 0.004, 0.0, 0.03], 8), (0.002, 2)],
    ids=["each", "one"],
)
@pytest.mark.parametrize("cost", thinned(COSTS, every=2))
def test_6000_rows_agree_with_the_book_order_by_order(
    cost: str, trans_cost: object, n_parts: int
) -> None:
    parts = [account(seed, 750, cash=0.1 * (seed % 2)) for seed in range(n_parts)]
    names = max(len(panel.assets) for panel, _, _ in parts)
    assert names == 4
    prices = np.concatenate([panel.prices for panel, _, _ in parts])
    codes = np.concatenate([codes for _, codes, _ in parts])
    # What stands between two parts is nobody's: on the last row of each all is sold.
    actions = np.concatenate([actions for _, _, actions in parts])
    edges = np.cumsum([len(panel.prices) for panel, _, _ in parts])[:-1]
    for edge in edges:
        actions[edge - 1], codes[edge - 1] = 0.0, np.maximum(codes[edge - 1], OUTSIDE)
    assert len(prices) == 750 * n_parts and (codes == HALTED).any() and (codes == ENDED).any()
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


@given(
    seed=st.integers(0, 500),
    cost=st.sampled_from(COSTS),
    gross=st.sampled_from([1.0, 2.0, 3.0]),
)
@settings(max_examples=40, deadline=None)
def test_leverage_and_shorts_with_halts_agree_with_the_book(
    seed: int, cost: str, gross: float
) -> None:
    panel = panel_of(holey(60, 4, seed))
    codes = codes_of(panel.active, panel.halted, panel.ended)
    draws = (np.random.default_rng(seed).random(codes.shape) - 0.3) * panel.active
    total = np.abs(draws).sum(axis=1, keepdims=True)
    actions = gross * np.divide(draws, total, out=np.zeros_like(draws), where=total > 0)
    terms = {"trans_cost": 0.01, "initial": "invested", "cost": cost}
    ours = net_growth(actions, panel.prices, active=codes, **terms)  # type: ignore[arg-type]
    theirs = book(panel, actions, **terms)
    # What comes after a ruin means nothing in either.
    alive = slice(ours.ruined_at)
    np.testing.assert_allclose(ours.wealth[alive], theirs[alive], rtol=1e-9)


def test_a_position_that_exceeds_the_account_leaves_nothing_to_hold_and_is_owed_for() -> None:
    # A is held at the double and halts; B is wanted whole. At the exact cost nothing is left to
    # sell, so that nothing is paid either. A rises by a quarter, of twice the wealth.
    actions = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    prices = np.array([[1.0, 1.0], [1.0, 3.0], [1.25, 3.0]])
    codes = np.array([[1, 1], [-1, 1], [1, 1]])
    for cost in ("drift", "exact"):
        growth = net_growth(actions, prices, active=codes, trans_cost=0.1, cost=cost)  # type: ignore[arg-type]
        assert growth.wealth == pytest.approx([1.0, 1.0, 1.5])
        assert growth.traded.tolist() == [0.0, 0.0]


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


def test_members_throughout_are_what_no_membership_is() -> None:
    prices = np.exp(0.02 * np.random.default_rng(0).standard_normal((50, 3)).cumsum(0))
    actions = np.random.default_rng(1).dirichlet(np.ones(3), 50)
    codes = np.ones((50, 3), dtype=np.int8)
    for cost in COSTS:
        terms = {"trans_cost": 0.003, "initial": "cash", "cost": cost}
        usual = portfolio_metrics(actions, prices, **terms)  # type: ignore[arg-type]
        ours = portfolio_metrics(actions, prices, active=codes, **terms)  # type: ignore[arg-type]
        assert ours == pytest.approx(usual, rel=1e-9, nan_ok=True)


def test_turnover_is_that_of_members_whatever_is_asked_for_others() -> None:
    # B is no member on row 1: its target is 0 there, not 0.6, so that 0.2 + 0.5 and 0.1 + 0.3 move.
    actions = np.array([[0.3, 0.5], [0.1, 0.6], [0.0, 0.3], [0.5, 0.5]])
    codes = np.array([[1, 1], [1, 0], [1, 1], [1, 1]])
    found = portfolio_metrics(
        actions, np.ones((4, 2)), trans_cost=0.0, initial="invested", active=codes
    )
    assert found["turnover"] == pytest.approx((0.7 + 0.4 + 0.7) / 3)


def test_codes_that_say_nothing_are_told_with_the_shape_wanted() -> None:
    codes = np.ones((4, 2))
    assert code_problems(codes, who="active", shape=(4, 2)) == []
    assert (
        "must be of the shape of the prices, (3,)"
        in code_problems(codes, who="active", shape=(3,))[0]
    )
    # As wide, but tables of several accounts are none of these prices.
    assert (
        "(4, 2); got (5, 4, 2)"
        in (code_problems(np.ones((5, 4, 2)), who="active", shape=(4, 2))[0])
    )
    codes[1, 1] = 2
    assert "or -2 (has ended); got 2." in code_problems(codes, who="active", shape=(4, 2))[0]


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


@pytest.mark.parametrize(
    ("limit", "delay", "n_rows"),
    [slow((0.03, 2, 6000)), (0.03, 2, 600), (0.4, 0, 600), (0.03, 0, 600), (0.4, 2, 600)],
)
def test_limited_trades_over_6000_rows_are_those_of_the_book(
    limit: float, delay: int, n_rows: int
) -> None:
    panel, codes, _ = account(3, n_rows)
    form = HISSOOptions(primary_transform="long_short", max_weight=0.4, gross_limit=0.9)
    z = torch.from_numpy(np.random.default_rng(4).normal(0, 2, panel.prices.shape))
    actions = transform_of(form).function(z, torch.from_numpy(codes)).numpy()
    rates = np.array([0.0005, 0.0, 0.002, 0.001])
    known = panel.prices[delay:], codes[delay:]
    carry = Carry(cash=0.0002, borrow=0.0007, max_turnover=limit)
    ours = net_growth(
        actions[: len(known[1])],
        known[0],
        active=known[1],
        carry=carry,
        trans_cost=rates,
        initial="cash",
    )
    theirs = simulate(
        actions,
        panel.prices,
        halted=panel.halted,
        ended=panel.ended,
        members=panel.active,
        trans_cost=rates,
        initial="cash",
        delay=delay,
        cash_rate=0.0002,
        borrow_rate=0.0007,
        max_turnover=limit,
    )
    np.testing.assert_allclose(ours.wealth, theirs[delay:], rtol=1e-10)
    assert ours.traded.max() <= limit + 1e-12
    assert (ours.traded > limit - 1e-9).mean() > 0.1


@pytest.mark.parametrize(
    ("cost", "n_rows"), [*((cost, 600) for cost in COSTS), slow(("drift", 6000))]
)
def test_costs_and_rates_of_each_row_over_6000_rows_are_those_of_the_book(
    cost: str, n_rows: int
) -> None:
    panel, codes, _ = account(3, n_rows)
    draws = np.random.default_rng(4)
    form = HISSOOptions(primary_transform="long_short", max_weight=0.4, gross_limit=1.4)
    z = torch.from_numpy(draws.normal(0, 2, panel.prices.shape))
    actions = transform_of(form).function(z, torch.from_numpy(codes)).numpy()
    spreads = 0.002 * draws.random(panel.prices.shape) ** 3
    cash, borrow = 0.0003 * draws.random(n_rows), 0.0009 * draws.random(n_rows)
    limit = 0.5 if cost == "drift" else None
    delay = 2
    late = slice(delay, None)
    ours = net_growth(
        actions[:-delay],
        panel.prices[late],
        active=codes[late],
        carry=Carry(cash=cash[late], borrow=borrow[late], max_turnover=limit),
        trans_cost=spreads[late],
        initial="cash",
        cost=cost,  # type: ignore[arg-type]
    )
    theirs = book(
        panel,
        actions,
        members=panel.active,
        delay=delay,
        cash_rate=cash,
        borrow_rate=borrow,
        trans_cost=spreads,
        initial="cash",
        cost=cost,
        max_turnover=limit,
    )
    np.testing.assert_allclose(ours.wealth, theirs[late], rtol=1e-10)


def test_equal_rates_of_rows_give_the_bits_of_one_rate() -> None:
    panel, codes, actions = account(3, 300, cash=0.2)
    each = np.array([0.001, 0.002, 0.0, 0.004])
    told: dict[str, Any] = {"active": codes, "initial": "cash", "periods_per_year": 12}
    for one, many in ((0.001, np.full(panel.prices.shape, 0.001)), (each, np.tile(each, (300, 1)))):
        usual = {"trans_cost": one, "cash_rate": 0.03, "borrow_rate": 0.05}
        rows = {"trans_cost": many, "cash_rate": np.full(300, 0.03), "borrow_rate": [0.05] * 300}
        assert portfolio_metrics(actions, panel.prices, **usual, **told) == portfolio_metrics(
            actions, panel.prices, **rows, **told
        )


def test_a_limit_on_trades_that_never_binds_keeps_every_bit() -> None:
    panel, codes, actions = account(3, 400)
    free = net_growth(actions, panel.prices, active=codes, trans_cost=0.001, initial="cash")
    wide = net_growth(
        actions,
        panel.prices,
        active=codes,
        trans_cost=0.001,
        initial="cash",
        carry=Carry(max_turnover=9.0),
    )
    assert wide.net.tobytes() == free.net.tobytes()


def test_a_limited_account_comes_as_near_to_its_targets_as_it_may() -> None:
    # From cash 0.4 a row: half of 0.8, then all of it; then a switch takes four rows.
    targets = [[0.8, 0.0], [0.8, 0.0], [0.0, 0.8], [0.0, 0.8], [0.0, 0.8], [0.0, 0.8]]
    held = held_weights(
        np.array(targets), np.ones((6, 2)), carry=Carry(max_turnover=0.4), initial="cash"
    )
    expected = [[0.4, 0], [0.8, 0], [0.6, 0.2], [0.4, 0.4], [0.2, 0.6], [0, 0.8]]
    np.testing.assert_allclose(held, expected, atol=1e-15)


@pytest.mark.parametrize("scale", [1e-3, 3.0, 1e30])
def test_no_output_makes_a_limited_account_trade_more_and_gradients_are_true(scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    z = scale * torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    moves = 0.1 * torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    prices, carry = moves.cumsum(1).exp(), Carry(max_turnover=0.15)

    def held(targets: torch.Tensor) -> torch.Tensor:
        return held_weights(targets, prices, carry=carry)

    targets = torch.softmax(z, -1)
    traded = net_growth(held(targets)[0].numpy(), prices[0].numpy()).traded
    assert traded.max() <= 0.15 + 1e-9
    assert torch.autograd.gradcheck(held, targets.requires_grad_(), atol=1e-6)


def test_costs_borrow_and_cash_rate_over_6000_rows_with_membership_and_limits() -> None:
    panel, codes, _ = account(3, 6000)
    limits = HISSOOptions(
        primary_transform="long_short", max_weight=0.4, gross_limit=1.4, net_limit=0.5
    )
    z = torch.from_numpy(np.random.default_rng(4).normal(0, 2, panel.prices.shape))
    actions = transform_of(limits).function(z, torch.from_numpy(codes)).numpy()
    assert (actions < 0).any() and np.abs(actions).max() <= 0.4 + 1e-9 and (codes == HALTED).any()
    carry = Carry(cash=0.0002, borrow=0.0007)
    rates = np.array([0.0005, 0.0, 0.002, 0.001])
    for cost, first in zip(COSTS, (0, 5400, 5400), strict=True):
        rows = slice(first, None)
        terms: dict[str, Any] = {"trans_cost": rates, "initial": "cash", "cost": cost}
        given = actions[rows], panel.prices[rows]
        ours = net_growth(*given, active=codes[rows], carry=carry, **terms)
        codes_of_rows = {"halted": panel.halted[rows], "ended": panel.ended[rows]}
        theirs = simulate(*given, **codes_of_rows, cash_rate=0.0002, borrow_rate=0.0007, **terms)
        np.testing.assert_allclose(ours.wealth, theirs, rtol=1e-10)
        without = net_growth(*given, active=codes[rows], **terms)
        assert not np.allclose(ours.wealth, without.wealth, rtol=1e-3)


@pytest.mark.slow  # torch's compiler is imported
@pytest.mark.parametrize(("has_codes", "has_rates"), [(False, False), (True, True)])
def test_a_program_of_limited_trades_holds_and_learns_the_same(
    has_codes: bool, has_rates: bool
) -> None:
    draw = torch.Generator().manual_seed(0)
    targets = torch.softmax(torch.randn(2, 6, 3, generator=draw, dtype=torch.float64), -1)
    prices = torch.exp(0.05 * torch.randn(2, 6, 3, generator=draw, dtype=torch.float64))
    codes = torch.ones(2, 6, 3, dtype=torch.int8)
    codes[0, 2, 1], codes[1, 4:, 0] = HALTED, OUTSIDE
    rates = 0.01 * torch.rand(2, 6, generator=draw, dtype=torch.float64) if has_rates else 0.01
    carry = Carry(cash=rates, borrow=0.02, max_turnover=0.2)

    def held_and_learnt(asked: torch.Tensor) -> list[torch.Tensor]:
        asked = asked.detach().requires_grad_()
        held = held_weights(asked, prices, codes if has_codes else None, carry=carry)
        return [held, *torch.autograd.grad((held.square() * prices).sum(), asked)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about torch
        write = make_fx(held_and_learnt, tracing_mode="fake", _allow_non_fake_inputs=True)
        written = write(targets)
        found = written(targets)
    called = [node for node in written.graph.nodes if node.op == "call_function"]
    assert sum("scan" in str(node.target) for node in called) == 2  # there and back
    for ours, theirs in zip(found, held_and_learnt(targets), strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-12, atol=1e-15)
