"""Small series whose features do, or do not, know the next returns; and quick estimators."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np

from psann import PSANNRegressor
from psann.errors import PsannError
from psann.training.history import Decision, EpochRecord
from psann.training.observers import Observer
from psann.training.state import TrainState

HISSO = {"window": 8, "batch_episodes": 4, "updates_per_epoch": 3}


def planted(
    n: int = 120, m: int = 3, *, rho: float = 1.0, seed: int = 0, volatility: float = 0.02
) -> dict[str, Any]:
    """Features with correlation rho to the next step's log returns, and positive prices."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, m))
    prices = np.exp(np.cumsum(np.vstack([np.zeros(m), volatility * z[:-1]]), axis=0))
    return {"X": rho * z + np.sqrt(1 - rho**2) * rng.normal(size=(n, m)), "prices": prices}


def quick(cls: type = PSANNRegressor, **params: Any) -> Any:
    """An estimator that fits in some milliseconds."""
    settings = {
        "hidden_layers": 1,
        "hidden_units": 8,
        "epochs": 3,
        "lr": 1e-2,
        "random_state": 0,
        "device": "cpu",
        "threads": 1,
    }
    return cls(**{**settings, **params})


def fit_hisso(estimator: Any, hisso: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """Fit on a planted series with validation rows, unless told otherwise."""
    given: dict[str, Any] = {**planted(), "validation_data": planted(60, seed=1), **arguments}
    return estimator.fit(hisso={**HISSO, **(hisso or {})}, **given)


class Recorder(Observer):
    """Keeps what an observer is told: decisions, phases, records, and the last weights."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.phases: list[str] = []
        self.records: list[EpochRecord] = []
        self.weights: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.estimator: Any = None

    def on_decision(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def on_phase_start(self, state: TrainState) -> None:
        self.phases.append(state.phase)

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        self.records.append(record)

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        self.weights[phase] = state.carry.weights.numpy().tobytes()
        if self.estimator is not None:
            self.files[phase] = self.estimator.to_bytes(state)

    def story(self) -> list[Any]:
        """Everything that a setting may leave a trace in, except for the times."""
        timed = ("data_s", "step_s", "val_s", "episodes_per_s")
        rows = [
            {k: v for k, v in dataclasses.asdict(record).items() if k not in timed}
            for record in self.records
        ]
        return [self.weights, rows, [decision.message for decision in self.decisions]]


def story_of(estimator: Any, **fit: Any) -> str:
    """What a fit left behind, or the error that it raised, as text to compare."""
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            estimator.fit(**fit, observers=[recorder])
        except (PsannError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
    return repr([*recorder.story(), estimator.fit_result_.stopped_early])
