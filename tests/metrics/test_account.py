"""What an account of allocations refuses and warns of, and what it comes to."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from psann.errors import DataError
from psann.metrics import equity_curve, portfolio_metrics
from psann.metrics.account import account_of


def test_an_account_has_the_targets_of_members_and_the_simplest_rates() -> None:
    flat, rates = np.ones((3, 2)), np.full(3, 0.05)
    codes = np.array([[1, 0], [1, 1], [1, 1]])
    given: Any = {"initial": "cash", "cash": False, "active": codes}
    account = account_of(flat / 2, flat, trans_cost=0.1, cash_rate=rates, **given)
    assert account.targets.tolist() == [[0.5, 0.0], [0.5, 0.5], [0.5, 0.5]]
    assert account.cash_rate == 0.05
    # Bought out of cash, which earns; then what has come, and a share of that.
    assert account.growth.traded == pytest.approx([0.5, 0.5 + 0.5 - 0.5 / 1.025])


@pytest.mark.parametrize(
    ("allocations", "prices", "message"),
    [
        ([[1.0]] * 3, [[1.0]] * 2, r"same shape; got \(3, 1\) and \(2, 1\)"),
        ([[0.5, 0.5]] * 3, [[1.0]] * 3, r"same shape; got \(3, 2\) and \(3, 1\)"),
        ([1.0] * 3, [[1.0]] * 3, r"`allocations` must have shape \(rows, assets\).*reshape"),
        ([[1.0]], [[1.0]], "at least 2 rows"),
        ([[1.0], [math.nan]], [[1.0]] * 2, "`allocations` must be finite; got 1 missing"),
        (
            [[1.0]] * 2,
            [[1.0], [math.inf]],
            r"`prices` must be finite; got 0 missing \(NaN\) and 1 infinite",
        ),
        ([[1.0]] * 2, [[1.0], [0.0]], r"`prices` must be above 0; got 0 at index \(1, 0\)"),
        ([[1.0]] * 3, [[0.01], [-0.02], [0.0]], "look like returns.*cumprod"),
        ([["a"]] * 2, [[1.0]] * 2, "`allocations` must hold numbers; got dtype <U1"),
    ],
)
def test_bad_arrays_are_refused_with_the_reason(
    allocations: list, prices: list, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        portfolio_metrics(allocations, prices)
    with pytest.raises(DataError, match=message):
        equity_curve(allocations, prices)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        portfolio_metrics(
            [[math.nan], [1.0]],
            [[-1.0], [1.0]],
            trans_cost=10,
            periods_per_year=0,
            initial="rich",
            cost="none",
        )
    named = [problem.split("`")[1] for problem in caught.value.problems]
    assert named == ["allocations", "prices", "trans_cost", "periods_per_year", "initial", "cost"]


def test_rows_that_do_not_sum_to_one_warn_once_unless_the_rest_is_cash() -> None:
    allocations = np.full((30, 2), 0.25)
    prices = np.ones((30, 2))
    with pytest.warns(UserWarning, match=r"row 0 sums to 0.5 and 30 of 30") as caught:
        metrics = portfolio_metrics(allocations, prices)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert metrics["cum_return"] == pytest.approx(0.5**29 - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert portfolio_metrics(allocations, prices, cash=True)["cum_return"] == 0.0


def test_softmax_rows_in_single_precision_pass_without_warning() -> None:
    logits = torch.randn(50, 500, generator=torch.Generator().manual_seed(0))
    portfolio_metrics(logits.softmax(-1), torch.ones(50, 500))


@pytest.mark.parametrize(
    ("rate", "got"),
    [
        ([0.05] * 29, r"shape \(29,\)"),
        (math.nan, "some that are not finite"),
        ([math.nan] * 30, "some that are not finite"),
    ],
)
def test_rates_that_are_none_of_each_row_are_refused_by_name(rate: object, got: str) -> None:
    flat = np.ones((30, 1))
    said = f"`borrow_rate` must be one finite number, or one for each of the 30 rows; got {got}"
    with pytest.raises(DataError, match=said):
        portfolio_metrics(flat, flat, borrow_rate=rate)


@pytest.mark.parametrize("value", ["a", None, True, {}])
@pytest.mark.parametrize("name", ["trans_cost", "cash_rate", "borrow_rate", "periods_per_year"])
def test_what_is_no_number_is_refused_by_name(name: str, value: Any) -> None:
    flat = np.ones((30, 1))
    with pytest.raises(DataError, match=f"`{name}` must be a number; got"):
        portfolio_metrics(flat, flat, **{name: value})


def test_a_limit_of_trading_that_is_no_number_is_refused() -> None:
    flat = np.ones((30, 1))
    for limit in ("x", [0.1]):
        with pytest.raises(DataError, match="`max_turnover` must be a number; got"):
            portfolio_metrics(flat, flat, max_turnover=limit)  # type: ignore[arg-type]


def test_no_allocations_are_told_of_with_rates_of_each_row_too() -> None:
    with pytest.raises(DataError, match="`allocations` must be an array of numbers; got None"):
        portfolio_metrics(None, np.ones((30, 1)), cash_rate=np.linspace(0, 0.1, 30))
