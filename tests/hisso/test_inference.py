from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from psann.accounting import net_growth
from psann.hisso.inference import judge_actions, span_actions
from psann.hisso.objective import Series
from psann.hisso.rewards import resolve_reward
from psann.hisso.transforms import TRANSFORMS
from psann.metrics import portfolio_metrics


def case(n: int = 40, m: int = 3) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    actions = rng.dirichlet(np.ones(m), size=n)
    return actions, np.exp(np.cumsum(0.02 * rng.normal(size=(n, m)), axis=0))


def judge(actions: Any, prices: Any, reward: Any = "portfolio", **settings: Any) -> Any:
    given = {"transition_penalty": 0.001, "initial": "cash", "cash": False, **settings}
    return judge_actions(
        torch.tensor(actions), torch.tensor(prices), reward=resolve_reward(reward), **given
    )


def test_span_actions_are_transformed_float64_without_gradient() -> None:
    weight = torch.ones(3, 2, requires_grad=True)

    def forward(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
        assert key is None
        return x @ weight

    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    actions = span_actions(forward, Series(X=x, reward_context=x), TRANSFORMS["tanh"])
    assert actions.dtype == torch.float64 and not actions.requires_grad
    torch.testing.assert_close(actions, torch.tanh((x @ weight).double()).detach())


@pytest.mark.parametrize("initial", ["cash", "invested"])
def test_the_whole_span_is_one_episode_at_the_given_cost(initial: Any) -> None:
    actions, prices = case()
    growth = net_growth(actions, prices, initial=initial)
    expected = (np.log(growth.gross) - 0.001 * growth.traded).mean()
    verdict = judge(actions, prices, initial=initial)
    assert verdict.reward == pytest.approx(expected, abs=1e-14)
    assert verdict.loss == -verdict.reward


def test_reward_and_turnover_agree_with_the_metrics() -> None:
    actions, prices = case()
    metrics = portfolio_metrics(actions, prices, trans_cost=0.001, initial="cash")
    verdict = judge(actions, prices)
    # The reward is the net log growth to first order in the cost.
    assert verdict.reward == pytest.approx(metrics["log_return"] / metrics["n_steps"], abs=2e-6)
    assert verdict.turnover == pytest.approx(metrics["turnover"], abs=1e-14)
    assert judge(actions, prices, "sharpe").reward == pytest.approx(metrics["sharpe"], abs=1e-8)


def test_entropy_is_that_of_the_weights_where_they_are_weights() -> None:
    _, prices = case(m=4)
    uniform = np.full((40, 4), 0.25)
    assert judge(uniform, prices).entropy == pytest.approx(math.log(4), abs=1e-14)
    concentrated = np.tile([1.0, 0.0, 0.0, 0.0], (40, 1))
    assert judge(concentrated, prices).entropy == 0.0
    assert judge(-uniform, prices, cash=True).entropy is None


def test_a_single_column_of_prices_stands_for_every_action() -> None:
    actions, prices = case()
    alone = judge(actions, prices[:, :1]).reward
    assert alone == judge(actions, np.repeat(prices[:, :1], 3, axis=1)).reward


def test_a_span_that_leaves_nothing_is_judged_as_lost_whatever_came_after() -> None:
    prices, short = np.array([[1.0], [2.0], [1.0], [0.5]]), -np.ones((4, 1))
    told = judge(short, prices, cash=True)
    assert (told.reward, told.loss) == (-math.inf, math.inf)
    assert judge(0.99 * short, prices, cash=True).reward > -10
    # Of a user's function nobody knows that its context are prices.
    own = resolve_reward(lambda a, x, *, transition_penalty: a.mean(dim=(-2, -1)))
    assert judge(short, prices, own, cash=True).reward == -1.0


def test_a_reward_that_works_in_place_is_refused_and_changes_nothing() -> None:
    def careless(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
        value = (actions * context).mean(dim=(-2, -1))
        actions.zero_()
        context.zero_()
        return value

    actions = torch.full((4, 2), 0.5, dtype=torch.float64)
    prices = torch.rand(4, 2, dtype=torch.float64) + 1.0
    given = actions.clone(), prices.clone()
    settings = {"transition_penalty": 0.0, "initial": "cash", "cash": False}
    with pytest.raises(ValueError, match="in place"):
        judge_actions(actions, prices, reward=resolve_reward(careless), **settings)
    assert torch.equal(actions, given[0]) and torch.equal(prices, given[1])


def test_traded_weight_is_from_what_prices_left_to_the_target() -> None:
    """First all of cash, then from (0.55, 0.45) to (1, 0): 1 and 0.9 over the two moves."""
    actions, prices = [[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.1, 0.9], [1.2, 0.9]]
    verdict = judge(np.array(actions), np.array(prices))
    assert verdict.traded_weight == pytest.approx((1.0 + 0.9) / 2, abs=1e-14)


def test_traded_weight_is_that_of_the_metrics_and_none_where_actions_are_no_weights() -> None:
    actions, prices = case()
    metrics = portfolio_metrics(actions, prices, trans_cost=0.001, initial="cash")
    assert judge(actions, prices).traded_weight == pytest.approx(metrics["turnover_traded"])
    assert judge(actions, prices, reward="negative_mse").traded_weight is None
