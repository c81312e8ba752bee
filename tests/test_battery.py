from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from psann import PSANNRegressor
from psann.battery import do_nothing, fixed_hours, make_battery, savings
from psann.errors import DataError

HISSO = {
    "reward": savings,
    "reward_inputs": ["price", "demand"],
    "n_actions": 1,
    "primary_transform": "sigmoid",
    "window": 72,
    "updates_per_epoch": 6,
    "transition_penalty": 0.01,
}


def saved(actions: Any, price: Any, demand: Any, wear: float = 0.0, **kwargs: Any) -> float:
    tensors = (torch.tensor(each, dtype=torch.float64)[None, :, None] for each in (price, demand))
    given = dict(zip(("price", "demand"), tensors, strict=True), **kwargs)
    acted = torch.tensor(actions, dtype=torch.float64).reshape(1, -1, 1)
    return float(savings(acted, **given, transition_penalty=wear))


def by_the_hour(
    actions: Any, price: Any, demand: Any, *, wear: float, c: float, eff: float, share: float
) -> float:
    """What a meter would count, hour by hour."""
    stored, money = 0.0, 0.0
    for t, (p, d) in enumerate(zip(price, demand, strict=True)):
        wanted = c * actions[t] if t + 1 < len(price) else 0.0
        taken = (wanted - stored) / eff if wanted > stored else (wanted - stored) * eff
        metered = d + taken
        bill = p * metered if metered > 0 else share * p * metered
        money += p * d - bill - wear * abs(wanted - stored)
        stored = wanted
    return money / len(price)


def test_savings_are_those_of_a_meter_that_counts_every_hour() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions, demand = rng.random(30), rng.random(30)
        price = rng.normal(0.2, 0.2, 30)
        c, eff, share = 5 * rng.random(), 0.5 + 0.5 * rng.random(), rng.random()
        found = saved(actions, price, demand, 0.02, capacity=c, efficiency=eff, feed_in=share)
        expected = by_the_hour(actions, price, demand, wear=0.02, c=c, eff=eff, share=share)
        assert found == pytest.approx(expected, abs=1e-14)


def test_two_hours_by_hand_and_nothing_for_nothing() -> None:
    # 2 units bought at 0.1 for 2 / 0.8, of 1.6 that come out 1 is used at 0.5, 0.6 fed in at 0.25.
    found = saved([1.0, 0.0], [0.1, 0.5], [0.0, 1.0], capacity=2.0, efficiency=0.8, feed_in=0.5)
    assert found == pytest.approx((-0.25 + 0.5 + 0.15) / 2)
    assert saved(np.zeros(5), np.arange(5.0), np.ones(5), 0.3) == 0.0
    # What was stored in the last hour is not kept for nothing: it never was.
    assert saved([0.0, 1.0], [0.1, 0.5], [1.0, 1.0]) == 0.0


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    actions, price, demand = (
        torch.rand(2, 9, 1, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    assert torch.autograd.gradcheck(
        lambda a: savings(a, price=price - 0.3, demand=demand, transition_penalty=0.01),
        (actions.requires_grad_(),),
    )


def test_rules_follow_the_hours_of_the_day() -> None:
    time = np.datetime64("2024-05-01T01", "h") + np.arange(24)
    assert fixed_hours(time)[:, 0].tolist() == [0, 0, *[1] * 9, *[0] * 13]
    over_night = fixed_hours(time, full_from=22, empty_from=2)[:, 0]
    assert over_night.tolist() == [1, *[0] * 20, 1, 1, 1]
    assert not fixed_hours(time, full_from=5, empty_from=5).any()
    assert do_nothing(time).shape == (24, 1) and not do_nothing(time).any()


def test_rows_know_their_own_price_and_the_demand_before_and_follow_each_other() -> None:
    data = make_battery(30, seed=3)
    whole = {
        kind: np.concatenate([data[f"{kind}_{split}"] for split in ("train", "val", "test")])
        for kind in ("X", "price", "demand", "time")
    }
    assert [len(data[f"X_{s}"]) for s in ("train", "val", "test")] == [408, 144, 144]
    names = data["feature_names"].tolist()
    column = {name: whole["X"][:, names.index(name)] for name in names}
    np.testing.assert_array_equal(column["price"], whole["price"])
    np.testing.assert_array_equal(column["price a day ago"][24:], whole["price"][:-24])
    np.testing.assert_array_equal(column["demand an hour ago"][1:], whole["demand"][:-1])
    assert (np.diff(whole["time"]) == np.timedelta64(1, "h")).all()
    assert (whole["demand"] > 0).all() and np.isfinite(whole["X"]).all()
    assert (make_battery()["price_train"] < 0).any()
    for days in (5, 20.5, "365"):
        with pytest.raises(DataError, match="n_days must be a whole number of at least 20; got"):
            make_battery(days)
    with pytest.raises(DataError, match="seed must be a whole number of at least 0; got -1"):
        make_battery(20, seed=-1)


def test_a_policy_learns_to_save_more_than_the_best_fixed_hours_of_the_training_rows() -> None:
    data = make_battery(150)

    def rows(split: str) -> dict[str, Any]:
        inputs = {name: data[f"{name}_{split}"] for name in ("price", "demand")}
        return {"X": data[f"X_{split}"], "reward_inputs": inputs}

    policy = PSANNRegressor(
        hidden_layers=1, hidden_units=16, epochs=15, lr=5e-2, scaler="standard", random_state=0
    ).fit(**rows("train"), validation_data=rows("val"), hisso=HISSO)

    def of_hours(full: int, empty: int, split: str) -> float:
        actions = fixed_hours(data[f"time_{split}"], full_from=full, empty_from=empty)
        return policy.evaluate_reward(**rows(split), actions=actions)

    pairs = [(full, empty) for full in (2, 3, 4, 13) for empty in (12, 18, 19, 20)]
    best = max(pairs, key=lambda hours: of_hours(*hours, "train"))
    assert policy.evaluate_reward(**rows("test")) > of_hours(*best, "test") > 0
