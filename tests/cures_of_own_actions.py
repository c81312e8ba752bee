"""What is said of actions that are no portfolio weights, and what does what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import user_rewards
from psann import PSANNRegressor

N = 40
draws = np.random.default_rng(0)
X, PRICE = draws.standard_normal((N, 3)), draws.standard_normal(N)


def profit(actions: Any, *, price: Any, transition_penalty: float) -> Any:
    return (actions * price).mean((-2, -1)) - actions.square().mean((-2, -1))


def by_both(actions: Any, context: Any, *, price: Any, transition_penalty: float) -> Any:
    return profit(actions, price=price, transition_penalty=0.0) + 0.0 * context.mean((-2, -1))


OWN: dict[str, Any] = {
    "window": 6,
    "updates_per_epoch": 1,
    "reward": profit,
    "reward_inputs": ["price"],
    "n_actions": 1,
    "primary_transform": "tanh",
}
INPUTS = {"price": PRICE}


def own(options: dict[str, Any] | None = None, **how: Any) -> Any:
    model = PSANNRegressor(hidden_layers=1, hidden_units=4, epochs=1, random_state=0)
    given = {"reward_inputs": INPUTS, **how}
    return model.fit(X, hisso={**OWN, **(options or {})}, **given)


def bounded(**options: Any) -> Any:
    return own({"primary_transform": "bounded", "low": -1.0, "high": 1.0, **options})


def of_weights(**options: Any) -> Any:
    """A policy whose transform may give weights."""
    return own(
        {"n_actions": None, "reward": user_rewards.scaled, "reward_inputs": [], **options},
        prices=np.exp(0.1 * PRICE)[:, None],
        reward_inputs={},
    )


# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Callable[..., object], ...]] = {
    "primary_transform {}). Leave it out.": (lambda: own(active=np.ones((N, 1))), own),
    "Leave y out where nothing trains on it": (lambda: own(y=np.zeros((N, 2))), own),
    "n_actions says that actions are none. Write primary_transform bounded": (
        lambda: own({"max_weight": 0.5}),
        lambda: bounded(low=-0.5, high=0.5),
    ),
    "gives numbers that are none. Write another transform": (
        lambda: of_weights(primary_transform="sigmoid", max_weight=0.5),
        lambda: of_weights(primary_transform="tanh", max_weight=0.5),
    ),
    "low and high are the bounds of bounded; primary_transform is {}. Write bounded": (
        lambda: bounded(primary_transform="tanh"),
        bounded,
        own,
    ),
    "Remove it, or give the reward a second argument": (
        lambda: own({"context_extractor": user_rewards.exponential}),
        own,
        lambda: own({"context_extractor": user_rewards.exponential, "reward": by_both}),
    ),
    "Give reward_inputs={{}: ...}, a row for": (lambda: own(reward_inputs={}), own),
    "Name it in hisso.reward_inputs, or leave it out": (
        lambda: own({"reward": user_rewards.scaled, "reward_inputs": [], "n_actions": 3}),
        own,
        lambda: own(
            {"reward": user_rewards.scaled, "reward_inputs": [], "n_actions": 3}, reward_inputs={}
        ),
    ),
}
