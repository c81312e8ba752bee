"""Epochs around the engine: schedules, launches, validation, the best epoch, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psann._seed import update_keys
from psann.errors import DivergedError
from psann.training.engine import EagerEngine, Forward, LaunchStatistics, Objective
from psann.training.history import EpochRecord
from psann.training.observers import Observer
from psann.training.precision import MAX_OVERFLOWS_IN_A_ROW
from psann.training.schedules import LRScheduleOptions, learning_rate
from psann.training.state import Best, SavedState, Tally, TrainState

MonitorName = Literal["val_reward", "val_loss", "reward", "train_loss"]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """One deterministic pass over the validation rows."""

    loss: float
    reward: float | None = None
    turnover: float | None = None
    entropy: float | None = None


class IndexTable(Protocol):
    """Which rows or start rows each update of an epoch uses; a function of the epoch."""

    def __call__(self, epoch: int) -> Sequence[NDArray[np.int64]]:
        """One array ``(B,)`` per update."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What one phase of training does, as plain values and pure functions."""

    name: str
    epochs: int
    lr: float
    schedule: LRScheduleOptions
    objective: Objective
    index_table: IndexTable
    rows_per_index: int
    seed: int
    draws: bool
    """Whether an update needs keys, for noise or dropout."""
    is_episodic: bool
    monitor: MonitorName | None
    """None keeps the last weights: nothing is chosen in a warm start."""
    validate: Callable[[Forward], Validation] | None = None
    untrained_candidate: Tensor | None = None
    """Weights ``(P,)`` that compete as epoch 0; needs `validate`."""
    patience: int | None = None
    reset_states_each_epoch: bool = False
    max_skipped_updates: int = 0
    """Non-finite updates that may be skipped; 0 stops at the first."""


def resolve_monitor(requested: MonitorName | None, available: Sequence[MonitorName]) -> MonitorName:
    """What decides which epoch is best: the user's choice, else the first that is available.

    Raises
    ------
    ValueError
        If the choice cannot be computed from the data at hand.
    """
    if requested is None:
        return available[0]
    if requested not in available:
        raise ValueError(
            f"monitor {requested!r} cannot be computed here; available: {', '.join(available)}. "
            "val_* need validation data, *reward need HISSO."
        )
    return requested


def start_of(phase: Phase, engine: EagerEngine, saved: SavedState | None = None) -> TrainState:
    """State before the first update of a phase, or where an earlier start left that phase."""
    state = TrainState.at_start(
        phase.name, epochs_total=phase.epochs, monitor=phase.monitor, engine=engine
    )
    if saved is not None and saved.phase == phase.name:
        state.load_state_dict(saved)
    return state


def run_phase(
    phase: Phase, engine: EagerEngine, state: TrainState, observers: Sequence[Observer]
) -> bool:
    """Train a phase from where `state` stands to its end, and leave the result in `state`.

    Parameters
    ----------
    phase : Phase
        What to do.
    engine : EagerEngine
        Runs the updates.
    state : TrainState
        Moved in place.
    observers : sequence of Observer
        Told of every launch, epoch, and the end.

    Returns
    -------
    bool
        Whether epochs were left undone because `patience` of them brought no better monitor.

    Raises
    ------
    DivergedError
        If a loss or gradient is not finite; the weights are those before that update. Also if the
        monitor was finite in no epoch, so that none can be kept.
    """
    for observer in observers:
        observer.on_phase_start(state)
    if state.update == 0 and state.best is None:
        _judge_untrained(phase, engine, state)
    stopped_early = _is_out_of_patience(phase, state)
    while state.epoch < phase.epochs and not stopped_early:
        record = _run_epoch(phase, engine, state, observers)
        for observer in observers:
            observer.on_epoch(record, state)
        stopped_early = _is_out_of_patience(phase, state)
    if phase.monitor is not None and state.best is None:
        raise DivergedError(
            f"Nothing can be kept of phase {phase.name}: {phase.monitor} was not finite in any of "
            f"its {state.epoch} epochs. Check the reward or loss on the rows that it is taken of."
        )
    for observer in observers:
        observer.on_phase_end(phase.name, state)
    return stopped_early and state.epoch < phase.epochs


def _is_out_of_patience(phase: Phase, state: TrainState) -> bool:
    return phase.patience is not None and state.stale_epochs >= phase.patience


def _judge_untrained(phase: Phase, engine: EagerEngine, state: TrainState) -> None:
    """Let the untrained weights compete as epoch 0: doing nothing is a legitimate answer."""
    if phase.untrained_candidate is None or phase.validate is None:
        return
    engine.set_epoch(0)
    weights, buffers = phase.untrained_candidate, state.carry.buffers
    validation = phase.validate(engine.forward(weights, buffers))
    value = _monitor_value(phase, None, validation)
    if value is not None and math.isfinite(value):
        state.best = Best(value=value, epoch=0, weights=weights, buffers=buffers)


def _run_epoch(
    phase: Phase, engine: EagerEngine, state: TrainState, observers: Sequence[Observer]
) -> EpochRecord:
    epoch = state.epoch + 1
    lr = learning_rate(phase.schedule, lr=phase.lr, epoch=epoch, epochs=phase.epochs)
    engine.set_epoch(epoch)
    started = time.perf_counter()
    table = phase.index_table(epoch)
    keys = None
    if phase.draws:
        keys = update_keys(phase.seed, f"{phase.name}.draws", epoch=epoch, n_updates=len(table))
        keys = keys.to(engine.device)
    # One copy to the device for all updates.
    flat = torch.from_numpy(np.concatenate(table)).to(engine.device)
    indices = flat.split([len(rows) for rows in table])
    if phase.reset_states_each_epoch and state.updates_in_epoch == 0:
        state.carry = engine.reset_states(state.carry)
    data_s = time.perf_counter() - started
    n_before = len(state.tally.values)
    step_s = _run_launches(phase, engine, state, observers, indices, keys, lr)
    n_values = len(state.tally.values) - n_before
    started = time.perf_counter()
    validation = None
    if phase.validate is not None:
        validation = phase.validate(engine.forward(state.carry.weights, state.carry.buffers))
    val_s = time.perf_counter() - started
    record = _summarise(phase, engine, state, validation, lr)
    record = replace(
        record,
        data_s=data_s,
        step_s=step_s,
        val_s=val_s,
        episodes_per_s=n_values / step_s if phase.is_episodic and step_s > 0 else None,
    )
    state.epoch, state.updates_in_epoch, state.tally = epoch, 0, Tally()
    state.history.append(record)
    return record


def _run_launches(
    phase: Phase,
    engine: EagerEngine,
    state: TrainState,
    observers: Sequence[Observer],
    indices: Sequence[Tensor],
    keys: Tensor | None,
    lr: float,
) -> float:
    """All updates of the epoch, on a grid of launches that depends on the shapes alone.

    Returns the seconds that they took, without those of the observers.
    """
    step_s = 0.0
    per_launch = engine.updates_per_launch(len(indices[0]) * phase.rows_per_index)
    while state.updates_in_epoch < len(indices):
        first = state.updates_in_epoch
        part = indices[first : first + per_launch]
        part_keys = None if keys is None else keys[first : first + per_launch]
        started = time.perf_counter()
        state.carry, statistics = engine.launch(
            state.carry, phase.objective, indices=part, keys=part_keys, lr=lr
        )
        step_s += time.perf_counter() - started
        _count_refused(phase, engine, state, statistics, part, part_keys)
        state.updates_in_epoch += len(statistics.loss)
        state.update += len(statistics.loss)
        if phase.is_episodic:
            state.episodes += sum(map(len, statistics.values))
        kept = statistics.is_loss_finite
        state.tally.losses += statistics.loss[kept].tolist()
        state.tally.grad_norms += statistics.grad_norm[statistics.is_accepted].tolist()
        for values, is_kept in zip(statistics.values, kept, strict=True):
            state.tally.values += values.tolist() if is_kept else []
        for observer in observers:
            observer.on_launch(state)
    return step_s


def _count_refused(
    phase: Phase,
    engine: EagerEngine,
    state: TrainState,
    statistics: LaunchStatistics,
    indices: Sequence[Tensor],
    keys: Tensor | None,
) -> None:
    """Count refused updates, and raise at the first that is one too many."""
    is_fatal = ~statistics.is_accepted
    if engine.precision.is_scaled:
        is_fatal = ~statistics.is_loss_finite
    for k, is_accepted in enumerate(statistics.is_accepted):
        if is_accepted:
            state.refused_in_a_row = 0
            continue
        state.skipped_updates += 1
        state.refused_in_a_row += 1
        if is_fatal[k] and not phase.max_skipped_updates:
            key = None if keys is None else keys[k]
            raise DivergedError(
                f"Training diverged in {_where(phase, state, k)}: "
                f"{_place_of_nonfinite(phase, engine, state, indices[k], key)}. The weights are "
                "those before that update. Lower the learning rate, check the data, or set "
                "on_nonfinite to skip."
            )
        if phase.max_skipped_updates and state.skipped_updates > phase.max_skipped_updates:
            raise DivergedError(
                f"{state.skipped_updates} updates were not finite by {_where(phase, state, k)}, "
                f"more than the {phase.max_skipped_updates} that may be skipped. Lower the "
                "learning rate, check the data, or raise max_skipped_updates."
            )
        if engine.precision.is_scaled and state.refused_in_a_row == MAX_OVERFLOWS_IN_A_ROW:
            raise DivergedError(
                f"{MAX_OVERFLOWS_IN_A_ROW} float16 updates in a row overflowed by "
                f"{_where(phase, state, k)}. Use amp_dtype bfloat16, or a lower learning rate."
            )


def _place_of_nonfinite(
    phase: Phase, engine: EagerEngine, state: TrainState, index: Tensor, key: Tensor | None
) -> str:
    """Repeat a refused update's forward pass, as it was computed, to see where it broke."""
    forward = engine.forward(state.carry.weights, state.carry.buffers)
    with torch.no_grad(), engine.precision.autocast():
        return phase.objective.place_of_nonfinite(forward, index, key)


def _where(phase: Phase, state: TrainState, k: int) -> str:
    return f"phase {phase.name}, epoch {state.epoch + 1}, update {state.updates_in_epoch + k + 1}"


def _summarise(
    phase: Phase,
    engine: EagerEngine,
    state: TrainState,
    validation: Validation | None,
    lr: float,
) -> EpochRecord:
    """Record of the epoch that just ended, and its verdict on the best weights."""
    tally = state.tally
    values = np.asarray(tally.values) if phase.is_episodic and tally.values else None
    record = EpochRecord(
        phase=phase.name,
        epoch=state.epoch + 1,
        epochs_total=phase.epochs,
        update=state.update,
        episodes=state.episodes,
        lr=lr,
        train_loss=_mean(tally.losses),
        val_loss=None if validation is None else validation.loss,
        reward_mean=None if values is None else float(values.mean()),
        reward_std=None if values is None else float(values.std()),
        reward_min=None if values is None else float(values.min()),
        reward_max=None if values is None else float(values.max()),
        val_reward_mean=None if validation is None else validation.reward,
        turnover=None if validation is None else validation.turnover,
        entropy=None if validation is None else validation.entropy,
        grad_norm=_mean(tally.grad_norms),
        amp_scale=float(state.carry.scale) if engine.precision.is_scaled else None,
        skipped_updates=state.skipped_updates,
    )
    value = _monitor_value(phase, record, validation)
    return replace(record, monitor_value=value, is_best=_keep_if_best(phase, state, value))


def _mean(numbers: Sequence[float]) -> float | None:
    return float(np.mean(numbers)) if numbers else None


def _monitor_value(
    phase: Phase, record: EpochRecord | None, validation: Validation | None
) -> float | None:
    if phase.monitor == "val_reward":
        return None if validation is None else validation.reward
    if phase.monitor == "val_loss":
        return None if validation is None else validation.loss
    if record is None or phase.monitor is None:
        return None
    return record.reward_mean if phase.monitor == "reward" else record.train_loss


def _keep_if_best(phase: Phase, state: TrainState, value: float | None) -> bool:
    """Keep the weights of a strictly better epoch: ties keep the earlier, NaN never wins."""
    if phase.monitor is None:
        return False
    sign = 1.0 if phase.monitor.endswith("reward") else -1.0
    bar = -math.inf if state.best is None else sign * state.best.value
    if value is None or not bar < sign * value < math.inf:
        state.stale_epochs += 1
        return False
    state.stale_epochs = 0
    carry = state.carry
    state.best = Best(
        value=value, epoch=state.epoch + 1, weights=carry.weights, buffers=carry.buffers
    )
    return True
