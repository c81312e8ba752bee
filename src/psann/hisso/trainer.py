"""HISSO: warm start on targets, then episodes; the best epoch by a pass over validation rows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from psann.errors import counted
from psann.hisso.episodes import episode_table
from psann.hisso.objective import EpisodeObjective
from psann.hisso.own_weights import first_memory
from psann.hisso.rewards import penalty_of
from psann.hisso.significance import SignificanceGate, bound_of
from psann.hisso.task import HISSOTask
from psann.hisso.temperature import scaled_head, with_temperature
from psann.training.carry import MEMORY
from psann.training.engine import EagerEngine
from psann.training.history import Decision, FitResult
from psann.training.loop import (
    MonitorName,
    Phase,
    group_at_start,
    resolve_monitor,
    run_phase,
)
from psann.training.observers import Observer, tell_all
from psann.training.schedules import LRScheduleOptions
from psann.training.state import Best, SavedState, SeedStart, TrainState
from psann.training.supervised import row_phase


def train_hisso(
    engine: EagerEngine,
    task: HISSOTask,
    *,
    starts: Sequence[SeedStart],
    observers: Sequence[Observer],
    saved: Sequence[SavedState] = (),
) -> list[tuple[TrainState, FitResult]]:
    """Train policies by their reward, after a warm start and before a refit if there are such.

    Parameters
    ----------
    engine : EagerEngine
        Runs the updates.
    task : HISSOTask
        Data and options.
    starts : sequence of SeedStart
        Where each seed begins: one policy each.
    observers : sequence of Observer
        Who watches.
    saved : sequence of SavedState
        Where an earlier start left off, in whatever phase, by seed.

    Returns
    -------
    list of (TrainState, FitResult)
        By seed, where training ended (`state.best` is what to keep), and what happened.

    Raises
    ------
    ValueError
        If the monitor needs data that there are not, or the reward breaks its contract.
    DivergedError
        If a reward or gradient is not finite.
    """
    if task.training.is_pass:
        return _newest_window(engine, task, starts, observers, saved)
    monitors: tuple[MonitorName, ...] = ("reward", "train_loss")
    if task.validation is not None:
        monitors = ("val_reward", "val_loss", *monitors)
    monitor = resolve_monitor(task.training.monitor, monitors)
    _check_what_is_asked_of_an_epoch(task, monitor)
    decisions = []
    warm: list[TrainState] = []
    if task.warm_start_rows is not None and not (saved and saved[0].phase == "hisso"):
        warm, decision = _warm_start(engine, task, starts, observers, saved)
        decisions.append(decision)
    if task.hisso.warm_start is not None:
        # The network has grown with these epochs; starting its warm-ups again would undo them.
        engine.epoch_offset += task.hisso.warm_start.epochs
    decisions.append(_episode_decision(engine, task))
    tell_all(observers, decisions[-1])
    group: list[TrainState] = []
    if not (saved and saved[0].phase == "refit"):
        phase = _episode_phase(engine, task, starts, monitor)
        group = group_at_start(phase, engine, _with_memory(task, starts), saved)
        for state, before in zip(group, warm, strict=bool(warm)):
            state.carry = engine.restarted(before.carry.weights, before.carry.buffers)
        run_phase(phase, engine, group, observers)
    if task.hisso.refit and (not group or any(state.best_epoch for state in group)):
        group = _refit(engine, task, starts, group, observers, saved)
    return [(state, _result(task, state, decisions, observers)) for state in group]


def _newest_window(
    engine: EagerEngine,
    task: HISSOTask,
    starts: Sequence[SeedStart],
    observers: Sequence[Observer],
    saved: Sequence[SavedState],
) -> list[tuple[TrainState, FitResult]]:
    """One update on the episode that ends at the last row."""
    window = task.hisso.window
    task = replace(task, train=task.train.last(window))
    phase = replace(
        _episode_phase(engine, task, (), None), index_table=lambda seed, epoch: [np.array([0])]
    )
    decision = Decision(
        phase="hisso", message=f"one update, on the episode of the newest {window} rows"
    )
    tell_all(observers, decision)
    group = group_at_start(phase, engine, starts, saved)
    run_phase(phase, engine, group, observers)
    return [(state, state.result(stopped_early=False, decisions=[decision])) for state in group]


def _check_what_is_asked_of_an_epoch(task: HISSOTask, monitor: MonitorName) -> None:
    problems = [
        f"hisso.{name} is a gain over epoch 0 on validation rows; the monitor is {monitor}, which "
        f"does not judge epoch 0. Use the monitor val_reward or val_loss, or set hisso.{name} to 0."
        for name in ("min_improvement", "min_significance")
        if getattr(task.hisso, name) and not monitor.startswith("val_")
    ]
    if task.hisso.min_significance and not task.reward.needs_prices:
        problems.append(
            "hisso.min_significance compares growth row by row, for which the reward must be one "
            f"of prices, such as portfolio; got {task.reward.name}. Ask for a gain with "
            "hisso.min_improvement, or set hisso.min_significance to 0."
        )
    if problems:
        raise ValueError("\n".join(problems))


def _result(
    task: HISSOTask,
    state: TrainState,
    decisions: Sequence[Decision],
    observers: Sequence[Observer],
) -> FitResult:
    """What the episodes and the refit of a seed did, and what was decided at their end."""
    own = []
    if state.best_epoch == 0:
        own.append(_untrained_decision(task, state.seed))
    elif state.phase == "refit":
        own.append(_refit_decision(state))
    if state.best is not None and state.best.temperature is not None:
        own.append(_temperature_decision(state.seed, state.best.temperature))
    tell_all(observers, *own)
    n_epochs = sum(record.phase == "hisso" for record in state.history)
    result = state.result(
        stopped_early=n_epochs < task.training.epochs, decisions=[*decisions, *own]
    )
    return replace(result, epochs_done=n_epochs)


def _refit(
    engine: EagerEngine,
    task: HISSOTask,
    starts: Sequence[SeedStart],
    chosen: Sequence[TrainState],
    observers: Sequence[Observer],
    saved: Sequence[SavedState],
) -> list[TrainState]:
    """Train anew on training and validation rows, each seed as long as validation chose.

    The epochs have the learning rates that they had before. A seed that chose epoch 0 stays as it
    is. Without `chosen` everything is in what an earlier start saved.
    """
    assert task.validation is not None
    both = replace(task, train=task.train.then(task.validation), validation=None)
    phase = replace(
        _episode_phase(engine, both, (), None), name="refit", patience=None, conclude=_refitted
    )
    group = group_at_start(phase, engine, _with_memory(both, starts), saved)
    for state, before in zip(group, chosen, strict=bool(chosen)):
        state.monitor, state.best, state.history = before.monitor, before.best, before.history
        state.episodes, state.skipped_updates = before.episodes, before.skipped_updates
    for state in group:
        state.epochs_total = state.best_epoch
    run_phase(phase, engine, group, observers)
    return group


def _with_memory(task: HISSOTask, starts: Sequence[SeedStart]) -> list[SeedStart]:
    """Where seeds begin, with what they hold on each row where they see it."""
    prices = task.train.known_prices
    if prices is None:
        return [*starts]
    memory = first_memory(prices, task.transform)
    return [replace(start, buffers={**start.buffers, MEMORY: memory}) for start in starts]


def _warm_start(
    engine: EagerEngine,
    task: HISSOTask,
    starts: Sequence[SeedStart],
    observers: Sequence[Observer],
    saved: Sequence[SavedState],
) -> tuple[list[TrainState], Decision]:
    options, training = task.hisso.warm_start, task.training
    assert options is not None and task.warm_start_rows is not None
    own = replace(
        training,
        epochs=options.epochs,
        lr=training.lr if options.lr is None else options.lr,
        schedule=LRScheduleOptions(),
        batch_size=options.batch_size,
        shuffle=options.shuffle,
        patience=None,
    )
    phase, decision = row_phase("warm_start", task.warm_start_rows, own, engine)
    tell_all(observers, decision)
    usual = training.optimizer.weight_decay
    own_decay = usual if options.weight_decay is None else options.weight_decay
    group = group_at_start(phase, engine, starts, saved)
    with engine.weight_decay_of(own_decay):
        run_phase(phase, engine, group, observers)
    return group, decision


def _episode_phase(
    engine: EagerEngine, task: HISSOTask, starts: Sequence[SeedStart], monitor: MonitorName | None
) -> Phase:
    hisso, training = task.hisso, task.training
    return Phase(
        name="hisso",
        epochs=training.epochs,
        lr=training.lr,
        schedule=training.schedule,
        objective=EpisodeObjective(
            series=task.train,
            window=hisso.window,
            transform=task.transform,
            reward=task.reward,
            transition_penalty=penalty_of(
                hisso.transition_penalty,
                task.train.inputs,
                like=task.train.reward_context.float(),
            ),
            carry=task.carry(task.train),
            input_noise=hisso.input_noise,
            shares_rows=_shares_rows(engine, task),
        ),
        index_table=episode_table(
            task.train.span_rows or (len(task.train.X),),
            window=hisso.window,
            batch_episodes=hisso.batch_episodes,
            updates_per_epoch=task.updates_per_epoch,
        ),
        rows_per_index=hisso.window,
        goes_row_by_row=hisso.max_turnover is not None,
        draws=_draws(engine, task),
        is_episodic=True,
        monitor=monitor,
        validate=None if task.validation is None else task.validate,
        untrained_candidates={
            start.seed: _untrained_weights(engine, task, start) for start in starts
        },
        min_improvement=hisso.min_improvement,
        may_keep=_gate(engine, task, starts) if hisso.min_significance and monitor else None,
        conclude=functools.partial(_tempered, engine, task) if hisso.temperature_scaling else None,
        patience=training.patience,
        reset_states_each_epoch=training.state_reset == "epoch",
        max_skipped_updates=training.max_skipped_updates,
    )


def _gate(engine: EagerEngine, task: HISSOTask, starts: Sequence[SeedStart]) -> SignificanceGate:
    """What an epoch of each seed must grow faster than, and how clearly."""
    engine.set_epoch(0)
    untrained = {}
    for start in starts:
        forward = engine.span_forward(_untrained_weights(engine, task, start), start.buffers)
        steps = task.validate(forward).net_log_growth
        assert steps is not None
        untrained[start.seed] = steps
    bound = bound_of(task.hisso.min_significance, n_epochs=task.training.epochs)
    return SignificanceGate(bound=bound, untrained=untrained)


def _tempered(engine: EagerEngine, task: HISSOTask, state: TrainState) -> Best | None:
    """The best weights at their temperature, unless they have it already or are of epoch 0."""
    if state.best is None or state.best.epoch == 0 or state.best.temperature is not None:
        return state.best
    engine.set_epoch(state.best.epoch)

    def reward_of(best: Best) -> float | None:
        return task.validate(engine.span_forward(best.weights, best.buffers)).reward

    return with_temperature(state.best, engine.layout, reward_of)


def _refitted(state: TrainState) -> Best | None:
    """The last weights at the temperature of the best ones, whose epoch and value stay."""
    if state.best is None or state.epoch == 0:
        return state.best
    weights = scaled_head(state.carry.weights, state.layout, state.best.temperature or 1.0)
    return replace(state.best, weights=weights, buffers=state.carry.buffers)


def _draws(engine: EagerEngine, task: HISSOTask) -> bool:
    """Whether episodes have noise or dropout of their own."""
    return task.hisso.input_noise > 0 or engine.network.dropout > 0


def _shares_rows(engine: EagerEngine, task: HISSOTask) -> bool:
    """Whether one pass over the whole series is less work than one over every window.

    The network maps row by row, so a row has the same output in every window; not so with draws
    per window or with a state that looks at all rows of a batch.
    """
    hisso = task.hisso
    return (
        not _draws(engine, task)
        and not task.training.is_stateful
        and hisso.batch_episodes * hisso.window >= len(task.train.X)
    )


def _untrained_weights(engine: EagerEngine, task: HISSOTask, start: SeedStart) -> Tensor:
    """Weights ``(P,)`` of epoch 0: as given, or with a head of zeros (softmax: 1/N)."""
    if task.keeps_first_weights:
        return start.weights
    tensors = engine.layout.unflatten(start.weights)
    for name in engine.layout.names_of_head:
        tensors[name] = torch.zeros_like(tensors[name])
    return engine.layout.flatten(tensors)


def _episode_decision(engine: EagerEngine, task: HISSOTask) -> Decision:
    training, hisso = task.training, task.hisso
    message = (
        f"episodes start at random rows; {counted(task.updates_per_epoch, 'update')} of "
        f"{counted(hisso.batch_episodes, 'episode')} of {hisso.window} steps per epoch"
    )
    if _shares_rows(engine, task):
        message += "; windows share the network's pass over the series"
    if training.keeps_state:
        message += (
            "; the stateful network keeps its state across episodes that do not follow each "
            "other in time (state_reset='batch' would forget it)"
        )
    return Decision(
        phase="hisso",
        shuffle=True,
        state_reset=training.state_reset if training.is_stateful else None,
        message=message,
    )


def _untrained_decision(task: HISSOTask, seed: int) -> Decision:
    kept = "the weights as given" if task.keeps_first_weights else "a head of zeros, no opinion"
    margin = task.hisso.min_improvement
    by_margin = f" by more than {margin:g}" if margin else ""
    if asked := task.hisso.min_significance:
        bound = bound_of(asked, n_epochs=task.training.epochs)
        by_margin += f", {bound:.3g} standard errors beyond chance"
    return Decision(
        phase="hisso",
        seed=seed,
        message=f"no epoch did better on validation than epoch 0{by_margin}: kept {kept}",
    )


def _temperature_decision(seed: int, temperature: float) -> Decision:
    return Decision(
        phase="hisso",
        seed=seed,
        message=f"outputs are divided by {temperature:.3g}, the best temperature on validation",
    )


def _refit_decision(state: TrainState) -> Decision:
    return Decision(
        phase="refit",
        seed=state.seed,
        message=(
            "trained anew on training and validation rows, for the "
            f"{counted(state.best_epoch, 'epoch')} that validation chose"
        ),
    )
