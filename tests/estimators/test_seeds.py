"""Several seeds trained together: each as if it were alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from psann import (
    AssetwiseRegressor,
    Ensemble,
    PSANNRegressor,
    ResPSANNRegressor,
    WaveResNetRegressor,
    fit_seeds,
)
from psann.datasets import make_smoke_market
from psann.errors import DivergedError, TrainingInterrupted
from psann.estimators import _fit_utils
from psann.training.observers import Observer
from psann.training.state import TrainState
from thinning import slow, thinned

SEEDS = (3, 4, 9)
MARKET = make_smoke_market(rows=160, assets=2, seed=1)
HISSO = {"window": 8, "batch_episodes": 4, "updates_per_epoch": 3, "transition_penalty": 1e-3}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "stateful": (
        ResPSANNRegressor(
            hidden_layers=1, hidden_units=6, stateful=True, state_reset="epoch", epochs=3
        ),
        HISSO,
    ),
    "on targets": (PSANNRegressor(hidden_units=6, epochs=3, batch_size=40), {"enabled": False}),
    "dropout and warm-ups": (
        WaveResNetRegressor(
            hidden_layers=2, hidden_units=6, dropout=0.2, w0_warmup_epochs=3, epochs=3
        ),
        HISSO,
    ),
    "warm start, noise, patience": (
        PSANNRegressor(hidden_layers=1, hidden_units=6, input_noise=0.1, epochs=5, patience=2),
        {**HISSO, "supervised": {"epochs": 2, "batch_size": 64}, "input_noise": 0.05},
    ),
    "assetwise": (
        AssetwiseRegressor(hidden_layers=1, hidden_units=6, layout="feature_major", epochs=3),
        HISSO,
    ),
}


def data(hisso: dict[str, Any], **how: Any) -> dict[str, Any]:
    return {
        "X": MARKET["X_train"],
        "y": MARKET["y_train"],
        "prices": MARKET["prices_train"],
        "validation_data": {kind: MARKET[f"{kind}_val"] for kind in ("X", "y", "prices")},
        "hisso": hisso,
        **how,
    }


def alone(estimator: Any, seed: int, hisso: dict[str, Any], **how: Any) -> Any:
    return clone(estimator).set_params(random_state=seed).fit(**data(hisso, **how))


def assert_near(model: Any, expected: Any) -> None:
    """Seeds share one pass, whose sums may round in another order."""
    outputs, wanted = (each.predict(MARKET["X_val"]) for each in (model, expected))
    np.testing.assert_allclose(outputs, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_seeds_of_a_shared_network_on_much_data_are_trained_one_after_the_other() -> None:
    X = np.random.default_rng(0).normal(size=(400, 20, 6)).astype(np.float32)
    prices = np.exp(0.01 * X[..., 0].cumsum(axis=0))
    hisso = {"window": 50, "batch_episodes": 20, "updates_per_epoch": 2}
    model = AssetwiseRegressor(hidden_layers=1, hidden_units=16, epochs=2, engine="eager")
    for episodes, is_apart in ((20, True), (1, False)):
        how: Any = {"prices": prices, "hisso": {**hisso, "batch_episodes": episodes}}
        both = fit_seeds(model, [0, 1], X, **how)
        for seed, each in enumerate(both):
            own = clone(model).set_params(random_state=seed).fit(X, **how)
            same = np.array_equal(each.predict(X), own.predict(X))
            np.testing.assert_allclose(each.predict(X), own.predict(X), atol=1e-4)
            # Alone to the last bit; together sums round in another order.
            assert same or not is_apart


@pytest.mark.parametrize("name", thinned(CASES, every=2))
def test_each_seed_ends_up_to_rounding_as_if_it_were_alone(name: str) -> None:
    estimator, hisso = CASES[name]
    fitted = fit_seeds(estimator, SEEDS, **data(hisso))
    for seed, model in zip(SEEDS, fitted, strict=True):
        expected = alone(estimator, seed, hisso)
        assert_near(model, expected)
        ours, theirs = model.fit_result_, expected.fit_result_
        losses = [record.train_loss for record in theirs.history]
        found = [record.train_loss for record in ours.history]
        assert found == pytest.approx(losses, rel=1e-4, abs=1e-7)
        assert (ours.stopped_early, ours.episodes) == (theirs.stopped_early, theirs.episodes)
        assert ours.decisions[1:] == theirs.decisions[1:]  # the first counts the seeds' work
    assert len({model.to_bytes() for model in fitted}) == len(SEEDS)


def test_the_estimator_that_is_given_stays_as_it_is() -> None:
    estimator = PSANNRegressor(epochs=1, random_state=7)
    fit_seeds(estimator, SEEDS, **data(HISSO))
    assert not hasattr(estimator, "network_")
    assert estimator.random_state == 7


def test_every_seed_can_begin_at_the_same_parent() -> None:
    parent = alone(PSANNRegressor(hidden_units=6, epochs=2), 0, HISSO).set_params(warm_start=True)
    before = parent.to_bytes()
    fitted = fit_seeds(parent, SEEDS, **data(HISSO))
    assert parent.to_bytes() == before
    for seed, model in zip(SEEDS, fitted, strict=True):
        again = alone_from(before, seed)
        assert_near(model, again)
    assert len({model.to_bytes() for model in fitted}) == len(SEEDS)


def alone_from(parent: bytes, seed: int) -> Any:
    model = PSANNRegressor.from_bytes(parent).set_params(random_state=seed)
    return model.fit(**data(HISSO))


def test_one_that_stops_early_does_not_hold_back_the_others() -> None:
    estimator = PSANNRegressor(hidden_units=6, epochs=30, lr=0.05, patience=2)
    fitted = fit_seeds(estimator, range(5), **data(HISSO))
    done = [model.fit_result_.epochs_done for model in fitted]
    assert len(set(done)) > 1
    assert done == [alone(estimator, s, HISSO).fit_result_.epochs_done for s in range(5)]


def test_the_data_go_to_the_device_once_whatever_the_number_of_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved: list[int] = []
    whole = _fit_utils._tensor

    def counting(*arguments: Any, **how: Any) -> Any:
        moved[-1] += 1
        return whole(*arguments, **how)

    monkeypatch.setattr(_fit_utils, "_tensor", counting)
    for seeds in ([0], list(range(6))):
        moved.append(0)
        fit_seeds(PSANNRegressor(hidden_units=6, epochs=1), seeds, **data(HISSO))
    assert moved[0] == moved[1] > 0


# --- the ensemble


@pytest.fixture(scope="module")
def three() -> list[PSANNRegressor]:
    return fit_seeds(PSANNRegressor(hidden_units=6, epochs=2, lr=0.05), SEEDS, **data(HISSO))


def test_an_ensemble_acts_as_the_mean_of_its_members(three: list[PSANNRegressor]) -> None:
    X = MARKET["X_val"]
    actions = Ensemble(three).predict_actions(X)
    np.testing.assert_allclose(actions, sum(model.predict_actions(X) for model in three) / 3)
    np.testing.assert_allclose(actions.sum(axis=1), 1.0)
    np.testing.assert_allclose(
        Ensemble(three).predict(X), sum(model.predict(X) for model in three) / 3
    )


def test_an_ensemble_is_judged_by_what_it_does_itself(three: list[PSANNRegressor]) -> None:
    X, prices, y = (MARKET[f"{kind}_val"] for kind in ("X", "prices", "y"))
    ensemble = Ensemble(three)
    relatives = prices[1:] / prices[:-1]
    growth = (ensemble.predict_actions(X)[:-1] * relatives).sum(axis=1)
    free = {"trans_cost": 0.0}
    reward = ensemble.evaluate_reward(X, prices, evaluation=free)
    assert reward == pytest.approx(float(np.log(growth).mean()), rel=1e-6)
    loss = float(np.mean((ensemble.predict(X) - y) ** 2))
    assert ensemble.evaluate_loss(X, y) == pytest.approx(loss)
    assert Ensemble(three[:1]).evaluate_reward(X, prices) == three[0].evaluate_reward(X, prices)


def test_an_ensemble_is_judged_in_the_units_of_training() -> None:
    X, y = MARKET["X_val"], MARKET["y_val"]
    estimator = PSANNRegressor(hidden_units=6, epochs=2, target_scaler="standard")
    members = fit_seeds(estimator, [0], **data({"enabled": False}))
    assert Ensemble(members).evaluate_loss(X, y) == pytest.approx(members[0].evaluate_loss(X, y))


def test_what_is_judged_must_have_a_row_for_each_input(three: list[PSANNRegressor]) -> None:
    X, prices, y = (MARKET[f"{kind}_val"] for kind in ("X", "prices", "y"))
    with pytest.raises(ValueError, match=r"actions must be finite and have shape \(\d+, 2\)"):
        three[0].evaluate_reward(X, prices, actions=np.ones((3, 2)))
    with pytest.raises(ValueError, match="outputs must be finite"):
        three[0].evaluate_loss(X, y, outputs=np.full_like(y, np.nan))


# --- observers


class Diary(Observer):
    """Who was told what, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.closing: list[int] = []

    def on_phase_start(self, state: TrainState) -> None:
        self.told.append(("start", state.seed, state.epoch))

    def on_epoch(self, record: Any, state: TrainState) -> None:
        self.told.append(("epoch", state.seed, record.epoch))
        assert {each.epoch for each in state.group if each.stale_epochs < 2} <= {record.epoch}
        if state.closes_epoch:
            self.closing.append(state.seed)

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        self.told.append(("end", state.seed, state.epoch))


def test_observers_are_told_of_each_seed_and_which_one_is_the_last() -> None:
    diary = Diary()
    estimator = PSANNRegressor(hidden_units=6, epochs=30, lr=0.05, patience=2)
    fitted = fit_seeds(estimator, range(5), **data(HISSO, observers=[diary]))
    done = [model.fit_result_.epochs_done for model in fitted]
    expected = [("start", seed, 0) for seed in range(5)]
    expected += [
        ("epoch", seed, epoch)
        for epoch in range(1, max(done) + 1)
        for seed in range(5)
        if epoch <= done[seed]
    ]
    assert diary.told == expected + [("end", seed, done[seed]) for seed in range(5)]
    assert diary.closing == [
        max(seed for seed in range(5) if epoch <= done[seed]) for epoch in range(1, max(done) + 1)
    ]


class StopAt(Observer):
    """Takes the states of all seeds and stops, at one launch or epoch of the whole fit."""

    def __init__(self, moment: int) -> None:
        self.moment, self.seen, self.saved = moment, 0, []

    def on_launch(self, state: TrainState) -> None:
        self.seen += 1
        if self.seen == self.moment:
            self.saved = [each.state_dict() for each in state.group]
            raise TrainingInterrupted("a test", status="preempted", exit_code=143)

    def on_epoch(self, record: object, state: TrainState) -> None:
        self.on_launch(state)


@pytest.mark.parametrize("step", [29, slow(17)])
@pytest.mark.parametrize("name", thinned(CASES, every=3))
def test_a_group_that_was_stopped_anywhere_goes_on_as_if_it_was_not(
    name: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "psann.training.engine.EagerEngine.updates_per_launch", lambda self, rows, n_seeds: 1
    )
    estimator, hisso = CASES[name]
    never = StopAt(0)
    expected = [
        model.to_bytes() for model in fit_seeds(estimator, SEEDS, **data(hisso, observers=[never]))
    ]
    for moment in range(1, never.seen + 1, step):
        stop = StopAt(moment)
        with pytest.raises(TrainingInterrupted):
            fit_seeds(estimator, SEEDS, **data(hisso, observers=[stop]))
        resumed = fit_seeds(estimator, SEEDS, **data(hisso, resume=stop.saved))
        assert [model.to_bytes() for model in resumed] == expected, moment


def test_states_of_other_seeds_are_refused() -> None:
    estimator, hisso = CASES["on targets"]
    stop = StopAt(5)
    with pytest.raises(TrainingInterrupted):
        fit_seeds(estimator, SEEDS, **data(hisso, observers=[stop]))
    with pytest.raises(ValueError, match="the saved state is of seed 4; this training has seed 3"):
        fit_seeds(estimator, SEEDS, **data(hisso, resume=[stop.saved[k] for k in (1, 0, 2)]))
    with pytest.raises(ValueError, match="2 saved states"):
        fit_seeds(estimator, SEEDS, **data(hisso, resume=stop.saved[:2]))


# --- mistakes


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [1.5], ["a"], [None], 3])
def test_seeds_that_are_none_are_refused(seeds: Any) -> None:
    with pytest.raises(ValueError, match="seeds must be one or more whole numbers"):
        fit_seeds(PSANNRegressor(), seeds, np.zeros((4, 1)))


def test_a_seed_that_diverges_is_named() -> None:
    estimator = PSANNRegressor(hidden_units=6, epochs=3, lr=1e30, optimizer="sgd", clip_norm=None)
    with pytest.raises(DivergedError, match="diverged in phase supervised of seed 3, epoch"):
        fit_seeds(estimator, SEEDS, **data({"enabled": False}))


def test_nobody_is_no_ensemble() -> None:
    with pytest.raises(ValueError, match="members must be one fitted estimator or more; got none"):
        Ensemble([])
