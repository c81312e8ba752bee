"""The arithmetic of growth and trading, by hand, against a reference and for both libraries."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from event_simulator import simulate
from psann.accounting import (
    gross_growth,
    growth_and_traded_weight,
    net_growth,
    relatives,
    weight_changes,
)
from thinning import thinned

REFERENCE = json.loads(
    (Path(__file__).parent / "reference" / "metrics_reference.json").read_text()
)["turnover_and_costs"]
ASSET_RETURNS = np.array(REFERENCE["asset_returns"])
PRICES = np.vstack([np.ones(3), np.cumprod(1 + ASSET_RETURNS, axis=0)])
# The last target is held to the end, so the row after the last price repeats it.
TARGETS = np.array([*REFERENCE["target_weights"], REFERENCE["target_weights"][-1]])


def test_relatives_are_the_growth_from_row_to_row() -> None:
    np.testing.assert_allclose(relatives(PRICES), 1 + ASSET_RETURNS, rtol=1e-15)


def test_weight_changes_ignore_prices() -> None:
    expected = [*REFERENCE["turnover_L1_targets_only"][1:], 0.0]
    np.testing.assert_allclose(weight_changes(TARGETS), expected, atol=1e-15)


@pytest.mark.parametrize("initial", ["invested", "cash"])
def test_growth_and_traded_weight_equal_the_reference_table(initial: str) -> None:
    growth, traded = growth_and_traded_weight(TARGETS, PRICES, initial=initial)
    np.testing.assert_allclose(growth, REFERENCE["gross_growth"], rtol=1e-14)
    expected = REFERENCE[f"turnover_L1_drift_aware_start_{initial}"]
    np.testing.assert_allclose(traded, expected, atol=1e-14)


def test_cash_neither_grows_nor_costs() -> None:
    prices = np.array([[1.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    actions = np.array([[0.25, 0.25], [0.4, 0.2], [0.0, 0.0]])
    growth, traded = growth_and_traded_weight(actions, prices, initial="cash", cash=True)
    # Half in cash: 0.5 + 0.25 + 0.5 = 1.25, which leaves the weights 0.4 and 0.2 untouched.
    np.testing.assert_allclose(growth, [1.25, 1.0])
    np.testing.assert_allclose(traded, [0.5, 0.0], atol=1e-16)
    np.testing.assert_array_equal(gross_growth(actions, prices, cash=True), growth)
    np.testing.assert_allclose(gross_growth(actions, prices), [0.75, 0.6])


def test_tensors_in_batches_give_the_numbers_of_numpy_arrays() -> None:
    rng = np.random.default_rng(0)
    actions = rng.dirichlet(np.ones(3), size=(4, 6))
    prices = rng.uniform(0.5, 2.0, size=(4, 6, 3))
    for initial in ("invested", "cash"):
        expected = growth_and_traded_weight(actions, prices, initial=initial, cash=True)
        got = growth_and_traded_weight(
            torch.from_numpy(actions), torch.from_numpy(prices), initial=initial, cash=True
        )
        for ours, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-14, atol=1e-15)


def test_one_price_column_stands_for_every_asset() -> None:
    rng = np.random.default_rng(1)
    actions = torch.from_numpy(rng.dirichlet(np.ones(3), size=(2, 5)))
    prices = torch.from_numpy(rng.uniform(0.5, 2.0, size=(2, 5, 1)))
    narrow = growth_and_traded_weight(actions, prices)
    wide = growth_and_traded_weight(actions, prices.expand(2, 5, 3))
    torch.testing.assert_close(narrow, wide, rtol=0, atol=1e-15)


def test_gradients_agree_with_finite_differences() -> None:
    rng = np.random.default_rng(2)
    actions = torch.tensor(rng.dirichlet(np.ones(3), size=(2, 5)), requires_grad=True)
    prices = torch.from_numpy(rng.uniform(0.5, 2.0, size=(2, 5, 3)))

    def reward(actions: torch.Tensor) -> torch.Tensor:
        growth, traded = growth_and_traded_weight(actions, prices, initial="cash", cash=True)
        return (growth.log() - 0.01 * traded).mean()

    assert torch.autograd.gradcheck(reward, (actions,))


def test_a_least_growth_gives_weights_to_what_is_worth_nothing_and_changes_nothing_else() -> None:
    prices = np.array([[1.0], [2.0], [1.5], [1.5]])
    actions = np.full((4, 1), -1.0)
    growth, traded = growth_and_traded_weight(actions, prices, cash=True, least_growth=0.01)
    np.testing.assert_array_equal(growth, [0.0, 1.25, 1.0])
    # The short of 1 became one of 2, measured against a hundredth of the wealth.
    np.testing.assert_allclose(traded, [0.0, 199.0, 0.4])
    usual = growth_and_traded_weight(TARGETS, PRICES)
    for got, expected in zip(
        growth_and_traded_weight(TARGETS, PRICES, least_growth=0.01), usual, strict=True
    ):
        np.testing.assert_array_equal(got, expected)


class _CountOperations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_a_longer_window_needs_no_more_operations() -> None:
    counts = []
    for rows in (5, 500):
        with _CountOperations() as operations:
            growth_and_traded_weight(torch.rand(2, rows, 3), torch.rand(2, rows, 3) + 1)
        counts.append(operations.count)
    assert counts[0] == counts[1]


def test_the_compiler_sees_one_graph() -> None:
    compiled = torch.compile(growth_and_traded_weight, backend="eager", fullgraph=True)
    actions, prices = torch.rand(2, 5, 3), torch.rand(2, 5, 3) + 1
    torch.testing.assert_close(
        compiled(actions, prices, initial="cash", cash=True),
        growth_and_traded_weight(actions, prices, initial="cash", cash=True),
    )


COST_MODELS = ("drift", "exact", "target_l1")


# How an account begins is of its first step only, and cash is but one asset more.
@pytest.mark.parametrize(
    ("account", "cost"),
    thinned(product([(True, "invested"), (True, "cash"), (False, "invested"), (False, "cash")],
                    COST_MODELS), every=5),
)  # fmt: skip
def test_net_growth_equals_the_event_simulator_over_6000_steps(
    account: tuple[bool, str], cost: str
) -> None:
    cash, initial = account
    n_steps = 6000 if account == (True, "invested") else 600
    rng = np.random.default_rng(3)
    steps = rng.normal(2e-3, 0.02, size=(n_steps + 1, 3))
    prices = np.exp(np.cumsum(steps, axis=0))
    # Sharp targets: full switches between assets are frequent.
    actions = rng.dirichlet(np.full(4, 0.3), size=n_steps + 1)[:, : 3 + (not cash)]
    if not cash:
        fourth = np.exp(np.cumsum(rng.normal(0, 0.02, (n_steps + 1, 1)), axis=0))
        prices = np.hstack([prices, fourth])
    ours = net_growth(
        actions, prices, trans_cost=0.0012, initial=initial, cost=cost, cash=cash
    ).wealth
    theirs = simulate(actions, prices, trans_cost=0.0012, initial=initial, cost=cost)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("cost", COST_MODELS)
@pytest.mark.parametrize("initial", ["invested", "cash"])
def test_a_cost_of_each_asset_is_paid_on_what_is_traded_of_it(cost: str, initial: str) -> None:
    rng = np.random.default_rng(12)
    prices = np.exp(np.cumsum(rng.normal(0, 0.01, size=(400, 3)), axis=0))
    actions = rng.dirichlet(np.ones(3), size=400)
    rates = np.array([0.0, 0.002, 0.01])
    terms: dict[str, Any] = {"initial": initial, "cost": cost}
    ours = net_growth(actions, prices, trans_cost=rates, **terms)
    theirs = simulate(actions, prices, trans_cost=rates, **terms)
    np.testing.assert_allclose(ours.wealth, theirs, rtol=1e-10)
    same = net_growth(actions, prices, trans_cost=np.full(3, 0.004), **terms)
    one = net_growth(actions, prices, trans_cost=0.004, **terms)
    np.testing.assert_allclose(same.wealth, one.wealth, rtol=1e-12)
    np.testing.assert_array_equal(ours.traded, one.traded)


def test_borrowed_and_short_positions_equal_the_event_simulator() -> None:
    rng = np.random.default_rng(4)
    prices = np.exp(np.cumsum(rng.normal(0, 0.01, size=(500, 3)), axis=0))
    actions = rng.uniform(-1, 1, size=(500, 3))
    for cost in COST_MODELS:
        ours = net_growth(actions, prices, trans_cost=0.002, initial="cash", cost=cost, cash=True)
        theirs = simulate(actions, prices, trans_cost=0.002, initial="cash", cost=cost)
        np.testing.assert_allclose(ours.wealth, theirs, rtol=1e-10)


@pytest.mark.parametrize("initial", ["invested", "cash"])
@pytest.mark.parametrize(("cost", "column"), [("drift", "multiply"), ("exact", "exact")])
def test_net_wealth_equals_the_reference_table(cost: str, column: str, initial: str) -> None:
    ours = net_growth(TARGETS, PRICES, trans_cost=0.001, initial=initial, cost=cost)
    expected = REFERENCE["wealth_net"][column][f"start_{initial}"]
    assert ours.wealth[-1] == pytest.approx(expected, rel=1e-14)


def test_the_exact_model_satisfies_its_equation_to_machine_precision_at_any_cost() -> None:
    rng = np.random.default_rng(5)
    prices = np.exp(np.cumsum(rng.normal(0, 0.1, size=(300, 40)), axis=0))
    actions = rng.dirichlet(np.full(40, 0.1), size=300)
    for trans_cost in (1e-4, 0.05, 0.7, 0.99):
        growth = net_growth(actions, prices, trans_cost=trans_cost, initial="cash", cost="exact")
        kept = growth.net / growth.gross
        before = np.vstack([np.zeros(40), (actions[:-2] * relatives(prices)[:-1])])
        before[1:] /= growth.gross[:-1, None]
        fee = trans_cost * np.abs(kept[:, None] * actions[:-1] - before).sum(-1)
        np.testing.assert_allclose(kept + fee, 1.0, rtol=0, atol=4e-15)


def test_ruin_ends_the_curve_at_zero_and_says_when() -> None:
    prices = np.array([[1.0], [1.1], [0.4], [0.8], [0.9]])
    tripled = np.full((5, 1), 3.0)
    growth = net_growth(tripled, prices, trans_cost=0.01, cash=True)
    # The second step loses 7/11 of three times the wealth: more than there is.
    assert growth.ruined_at == 1
    np.testing.assert_allclose(growth.wealth, [1.0, 1.3, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(growth.net[1:], 0.0)


@pytest.mark.parametrize("fall", [0.4, 0.9], ids=["ruined", "not ruined"])
@pytest.mark.parametrize("cost", ["drift", "target_l1"])
def test_wealth_without_costs_has_the_bits_of_an_account_that_pays_none(
    cost: Any, fall: float
) -> None:
    prices = np.array([[1.0, 1.0], [1.1, 0.9], [fall, 1.0], [0.8, 1.1], [0.9, 1.2]])
    targets = np.array([[3.0, -1.0], [2.5, 0.1], [3.0, 0.0], [0.5, 0.2], [1.0, 0.0]])
    terms: Any = {"initial": "cash", "cost": cost, "cash": True}
    paying = net_growth(targets, prices, trans_cost=np.array([0.1, 0.2]), **terms)
    free = net_growth(targets, prices, **terms)
    assert (free.ruined_at is not None) == (fall == 0.4)
    np.testing.assert_array_equal(paying.gross_wealth, free.wealth)


def test_a_loss_and_a_fee_that_both_exceed_the_wealth_do_not_make_a_gain() -> None:
    # The product of the two negative factors, -0.5 and 1 - 0.4 * 3, would be positive.
    growth = net_growth(
        np.full((2, 1), 3.0), np.array([[1.0], [0.5]]), trans_cost=0.4, initial="cash", cash=True
    )
    assert growth.ruined_at == 0


def test_the_exact_model_keeps_the_largest_share_that_any_trade_allows() -> None:
    rng = np.random.default_rng(6)
    shares = np.linspace(0, 1, 2001)
    n_ruined = 0
    for _ in range(300):
        before, after = rng.normal(0, 1.5, size=(2, 3))
        trans_cost = rng.uniform(0, 0.99)
        growth = net_growth(
            np.array([before, after, after]),
            np.ones((3, 3)),
            trans_cost=trans_cost,
            cost="exact",
            cash=True,
        )
        fees = trans_cost * np.abs(shares[:, None] * after - before).sum(-1)
        excess = shares + fees - 1
        n_ruined += growth.ruined_at is not None
        if growth.ruined_at is None:
            kept = growth.net[1]
            fee = trans_cost * np.abs(kept * after - before).sum()
            assert kept + fee == pytest.approx(1, abs=1e-13)
            assert excess[shares > kept + 1e-9].min(initial=1) > 0
        else:
            assert excess.min() > 0
    assert 50 < n_ruined < 250


@pytest.mark.parametrize("cost", COST_MODELS)
def test_a_fee_beyond_the_wealth_is_ruin(cost: str) -> None:
    prices = np.ones((4, 2))
    leveraged = np.array([[3.0, -2.0], [-2.0, 3.0], [3.0, -2.0], [3.0, -2.0]])
    growth = net_growth(leveraged, prices, trans_cost=0.3, cost=cost)
    assert growth.ruined_at == (0 if cost == "target_l1" else 1)
    assert growth.wealth[-1] == 0.0


def test_selling_that_costs_all_it_frees_is_ruin() -> None:
    # The first trade can be paid. In the second, from 3 to 2, keeping less never saves any fee.
    actions = np.array([[0.1, 0.8, 0.1], [2.0, 1.0, 0.0], [1.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    growth = net_growth(actions, np.ones((4, 3)), trans_cost=0.5, cost="exact", cash=True)
    assert growth.ruined_at == 2


def test_without_costs_all_models_agree_and_nothing_is_ruined() -> None:
    for cost in COST_MODELS:
        growth = net_growth(TARGETS, PRICES, cost=cost, initial="cash")
        np.testing.assert_array_equal(growth.net, growth.gross)
        assert growth.ruined_at is None
