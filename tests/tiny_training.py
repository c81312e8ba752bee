"""A training problem small enough to follow: 24 rows, 4 features, 2 targets, 8 hidden units."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from draws import normal
from psann.losses import mse
from psann.nn.dense import DenseNetwork
from psann.nn.network import Network
from psann.nn.residual import ResidualNetwork
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from psann.nn.wave_resnet import WaveOptions, WaveResNet
from psann.training.carry import Carry
from psann.training.draws import Draws
from psann.training.engine import EagerEngine
from psann.training.history import EpochRecord
from psann.training.loop import Phase, group_at_start, run_phase
from psann.training.observers import Observer
from psann.training.optimizer import Optimizer
from psann.training.options import TrainingOptions
from psann.training.precision import Precision
from psann.training.schedules import LRScheduleOptions
from psann.training.state import SavedState, SeedStart, TrainState
from psann.training.statistics import LaunchStatistics
from psann.training.supervised import RowObjective, Rows, row_table
from psann.training.work import Objective

N_ROWS, N_IN, N_OUT = 24, 4, 2
# A target beyond this makes `poisoned` give a gradient that is not finite.
POISON = 1000.0


def dense(*, state: StateOptions | None = None, **options: Any) -> DenseNetwork:
    settings = {"hidden_layers": 1, "hidden_units": 8, "w0": 1.0, "units": UnitOptions(state=state)}
    return DenseNetwork(N_IN, N_OUT, **{**settings, **options}, rng=np.random.default_rng(0))


def residual() -> Network:
    return ResidualNetwork(
        N_IN,
        N_OUT,
        hidden_layers=2,
        hidden_units=8,
        w0=1.0,
        residual_alpha_init=0.5,
        units=UnitOptions(),
        rng=np.random.default_rng(0),
    )


def wave(**options: Any) -> Network:
    settings = {"hidden_layers": 2, "hidden_units": 8, **options}
    return WaveResNet(N_IN, N_OUT, options=WaveOptions(**settings), rng=np.random.default_rng(0))


def wave_weight_norm() -> Network:
    return wave(norm="weight")


BODIES: list[Callable[[], Network]] = [dense, residual, wave, wave_weight_norm]


def rows(*, dtype: torch.dtype = torch.float32, n: int = N_ROWS, seed: int = 0) -> Rows:
    X = normal(n, N_IN, seed=seed, dtype=dtype)
    return Rows(X=X, y=torch.stack([torch.sin(2 * X[:, 0]), X[:, 1] * X[:, 2]], dim=1))


def engine(network: Network | None = None, **options: Any) -> EagerEngine:
    rule = {"name": "adam", "weight_decay": 0.0, "clip_norm": None}
    rule = {key: options.pop(key, value) for key, value in rule.items()}
    settings: dict[str, Any] = {
        "optimizer": Optimizer(**rule),
        "precision": Precision("cpu"),
        "state_reset": "batch",
        "stop_on_nonfinite": True,
        "epoch_offset": 0,
        "device": torch.device("cpu"),
    }
    return EagerEngine(dense() if network is None else network, **{**settings, **options})


def objective(data: Rows | None = None, **options: Any) -> RowObjective:
    return RowObjective(rows=rows() if data is None else data, **{"loss": mse, **options})


def training_options(**given: Any) -> TrainingOptions:
    """Five epochs of supervised training on a CPU."""
    settings: dict[str, Any] = {
        "epochs": 5,
        "batch_size": 6,
        "lr": 0.01,
        "schedule": LRScheduleOptions(),
        "optimizer": Optimizer(name="adam"),
        "loss": mse,
        "patience": None,
        "monitor": None,
        "input_noise": 0.0,
        "shuffle": True,
        "state_reset": "batch",
        "is_stateful": False,
        "max_skipped_updates": 0,
        "precision": Precision("cpu"),
        "device": torch.device("cpu"),
    }
    return TrainingOptions(**{**settings, **given})


def phase(**options: Any) -> Phase:
    """Three epochs of four updates, and nothing else."""
    settings: dict[str, Any] = {
        "name": "supervised",
        "epochs": 3,
        "lr": 0.01,
        "schedule": LRScheduleOptions(),
        "objective": objective(),
        "index_table": row_table(N_ROWS, 6, stream="test", shuffle=True),
        "rows_per_index": 1,
        "draws": False,
        "is_episodic": False,
        "monitor": "train_loss",
    }
    return Phase(**{**settings, **options})


def starts(made: EagerEngine, *seeds: int) -> list[SeedStart]:
    """Where seeds begin: the first with the engine's network, the others with weights of theirs."""
    first = SeedStart.of(made.network, seed=seeds[0], engine=made)
    return [
        first if k == 0 else replace(first, seed=seed, weights=first.weights * (1 + 0.1 * seed))
        for k, seed in enumerate(seeds)
    ]


def initial_carry(made: EagerEngine) -> Carry:
    """Fresh optimiser around the network's own weights and buffers."""
    (start,) = starts(made, 0)
    return made.restarted(start.weights, start.buffers)


def at_start(
    task: Phase, made: EagerEngine, saved: SavedState | None = None, *, seed: int = 0
) -> TrainState:
    """The state of a single seed at the start of a phase."""
    (state,) = group_at_start(task, made, starts(made, seed), () if saved is None else (saved,))
    return state


def run(
    task: Phase, made: EagerEngine | None = None, *observers: Observer, seed: int = 0
) -> tuple[TrainState, bool]:
    """The state at the end of a phase, and whether it stopped early."""
    made = engine() if made is None else made
    state = at_start(task, made, seed=seed)
    (stopped_early,) = run_phase(task, made, [state], observers)
    return state, stopped_early


def timeless(history: list[EpochRecord]) -> list[EpochRecord]:
    """Records without what a clock put into them."""
    return [replace(r, data_s=0, step_s=0, val_s=0, episodes_per_s=None) for r in history]


def batches(k: int, size: int = 6, seed: int = 0) -> list[Tensor]:
    """Indices of k updates."""
    table = np.random.default_rng(seed).integers(0, N_ROWS, size=(k, size))
    return list(torch.from_numpy(table))


def poisoned(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error whose gradient, but not whose value, breaks at a poisonous target."""
    is_poison = targets >= POISON
    safe = torch.where(is_poison, 0.0, targets)
    return (outputs - safe).square() + torch.where(is_poison, 0.0 * outputs, 1.0).sqrt()


def same(left: Carry, right: Carry) -> bool:
    """Whether weights, optimiser and buffers are equal bit for bit."""
    return left.buffers.keys() == right.buffers.keys() and all(
        torch.equal(a, b) for a, b in _pairs(left, right)
    )


def near(left: Carry, right: Carry, tolerance: float = 1e-4) -> bool:
    """Whether weights, optimiser and buffers differ by at most a share of their norms."""
    return left.buffers.keys() == right.buffers.keys() and all(
        (a - b).norm() <= tolerance * b.norm() for a, b in _pairs(left, right)
    )


def _pairs(left: Carry, right: Carry) -> list[tuple[Tensor, Tensor]]:
    pairs = [(left.weights, right.weights), *zip(left.optimizer, right.optimizer, strict=True)]
    return pairs + [(left.buffers[name], right.buffers[name]) for name in left.buffers]


@dataclass
class Diary:
    """Observer that notes what it is told, and may stop training at a given event."""

    stop_at: tuple[str, int] | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.weights: list[Tensor] = []
        self.decisions: list[Any] = []
        self.records: list[Any] = []

    def _note(self, name: str, number: int) -> None:
        self.events.append((name, number))
        if self.error is not None and self.stop_at == (name, number):
            raise self.error

    def on_decision(self, decision: Any) -> None:
        self.decisions.append(decision)

    def on_phase_start(self, state: Any) -> None:
        self._note("start", state.epoch)

    def on_launch(self, state: Any) -> None:
        self._note("launch", state.update)

    def on_epoch(self, record: Any, state: Any) -> None:
        self.records.append(record)
        self.weights.append(state.carry.weights)
        self._note("epoch", record.epoch)

    def on_phase_end(self, phase: str, state: Any) -> None:
        self._note("end", state.epoch)


def stacks_of(indices: Sequence[Tensor]) -> list[Tensor]:
    """Updates of the same size, one after the other, as a launch takes them."""
    alike = itertools.groupby(indices, key=lambda index: index.shape)
    return [torch.stack(list(each)) for _, each in alike]


def launched_together(
    made: EagerEngine,
    carries: Sequence[Carry],
    goal: Objective | None = None,
    *,
    indices: Sequence[Sequence[Tensor]],
    keys: Sequence[Tensor] | None = None,
    lr: float = 0.01,
) -> list[tuple[Carry, LaunchStatistics]]:
    """Where each seed of a group ends after one launch, and what it tells."""
    tables = [[index.numpy() for index in of_seed] for of_seed in indices]
    group, told = made.launch_group(
        made.gathered(carries),
        objective() if goal is None else goal,
        Draws.of(tables, keys, device=made.device),
        lr=lr,
    )
    return list(zip(group.each, told, strict=True))


def launches_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let every launch have so many updates."""
    monkeypatch.setattr(EagerEngine, "updates_per_launch", lambda self, rows, n_seeds: size)
