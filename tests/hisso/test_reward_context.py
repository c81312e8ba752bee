from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import user_rewards
from psann.errors import ImportTargetError
from psann.hisso.options import EvaluationOptions, HISSOOptions, named_arrays
from psann.hisso.reward_context import (
    check_context_width,
    idle_inputs,
    input_problems,
    resolve_reward_for,
    reward_context,
    reward_source,
)
from psann.hisso.rewards import resolve_reward, reward_of

X = np.arange(12.0).reshape(4, 3)
PRICES = 1.0 + X
Y = -X[:, :2]


def judged(reward: str = "portfolio", *, has_prices: bool = True, **options: Any) -> Any:
    hisso = HISSOOptions(reward=reward, **options)
    resolved = resolve_reward(reward)
    source = reward_source(resolved, hisso, has_prices=has_prices)
    arrays = {"X": X, "y": Y, "prices": PRICES if has_prices else None}
    return reward_context(arrays, source, reward=resolved, hisso=hisso)


def test_prices_come_before_x_and_an_extractor_before_both() -> None:
    np.testing.assert_array_equal(judged(), PRICES)
    np.testing.assert_array_equal(judged("user_rewards:scaled", has_prices=False), X)
    for extractor in (user_rewards.exponential, "user_rewards:exponential"):
        np.testing.assert_allclose(judged(context_extractor=extractor), np.exp(0.01 * X))


def test_the_context_of_negative_mse_is_y_whatever_else_is_given() -> None:
    np.testing.assert_array_equal(judged("negative_mse"), Y)
    np.testing.assert_array_equal(
        judged("negative_mse", context_extractor=user_rewards.exponential), Y
    )


def test_the_extractor_sees_the_whole_span_as_one_window() -> None:
    seen = []

    def extract(windows: Any) -> Any:
        seen.append(tuple(windows.shape))
        return windows + 1.0

    np.testing.assert_array_equal(judged(context_extractor=extract), X + 1.0)
    assert {*seen} == {(1, 4, 3)}


def test_an_extractor_may_return_numpy_and_cannot_change_x() -> None:
    def extract(windows: Any) -> Any:
        windows += 1.0
        return windows.numpy()

    before = X.copy()
    np.testing.assert_array_equal(judged(context_extractor=extract), before + 1.0)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("extract", "message"),
    [
        (lambda w: w[0], r"must map windows \(1, 4, F\) to \(1, 4, M\); got shape \(4, 3\)"),
        (lambda w: w[:, :2], r"got shape \(1, 2, 3\)"),
        (lambda w: w * float("nan"), "finite numbers only"),
        (lambda w: np.full((1, 4, 2), "a"), "finite numbers only"),
        (lambda w: w + torch.rand(1), "must give the same for the same rows; asked twice"),
    ],
)
def test_an_extractor_that_returns_something_else_is_refused(extract: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judged("user_rewards:scaled", context_extractor=extract)


def test_an_extractor_may_not_come_from_the_standard_library() -> None:
    with pytest.raises(ImportTargetError, match=r"hisso\.context_extractor: 'os\.system'"):
        judged(context_extractor="os.system")


def test_x_that_cannot_be_prices_is_refused_as_prices() -> None:
    with pytest.raises(ValueError, match="takes X for prices, which must be greater than 0; the"):
        judged(has_prices=False)


def test_missing_targets_are_named() -> None:
    with pytest.raises(ValueError, match="negative_mse judges actions by y, which is missing"):
        reward_context(
            {"X": X, "y": None, "prices": PRICES},
            "y",
            reward=resolve_reward("negative_mse"),
            hisso=HISSOOptions(),
        )


def test_prices_make_portfolio_the_default_and_without_them_there_is_none() -> None:
    assert resolve_reward_for(HISSOOptions(), has_prices=True).name == "portfolio"
    extracting = HISSOOptions(context_extractor=user_rewards.exponential)
    assert resolve_reward_for(extracting, has_prices=False).name == "portfolio"
    with pytest.raises(ValueError, match=r"hisso\.reward must say what to maximise"):
        resolve_reward_for(HISSOOptions(), has_prices=False)


def test_a_portfolio_of_numbers_that_are_no_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="needs portfolio weights, and primary_transform identity"):
        resolve_reward_for(HISSOOptions(primary_transform="identity"), has_prices=True)
    free = HISSOOptions(primary_transform="identity", reward="negative_mse")
    assert resolve_reward_for(free, has_prices=False).needs_targets


def check_width(context: Any, n_columns: int, reward: Any = "portfolio", **options: Any) -> None:
    hisso = HISSOOptions(reward=reward, **options)
    check_context_width(context, n_columns, reward=reward_of(hisso), hisso=hisso)


def test_the_context_has_a_column_per_action_or_one() -> None:
    check_width(PRICES, 3)
    check_width(PRICES[:, :1], 3)
    with pytest.raises(ValueError, match=r"must have 2 columns, .* got shape \(4, 3\)"):
        check_width(PRICES, 2)


def test_a_number_of_actions_that_was_told_frees_the_context_of_a_reward_of_ones_own() -> None:
    check_width(PRICES, 2, user_rewards.scaled, n_actions=2)
    for reward, options in ((user_rewards.scaled, {}), ("negative_mse", {"n_actions": 2})):
        with pytest.raises(ValueError, match="must have 2 columns"):
            check_width(PRICES, 2, reward, **options)


def profit(actions: Any, *, price: Any, transition_penalty: float) -> Any:
    return (actions * price).mean((-2, -1))


def test_a_reward_that_takes_no_context_has_none() -> None:
    hisso = HISSOOptions(reward=profit, reward_inputs=["price"], n_actions=1)
    reward = resolve_reward_for(hisso, has_prices=True)
    assert reward_source(reward, hisso, has_prices=True) == "none"
    nothing = reward_context({"X": X}, "none", reward=reward, hisso=hisso)
    np.testing.assert_array_equal(nothing, np.zeros((4, 1)))
    extracting = hisso.model_copy(update={"context_extractor": user_rewards.exponential})
    with pytest.raises(ValueError, match=r"context_extractor has no effect on reward .*profit"):
        resolve_reward_for(extracting, has_prices=False)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"n_actions": 3}, r"hisso\.n_actions: 3 says that actions are none"),
        ({"primary_transform": "sigmoid"}, "primary_transform sigmoid gives numbers that are none"),
    ],
)
def test_weights_are_not_asked_of_actions_that_are_none(options: Any, why: str) -> None:
    with pytest.raises(ValueError, match=f"reward portfolio needs portfolio weights, and {why}"):
        resolve_reward_for(HISSOOptions(**options), has_prices=True)


def test_arrays_are_those_that_the_options_name() -> None:
    hisso = HISSOOptions(reward=profit, reward_inputs=["price"], n_actions=1)
    named = named_arrays(hisso, EvaluationOptions())
    told: Any = {"hisso": hisso, "evaluation": EvaluationOptions()}
    told |= {"reward": resolve_reward_for(hisso, has_prices=False), "n_assets": 1}
    assert input_problems({"price": np.ones((3, 1))}, **told) == []
    assert idle_inputs(["price"], named) == []
    (missing,) = input_problems({}, **told)
    assert missing.startswith("reward_inputs must have price, which hisso.reward_inputs names; got")
    (idle,) = idle_inputs(["price", "wind"], named)
    assert idle.startswith("reward_inputs has wind, which the reward is not told of.")
