"""Training where assets come, halt and end: what a policy can know, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from made_panels import holey, panel_of, table_of
from psann import Ensemble, PSANNRegressor, fit_seeds
from psann.holdings import ENDED, HALTED, MEMBER, code_problems
from psann.market import align, splits
from psann.metrics import portfolio_metrics

HISSO = {"window": 20, "batch_episodes": 8, "updates_per_epoch": 4, "transition_penalty": 0.001}
SMALL = {"hidden_layers": 1, "hidden_units": 4, "activation": "tanh", "random_state": 0}


def rows(data: dict[str, Any], name: str) -> dict[str, Any]:
    kinds = ("X", "prices", "active")
    return {kind: data[f"{kind}_{name}"] for kind in kinds if f"{kind}_{name}" in data}


def fitted(data: dict[str, Any], *, hisso: Any = None, **params: object) -> PSANNRegressor:
    estimator = PSANNRegressor(**{**SMALL, "epochs": 3, **params})
    return estimator.fit(
        **rows(data, "train"), validation_data=rows(data, "val"), hisso={**HISSO, **(hisso or {})}
    )


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return splits(panel_of(holey(300, 4, seed=5)), val=0.2, test=0.2)


@pytest.mark.parametrize("transform", ["softmax", "softmax_cash", "tanh", "long_short"])
def test_a_trained_policy_holds_members_only(data: dict[str, Any], transform: str) -> None:
    policy = fitted(data, hisso={"primary_transform": transform, "refit": True})
    active = data["active_test"]
    actions = policy.predict_actions(data["X_test"], active=active)
    assert (actions[active != MEMBER] == 0).all()
    assert np.isfinite([record.reward_mean for record in policy.fit_result_.history]).all()


@pytest.mark.parametrize(
    "reward",
    [
        "cvar",
        "portfolio",
        "portfolio_target_l1",
        "sharpe",
        "sortino",
        "mean_variance",
        "max_drawdown",
    ],
)
def test_every_reward_of_prices_trains_on_what_is_held(data: dict[str, Any], reward: str) -> None:
    assert (data["active_train"] == HALTED).any()
    policy = fitted(data, hisso={"reward": reward}, epochs=1)
    assert np.isfinite(policy.fit_result_.history[0].reward_mean)


def test_members_throughout_train_the_policy_that_no_membership_trains() -> None:
    whole = splits(panel_of(holey(300, 1)), val=0.2, test=0.2)
    assert "active_train" not in whole
    plain = fitted(whole)
    for name in ("train", "val", "test"):
        whole[f"active_{name}"] = np.ones(whole[f"prices_{name}"].shape, dtype=np.int8)
    told = fitted(whole)
    X = whole["X_test"]
    np.testing.assert_allclose(
        told.predict_actions(X, active=whole["active_test"]), plain.predict_actions(X), atol=1e-6
    )


def test_validation_and_test_rewards_are_those_of_the_metrics(data: dict[str, Any]) -> None:
    policy = fitted(data)
    test = rows(data, "test")
    reward = policy.evaluate_reward(**test, evaluation={"trans_cost": 1e-9, "initial": "invested"})
    actions = policy.predict_actions(test["X"], active=test["active"])
    growth = portfolio_metrics(actions, test["prices"], active=test["active"], trans_cost=1e-9)
    assert reward == pytest.approx(growth["log_return"] / growth["n_steps"], abs=1e-7)
    episodes = policy.evaluate_episodes(**test)
    assert episodes.shape == (4,) and np.isfinite(episodes).all()


def test_several_seeds_train_together_on_one_membership(data: dict[str, Any]) -> None:
    both = fit_seeds(
        PSANNRegressor(**SMALL, epochs=2),
        [0, 1],
        **rows(data, "train"),
        validation_data=rows(data, "val"),
        hisso=HISSO,
    )
    alone = fitted(data, epochs=2)
    test = rows(data, "test")
    ours, theirs = (
        each.predict_actions(test["X"], active=test["active"]) for each in (both[0], alone)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    mean = Ensemble(both).predict_actions(test["X"], active=test["active"])
    assert (mean[test["active"] != MEMBER] == 0).all()


def test_membership_for_some_rows_only_is_refused(data: dict[str, Any]) -> None:
    validation = rows(data, "val")
    del validation["active"]
    with pytest.raises(ValueError, match="active must be given for all rows or none"):
        PSANNRegressor(epochs=1).fit(**rows(data, "train"), validation_data=validation, hisso=HISSO)
    with pytest.raises(ValueError, match=r"active must say of each asset 1"):
        PSANNRegressor(epochs=1).fit(
            **{**rows(data, "train"), "active": 7 * data["active_train"]}, hisso=HISSO
        )
    assert code_problems(data["active_train"], who="active", shape=data["y_train"].shape) == []


@pytest.mark.slow
def test_the_compiled_engine_trains_the_same_policy_with_halts(data: dict[str, Any]) -> None:
    ours, theirs = (fitted(data, engine=engine) for engine in ("compiled", "eager"))
    assert ours.engine_ == "compiled", [each.message for each in ours.fit_result_.decisions]
    for mine, other in zip(ours.fit_result_.history, theirs.fit_result_.history, strict=True):
        assert mine.reward_mean == pytest.approx(other.reward_mean, rel=1e-4, abs=1e-6)


# ------------------------------------------------------------------------------- no look-ahead


def rising_until_worthless(n: int = 900, m: int = 8, seed: int = 0) -> np.ndarray:
    """Half of the assets rise by 2 % a row, each until it is delisted; the others stay about.

    An asset that has ended is listed anew, as another one, 30 rows later.
    """
    draws = np.random.default_rng(seed)
    columns = []
    for _ in range(m // 2):
        row = 0
        while row < n - 40:
            life = 25 + int(draws.geometric(0.03))
            column = np.full(n, np.nan)
            rows_of = np.arange(row, min(row + life, n))
            column[rows_of] = 50 * 1.02 ** (rows_of - row)
            columns.append(column)
            row += life + 30
    flat = 50 * np.exp(0.002 * draws.standard_normal((n, m // 2)).cumsum(0))
    return np.column_stack([flat, *columns])


def _panel(prices: np.ndarray) -> Any:
    table = table_of(prices[:, :1])
    names = tuple(f"A{place}" for place in range(prices.shape[1]))
    return align(
        type(table)(**{**vars(table), "prices": prices, "assets": names}),
        ended={"default": -1.0},
        rows=0.01,
    )


def test_the_row_of_a_last_price_is_like_any_other_to_a_policy() -> None:
    prices = rising_until_worthless(300)
    column = int(np.isnan(prices[200:]).all(0).argmax())
    last = int(np.flatnonzero(np.isfinite(prices[:, column]))[-1])
    goes_on = prices.copy()
    goes_on[last + 1 :, column] = prices[last, column] * 1.02
    seen = []
    for made in (prices, goes_on):
        data = splits(_panel(made), val=0.2, test=0.2, features=["moves"])
        X = np.concatenate([data[f"X_{name}"] for name in ("train", "val", "test")])
        codes = np.concatenate([data[f"active_{name}"] for name in ("train", "val", "test")])
        rows_known = last + 1 - (300 - len(X))
        # Scales are of the training rows, most of which come later.
        seen.append((np.sign(X[:rows_known]), codes[:rows_known] == MEMBER))
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_rises_until_it_is_worthless_earns_nobody_anything() -> None:
    data = splits(_panel(rising_until_worthless()), val=0.2, test=0.2, features=["moves"])
    train = rows(data, "train")
    is_member = train["active"] == MEMBER
    risers = is_member.copy()
    risers[:, :4] = False
    chase = risers / np.maximum(risers.sum(1, keepdims=True), 1)

    def growth(weights: np.ndarray) -> float:
        figures = portfolio_metrics(weights, train["prices"], active=train["active"])
        return figures["log_return"] / figures["n_steps"]

    # Whoever knew the last rows would earn the 2 % a row for nothing.
    knowing = np.where(np.roll(train["active"], -1, axis=0) == ENDED, 0.0, chase)
    assert growth(knowing) > 0.015
    assert growth(chase) < -0.05
    # Of the causal rules that lean towards what has risen, those that lean away are the best.
    last_move = np.where(is_member, train["X"][:, : is_member.shape[1]], 0.0)
    leaning = [
        growth(tilted / tilted.sum(1, keepdims=True))
        for tilt in (-2.0, -1.0, 0.0, 1.0, 2.0)
        if (tilted := np.exp(tilt * last_move) * is_member) is not None
    ]
    assert leaning == sorted(leaning, reverse=True)
    # Training finds nothing that lasts beyond the rows that it has seen.
    policy, test = fitted(data, epochs=20, lr=0.02), rows(data, "test")
    weights = policy.predict_actions(test["X"], active=test["active"])
    earned = portfolio_metrics(weights, test["prices"], active=test["active"])
    assert earned["log_return"] / earned["n_steps"] < 0.002
