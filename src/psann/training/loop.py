"""Epochs around the engine: schedules, launches, validation, the best epoch, early stopping."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psann._process import put_back
from psann._seed import update_keys
from psann._typing import Floats
from psann.errors import DivergedError, RuinedError
from psann.training.carry import copied
from psann.training.divergence import count_refused, phase_name
from psann.training.draws import Draws
from psann.training.engine import EagerEngine
from psann.training.history import EpochRecord
from psann.training.observers import Observer, tell_all
from psann.training.schedules import LRScheduleOptions, learning_rate
from psann.training.state import Best, SavedState, SeedStart, Tally, TrainState
from psann.training.statistics import LaunchStatistics
from psann.training.work import Forward, Objective, PhaseWork

MonitorName = Literal["val_reward", "val_loss", "reward", "train_loss"]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """One deterministic pass over the validation rows."""

    loss: float
    reward: float | None = None
    turnover: float | None = None
    traded_weight: float | None = None
    entropy: float | None = None
    net_log_growth: Floats | None = None
    """Of each step ``(T - 1,)``, where a gate asks for it."""


class IndexTable(Protocol):
    """Which rows or start rows each update uses; a function of seed and epoch."""

    def __call__(self, seed: int, epoch: int) -> Sequence[NDArray[np.int64]] | NDArray[np.int64]:
        """One array ``(B,)`` per update, or one ``(K, B)`` of all."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What one phase of training does, whatever the seed, as plain values and pure functions."""

    name: str
    epochs: int
    lr: float
    schedule: LRScheduleOptions
    objective: Objective
    index_table: IndexTable
    rows_per_index: int
    draws: bool
    """Whether an update needs keys, for noise or dropout."""
    is_episodic: bool
    monitor: MonitorName | None
    """None keeps the last weights: nothing is chosen in a warm start."""
    goes_row_by_row: bool = False
    """Whether what happens on a row of an episode follows from the row before."""
    validate: Callable[[Forward], Validation] | None = None
    """From the network as a function of a whole span."""
    untrained_candidates: Mapping[int, Tensor] = field(default_factory=dict)
    """Weights ``(P,)`` by seed that compete as epoch 0; needs `validate`."""
    patience: int | None = None
    reset_states_each_epoch: bool = False
    max_skipped_updates: int = 0
    """Non-finite updates that may be skipped; 0 stops at the first."""
    min_improvement: float = 0.0
    """What an epoch must gain over epoch 0 to take its place, in units of the monitor."""
    may_keep: Callable[[int, Validation], bool] | None = None
    """Whether an epoch of a seed may be kept at all, by its validation; None asks nothing."""
    conclude: Callable[[TrainState], Best | None] | None = None
    """What to keep at the end, from where a seed stands then; None keeps the best weights. Done
    again where a phase that had ended is gone on with."""


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


def group_at_start(
    phase: Phase,
    engine: EagerEngine,
    starts: Sequence[SeedStart],
    saved: Sequence[SavedState] = (),
) -> list[TrainState]:
    """One state per seed before the first update of a phase, or where an earlier start left it.

    Parameters
    ----------
    phase : Phase
        What they are about to do.
    engine : EagerEngine
        Knows the layout of the weights.
    starts : sequence of SeedStart
        The seeds, at least one.
    saved : sequence of SavedState
        What an earlier start left, in the order of the seeds; states of another phase are passed
        over.

    Raises
    ------
    ValueError
        If they are states of other seeds.
    """
    group = [
        TrainState.at_start(
            phase.name,
            epochs_total=phase.epochs,
            monitor=phase.monitor,
            engine=engine,
            start=start,
        )
        for start in starts
    ]
    for state in group:
        state.group = group
    if saved and saved[0].phase == phase.name:
        if len(saved) != len(group):
            raise ValueError(f"{len(saved)} saved states must be given to as many seeds.")
        for state, earlier in zip(group, saved, strict=True):
            state.load_state_dict(earlier)
    return group


def run_phase(
    phase: Phase, engine: EagerEngine, group: Sequence[TrainState], observers: Sequence[Observer]
) -> list[bool]:
    """Train a phase from where its seeds stand to its end, and leave the results in their states.

    All seeds do the same epoch at the same time, each with its own draws, best epoch and patience.
    One that has stopped early leaves the others to go on.

    Parameters
    ----------
    phase : Phase
        What to do.
    engine : EagerEngine
        Runs the updates.
    group : sequence of TrainState
        One per seed, moved in place.
    observers : sequence of Observer
        Told of every launch, epoch, and the end.

    Returns
    -------
    list of bool
        By seed, whether epochs were left undone because `patience` of them brought no better
        monitor.

    Raises
    ------
    DivergedError
        If a loss or gradient of any seed is not finite; its weights are those before that update.
        Also if the monitor was finite in no epoch, so that none can be kept.
    """
    for observer, state in itertools.product(observers, group):
        observer.on_phase_start(state)
    engine.tell = partial(tell_all, observers)
    engine.begin(_work_of(phase, group[0]))
    try:
        _run_epochs(phase, engine, group, observers)
    finally:
        engine.end()
    for state in group:
        _check_that_one_is_kept(phase, state)
        if phase.conclude is not None:
            state.best = phase.conclude(state)
    for observer, state in itertools.product(observers, group):
        observer.on_phase_end(phase.name, state)
    return [state.epoch < state.epochs_total for state in group]


def _run_epochs(
    phase: Phase, engine: EagerEngine, group: Sequence[TrainState], observers: Sequence[Observer]
) -> None:
    for state in group:
        _judge_untrained(phase, engine, state)
    if phase.is_episodic and phase.validate is None:
        _ask_once(phase, engine, group[0])
    while active := [state for state in group if _goes_on(phase, state)]:
        records = _run_epoch(phase, engine, active, observers)
        for observer in observers:
            for record, state in zip(records, active, strict=True):
                observer.on_epoch(record, state)


def _work_of(phase: Phase, state: TrainState) -> PhaseWork:
    table = phase.index_table(state.seed, 1)
    return PhaseWork(
        phase=phase.name,
        planned_updates=phase.epochs * len(table),
        index_size=len(table[0]),
        rows_per_update=len(table[0]) * phase.rows_per_index,
        goes_row_by_row=phase.goes_row_by_row,
        updates_done=state.epoch * len(table) + state.updates_in_epoch,
    )


def _goes_on(phase: Phase, state: TrainState) -> bool:
    is_out_of_patience = phase.patience is not None and state.stale_epochs >= phase.patience
    return state.epoch < state.epochs_total and not is_out_of_patience


def _check_that_one_is_kept(phase: Phase, state: TrainState) -> None:
    if phase.monitor is None or state.best is not None:
        return
    if all(record.val_reward_mean == -math.inf for record in state.history):
        raise RuinedError(
            f"Nothing can be kept of {phase_name(state)}: each of its {state.epoch} epochs lost "
            "everything on the validation rows. Use the primary_transform softmax or softmax_cash, "
            "which neither borrow nor sell short."
        )
    raise DivergedError(
        f"Nothing can be kept of {phase_name(state)}: {phase.monitor} was not finite in any "
        f"of its {state.epoch} epochs. Check the reward or loss on the rows that it is taken "
        "of."
    )


def _judge_untrained(phase: Phase, engine: EagerEngine, state: TrainState) -> None:
    """Let the untrained weights compete as epoch 0: doing nothing is a legitimate answer."""
    is_at_start = state.update == 0 and state.best is None
    if not is_at_start or state.seed not in phase.untrained_candidates or phase.validate is None:
        return
    engine.set_epoch(0)
    weights, buffers = phase.untrained_candidates[state.seed], state.carry.buffers
    validation = phase.validate(engine.span_forward(weights, buffers))
    value = _monitor_value(phase, None, validation)
    if value is not None and math.isfinite(value):
        state.best = Best(value=value, epoch=0, weights=weights, buffers=buffers)


def _ask_once(phase: Phase, engine: EagerEngine, state: TrainState) -> None:
    """Compute a reward without a gradient, as validation does.

    One of the user's that tells two things of one is refused then, before it trains.
    """
    index = torch.from_numpy(phase.index_table(state.seed, 1)[0]).to(engine.device)
    with torch.no_grad(), put_back(engine.at_risk, who="the network"):
        forward = engine.forward(state.carry.weights, state.carry.buffers)
        phase.objective.place_of_nonfinite(forward, index, None)


def _draw(phase: Phase, engine: EagerEngine, group: Sequence[TrainState], epoch: int) -> Draws:
    """Everything that the seeds draw in an epoch."""
    tables = [phase.index_table(state.seed, epoch) for state in group]
    keys = None
    if phase.draws:
        stream, n_updates = f"{phase.name}.draws", len(tables[0])
        keys = [
            update_keys(state.seed, stream, epoch=epoch, n_updates=n_updates) for state in group
        ]
    return Draws.of(tables, keys, device=engine.device)


def _run_epoch(
    phase: Phase, engine: EagerEngine, group: Sequence[TrainState], observers: Sequence[Observer]
) -> list[EpochRecord]:
    """One epoch of all seeds of a group, which have as many epochs behind them."""
    epoch = group[0].epoch + 1
    lr = learning_rate(phase.schedule, lr=phase.lr, epoch=epoch, epochs=phase.epochs)
    engine.set_epoch(epoch)
    started = time.perf_counter()
    draws = _draw(phase, engine, group, epoch)
    if phase.reset_states_each_epoch and group[0].updates_in_epoch == 0:
        for state in group:
            state.carry = engine.reset_states(state.carry)
    data_s = time.perf_counter() - started
    n_before = sum(len(state.tally.values) for state in group)
    step_s = _run_launches(phase, engine, group, observers, draws, lr)
    n_values = sum(len(state.tally.values) for state in group) - n_before
    records = []
    for state in group:
        started = time.perf_counter()
        validation = None
        if phase.validate is not None:
            with put_back(engine.at_risk, who="the network"):
                validation = phase.validate(
                    engine.span_forward(state.carry.weights, state.carry.buffers)
                )
        val_s = time.perf_counter() - started
        record = _summarise(phase, engine, state, validation, lr)
        records.append(
            replace(
                record,
                # Seconds of the group are shared out, so that those of all records add up.
                data_s=data_s / len(group),
                step_s=step_s / len(group),
                val_s=val_s,
                episodes_per_s=n_values / step_s if phase.is_episodic and step_s > 0 else None,
            )
        )
    for record, state in zip(records, group, strict=True):
        state.epoch, state.updates_in_epoch, state.tally = epoch, 0, Tally()
        state.history.append(record)
    return records


def _run_launches(
    phase: Phase,
    engine: EagerEngine,
    group: Sequence[TrainState],
    observers: Sequence[Observer],
    draws: Draws,
    lr: float,
) -> float:
    """All updates of the epoch, on a grid of launches that depends on the shapes alone.

    Returns the seconds that they took, without those of the observers.
    """
    started = time.perf_counter()
    # Stacked once an epoch: what observers see of it between launches are parts.
    together = engine.gathered([state.carry for state in group])
    step_s = time.perf_counter() - started
    n_updates = draws.n_updates
    rows = draws.stacks[0].shape[-1] * phase.rows_per_index
    per_launch = engine.updates_per_launch(rows, n_seeds=len(group))
    while (first := group[0].updates_in_epoch) < n_updates:
        part = draws.part(first, per_launch)
        started = time.perf_counter()
        with put_back(engine.at_risk, who="the network"):
            together, told = engine.launch_group(together, phase.objective, part, lr=lr)
        step_s += time.perf_counter() - started
        for s, (state, statistics) in enumerate(zip(group, told, strict=True)):
            state.carry = together.each[s]
            count_refused(
                engine,
                state,
                statistics,
                objective=phase.objective,
                draws=part,
                slot=s,
                lr=lr,
                max_skipped_updates=phase.max_skipped_updates,
            )
            _take_in(phase, state, statistics)
        for observer, state in itertools.product(observers, group):
            observer.on_launch(state)
    if together.stack is not None:
        for state in group:
            state.carry = copied(state.carry)
    return step_s


def _take_in(phase: Phase, state: TrainState, statistics: LaunchStatistics) -> None:
    """Add what a launch left to the counters and sums of a seed."""
    state.updates_in_epoch += len(statistics.loss)
    state.update += len(statistics.loss)
    if phase.is_episodic:
        state.episodes += len(statistics.values)
    kept = statistics.is_loss_finite
    state.tally.losses += statistics.loss[kept].tolist()
    state.tally.grad_norms += statistics.grad_norm[statistics.is_accepted].tolist()
    state.tally.values += statistics.values[kept.repeat(statistics.n_values)].tolist()


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
        epochs_total=state.epochs_total,
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
        val_turnover=None if validation is None else validation.traded_weight,
        entropy=None if validation is None else validation.entropy,
        grad_norm=_mean(tally.grad_norms),
        amp_scale=float(state.carry.scale) if engine.precision.is_scaled else None,
        skipped_updates=state.skipped_updates,
    )
    value = _monitor_value(phase, record, validation)
    may_keep = phase.may_keep is None or (
        validation is not None and phase.may_keep(state.seed, validation)
    )
    is_best = _keep_if_best(phase, state, value if may_keep else None)
    return replace(record, monitor_value=value, is_best=is_best)


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
    if state.best is not None and state.best.epoch == 0:
        bar += phase.min_improvement
    if value is None or not bar < sign * value < math.inf:
        state.stale_epochs += 1
        return False
    state.stale_epochs = 0
    carry = state.carry
    state.best = Best(
        value=value, epoch=state.epoch + 1, weights=carry.weights, buffers=carry.buffers
    )
    return True
