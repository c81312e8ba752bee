"""HISSO from end to end on small planted series: what it learns, keeps, records and refuses."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from estimators_of_limits import fitted, rows_of_market
from planted import HISSO, Recorder, fit_hisso, planted, quick, story_of
from psann import PSANNRegressor, WaveResNetRegressor, fit_seeds
from psann.accounting import growth_and_traded_weight, net_growth
from psann.errors import DivergedError
from psann.hisso.episodes import episode_table
from psann.hisso.options import EvaluationOptions, HISSOOptions, WarmStartOptions
from psann.holdings import Carry
from psann.metrics import mean_test
from thinning import thinned

VALIDATION = planted(60, seed=1)
WITH_TARGETS = {"y": planted()["X"], "validation_data": {**VALIDATION, "y": VALIDATION["X"]}}


def told(hisso: dict[str, Any] | None = None, estimator: Any = None, **arguments: Any) -> str:
    """Story of a fit on the planted series; see `planted.story_of`."""
    fit = {**planted(), "validation_data": VALIDATION, **arguments}
    return story_of(estimator or quick(), hisso={**HISSO, **(hisso or {})}, **fit)


@cache
def told_as_usual(*options: tuple[str, Any], cls: type = PSANNRegressor, **shape: int) -> str:
    """`told` of what many tests hold their own change against."""
    return told(dict(options), quick(cls, **shape))


# ---------------------------------------------------------------- learning, and not learning


def test_a_planted_signal_is_learnt() -> None:
    model = fit_hisso(quick(epochs=12, lr=4e-2), {"updates_per_epoch": 8})
    test = planted(200, seed=2)
    foresight = np.log(np.max(test["prices"][1:] / test["prices"][:-1], axis=1)).mean()
    nothing = np.log(np.mean(test["prices"][1:] / test["prices"][:-1], axis=1)).mean()
    earned = model.evaluate_reward(test["X"], test["prices"])
    assert (earned - nothing) / (foresight - nothing) > 0.8
    assert model.best_epoch_ > 0


@pytest.mark.parametrize(("transform", "weight"), [("softmax", 1 / 3), ("softmax_cash", 1 / 4)])
def test_on_pure_noise_with_costs_the_untrained_policy_is_kept(
    transform: str, weight: float
) -> None:
    recorder = Recorder()
    model = fit_hisso(
        quick(epochs=4),
        {"primary_transform": transform, "transition_penalty": 0.01},
        **planted(rho=0.0),
        validation_data=planted(200, rho=0.0, seed=1),
        observers=[recorder],
    )
    assert model.best_epoch_ == 0 == model.fit_result_.best_epoch
    actions = model.predict_actions(planted(rho=0.0, seed=5)["X"])
    np.testing.assert_allclose(actions, np.full((120, 3), weight), rtol=1e-15)
    last = model.fit_result_.decisions[-1]
    assert "no epoch did better on validation than epoch 0" in last.message
    assert recorder.decisions[-1] == last
    assert [record.is_best for record in recorder.records] == [False] * 4


def test_epoch_zero_does_not_compete_without_validation() -> None:
    model = fit_hisso(quick(), validation_data=None)
    assert model.best_epoch_ > 0 and model.monitor_ == "reward"


def test_a_warm_start_trains_on_targets_first_and_helps() -> None:
    recorder = Recorder()
    plain = fit_hisso(quick(lr=1e-3), **WITH_TARGETS)
    warmed = fit_hisso(
        quick(lr=1e-3),
        {"supervised": {"epochs": 15, "lr": 2e-2, "batch_size": 16}},
        **WITH_TARGETS,
        observers=[recorder],
    )
    assert recorder.phases == ["warm_start", "hisso"]
    losses = [r.train_loss for r in recorder.records if r.phase == "warm_start"]
    assert len(losses) == 15 and losses[-1] < 0.5 * losses[0]
    assert warmed.best_value_ > plain.best_value_
    assert [r.phase for r in warmed.fit_result_.history] == ["hisso"] * 3


def test_a_warm_start_without_targets_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hisso\.supervised trains on targets: y is missing"):
        fit_hisso(quick(), {"supervised": True})


def test_warm_ups_of_the_network_go_on_after_the_warm_start() -> None:
    recorder = Recorder()
    model = quick(WaveResNetRegressor, w0_warmup_epochs=8, hidden_w0=9.0, first_layer_w0=2.0)
    recorder.estimator = model
    fit_hisso(model, {"supervised": {"epochs": 4}}, **WITH_TARGETS, observers=[recorder])
    assert model.schedule_epoch_ == 4 + model.best_epoch_ > 4
    # From 1 in epoch 1 to 9 in epoch 9, by 1 per epoch.
    assert model.network_.hidden_w0 == float(model.schedule_epoch_)
    judged = model.evaluate_reward(VALIDATION["X"], VALIDATION["prices"])
    assert judged == pytest.approx(model.best_value_, abs=1e-6)
    warm = WaveResNetRegressor.from_bytes(recorder.files["warm_start"])
    assert warm.schedule_epoch_ == 4 and warm.network_.hidden_w0 == 4.0


# ---------------------------------------------------------------- the best epoch


@pytest.mark.parametrize("monitor", ["val_reward", "val_loss", "reward", "train_loss"])
def test_the_monitor_decides_which_epoch_is_kept(monitor: str) -> None:
    model = fit_hisso(quick(epochs=8, lr=0.2, monitor=monitor))
    field = {"val_reward": "val_reward_mean", "reward": "reward_mean"}.get(monitor, monitor)
    values = [getattr(record, field) for record in model.fit_result_.history]
    sign = 1 if monitor.endswith("reward") else -1
    assert sign * model.best_value_ >= max(sign * v for v in values)
    if model.best_epoch_:
        assert values[model.best_epoch_ - 1] == model.best_value_


def test_a_monitor_that_cannot_be_computed_is_refused_before_the_warm_start() -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match="monitor 'val_reward' cannot be computed here"):
        fit_hisso(
            quick(monitor="val_reward"),
            {"supervised": True},
            y=planted()["X"],
            validation_data=None,
            observers=[recorder],
        )
    assert recorder.phases == []


def test_patience_stops_and_the_best_epoch_stays() -> None:
    noise = {**planted(rho=0.0), "validation_data": planted(200, rho=0.0, seed=1)}
    model = fit_hisso(quick(epochs=30, patience=2), {"transition_penalty": 0.01}, **noise)
    assert model.fit_result_.stopped_early
    assert model.fit_result_.epochs_done == model.best_epoch_ + 2


def test_validation_rows_without_prices_are_not_dropped_in_silence() -> None:
    model = fit_hisso(quick(), validation_data={"X": VALIDATION["X"]})
    assert model.monitor_ == "reward"
    assert "validation rows have no prices" in model.fit_result_.decisions[1].message


def test_an_extractor_judges_validation_rows_without_prices() -> None:
    hisso = {"context_extractor": "user_rewards:exponential"}
    model = fit_hisso(quick(), hisso, validation_data={"X": VALIDATION["X"]})
    assert model.monitor_ == "val_reward"
    assert model.evaluate_reward(VALIDATION["X"]) == pytest.approx(model.best_value_, abs=1e-6)


# ---------------------------------------------------------------- the refit


def test_a_refit_trains_as_long_as_validation_chose_and_tells_of_both() -> None:
    recorder = Recorder()
    usual = fit_hisso(quick(epochs=12, lr=0.3))
    model = fit_hisso(quick(epochs=12, lr=0.3), {"refit": True}, observers=[recorder])
    assert 0 < usual.best_epoch_ < 12  # else the test would show little
    assert (model.best_epoch_, model.best_value_) == (usual.best_epoch_, usual.best_value_)
    assert model.monitor_ == "val_reward" and model.fit_result_.epochs_done == 12
    assert recorder.phases == ["hisso", "refit"]
    refit = [r for r in model.fit_result_.history if r.phase == "refit"]
    assert [r.epoch for r in refit] == list(range(1, usual.best_epoch_ + 1))
    assert {r.epochs_total for r in refit} == {usual.best_epoch_}
    assert {r.val_reward_mean for r in refit} == {None}
    assert model.fit_result_.episodes == usual.fit_result_.episodes + 12 * len(refit)
    assert "for the" in model.fit_result_.decisions[-1].message
    assert not np.allclose(model.predict(VALIDATION["X"]), usual.predict(VALIDATION["X"]))


def test_a_refit_keeps_the_learning_rates_of_its_epochs() -> None:
    model = fit_hisso(quick(epochs=6, lr=0.3, lr_schedule="cosine"), {"refit": True})
    chosen, refit = (
        [r.lr for r in model.fit_result_.history if r.phase == p] for p in ("hisso", "refit")
    )
    assert refit == chosen[: model.best_epoch_] != []


def test_a_refit_begins_anew_and_equals_training_on_both_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refitted, by_hand = Recorder(), Recorder()
    later = planted(60, seed=1)
    model = fit_hisso(quick(), {"refit": True}, validation_data=later, observers=[refitted])
    both = {name: np.concatenate([rows, later[name]]) for name, rows in planted().items()}
    monkeypatch.setattr(
        "psann.hisso.trainer.episode_table", lambda _, **how: episode_table((120, 60), **how)
    )
    fit_hisso(quick(epochs=model.best_epoch_), **both, validation_data=None, observers=[by_hand])
    assert refitted.weights["refit"] == by_hand.weights["hisso"]


def test_a_refit_learns_from_validation_rows() -> None:
    backwards = planted(300, seed=1)
    backwards["X"] = -backwards["X"]  # the opposite of what the training rows teach
    test = planted(100, seed=2)
    earned = []
    for refit in (False, True):
        model = quick(epochs=12, lr=4e-2, monitor="reward")
        fit_hisso(model, {"refit": refit}, validation_data=backwards)
        earned.append(model.evaluate_reward(-test["X"], test["prices"]))
    assert earned[0] < 0 < earned[1]


def test_where_validation_chose_to_do_nothing_there_is_no_refit() -> None:
    recorder = Recorder()
    noise = {**planted(rho=0.0), "validation_data": planted(200, rho=0.0, seed=1)}
    hisso = {"refit": True, "transition_penalty": 0.01}
    model = fit_hisso(quick(), hisso, **noise, observers=[recorder])
    assert model.best_epoch_ == 0 and recorder.phases == ["hisso"]
    np.testing.assert_allclose(model.predict_actions(planted(5)["X"]), 1 / 3, rtol=1e-15)


def test_seeds_that_are_refitted_together_end_as_each_would_alone() -> None:
    hisso = {**HISSO, "refit": True, "transition_penalty": 0.001}
    rows = planted(rho=0.3)
    fit = {"prices": rows["prices"], "validation_data": planted(60, rho=0.3, seed=1)}
    together = fit_seeds(quick(epochs=6, lr=0.2), range(6), rows["X"], hisso=hisso, **fit)
    epochs = [model.best_epoch_ for model in together]
    assert len(set(epochs)) > 2 and 0 in epochs  # they end at different times, one at once
    for model in together[::2]:
        alone = quick(epochs=6, lr=0.2, random_state=model.random_state)
        alone.fit(rows["X"], hisso=hisso, **fit)
        np.testing.assert_allclose(
            model.predict(VALIDATION["X"]), alone.predict(VALIDATION["X"]), atol=1e-4
        )


# ---------------------------------------------------------------- randomness and causality


def test_the_same_seed_gives_the_same_bytes_whatever_the_global_generators_did() -> None:
    first = fit_hisso(quick(), {"input_noise": 0.1}).to_bytes()
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    assert fit_hisso(quick(), {"input_noise": 0.1}).to_bytes() == first
    assert fit_hisso(quick(random_state=1), {"input_noise": 0.1}).to_bytes() != first


def test_training_does_not_touch_the_global_generators() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    fit_hisso(quick(WaveResNetRegressor, dropout=0.2), {"input_noise": 0.1})
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_validation_rows_never_move_the_weights() -> None:
    one, other = (
        fit_hisso(
            quick(monitor="train_loss", scaler="standard"), validation_data=planted(60, seed=s)
        )
        for s in (1, 2)
    )
    assert one.best_value_ == other.best_value_
    X = planted(20, seed=9)["X"]
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


# ---------------------------------------------------------------- the temperature


def best_of_every_temperature(model: Any) -> tuple[float, float]:
    """The temperature of a fitted policy that validation rewards most, found by hand."""
    rewards = {}
    head = model.network_.head
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    for k in range(-8, 9):
        temperature = 2 ** (k / 4)
        with torch.no_grad():
            head.weight.copy_(weight / temperature)
            head.bias.copy_(bias / temperature)
        rewards[temperature] = model.evaluate_reward(VALIDATION["X"], VALIDATION["prices"])
    best = max(rewards, key=lambda temperature: rewards[temperature])
    return best, rewards[best]


def test_the_temperature_is_the_one_that_validation_rewards_most() -> None:
    hisso = {"transition_penalty": 0.001, "temperature_scaling": True}
    usual = fit_hisso(quick(), {**hisso, "temperature_scaling": False})
    model = fit_hisso(quick(), hisso)
    temperature, reward = best_of_every_temperature(usual)
    assert temperature < 1  # three epochs on a clear signal say too little
    assert model.fit_result_.temperature == temperature
    assert model.evaluate_reward(VALIDATION["X"], VALIDATION["prices"]) == pytest.approx(reward)
    # What chose the epoch is told as it was.
    assert (model.best_epoch_, model.best_value_) == (usual.best_epoch_, usual.best_value_)
    assert reward > usual.best_value_


def test_outputs_are_divided_by_the_temperature() -> None:
    usual = fit_hisso(quick())
    model = fit_hisso(quick(), {"temperature_scaling": True})
    np.testing.assert_allclose(
        model.predict(VALIDATION["X"]) * model.fit_result_.temperature,
        usual.predict(VALIDATION["X"]),
        rtol=1e-5,
    )


def test_a_policy_that_is_too_loud_is_turned_down() -> None:
    rows = {**planted(rho=0.2), "validation_data": planted(400, rho=0.2, seed=1)}
    hisso = {"transition_penalty": 0.0, "temperature_scaling": True, "updates_per_epoch": 20}
    model = fit_hisso(
        quick(epochs=10, lr=0.02, monitor="reward"), hisso, **rows, evaluation={"trans_cost": 0.02}
    )
    assert model.fit_result_.temperature > 1


def test_a_refit_speaks_at_the_temperature_that_validation_chose() -> None:
    hisso = {"temperature_scaling": True, "refit": True}
    recorder = Recorder()
    model = fit_hisso(quick(), hisso, observers=[recorder])
    temperature = fit_hisso(quick(), {**hisso, "refit": False}).fit_result_.temperature
    plain = fit_hisso(quick(), {"refit": True})
    assert model.fit_result_.temperature == temperature != 1
    np.testing.assert_allclose(
        model.predict(VALIDATION["X"]) * temperature, plain.predict(VALIDATION["X"]), rtol=1e-5
    )
    told_of = f"outputs are divided by {temperature:.3g}"
    assert model.fit_result_.decisions[-1].message.startswith(told_of)


def test_the_temperature_of_a_network_that_grows_is_that_of_its_epoch() -> None:
    growing = {"first_layer_w0_initial": 1.0, "w0_warmup_epochs": 6, "epochs": 6}
    hisso = {"transition_penalty": 0.001, "temperature_scaling": True}
    usual, model = (
        fit_hisso(quick(WaveResNetRegressor, hidden_layers=2, **growing), options)
        for options in ({**hisso, "temperature_scaling": False}, hisso)
    )
    assert 0 < usual.best_epoch_ < 6  # else its last form would be its best one
    assert model.fit_result_.temperature == best_of_every_temperature(usual)[0] < 1


def test_doing_nothing_has_no_temperature() -> None:
    noise = {**planted(rho=0.0), "validation_data": planted(200, rho=0.0, seed=1)}
    hisso = {"temperature_scaling": True, "transition_penalty": 0.01}
    model = fit_hisso(quick(), hisso, **noise)
    assert model.best_epoch_ == 0 and model.fit_result_.temperature is None


def test_seeds_have_each_their_own_temperature() -> None:
    hisso = {**HISSO, "temperature_scaling": True, "transition_penalty": 0.002}
    rows = planted(rho=0.5)
    fit = {"prices": rows["prices"], "validation_data": planted(60, rho=0.5, seed=1)}
    together = fit_seeds(quick(epochs=6), range(4), rows["X"], hisso=hisso, **fit)
    assert len({model.fit_result_.temperature for model in together}) > 1
    for model in together[::2]:
        alone = quick(epochs=6, random_state=model.random_state).fit(rows["X"], hisso=hisso, **fit)
        assert alone.fit_result_.temperature == model.fit_result_.temperature


# ---------------------------------------------------------------- ruin


def squeezes(rows: int = 200) -> dict[str, Any]:
    """A price that falls by 6 % a row and triples in every twentieth, which the features foretell.

    Who is short then has lost everything: -1 becomes 1 - 2.
    """
    cycle = np.arange(rows) % 20
    prices = np.exp(np.cumsum(np.where(cycle == 19, np.log(3.0), -0.06)))[:, None]
    return {"X": np.stack([cycle == 18, np.ones(rows)], 1).astype(float), "prices": prices}


SHORT_OR_LONG = {"window": 20, "batch_episodes": 16, "updates_per_epoch": 8}
SHORT_OR_LONG |= {"primary_transform": "tanh"}


def test_a_policy_learns_away_from_the_squeezes_that_ruin_it() -> None:
    # Its first weights are short throughout, so that the very first update is about ruin.
    model = quick(hidden_units=16, epochs=15, lr=0.02, random_state=2)
    model.fit(**squeezes(), hisso=SHORT_OR_LONG)
    history = model.fit_result_.history
    assert history[0].reward_min < -1 and history[0].skipped_updates == 0
    actions = model.predict_actions(squeezes()["X"])
    growth = net_growth(actions, squeezes()["prices"], cash=True)
    assert growth.ruined_at is None
    assert np.log(growth.net).mean() > 0.1
    assert actions[3, 0] < -0.9 < 0.9 < actions[18, 0]


def test_a_policy_that_is_still_short_of_a_squeeze_has_lost_everything_by_its_reward() -> None:
    model = quick(hidden_units=16, epochs=1, lr=1e-6, random_state=2)
    model.fit(**squeezes(), hisso=SHORT_OR_LONG)
    assert np.isfinite(model.fit_result_.history[0].reward_mean)  # what it learns from
    assert model.evaluate_reward(**squeezes()) == -np.inf  # what it has come to
    model.set_params(epochs=15, lr=0.02).fit(**squeezes(), hisso=SHORT_OR_LONG)
    assert model.evaluate_reward(**squeezes()) > 0.1


def test_an_epoch_that_loses_everything_on_validation_is_never_kept() -> None:
    model = quick(hidden_units=16, epochs=1, lr=1e-6, random_state=2)
    model.fit(**squeezes(), validation_data=squeezes(100), hisso=SHORT_OR_LONG)
    assert model.fit_result_.history[0].val_reward_mean == -np.inf
    assert model.best_epoch_ == 0
    assert model.evaluate_reward(**squeezes(100)) == 0.0  # all cash


# ---------------------------------------------------------------- what epoch 0 is owed


def test_an_epoch_is_kept_if_it_gains_more_over_epoch_0_than_was_asked() -> None:
    usual = fit_hisso(quick())
    nothing = np.log(np.mean(VALIDATION["prices"][1:] / VALIDATION["prices"][:-1], axis=1)).mean()
    gain = usual.best_value_ - nothing
    enough = fit_hisso(quick(), {"min_improvement": 0.99 * gain})
    assert usual.best_epoch_ > 0
    assert (enough.best_epoch_, enough.best_value_) == (usual.best_epoch_, usual.best_value_)
    model = fit_hisso(quick(), {"min_improvement": 1.01 * gain})
    assert model.best_epoch_ == 0
    assert model.best_value_ == pytest.approx(nothing, abs=1e-9)
    assert f"by more than {1.01 * gain:g}: kept" in model.fit_result_.decisions[-1].message


def test_an_epoch_need_not_gain_as_much_over_the_epoch_before_it() -> None:
    usual = fit_hisso(quick(epochs=8, lr=0.1))
    first, best = usual.fit_result_.history[0].monitor_value, usual.best_value_
    nothing = np.log(np.mean(VALIDATION["prices"][1:] / VALIDATION["prices"][:-1], axis=1)).mean()
    asked = 0.9 * (first - nothing)
    assert first < best < first + asked
    model = fit_hisso(quick(epochs=8, lr=0.1), {"min_improvement": asked})
    assert (model.best_epoch_, model.best_value_) == (usual.best_epoch_, usual.best_value_)


def test_a_monitor_that_does_not_judge_epoch_0_can_ask_nothing_over_it() -> None:
    with pytest.raises(ValueError, match="the monitor is reward, which does not judge epoch 0"):
        fit_hisso(quick(monitor="reward"), {"min_improvement": 0.1})


def test_a_loss_must_fall_by_what_was_asked() -> None:
    usual = fit_hisso(quick(monitor="val_loss"))
    gain = -usual.best_value_
    assert usual.best_epoch_ > 0
    model = fit_hisso(quick(monitor="val_loss"), {"min_improvement": 2 * gain})
    assert model.best_epoch_ == 0


WEAK = {**planted(400, rho=0.25), "validation_data": planted(60, rho=0.25, seed=1)}


def errors_beyond_epoch_0(model: Any, rows: dict[str, Any], cost: float) -> float:
    """Standard errors of the gain over 1/N, as of a normal number, from actions and prices."""
    equal = np.full_like(rows["prices"], 1 / 3)
    ours, theirs = (
        net_growth(actions, rows["prices"], initial="cash")
        for actions in (model.predict_actions(rows["X"]), equal)
    )
    gains = np.log(ours.gross / theirs.gross) - cost * (ours.traded - theirs.traded)
    return -NormalDist().inv_cdf(mean_test(gains).p_value)


def test_an_epoch_is_kept_if_its_gain_is_as_many_standard_errors_as_were_asked() -> None:
    estimator = quick(epochs=1, lr=0.05)
    usual = fit_hisso(estimator, {"transition_penalty": 0.001}, **WEAK)
    reached = errors_beyond_epoch_0(usual, WEAK["validation_data"], 0.001)
    assert usual.best_epoch_ == 1 and 0.3 < reached < 5
    for asked, kept in ((0.999 * reached, 1), (1.001 * reached, 0)):
        hisso = {"transition_penalty": 0.001, "min_significance": asked}
        model = fit_hisso(quick(epochs=1, lr=0.05), hisso, **WEAK)
        assert model.best_epoch_ == kept
    assert f"{asked:.3g} standard errors beyond chance: kept" in (
        model.fit_result_.decisions[-1].message
    )


def test_the_more_epochs_are_compared_the_more_is_asked_of_each() -> None:
    def message(epochs: int) -> str:
        hisso = {"min_significance": "auto", "updates_per_epoch": 1, "batch_episodes": 1}
        model = fit_hisso(quick(epochs=epochs, lr=1e-9), hisso)
        assert model.best_epoch_ == 0
        return model.fit_result_.decisions[-1].message

    # Quantiles of a normal number at 5 % and at 5 % / 60, one-sided.
    assert "1.64 standard errors" in message(1) and "3.14 standard errors" in message(60)


def test_every_seed_is_held_against_its_own_epoch_0() -> None:
    rows = {**planted(), "validation_data": VALIDATION}
    hisso = {**HISSO, "min_significance": 1.0}
    models = fit_seeds(quick(epochs=4, lr=0.05), **rows, seeds=[0, 1, 2], hisso=hisso)
    assert any(model.best_epoch_ for model in models)
    for model in models:
        alone = quick(epochs=4, lr=0.05, random_state=model.random_state).fit(**rows, hisso=hisso)
        assert (alone.best_epoch_, alone.best_value_) == (model.best_epoch_, model.best_value_)


def test_of_few_validation_rows_no_epoch_is_kept_however_well_it_did() -> None:
    for n_rows, is_kept in ((12, False), (30, True)):
        few = {"validation_data": planted(n_rows, seed=1)}
        model = fit_hisso(quick(epochs=6, lr=0.05), {"min_significance": 1e-9}, **few)
        assert (model.best_epoch_ > 0) == is_kept


def test_significance_needs_a_reward_of_prices_and_a_monitor_of_validation() -> None:
    with pytest.raises(ValueError, match=r"one of prices, such as portfolio; got negative_mse\."):
        fit_hisso(quick(), {"reward": "negative_mse", "min_significance": 1.0}, **WITH_TARGETS)
    with pytest.raises(ValueError, match=r"min_improvement [^\n]*\nhisso\.min_significance is"):
        fit_hisso(quick(monitor="reward"), {"min_improvement": 0.1, "min_significance": "auto"})


def test_a_softmax_over_one_asset_learns_nothing_and_says_so() -> None:
    rows = planted(m=1)
    model = quick().fit(rows["X"], prices=rows["prices"], hisso=HISSO)
    assert model.fit_result_.never_moved
    assert not fit_hisso(quick()).fit_result_.never_moved


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("hisso", "arguments", "message"),
    [
        ({"window": 120}, {}, r"needs at least window \+ 1 = 121 rows; got 120"),
        ({"window": 2, "reward": "sharpe"}, {}, "window must be at least 3 for the reward sharpe"),
        ({}, {"validation_data": planted(1)}, "validation needs at least 2 rows"),
        ({"refit": True}, {"validation_data": None}, "hisso.refit .* no validation rows"),
        ({"refit": True}, {"validation_data": {"X": VALIDATION["X"]}}, "no validation rows by whi"),
        ({"refit": True}, {"validation_data": planted(7)}, "as many validation rows .* 8; got 7"),
        (
            {"refit": True, "temperature_scaling": True},
            {"validation_data": None},
            r"hisso\.refit [^\n]*\nhisso\.temperature_scaling chooses .* no validation rows",
        ),
        (
            {"temperature_scaling": True, "min_improvement": 0.1},
            {"validation_data": None},
            r"temperature_scaling [^\n]*\nhisso\.min_improvement is .* no validation rows",
        ),
        ({"refit": True, "supervised": True}, WITH_TARGETS, "refit cannot be combined with super"),
        ({"reward": "user_rewards:per_step"}, {}, "must give one number per episode"),
        ({"reward": "user_rewards:counting"}, {}, "counting must give real numbers.* torch.int64"),
        ({"reward": "user_rewards:writing"}, {}, "writing must leave .* has changed context in pl"),
        ({"reward": "user_rewards:detached"}, {}, "reward must be computed from its actions"),
        ({"reward": "shrpe"}, {}, "Did you mean 'sharpe'"),
        ({"reward": "negative_mse"}, {}, "judges actions by y, which is missing"),
        ({"windw": 3}, {}, r"hisso\.windw is no known key\. Did you mean 'window'"),
        ({"context_extractor": "user_rewards:exponential"},
         {"y": np.ones((120, 2)), "prices": None},
         r"must have 2 columns, .* got shape \(120, 3\)"),
        ({}, {"prices": None}, r"hisso\.reward must say what to maximise"),
        ({}, {"y": np.ones((120, 2))}, "one column per column of y, 2; got 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(
    hisso: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_hisso(quick(), hisso, **arguments)


def test_a_reward_that_turns_nan_names_its_place_and_leaves_nothing_fitted() -> None:
    model = quick()
    told = "phase hisso, epoch 1, update 1: the reward user_rewards:turns_nan is .* the first, befo"
    with pytest.raises(DivergedError, match=told):
        fit_hisso(model, {"reward": "user_rewards:turns_nan"})
    with pytest.raises(NotFittedError):
        model.predict_actions(VALIDATION["X"])


def test_a_fine_tuning_that_diverges_leaves_the_weights_as_they_were() -> None:
    model = fit_hisso(quick(WaveResNetRegressor, w0_warmup_epochs=5, warm_start=True))
    before = model.predict(VALIDATION["X"])
    with pytest.raises(DivergedError):
        fit_hisso(model, {"reward": "user_rewards:turns_nan"})
    np.testing.assert_array_equal(model.predict(VALIDATION["X"]), before)


# ---------------------------------------------------------------- every setting counts


def test_a_half_precision_request_on_a_cpu_warns_once_and_is_recorded() -> None:
    with pytest.warns(UserWarning, match="mixed_precision has no effect on a CPU") as caught:
        model = fit_hisso(quick(), {"mixed_precision": True})
    assert len(caught) == 1
    assert model.fit_result_.decisions[0].message.startswith("mixed_precision has no effect")
    plain = fit_hisso(quick())
    np.testing.assert_array_equal(model.predict(VALIDATION["X"]), plain.predict(VALIDATION["X"]))


@pytest.mark.parametrize("state_reset", ["batch", "epoch", "none"])
def test_the_stateful_constraint_is_recorded(state_reset: str) -> None:
    model = fit_hisso(
        quick(stateful=True, state_reset=state_reset), {"supervised": True}, **WITH_TARGETS
    )
    warm, episodes = (d for d in model.fit_result_.decisions if d.phase in ("warm_start", "hisso"))
    assert (warm.shuffle, warm.state_reset) == (state_reset == "batch", state_reset)
    assert episodes.state_reset == state_reset
    assert ("keeps its state" in episodes.message) == (state_reset != "batch")
    assert ("in order" in warm.message) == (state_reset != "batch")


def test_episodes_are_counted() -> None:
    model = fit_hisso(quick(epochs=5), {"batch_episodes": 6, "updates_per_epoch": 2})
    assert model.fit_result_.episodes == 5 * 6 * 2
    assert [r.episodes for r in model.fit_result_.history] == [12, 24, 36, 48, 60]


def test_windows_share_the_network_pass_where_that_is_less_work() -> None:
    def says_so(stateful: bool = False, **hisso: Any) -> bool:
        decisions = fit_hisso(quick(stateful=stateful), hisso).fit_result_.decisions
        return any("windows share" in d.message for d in decisions)

    assert says_so(batch_episodes=15)  # 15 windows of 8 rows, 120 rows
    assert not says_so(batch_episodes=14)
    assert not says_so(batch_episodes=15, input_noise=0.1)
    assert not says_so(batch_episodes=15, stateful=True)


BY_COMMAND = {
    # The command picks the array; `fit` is given it as y.
    "y_key",
    # Figures that the command computes of a fitted policy.
    "portfolio_prices_key",
    "periods_per_year",
    # They change what data there are: tests/hisso/test_own_actions.py.
    "reward_inputs",
    "n_actions",
}
FLIPS: dict[Any, dict[str, Any]] = {
    HISSOOptions: {
        "enabled": False,
        "window": 9,
        "batch_episodes": 5,
        "updates_per_epoch": 4,
        "reward": "sharpe",
        "context_extractor": "user_rewards:exponential",
        "reward_inputs": ["benchmark"],
        "n_actions": 2,
        "low": -0.5,
        "high": 0.5,
        "primary_transform": "long_short",
        "delay": 1,
        "max_weight": 0.51,
        "gross_limit": 0.1,
        "net_limit": 0.0,
        "max_turnover": 0.01,
        "held_weights": True,
        "transition_penalty": 0.01,
        "input_noise": 0.1,
        "supervised": True,
        "refit": True,
        "temperature_scaling": True,
        "min_improvement": 1.0,
        "min_significance": 9.0,
        "mixed_precision": True,
        "amp_dtype": "bfloat16",
    },
    WarmStartOptions: {
        "y_key": "other",
        "epochs": 3,
        "batch_size": 31,
        "lr": 0.003,
        "weight_decay": 0.1,
        "shuffle": False,
    },
    EvaluationOptions: {
        "portfolio_prices_key": None,
        "trans_cost": 0.01,
        "initial": "invested",
        "periods_per_year": 12.0,
        "cash_rate": 0.5,
        "borrow_rate": 0.5,
    },
}
USUAL_STORIES: dict[str, str] = {}
BOUNDS = {"low": -1.0, "high": 1.0}
OF_LONG_SHORT = {"gross_limit", "net_limit", "cash_rate", "borrow_rate"}


@pytest.mark.parametrize("model", FLIPS)
def test_the_flips_cover_every_option(model: Any) -> None:
    assert set(FLIPS[model]) == set(model.model_fields)


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [(m, n, v) for m, flips in FLIPS.items() for n, v in flips.items() if n not in BY_COMMAND],
)
def test_every_option_leaves_a_trace(model: Any, name: str, value: Any) -> None:
    usual: dict[str, Any] = {"primary_transform": "long_short"} if name in OF_LONG_SHORT else {}
    if name in BOUNDS:
        usual = {"primary_transform": "bounded", "reward": "user_rewards:scaled", **BOUNDS}
    changed: dict[str, Any] = {name: value}
    if model is WarmStartOptions:
        usual, changed = ({"supervised": {"epochs": 2, **d}} for d in ({}, changed))
    if model is EvaluationOptions:
        usual |= {"transition_penalty": 0.001}
        assert told(usual, evaluation=changed) != told_as_usual(*usual.items())
        return
    if (key := repr(usual)) not in USUAL_STORIES:
        USUAL_STORIES[key] = told(usual, **WITH_TARGETS)
    assert told(usual | changed, **WITH_TARGETS) != USUAL_STORIES[key]


@pytest.mark.parametrize(
    ("cls", "params"),
    thinned(
        every=3,
        cases=[
            (PSANNRegressor, {"epochs": 4}),
            (PSANNRegressor, {"lr": 0.02}),
            (PSANNRegressor, {"lr_schedule": "cosine"}),
            (
                PSANNRegressor,
                {"lr_schedule": {"name": "linear", "lr_min": 1e-3, "warmup_epochs": 1}},
            ),
            (PSANNRegressor, {"optimizer": "sgd"}),
            (PSANNRegressor, {"optimizer": "adamw", "weight_decay": 0.1}),
            (PSANNRegressor, {"weight_decay": 0.1}),
            (PSANNRegressor, {"clip_norm": 1e-3}),
            (PSANNRegressor, {"monitor": "train_loss"}),
            (PSANNRegressor, {"random_state": 1}),
            (PSANNRegressor, {"scaler": "standard"}),
            (PSANNRegressor, {"stateful": True}),
            (WaveResNetRegressor, {"w0_warmup_epochs": 2}),
            (
                WaveResNetRegressor,
                {"progressive_depth_initial": 1, "progressive_depth_interval": 1},
            ),
            (WaveResNetRegressor, {"dropout": 0.2}),
            (WaveResNetRegressor, {"norm": "rms"}),
        ],
    ),
)
def test_the_estimators_settings_count_in_hisso_too(cls: Any, params: dict[str, Any]) -> None:
    depth = {"hidden_layers": 2} if cls is WaveResNetRegressor else {}
    assert told(estimator=quick(cls, **depth, **params)) != told_as_usual(cls=cls, **depth)


def test_the_learning_rate_follows_its_schedule_by_hisso_epochs() -> None:
    model = fit_hisso(quick(epochs=3, lr=0.01, lr_schedule={"name": "linear", "lr_min": 0.0}))
    assert [r.lr for r in model.fit_result_.history] == [0.01, 0.005, 0.0]


def test_a_learning_rate_of_the_warm_start_is_its_own() -> None:
    recorder = Recorder()
    fit_hisso(
        quick(), {"supervised": {"epochs": 1, "lr": 0.5}}, **WITH_TARGETS, observers=[recorder]
    )
    assert [r.lr for r in recorder.records] == [0.5, 0.01, 0.01, 0.01]


def test_parameters_that_play_no_part_in_episodes_are_named() -> None:
    model = fit_hisso(quick(batch_size=7, loss="mae", input_noise=0.5, shuffle=False))
    message = model.fit_result_.decisions[-2].message
    for name in ("batch_size", "loss", "input_noise", "shuffle"):
        assert name in message
    assert "without effect" in message


def test_a_policy_trained_at_a_cost_of_each_asset_trades_the_dear_one_less() -> None:
    rows = rows_of_market()
    actions = {}
    for place in range(4):
        costs = [0.0005] * 4
        costs[place] = 0.2
        model = fitted({"transition_penalty": costs}, epochs=12)
        actions[place] = model.predict_actions(rows["X"])
    traded = np.array([np.abs(np.diff(a, axis=0)).mean(0) for a in actions.values()])
    assert (traded.argmin(1) == np.arange(4)).all()


def test_costs_of_another_number_of_assets_are_refused_by_name() -> None:
    message = r"hisso\.transition_penalty must be one number, or one for each of the 4 assets"
    with pytest.raises(ValueError, match=message):
        fitted({"transition_penalty": [0.1, 0.2]})


def test_what_cash_earns_is_felt_in_training_and_on_validation() -> None:
    rows, hisso = rows_of_market(), {"primary_transform": "softmax_cash"}
    poor = fitted(hisso, epochs=6)
    rich = fitted(hisso, epochs=6, evaluation={"cash_rate": 0.9, "periods_per_year": 12})
    cash = [1 - each.predict_actions(rows["X"]).sum(-1).mean() for each in (poor, rich)]
    assert cash[1] > cash[0] + 0.3
    later = {key: array[150:] for key, array in rows.items()}
    assert rich.best_value_ == pytest.approx(rich.evaluate_reward(**later), abs=1e-6)
    actions = rich.predict_actions(later["X"])
    growth = net_growth(
        actions, later["prices"], trans_cost=0.0, cash=True, carry=Carry(cash=0.9 / 12)
    ).net
    _, traded = growth_and_traded_weight(
        actions, later["prices"], initial="cash", cash=True, carry=Carry(cash=0.9 / 12)
    )
    assert rich.best_value_ == pytest.approx(np.mean(np.log(growth) - 0.001 * traded), abs=1e-9)


def test_a_borrow_rate_that_nobody_pays_is_said_to_have_no_effect() -> None:
    told = [
        decision.message
        for decision in fitted({}, evaluation={"borrow_rate": 0.1}).fit_result_.decisions
    ]
    assert any("evaluation.borrow_rate (softmax sells nothing short)" in text for text in told)
    shorts = fitted({"primary_transform": "tanh"}, evaluation={"borrow_rate": 0.1})
    assert not any("borrow_rate" in each.message for each in shorts.fit_result_.decisions)


def test_a_reward_that_draws_is_refused_before_it_trains_also_without_validation() -> None:
    recorder = Recorder()
    options = {**HISSO, "reward": "user_rewards:drawing"}
    with pytest.raises(ValueError, match=r"user_rewards:drawing must give the same .* asked twice"):
        quick().fit(**planted(), hisso=options, observers=[recorder])
    assert recorder.phases == ["hisso"] and not recorder.records
