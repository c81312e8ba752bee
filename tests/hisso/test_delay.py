"""Actions that are executed later than they are decided: training, validation and every judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from event_simulator import simulate
from made_panels import holey, panel_of
from planted import planted
from psann import PSANNRegressor, fit_seeds
from psann.accounting import executed_late
from psann.evaluation.judgement import Terms, judge, judge_baselines, judge_policy
from psann.holdings import ENDED, HALTED, MEMBER
from psann.market import splits
from thinning import slow, thinned

HISSO = {"window": 8, "batch_episodes": 4, "updates_per_epoch": 3, "transition_penalty": 0.001}
SMALL = {"hidden_layers": 1, "hidden_units": 4, "activation": "tanh", "random_state": 0}


def shifted(rows: dict[str, Any], delay: int) -> dict[str, Any]:
    """The same rows as somebody would pair them who knows no delay."""
    n = len(rows["X"]) - delay
    return {kind: a[:n] if kind in ("X", "context") else a[delay:] for kind, a in rows.items()}


def fitted(train: Any, validation: Any, *, delay: int = 0, **changes: Any) -> PSANNRegressor:
    params = {name: changes.pop(name) for name in ("epochs", "lr", "engine") if name in changes}
    model = PSANNRegressor(**{**SMALL, "epochs": 6, "lr": 0.05, **params})
    return model.fit(
        **train, validation_data=validation, hisso={**HISSO, "delay": delay, **changes}
    )


@pytest.mark.parametrize(
    "changes",
    thinned(
        every=3,
        cases=[
            {},
            {"refit": True, "temperature_scaling": True},
            {"min_significance": 1.0},
            {"supervised": {"epochs": 2}},
            {"reward": "sharpe", "primary_transform": "long_short"},
            {"batch_episodes": 40},  # windows share the pass over the series
            {"reward": "negative_mse", "primary_transform": "identity"},
            {"context_extractor": "user_rewards:exponential"},
        ],
    ),
    ids=str,
)
def test_a_delay_is_training_on_rows_paired_with_later_prices_to_the_last_bit(
    changes: dict[str, Any],
) -> None:
    train, validation = planted(120), planted(60, seed=1)
    for rows in (train, validation):
        rows["y"] = np.roll(rows["prices"], -1, axis=0) / rows["prices"] - 1
        if "context_extractor" in changes:  # of X, so that there is nothing to shift by hand
            del rows["prices"], rows["y"]
    late = fitted(train, validation, delay=3, **changes)
    if "context_extractor" in changes:
        n = len(late.fit_result_.history)
        assert n == 6 and late.fit_result_.history != fitted(train, validation, **changes)
        return
    by_hand = fitted(shifted(train, 3), shifted(validation, 3), **changes)
    X = planted(30, seed=2)["X"]
    assert (late.predict_actions(X) == by_hand.predict_actions(X)).all()
    assert late.predict_actions(X).shape[0] == 30
    pairs = zip(late.fit_result_.history, by_hand.fit_result_.history, strict=True)
    for ours, theirs in pairs:
        assert (ours.reward_mean, ours.val_reward_mean, ours.grad_norm) == (
            theirs.reward_mean,
            theirs.val_reward_mean,
            theirs.grad_norm,
        )
    assert late.best_epoch_ == by_hand.best_epoch_


def test_a_policy_learns_what_is_still_true_when_it_is_executed() -> None:
    # The signal of a row foretells the move two rows later, from row t + 1 to t + 2.
    draws = np.random.default_rng(0)
    signal = draws.normal(size=(400, 2))
    moves = 0.01 * np.roll(signal, 1, axis=0)
    prices = np.exp(np.cumsum(np.roll(moves, 1, axis=0), axis=0))
    rows = {"X": signal, "prices": prices}
    now, late = (
        fitted(rows, None, delay=delay, epochs=30).predict_actions(signal) for delay in (0, 1)
    )
    terms = Terms(delay=1)
    earned = [judge(each, prices, terms=terms).figures["log_return"] for each in (now, late)]
    assert earned[1] > 3 * abs(earned[0])


def test_rewards_of_a_fitted_policy_are_those_of_its_delay() -> None:
    train, test = planted(120), planted(50, seed=3)
    policy = fitted(train, None, delay=2)
    undelayed = fitted(shifted(train, 2), None)
    later = shifted({"X": test["X"], "prices": test["prices"]}, 2)
    for name in ("evaluate_reward", "evaluate_episodes"):
        found = getattr(policy, name)(test["X"], test["prices"])
        np.testing.assert_array_equal(found, getattr(undelayed, name)(later["X"], later["prices"]))
    given = policy.evaluate_reward(
        test["X"], test["prices"], actions=policy.predict_actions(test["X"])
    )
    assert given == policy.evaluate_reward(test["X"], test["prices"])


def test_too_few_rows_for_the_delay_are_refused() -> None:
    few, enough = planted(11), planted(60)
    with pytest.raises(ValueError, match=r"at least window \+ 1 \+ delay 3 = 12 rows; got 11"):
        fitted(few, None, delay=3)
    with pytest.raises(ValueError, match=r"validation needs at least 2 \+ delay 3 rows"):
        fitted(enough, planted(4), delay=3)
    with pytest.raises(ValueError, match=r"refit needs .* hisso.window, 8 \+ delay 3; got 10"):
        fitted(enough, planted(10), delay=3, refit=True)
    policy = fitted(enough, None, delay=3)
    with pytest.raises(ValueError, match="needs at least 5 rows; got 4"):
        policy.evaluate_reward(few["X"][:4], few["prices"][:4])
    with pytest.raises(ValueError, match="8 rows, 3 more than which are needed; X has 10"):
        policy.evaluate_episodes(few["X"][:10], few["prices"][:10])


def test_several_seeds_at_once_are_each_what_they_are_alone() -> None:
    rows = planted(120)
    hisso = {**HISSO, "delay": 2}
    model = PSANNRegressor(**{**SMALL, "epochs": 3, "lr": 0.05})
    both = fit_seeds(model, [0, 1], **rows, validation_data=planted(40, seed=1), hisso=hisso)
    alone = fitted(rows, planted(40, seed=1), delay=2, epochs=3)
    X = planted(20, seed=2)["X"]
    np.testing.assert_allclose(both[0].predict_actions(X), alone.predict_actions(X), atol=1e-5)


@pytest.mark.slow
def test_the_compiled_engine_trains_the_same_delayed_policy() -> None:
    data = splits(panel_of(holey(300, 4, seed=5)), val=0.2, test=0.2)
    train, validation = (
        {kind: data[f"{kind}_{name}"] for kind in ("X", "prices", "active")}
        for name in ("train", "val")
    )
    ours, theirs = (
        fitted(train, validation, delay=2, epochs=3, engine=engine)
        for engine in ("compiled", "eager")
    )
    assert ours.engine_ == "compiled", [each.message for each in ours.fit_result_.decisions]
    for mine, other in zip(ours.fit_result_.history, theirs.fit_result_.history, strict=True):
        assert mine.reward_mean == pytest.approx(other.reward_mean, rel=1e-4, abs=1e-6)


# --------------------------------------------------------------- where assets come, halt and end


@pytest.fixture(scope="module")
def panel() -> Any:
    return panel_of(holey(6000, 5, seed=11))


def codes_of_panel(panel: Any) -> Any:
    codes = np.where(panel.active, MEMBER, 0).astype(np.int8)
    codes[panel.halted], codes[panel.ended] = HALTED, ENDED
    return codes


@pytest.mark.parametrize(("delay", "initial"), [slow((1, "cash")), (2, "invested"), (7, "cash")])
def test_judged_wealth_is_that_of_a_broker_whose_orders_come_late(
    panel: Any, delay: int, initial: Any
) -> None:
    draws = np.random.default_rng(delay).random(panel.active.shape) * panel.active
    total = draws.sum(axis=1, keepdims=True)
    actions = np.divide(draws, total, out=np.zeros_like(draws), where=total > 0)
    codes = codes_of_panel(panel)
    assert len(codes) >= 5900 and (codes == HALTED).any() and (codes == ENDED).any()
    terms = Terms(trans_cost=0.0012, initial=initial, delay=delay)
    theirs = simulate(
        actions,
        panel.prices,
        trans_cost=0.0012,
        initial=initial,
        halted=panel.halted,
        ended=panel.ended,
        delay=delay,
        members=panel.active,
    )
    ours = judge(actions, panel.prices, terms=terms, active=codes).net
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert (ours[: delay + 1] == 1).all()


def test_rewards_with_delay_and_halts_are_those_of_the_broker(panel: Any) -> None:
    data = splits(panel, val=0.2, test=0.2)
    train, test = (
        {kind: data[f"{kind}_{name}"] for kind in ("X", "prices", "active")}
        for name in ("train", "test")
    )
    policy = fitted(train, None, delay=2, epochs=1)
    actions = policy.predict_actions(test["X"], active=test["active"])
    codes = test["active"]
    wealth = simulate(
        actions,
        test["prices"],
        halted=codes == HALTED,
        ended=codes == ENDED,
        delay=2,
        members=codes == MEMBER,
    )
    free = {"trans_cost": 0.0, "initial": "invested"}
    reward = policy.evaluate_reward(**test, evaluation=free)
    assert reward == pytest.approx(np.log(wealth[-1]) / (len(codes) - 3), abs=1e-10)


def test_the_validation_pass_of_training_is_the_reward_of_the_fitted_policy(panel: Any) -> None:
    data = splits(panel, val=0.1, test=0.1)
    train, validation = (
        {kind: data[f"{kind}_{name}"][:800] for kind in ("X", "prices", "active")}
        for name in ("train", "val")
    )
    policy = fitted(train, validation, delay=1, epochs=4)
    best = policy.fit_result_.history[policy.best_epoch_ - 1]
    assert policy.best_epoch_ > 0
    assert policy.evaluate_reward(**validation) == pytest.approx(best.val_reward_mean, abs=1e-7)


# --------------------------------------------------------------------------------- judgement


def test_rows_are_paired_by_hand() -> None:
    assert executed_late(0, [1, 2], None) == ([1, 2], None)
    decided, prices, none = executed_late(2, np.arange(5), np.arange(5), None)
    assert (decided.tolist(), prices.tolist(), none) == ([0, 1, 2], [2, 3, 4], None)
    assert len(executed_late(5, np.arange(3))[0]) == 0


def test_a_policy_is_shown_at_its_own_delay_and_one_row_earlier_and_later() -> None:
    prices = np.exp(np.random.default_rng(0).normal(size=(60, 3)).cumsum(0) * 0.02)
    actions = np.random.default_rng(1).dirichlet(np.ones(3), size=60)
    terms = [Terms(trans_cost=0.001, initial="cash", delay=delay) for delay in (1, 2, 3)]
    verdict = judge_policy(actions, prices, terms=terms[1], n_trials=5)
    shown = (verdict.advance_1, verdict.judgement, verdict.delay_1)
    for found, own in zip(shown, terms, strict=True):
        assert found is not None
        np.testing.assert_array_equal(found.net, judge(actions, prices, terms=own).net)
    assert verdict.versus_uniform.n_steps == 57
    assert judge_policy(actions, prices, terms=terms[0]).advance_1 is not None
    assert judge_policy(actions, prices, terms=Terms()).advance_1 is None


def test_baselines_wait_as_the_policy_does_and_buy_and_hold_never_trades_again() -> None:
    prices = np.exp(np.random.default_rng(0).normal(size=(80, 3)).cumsum(0) * 0.02)
    judged = judge_baselines(prices, terms=Terms(trans_cost=0.01, initial="cash", delay=2))
    waited = judge_baselines(prices[2:], terms=Terms(trans_cost=0.01, initial="cash"))
    for name in ("uniform", "buy_and_hold", "bcrp_hindsight"):
        assert judged[name].figures == waited[name].figures
        assert judged[name].net.tolist() == [1.0, 1.0, *waited[name].net]
    assert judged["olmar"].figures != waited["olmar"].figures
