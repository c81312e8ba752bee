"""Actions that are no portfolio weights, and rewards that are given arrays by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from planted import quick
from psann import AssetwiseRegressor, Ensemble, fit_seeds
from psann.errors import DataError
from psann.training.observers import Observer

N_ACTIONS = {"n_actions": 1, "reward_inputs": ["price", "demand"]}


def profit(
    actions: torch.Tensor,
    *,
    price: torch.Tensor,
    demand: torch.Tensor,
    transition_penalty: float,
) -> torch.Tensor:
    """What is earned is greatest where actions are price plus the sum of demand."""
    wanted = price + demand.sum(-1, keepdim=True)
    moved = (actions[:, 1:] - actions[:, :-1]).abs().mean((-2, -1))
    return -(actions - wanted).square().mean((-2, -1)) - transition_penalty * moved


HISSO: dict[str, Any] = {
    "window": 8,
    "batch_episodes": 16,
    "reward": profit,
    "primary_transform": "bounded",
    "low": -2.0,
    "high": 2.0,
    **N_ACTIONS,
}


def rows(n: int = 160, seed: int = 0) -> dict[str, Any]:
    """Price and demand that the features foretell but for some noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    demand = 0.2 * np.column_stack([X[:, 1], -X[:, 2]])
    price = 0.5 * X[:, 0] + 0.05 * rng.normal(size=n)
    return {"X": X, "reward_inputs": {"price": price, "demand": demand}}


def fitted(hisso: dict[str, Any] | None = None, data: Any = None, **params: Any) -> Any:
    estimator = quick(**{"epochs": 25, "lr": 5e-2, "activation": "tanh", **params})
    return estimator.fit(
        **(data or rows()), validation_data=rows(60, seed=1), hisso=HISSO | (hisso or {})
    )


@pytest.fixture(scope="module")
def policy() -> Any:
    return fitted()


def wanted(data: dict[str, Any]) -> Any:
    inputs = data["reward_inputs"]
    return inputs["price"] + inputs["demand"].sum(1)


def test_one_action_learns_what_a_reward_of_two_named_arrays_asks(policy: Any) -> None:
    test = rows(200, seed=2)
    actions = policy.predict_actions(test["X"])
    assert actions.shape == (200, 1) and policy.n_outputs_ == 1
    assert np.corrcoef(actions[:, 0], wanted(test))[0, 1] > 0.95
    told = policy.evaluate_reward(**test)
    assert told == pytest.approx(-np.square(actions[:, 0] - wanted(test)).mean(), abs=1e-12)
    assert told > 5 * policy.evaluate_reward(**test, actions=np.zeros(200))
    assert policy.score(**test) == told
    episodes = policy.evaluate_episodes(**test)
    by_hand = -np.square(actions[:, 0] - wanted(test)).reshape(25, 8).mean(1)
    np.testing.assert_allclose(episodes, by_hand, atol=1e-12)


@pytest.mark.slow
def test_the_compiled_engine_learns_the_same(policy: Any) -> None:
    compiled = fitted(engine="compiled")
    assert compiled.engine_ == "compiled" and policy.engine_ == "eager"
    X = rows(50, seed=2)["X"]
    np.testing.assert_allclose(
        compiled.predict_actions(X), policy.predict_actions(X), atol=2e-4, rtol=0
    )


def test_named_arrays_are_those_of_the_row_on_which_an_action_is_executed() -> None:
    test, late = rows(60, seed=2), fitted({"delay": 2}, epochs=2)
    actions = late.predict_actions(test["X"])[:-2, 0]
    expected = -np.square(actions - wanted(test)[2:]).mean()
    assert late.evaluate_reward(**test) == pytest.approx(expected, abs=1e-12)
    shifted = rows()
    shifted["reward_inputs"] = {k: v[2:] for k, v in shifted["reward_inputs"].items()}
    shifted["X"] = shifted["X"][:-2]
    by_hand = fitted({"delay": 2}, epochs=2).fit_result_.history[0].reward_mean
    assert fitted(data=shifted, epochs=2).fit_result_.history[0].reward_mean == by_hand


def test_several_seeds_and_their_ensemble_are_given_the_same_arrays() -> None:
    both = fit_seeds(quick(), [0, 1], **rows(), validation_data=rows(60, seed=1), hisso=HISSO)
    alone = quick(random_state=1).fit(**rows(), validation_data=rows(60, seed=1), hisso=HISSO)
    test = rows(40, seed=2)
    assert both[1].evaluate_reward(**test) == pytest.approx(alone.evaluate_reward(**test), abs=1e-6)
    mean = np.mean([each.predict_actions(test["X"]) for each in both], axis=0)
    expected = both[0].evaluate_reward(**test, actions=mean)
    assert Ensemble(both).evaluate_reward(**test) == expected


class Stop(Observer):
    """Takes the state after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.state = epoch, None

    def on_epoch(self, record: Any, state: Any) -> None:
        if record.epoch == self.epoch:
            self.state = state.state_dict()


def test_a_resumed_fit_and_a_saved_file_are_the_same_policy_to_the_last_bit(
    policy: Any, tmp_path: Any
) -> None:
    stop = Stop(15)
    given = {**rows(), "validation_data": rows(60, seed=1), "hisso": HISSO}
    estimator = quick(epochs=25, lr=5e-2, activation="tanh")
    estimator.fit(**given, observers=[stop])
    again = quick(epochs=25, lr=5e-2, activation="tanh").fit(**given, resume=stop.state)
    X = rows(50, seed=2)["X"]
    np.testing.assert_array_equal(again.predict_actions(X), policy.predict_actions(X))
    policy.save(tmp_path / "policy.safetensors")
    loaded = type(policy).load(
        tmp_path / "policy.safetensors", allow=("test_own_actions", "hisso.test_own_actions")
    )
    np.testing.assert_array_equal(loaded.predict_actions(X), policy.predict_actions(X))
    assert loaded.hisso_options_.reward_inputs == ["price", "demand"]


def test_fine_tuning_goes_on_from_the_policy_and_its_bounds(policy: Any) -> None:
    child = quick(epochs=1, lr=1e-9, activation="tanh", warm_start=True)
    child.fit(**rows(), validation_data=rows(60, seed=1), hisso=HISSO)
    before = child.predict_actions(rows(50, seed=2)["X"])
    child.fit(**rows(seed=5), validation_data=rows(60, seed=6), hisso=HISSO)
    after = child.predict_actions(rows(50, seed=2)["X"])
    np.testing.assert_allclose(after, before, atol=1e-6)


def with_frames(as_frame: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    data = rows()
    inputs = {
        "price": data["reward_inputs"]["price"],
        "demand": data["reward_inputs"]["demand"][:, 0],
    }
    return {"X": data["X"], "reward_inputs": as_frame(inputs)}


def test_a_frame_has_a_column_for_each_name() -> None:
    pandas = pytest.importorskip("pandas")
    given = {"hisso": HISSO, "resume": None}
    ours = quick().fit(**with_frames(pandas.DataFrame), **given)
    theirs = quick().fit(**with_frames(dict), **given)
    X = rows(30, seed=2)["X"]
    np.testing.assert_array_equal(ours.predict_actions(X), theirs.predict_actions(X))
    dated = with_frames(pandas.DataFrame)
    days = pandas.date_range("2020-01-01", periods=160)
    dated["X"] = pandas.DataFrame(dated["X"], index=days, columns=["a", "b", "c"])
    dated["reward_inputs"] = dated["reward_inputs"].set_index(days)[::-1]
    in_order = quick().fit(**dated, **given)
    same = in_order.predict_actions(pandas.DataFrame(X, columns=["a", "b", "c"]))
    np.testing.assert_array_equal(same, theirs.predict_actions(X))
    dated["reward_inputs"] = with_frames(pandas.DataFrame)["reward_inputs"].set_index(days.shift(3))
    with pytest.raises(DataError, match=r"reward_inputs\.price must have the rows of X"):
        quick().fit(**dated, **given)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"reward_inputs": {"price": np.zeros(160)}},
            "must have demand, which hisso.reward_inputs",
        ),
        (
            {"reward_inputs": rows()["reward_inputs"] | {"wind": np.zeros(160)}},
            "reward_inputs has wind, which the reward is not told of",
        ),
        (
            {"reward_inputs": rows()["reward_inputs"] | {"price": np.zeros(150)}},
            r"reward_inputs\.price must have the 160 rows of X; got 150",
        ),
        (
            {"reward_inputs": rows()["reward_inputs"] | {"price": np.full(160, np.nan)}},
            r"reward_inputs\.price must",
        ),
        ({"reward_inputs": 7}, "reward_inputs must be a mapping of names to arrays, or a frame"),
        (
            {"y": np.zeros((160, 3))},
            "y must have a column for each of the 1 actions of hisso.n_act",
        ),
        ({"active": np.ones((160, 1))}, "active says which asset can be held, and these actions"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changed: dict[str, Any], message: str) -> None:
    data = rows() | changed
    with pytest.raises((ValueError, DataError), match=message):
        quick().fit(**data, hisso=HISSO)


def test_without_a_number_nothing_tells_how_many_actions_there_are() -> None:
    with pytest.raises(ValueError, match=r"hisso\.n_actions must say how many actions there are"):
        quick().fit(**rows(), hisso=HISSO | {"n_actions": None})
    with_y = quick().fit(**rows(), y=np.zeros((160, 2)), hisso=HISSO | {"n_actions": None})
    assert with_y.n_outputs_ == 2


def test_the_validation_rows_need_the_arrays_too() -> None:
    with pytest.raises(
        ValueError, match=r"reward_inputs\.price must be given for all rows or none"
    ):
        quick().fit(**rows(), validation_data={"X": rows()["X"]}, hisso=HISSO)


def signed(actions: Any, prices: Any, *, transition_penalty: float) -> Any:
    return (actions[..., 0] * prices.sum(-1)).mean(-1) - actions.square().mean((-2, -1))


def test_prices_of_another_number_and_sign_are_no_obstacle_to_a_reward_of_ones_own() -> None:
    prices = np.random.default_rng(3).normal(size=(160, 5))
    hisso = {"window": 8, "reward": signed, "n_actions": 2, "primary_transform": "identity"}
    model = quick().fit(rows()["X"], prices=prices, hisso=hisso)
    actions = model.predict_actions(rows()["X"])
    assert actions.shape == (160, 2)
    expected = (actions[:, 0] * prices.sum(1)).mean() - np.square(actions).mean()
    assert model.evaluate_reward(rows()["X"], prices) == pytest.approx(expected, abs=1e-12)


def test_an_action_for_each_of_several_machines_by_one_network() -> None:
    data = rows()
    given = {"X": data["X"][:, :, None], "reward_inputs": data["reward_inputs"]}
    model = AssetwiseRegressor(epochs=2, random_state=0, device="cpu", threads=1)
    model.fit(**given, hisso=HISSO | {"n_actions": 3})
    assert model.predict_actions(given["X"]).shape == (160, 3)


def test_arrays_of_a_fit_on_targets_are_said_to_have_no_effect() -> None:
    model = quick().fit(**rows(), y=np.zeros(160))
    assert any("reward_inputs (training is on" in d.message for d in model.fit_result_.decisions)
    with pytest.raises(ValueError, match="trained on targets is R2"):
        model.score(**rows(), y=np.zeros(160))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward_inputs": ["price", "price"]}, "'price' is named twice"),
        ({"reward_inputs": ["context"]}, "'context' is told to the reward by training"),
        ({"reward_inputs": ["a price"]}, "'a price' is no name that a Python function can have"),
        ({"reward_inputs": ["time"]}, "'time' has dates, which are no numbers"),
        ({"low": None}, "bounded needs low and high, low below high; got None and 2.0"),
        ({"low": 3.0}, "bounded needs low and high, low below high; got 3.0 and 2.0"),
        ({"primary_transform": "tanh"}, "low and high are the bounds of bounded; primary_transf"),
        ({"max_weight": 0.5}, "max_weight is a limit on portfolio weights, and n_actions says"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick().fit(**rows(), hisso=HISSO | options)
