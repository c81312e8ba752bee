from __future__ import annotations

import functools
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import user_rewards
from psann.accounting import growth_and_traded_weight, net_growth, weight_changes
from psann.errors import ImportTargetError
from psann.hisso.rewards import REWARDS, Reward, is_ours, negative_mse, resolve_reward
from psann.metrics import portfolio_metrics
from thinning import parted, thinned

A = np.array([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8], [0.2, 0.8]])
P = np.array([[1.0, 1.0], [1.1, 0.9], [1.0, 1.2], [1.3, 1.1]])
COST = 0.01
# By hand: g = [1, 0.9090909, 0.9933333], c = [0, 0.9, 1.6] against the drifted weights
# [0.55, 0.45] and [1, 0], |a_{t+1} - a_t| = [1, 1.6, 0]; from cash c_0 = 1.
LOG_G = np.log([1.0, 1 / 1.1, 0.2 * 1.3 + 0.8 * 1.1 / 1.2])
PRICE_REWARDS = sorted(set(REWARDS) - {"negative_mse"})
INITIALS = ("invested", "cash")


def resolved(spec: Any) -> Reward:
    """The reward; one over a benchmark is told that this is the mean of the prices."""
    if spec != "excess":
        return resolve_reward(spec)
    reward = resolve_reward(spec, inputs=["benchmark"])

    def over_the_mean(actions: Any, prices: Any, **how: Any) -> Any:
        return reward.function(actions, prices, benchmark=prices.mean(-1, keepdim=True), **how)

    return replace(reward, function=over_the_mean)


def value(name: str | dict[str, Any], actions: Any = A, prices: Any = P, **settings: Any) -> float:
    given = {"transition_penalty": COST, "initial": "invested", "cash": False, **settings}
    return float(resolved(name)(torch.tensor(actions)[None], torch.tensor(prices)[None], **given))


def random_case(seed: int = 0, shape: tuple[int, ...] = (3, 9, 4)) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    actions = torch.softmax(torch.randn(shape, generator=generator, dtype=torch.float64), -1)
    steps = 0.05 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return actions, torch.exp(steps.cumsum(-2))


def net_returns(actions: Any, prices: Any, *, initial: str = "invested") -> Any:
    return net_growth(actions, prices, trans_cost=COST, initial=initial).net - 1  # type: ignore[arg-type]


def test_portfolio_by_hand() -> None:
    assert value("portfolio") == pytest.approx((LOG_G.sum() - COST * 2.5) / 3, abs=1e-14)
    assert value("portfolio", initial="cash") == pytest.approx(
        (LOG_G.sum() - COST * 3.5) / 3, abs=1e-14
    )
    assert value("finance") == value("portfolio")


def test_portfolio_target_l1_by_hand() -> None:
    assert value("portfolio_target_l1") == pytest.approx((LOG_G.sum() - COST * 2.6) / 3, abs=1e-14)


def test_portfolio_without_costs_is_the_mean_log_return_of_the_metrics() -> None:
    metrics = portfolio_metrics(A, P)
    expected = metrics["log_return"] / metrics["n_steps"]
    assert value("portfolio", transition_penalty=0.0) == pytest.approx(expected, abs=1e-14)


def test_portfolio_is_the_net_log_growth_to_first_order() -> None:
    for cost in (1e-2, 1e-3, 1e-4):
        exact = np.log(net_growth(A, P, trans_cost=cost).net).mean()
        # ln(1 - k c) = -k c - (k c)^2 / 2 - ..., with c at most 1.6.
        assert 0 <= value("portfolio", transition_penalty=cost) - exact <= (1.6 * cost) ** 2


@pytest.mark.parametrize(("initial", "expected"), [("invested", -0.780754), ("cash", -0.910041)])
def test_sharpe_is_that_of_the_metrics(initial: str, expected: float) -> None:
    metrics = portfolio_metrics(A, P, trans_cost=COST, initial=initial)  # type: ignore[arg-type]
    assert value("sharpe", initial=initial) == pytest.approx(metrics["sharpe"], abs=1e-9)
    assert value("sharpe", initial=initial) == pytest.approx(expected, abs=1e-6)


def test_sortino_is_that_of_the_metrics_for_one_period_a_year() -> None:
    metrics = portfolio_metrics(A, P, trans_cost=COST, periods_per_year=1)
    assert value("sortino") == pytest.approx(metrics["sortino"], abs=1e-9)


def test_mean_variance_weighs_the_sample_variance() -> None:
    r = net_returns(A, P)
    for aversion in (1.0, 5.0):
        spec = {"target": "mean_variance", "kwargs": {"risk_aversion": aversion}}
        assert value(spec) == pytest.approx(r.mean() - aversion / 2 * r.var(ddof=1), abs=1e-14)
    assert value("mean_variance") == pytest.approx(r.mean() - 0.5 * r.var(ddof=1), abs=1e-14)


def test_cvar_is_the_mean_of_the_worst_returns_of_which_the_last_counts_in_part() -> None:
    actions, prices = (each[0].numpy() for each in random_case(1, (1, 12, 3)))
    worst = np.sort(net_returns(actions, prices))
    for level, expected in (
        (1.0, worst.mean()),
        (3 / 11, worst[:3].mean()),
        (0.25, (worst[:2].sum() + 0.75 * worst[2]) / 2.75),
        (0.05, worst[0]),
    ):
        named = {"target": "cvar", "kwargs": {"level": level}}
        assert value(named, actions, prices) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="level of the reward cvar must be above 0 and at most 1"):
        value({"target": "cvar", "kwargs": {"level": 0.0}}, actions, prices)


def test_excess_is_the_information_ratio_over_the_benchmark_by_hand() -> None:
    benchmark = torch.tensor([2.0, 2.2, 1.98, 2.079], dtype=torch.float64)  # +10 %, -10 %, +5 %
    reward = resolve_reward("excess", inputs=["benchmark"])
    e = net_returns(A, P) - np.array([0.1, -0.1, 0.05])
    found = reward.told({"benchmark": benchmark[None, :, None]})(
        torch.tensor(A)[None],
        torch.tensor(P)[None],
        transition_penalty=COST,
        initial="invested",
        cash=False,
    )
    assert float(found) == pytest.approx(e.mean() / e.std(ddof=1), abs=1e-9)
    with pytest.raises(ValueError, match=r"'benchmark'.* is to be named in hisso\.reward_inputs"):
        resolve_reward("excess")


def by_name(actions: Any, *, price: Any, demand: Any, transition_penalty: float) -> Any:
    return (actions[..., :1] * price - demand.sum(-1, keepdim=True)).mean((-2, -1))


def by_name_too(actions: Any, prices: Any, price: Any, *, transition_penalty: float) -> Any:
    return (actions * prices * price).mean((-2, -1))


def test_a_reward_is_given_arrays_by_name_with_or_without_a_context() -> None:
    actions, prices = random_case()
    given = {"transition_penalty": 0.0, "initial": "cash", "cash": False}
    price, demand = prices[..., :1], prices[..., 1:3]
    alone = resolve_reward(by_name, inputs=["price", "demand"])
    assert not alone.takes_context
    found = alone.told({"price": price, "demand": demand})(actions, prices, **given)
    expected = (actions[..., 0] * price[..., 0] - demand.sum(-1)).mean(-1)
    torch.testing.assert_close(found, expected)
    both = resolve_reward(by_name_too, inputs=["price"])
    assert both.takes_context
    found = both.told({"price": price})(actions, prices, **given)
    torch.testing.assert_close(found, (actions * prices * price).mean((-2, -1)))


@pytest.mark.parametrize(
    ("spec", "inputs", "message"),
    [
        (by_name, ["price"], r"reward_inputs \['price'\]: missing a required .*'demand'"),
        (by_name, ["price", "demand", "wind"], "unexpected keyword argument 'wind'"),
        ("portfolio", ["spread"], "unexpected keyword argument 'spread'"),
        (by_name, [], r"must be callable as \(actions, context"),
        ({"target": by_name, "kwargs": {"price": 1}}, ["price", "demand"], "must leave price to"),
    ],
)
def test_arrays_that_a_reward_does_not_take_or_lacks_are_named(
    spec: Any, inputs: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_reward(spec, inputs=inputs)


def test_max_drawdown_is_a_smooth_maximum_of_log_drawdowns() -> None:
    # Turned upside down, prices fall at once: the first wealth of 1 is a peak too.
    for prices in (P, 1 / P, random_case()[1][0, :4, :2].numpy()):
        log_wealth = np.cumsum(np.log1p(net_returns(A, prices)))
        drawdowns = np.maximum.accumulate(np.maximum(log_wealth, 0)) - log_wealth
        smooth = 0.01 * np.log(1 + np.expm1(drawdowns / 0.01).sum())
        assert value("max_drawdown", prices=prices) == pytest.approx(-smooth, abs=1e-12)
        assert drawdowns.max() <= smooth <= drawdowns.max() + 0.01 * np.log(3)
        worst = portfolio_metrics(A, prices, trans_cost=COST)["max_drawdown"]
        assert drawdowns.max() == pytest.approx(-np.log1p(worst), abs=1e-12)


def test_max_drawdown_is_0_where_nothing_falls_and_the_same_in_longer_windows() -> None:
    held, rising = np.ones((4, 1)), np.array([[1.0], [1.0], [1.2], [1.3]])
    assert value("max_drawdown", held, rising) == 0.0
    fallen = np.array([[1.0], [1.1], [0.8], [1.2]])
    longer = np.concatenate([fallen[:1].repeat(60, axis=0), fallen])
    assert value("max_drawdown", held, fallen) == pytest.approx(-np.log(1.1 / 0.8), abs=1e-9)
    assert value("max_drawdown", np.ones((64, 1)), longer) == pytest.approx(
        value("max_drawdown", held, fallen), abs=1e-15
    )


def test_negative_mse_by_hand() -> None:
    actions, targets = [[1.0, 2.0], [3.0, 4.0]], [[0.0, 2.0], [3.0, 2.0]]
    plain = {"transition_penalty": 0.0}
    # (1 + 0 + 0 + 4) / 4; the actions change by 2 and 2, whose mean square is 4.
    assert value("negative_mse", actions, targets, **plain) == -1.25
    assert value("negative_mse", actions, targets, transition_penalty=0.5) == -1.25 - 0.5 * 4


# Of an odd number of rewards, each is fast once: with cash, or without.
@pytest.mark.parametrize(("initial", "name"), thinned(product(INITIALS, PRICE_REWARDS), every=2))
def test_gradients_are_those_of_finite_differences(initial: Any, name: str) -> None:
    cash = initial == "cash"
    actions, prices = random_case(shape=(2, 6, 3))
    actions = (0.9 * actions if cash else actions).requires_grad_()
    reward = resolved(name)
    assert torch.autograd.gradcheck(
        lambda a: reward(a, prices, transition_penalty=COST, initial=initial, cash=cash), (actions,)
    )


@pytest.mark.parametrize("name", PRICE_REWARDS)
def test_episodes_are_judged_one_by_one(name: str) -> None:
    actions, prices = random_case()
    together = resolved(name)(actions, prices, transition_penalty=COST, initial="cash", cash=False)
    alone = [
        value(name, a.numpy(), p.numpy(), initial="cash")
        for a, p in zip(actions, prices, strict=True)
    ]
    assert together.tolist() == pytest.approx(alone, abs=1e-14)


@pytest.mark.parametrize("name", PRICE_REWARDS)
def test_neither_the_order_of_assets_nor_the_unit_of_prices_matters(name: str) -> None:
    actions, prices = (t[0].numpy() for t in random_case())
    usual = value(name, actions, prices)
    assert value(name, actions[:, ::-1].copy(), prices[:, ::-1].copy()) == pytest.approx(usual)
    assert value(name, actions, 7.0 * prices) == pytest.approx(usual)


@pytest.mark.parametrize("name", PRICE_REWARDS)
def test_costs_never_help(name: str) -> None:
    actions, prices = (t[0].numpy() for t in random_case(seed=3))
    assert value(name, actions, prices, transition_penalty=0.05) < value(
        name, actions, prices, transition_penalty=0.0
    )


def test_a_misspelt_reward_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"got 'sharp'\. Did you mean 'sharpe'"):
        resolve_reward("sharp")


def test_no_name_at_all_is_portfolio() -> None:
    assert resolve_reward(None).name == "portfolio"
    assert is_ours(None) and is_ours("cvar") and is_ours({"target": "cvar"})
    assert is_ours("psann.battery:savings") and not is_ours("psann_of_mine:profit")


@pytest.mark.parametrize(
    "spec",
    [
        "user_rewards:scaled",
        "user_rewards.scaled",
        user_rewards.scaled,
        {"target": "user_rewards:scaled"},
    ],
)
def test_a_users_reward_comes_by_path_or_as_a_function(spec: Any) -> None:
    assert resolve_reward(spec).is_own and not is_ours(spec)
    actions, prices = random_case()
    rewards = resolve_reward(spec)(
        actions, prices, transition_penalty=0.0, initial="cash", cash=False
    )
    torch.testing.assert_close(rewards, (actions * prices).sum(-1).mean(-1))


def test_keyword_arguments_reach_the_reward() -> None:
    spec = {"target": "user_rewards:scaled", "kwargs": {"scale": 3.0}}
    assert value(spec) == pytest.approx(3.0 * value("user_rewards:scaled"))


@pytest.mark.parametrize(
    "function",
    [
        functools.partial(user_rewards.scaled, scale=2.0),
        user_rewards.Spread(),
        user_rewards.anything,
        lambda actions, context, *, transition_penalty: actions.mean((-2, -1)),
    ],
)
def test_anything_that_can_be_called_as_the_contract_says_is_a_reward(function: Any) -> None:
    assert np.isfinite(value(function))


def test_only_rewards_that_ask_are_told_of_cash_and_first_holdings() -> None:
    assert value("user_rewards:told", initial="cash", cash=True) == 3.0
    assert value("user_rewards:told", initial="invested", cash=False) == 0.0
    assert not resolve_reward("user_rewards:mean_first").needs_weights


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"target": "sharpe", "kwargs": {"risk": 1}}, "unexpected keyword argument 'risk'"),
        ({"target": "sharpe", "kwargs": {"initial": "cash"}}, "must leave initial to training"),
        (
            {"target": "user_rewards:scaled", "kwargs": {"transition_penalty": 1.0}},
            "must leave transition_penalty to training",
        ),
        ("user_rewards:without_penalty", "must be callable as .actions, context"),
        ("user_rewards:exponential", "must be callable as"),
    ],
)
def test_a_reward_that_could_not_be_called_is_refused_at_once(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_reward(spec)


@pytest.mark.parametrize("target", ["os.system", "builtins:eval", "torch.load", "no_such_module:f"])
def test_dangerous_and_missing_paths_are_refused(target: str) -> None:
    with pytest.raises(ImportTargetError, match=r"hisso\.reward"):
        resolve_reward(target)


@pytest.mark.parametrize(("name", "got"), [("per_step", r"got \(3, 9\)"), ("a_float", "got float")])
def test_a_reward_must_give_one_number_per_episode(name: str, got: str) -> None:
    actions, prices = random_case()
    with pytest.raises(ValueError, match=got):
        resolve_reward(f"user_rewards:{name}")(
            actions, prices, transition_penalty=0.0, initial="cash", cash=False
        )


@pytest.mark.parametrize("spec", ["negative_mse", negative_mse, "psann.hisso.rewards:negative_mse"])
def test_negative_mse_needs_targets_however_it_is_named(spec: Any) -> None:
    reward = resolve_reward(spec)
    assert reward.needs_targets and not reward.needs_prices and not reward.needs_weights


def test_rewards_of_prices_need_prices_and_weights() -> None:
    for name in PRICE_REWARDS:
        reward = resolved(name)
        assert reward.needs_prices and reward.needs_weights and not reward.needs_targets
    assert {n for n in REWARDS if resolved(n).min_rows == 3} == {
        *("excess", "mean_variance", "sharpe")
    }


def test_rewards_do_not_change_what_they_are_given() -> None:
    actions, prices = random_case()
    before = actions.clone(), prices.clone()
    for name in REWARDS:
        reward: Reward = resolved(name)
        reward(actions, prices, transition_penalty=COST, initial="cash", cash=True)
    assert torch.equal(actions, before[0]) and torch.equal(prices, before[1])


# Ruin --------------------------------------------------------------------------------------------

SQUEEZED = np.array([[1.0], [1.1], [2.5], [2.0], [2.1]])  # the second step ruins who is short
SHORT = np.full((5, 1), -1.0)


def test_the_reward_of_a_ruinous_step_is_its_tangent_at_a_hundredth_by_hand() -> None:
    # g = 1 - 0.1, 1 - 14/11, 1 + 1/5, 1 - 1/20; below 0.01 ln(0.01) + (g - 0.01) / 0.01.
    logs = [np.log(0.9), np.log(0.01) + (-3 / 11 - 0.01) / 0.01, np.log(1.2), np.log(0.95)]
    given = {"transition_penalty": 0.0, "cash": True}
    assert value("portfolio", SHORT, SQUEEZED, **given) == pytest.approx(np.mean(logs), rel=1e-12)
    expected = value("portfolio", SHORT, SQUEEZED, **given)
    assert value("portfolio_target_l1", SHORT, SQUEEZED, **given) == expected
    r = np.array([-0.1, -0.99 + (-3 / 11 - 0.01) / 0.01, 0.2, -0.05])
    sharpe = r.mean() / r.std(ddof=1)
    assert value("sharpe", SHORT, SQUEEZED, **given) == pytest.approx(sharpe, rel=1e-9)


@pytest.mark.parametrize("name", PRICE_REWARDS)
def test_the_more_a_step_ruins_the_lower_the_reward_with_a_gradient_away_from_it(name: str) -> None:
    reward = resolved(name)
    values, slopes = [], []
    for size in (0.5, 0.7, 0.79, 0.9, 1.5):  # of a fall to minus what is left: ruin from 0.7857 on
        actions = torch.full((1, 5, 1), -size, dtype=torch.float64, requires_grad=True)
        given = {"transition_penalty": COST, "initial": "cash", "cash": True}
        earned = reward(actions, torch.tensor(SQUEEZED)[None], **given)
        (slope,) = torch.autograd.grad(earned.sum(), actions)
        assert slope.isfinite().all()
        values.append(float(earned.detach()))
        slopes.append(float(slope[0, 1, 0]))
    assert np.isfinite(values).all()
    assert (np.diff(values) < 0).all() or name in ("excess", "sharpe", "sortino")  # which level off
    assert min(slopes) > 0


@pytest.mark.parametrize("name", PRICE_REWARDS)
@pytest.mark.parametrize("size", [1.0, 1 - 2**-20, 1 + 2**-20])
def test_a_growth_of_nothing_at_all_has_a_finite_reward_and_gradient(
    name: str, size: float
) -> None:
    prices = torch.tensor([[[1.0], [2.0], [1.5], [3.0]]])  # short: the first step leaves 0
    actions = torch.full((1, 4, 1), -size, requires_grad=True)
    earned = resolved(name)(actions, prices, transition_penalty=COST, initial="cash", cash=True)
    (slope,) = torch.autograd.grad(earned.sum(), actions)
    assert earned.isfinite().all() and slope.isfinite().all()
    assert slope.abs().max() < 1e5


def test_a_loss_and_a_fee_that_both_exceed_the_wealth_are_no_gain() -> None:
    actions, prices = np.full((3, 1), 3.0), np.array([[1.0], [0.5], [0.5]])
    given = {"transition_penalty": 0.4, "initial": "cash", "cash": True}
    assert value("max_drawdown", actions, prices, **given) < np.log(0.01)
    assert value("mean_variance", actions, prices, **given) < -1


def formula_without_a_floor(name: str, a: torch.Tensor, prices: torch.Tensor) -> torch.Tensor:
    growth, traded = growth_and_traded_weight(a, prices, initial="cash")
    if name in ("finance", "portfolio"):
        return (growth.log() - COST * traded).mean(-1)
    if name == "portfolio_target_l1":
        return (growth.log() - COST * weight_changes(a)).mean(-1)
    r = growth * (1.0 - COST * traded) - 1.0
    benchmark = prices.mean(-1)
    e = r - (benchmark[:, 1:] / benchmark[:, :-1] - 1.0)
    wealth = r.log1p().cumsum(-1)
    n_worst = max(0.05 * r.shape[-1], 1.0)
    shares = (n_worst - torch.arange(r.shape[-1], dtype=r.dtype)).clamp(0.0, 1.0) / n_worst
    falls = (wealth.cummax(-1).values.clamp_min(0.0) - wealth) / 0.01
    largest = falls.detach().amax(-1, keepdim=True)
    summed = ((falls - largest).exp() * -torch.expm1(-falls)).sum(-1)
    return {
        "sharpe": r.mean(-1) / (r.var(-1, correction=1) + 1e-12).sqrt(),
        "sortino": r.mean(-1) / (r.clamp_max(0.0).square().mean(-1) + 1e-12).sqrt(),
        "excess": e.mean(-1) / (e.var(-1, correction=1) + 1e-12).sqrt(),
        "mean_variance": r.mean(-1) - 0.5 * r.var(-1, correction=1),
        "cvar": (r.sort(-1).values * shares).sum(-1),
        "max_drawdown": -0.01
        * (largest[..., 0] + torch.log1p(torch.expm1(-largest[..., 0]) + summed)),
    }[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", PRICE_REWARDS)
@pytest.mark.parametrize("seeds", parted(range(8), fast=2))
def test_without_ruin_reward_and_gradient_keep_every_bit(
    name: str, dtype: torch.dtype, seeds: list[int]
) -> None:
    ours = functools.partial(resolved(name).function, transition_penalty=COST, initial="cash")
    theirs = functools.partial(formula_without_a_floor, name)
    for seed in seeds:
        actions, prices = (each.to(dtype) for each in random_case(seed, (4, 30, 3)))
        for_each = []
        for function in (theirs, ours):
            given = actions.clone().requires_grad_()
            earned = function(given, prices)
            for_each.append((earned, *torch.autograd.grad(earned.sum(), given)))
        for expected, got in zip(*for_each, strict=True):
            assert torch.equal(expected, got)


@pytest.mark.parametrize("name", sorted(set(REWARDS) - {"finance"}))
def test_one_penalty_for_each_asset_is_the_common_one_where_all_are_alike(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    actions = torch.rand(3, 9, 4, generator=generator, dtype=torch.float64)
    actions = actions / actions.sum(-1, keepdim=True)
    prices = torch.rand(3, 9, 4, generator=generator, dtype=torch.float64) + 0.5
    reward = resolved(name)
    terms = {"initial": "cash", "cash": False}
    one = reward(actions, prices, transition_penalty=0.01, **terms)
    each = reward(actions, prices, transition_penalty=torch.full((4,), 0.01).double(), **terms)
    torch.testing.assert_close(one, each)
    rates = torch.tensor([0.0, 0.03, 0.0, 0.01], dtype=torch.float64)
    other = reward(actions, prices, transition_penalty=rates, **terms)
    assert (other != one).all()
    if name == "portfolio":
        growth = (actions[:, :-1] * prices[:, 1:] / prices[:, :-1]).sum(-1)
        drifted = (actions[:, :-1] * prices[:, 1:] / prices[:, :-1]) / growth[..., None]
        fees = [(rates * actions[:, 0]).sum(-1)]
        fees += [(rates * (actions[:, t] - drifted[:, t - 1]).abs()).sum(-1) for t in range(1, 8)]
        expected = (growth.log() - torch.stack(fees, -1)).mean(-1)
        torch.testing.assert_close(other, expected)
