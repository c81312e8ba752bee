"""The arithmetic of growth and trading, by hand, against a reference and for both libraries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from psann.accounting import growth_and_traded_weight, relatives, weight_changes

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
