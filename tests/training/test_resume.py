"""A fit that is stopped anywhere and goes on equals one that was never stopped, bit for bit."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from psann import AssetwiseRegressor, PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor
from psann.datasets import make_smoke_market
from psann.errors import TrainingInterrupted
from psann.training.compiled import CompiledEngine
from psann.training.observers import Observer
from psann.training.state import SavedState, TrainState
from thinning import slow

CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "dense, warm start, noise": (
        PSANNRegressor,
        {"hidden_layers": 1, "hidden_units": 6, "weight_decay": 1e-3, "input_noise": 0.1},
        {"supervised": {"epochs": 2, "batch_size": 64}, "input_noise": 0.05},
    ),
    "stateful residual, cosine, patience": (
        ResPSANNRegressor,
        {
            **{"hidden_layers": 1, "hidden_units": 6, "stateful": True, "state_reset": "epoch"},
            **{"lr_schedule": "cosine", "patience": 3},
        },
        {},
    ),
    "wave with dropout, warm-ups, warm start": (
        WaveResNetRegressor,
        {
            **{"hidden_layers": 2, "hidden_units": 6, "dropout": 0.2, "optimizer": "adamw"},
            **{"w0_warmup_epochs": 3, "progressive_depth_initial": 1, "weight_decay": 1e-2},
            **{"progressive_depth_interval": 2},
        },
        {"supervised": {"epochs": 1, "batch_size": 64}},
    ),
    "assetwise with cash": (
        AssetwiseRegressor,
        {"hidden_layers": 1, "hidden_units": 4, "layout": "feature_major", "pooling": "mean"},
        {"primary_transform": "softmax_cash"},
    ),
    "refit": (
        PSANNRegressor,
        {"hidden_layers": 1, "hidden_units": 6, "lr": 0.3, "lr_schedule": "cosine"},
        {"refit": True, "temperature_scaling": True, "input_noise": 0.05},
    ),
    "temperature": (
        PSANNRegressor,
        {"hidden_layers": 1, "hidden_units": 6, "lr": 0.3},
        {"temperature_scaling": True},
    ),
    "significance": (
        PSANNRegressor,
        {"hidden_layers": 1, "hidden_units": 6, "lr": 0.05},
        {"min_significance": 1.0},
    ),
    "supervised": (PSANNRegressor, {"hidden_units": 6, "optimizer": "sgd"}, {"enabled": False}),
}


class StopAt(Observer):
    """Takes the state and stops, at one launch or epoch of the whole fit."""

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.seen = 0
        self.saved: SavedState | None = None

    def on_launch(self, state: TrainState) -> None:
        self._tick(state)

    def on_epoch(self, record: object, state: TrainState) -> None:
        self._tick(state)

    def _tick(self, state: TrainState) -> None:
        self.seen += 1
        if self.seen == self.moment:
            self.saved = through_a_file(state.state_dict())
            raise TrainingInterrupted("a test", status="preempted", exit_code=143)


def through_a_file(saved: SavedState) -> SavedState:
    """What JSON and safetensors would bring back."""
    values = json.loads(json.dumps(saved.values, allow_nan=False))
    return SavedState(values=values, tensors={k: t.clone() for k, t in saved.tensors.items()})


def fit(name: str, *, stop: StopAt, resume: SavedState | None = None, engine: str = "eager") -> Any:
    estimator, params, hisso = CASES[name]
    market = make_smoke_market(rows=160, assets=2, seed=1)
    model = estimator(
        epochs=5, batch_size=40, random_state=3, device="cpu", engine=engine, **params
    )
    return model.fit(
        market["X_train"],
        market["y_train"],
        prices=market["prices_train"],
        validation_data={k: market[f"{k}_val"] for k in ("X", "y", "prices")},
        hisso={
            **{"window": 8, "batch_episodes": 4, "updates_per_epoch": 3},
            **{"transition_penalty": 1e-3, **hisso},
        },
        observers=[stop],
        resume=resume,
    )


@pytest.fixture(autouse=True)
def small_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    """One update per launch, so that a fit can be stopped after each of them."""
    monkeypatch.setattr(
        "psann.training.engine.EagerEngine.updates_per_launch", lambda self, rows, n_seeds: 1
    )


def assert_resumes_exactly(name: str, *, engine: str = "eager", step: int) -> None:
    never = StopAt(0)
    whole = fit(name, stop=never, engine=engine)
    assert whole.engine_ == engine
    expected = whole.to_bytes()
    first = 1 if step == 1 else 1 + [*CASES].index(name)
    for moment in range(first, never.seen + 1, step):
        stop = StopAt(moment)
        with pytest.raises(TrainingInterrupted):
            fit(name, stop=stop, engine=engine)
        resumed = fit(name, stop=StopAt(0), resume=stop.saved, engine=engine)
        assert resumed.to_bytes() == expected, moment
        for ours, theirs in zip(
            resumed.fit_result_.history, whole.fit_result_.history, strict=True
        ):
            assert (ours.train_loss, ours.reward_std, ours.val_loss, ours.grad_norm) == (
                *(theirs.train_loss, theirs.reward_std, theirs.val_loss, theirs.grad_norm),
            )
        assert resumed.fit_result_.episodes == whole.fit_result_.episodes


# An epoch has four moments: each kind of training begins at another, and goes on to the next.
@pytest.mark.parametrize("step", [17, slow(1)])
@pytest.mark.parametrize("name", CASES)
def test_stopped_and_resumed_fit_equals_an_uninterrupted_one(name: str, step: int) -> None:
    assert_resumes_exactly(name, step=step)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_fit_on_programs_resumes_as_exactly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompiledEngine, "_build", lambda self, call: call.of)
    assert_resumes_exactly(name, engine="compiled", step=5)


@pytest.mark.slow
def test_a_compiled_fit_resumes_as_exactly() -> None:
    assert_resumes_exactly("dense, warm start, noise", engine="compiled", step=7)


def test_auto_stays_with_the_engine_that_the_training_began_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CompiledEngine, "_build", lambda self, call: call.of)
    stop = StopAt(6)
    with pytest.raises(TrainingInterrupted):
        fit("supervised", stop=stop, engine="compiled")
    assert fit("supervised", stop=StopAt(0), resume=stop.saved, engine="auto").engine_ == "eager"
    decisions: list[str] = []
    watch = StopAt(0)
    watch.on_decision = lambda decision: decisions.append(decision.message)  # type: ignore[method-assign]
    fit("supervised", stop=watch, resume=stop.saved, engine="auto")
    assert decisions[0].startswith("engine compiled (auto: as when this training began)")


def test_a_temperature_is_not_applied_twice() -> None:
    end = StopAt(0)
    end.on_phase_end = lambda _, state: setattr(end, "saved", through_a_file(state.state_dict()))  # type: ignore[method-assign]
    whole = fit("temperature", stop=end)
    assert whole.fit_result_.temperature not in (None, 1.0)
    resumed = fit("temperature", stop=StopAt(0), resume=end.saved)
    assert resumed.to_bytes() == whole.to_bytes()
    assert resumed.fit_result_.temperature == whole.fit_result_.temperature


def test_state_of_another_network_is_refused() -> None:
    stop = StopAt(4)
    with pytest.raises(TrainingInterrupted):
        fit("supervised", stop=stop)
    assert stop.saved is not None
    stop.saved.tensors["weights"] = torch.zeros(3)
    with pytest.raises(ValueError, match="the saved state has 3 weights"):
        fit("supervised", stop=StopAt(0), resume=stop.saved)
