"""The stages of a run, each a function of what came before it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from psann._device import hardware_facts, resolve_device
from psann.errors import TrainingInterrupted
from psann.estimators._base import BasePSANNRegressor
from psann.estimators.seeds import fit_together
from psann.run.config.model import RunConfig
from psann.run.data.splits import DataSplits
from psann.run.directory.checkpoints import Checkpoints
from psann.run.directory.log import EventLog
from psann.run.directory.resume_state import RunIdentity
from psann.run.execution.context import RunContext
from psann.run.execution.epoch_events import EpochEvents
from psann.run.execution.figures import best_figures_of
from psann.run.execution.observer import RunObserver
from psann.run.execution.resume import ResumePoint, resume_bytes
from psann.run.execution.setup import training_rows
from psann.training.history import FitResult
from psann.training.profile import ProfileObserver
from psann.training.state import TrainState

_logger = logging.getLogger(__name__)


def train(
    context: RunContext,
    config: RunConfig,
    estimators: Sequence[BasePSANNRegressor],
    splits: DataSplits,
    *,
    identity: RunIdentity,
    point: ResumePoint | None,
) -> list[FitResult]:
    """Fit the estimators, one per seed, under the eyes of log, console and run directory."""
    record, events = context.record, context.events
    assert events is not None
    # With more epochs than then, what was trained with fewer is not done.
    done = point.done if point is not None and point.identity.epochs == identity.epochs else ()
    observer = RunObserver(
        dict(zip(config.seeds, estimators, strict=True)),
        record=record,
        checkpoints=Checkpoints(context.storage, context.paths),
        keep_checkpoints=context.request.keep_checkpoints,
        resume_state=partial(_resume_state, identity=identity, events=events, done=done),
        stop=context.stop,
        checkpoint_every_s=config.training.checkpoint_every_s,
        is_hopeless=context.request.is_hopeless,
    )
    epoch_events = EpochEvents(
        _logger, n_logged=events.n_epochs(), seed=config.seed if len(estimators) == 1 else None
    )
    profile = None
    if context.request.profile:
        profile = ProfileObserver(context.paths.profile, context.storage.put)
    is_whole = False
    try:
        fit_together(
            estimators,
            **training_rows(config, splits),
            hisso=config.hisso,
            evaluation=config.evaluation.options,
            observers=(epoch_events, context.console, observer, *filter(None, [profile])),
            resume=() if point is None else point.saved,
        )
        is_whole = True
    except TrainingInterrupted:
        is_whole = True
        raise
    finally:
        # Whatever ends training, the best epoch so far is kept. The state is only where a launch
        # has ended: any other exception may have left it between two updates.
        observer.commit(with_state=is_whole)
        record.update(timing=_timing(observer, profile))
    results = [estimator.fit_result_ for estimator in estimators]
    first = estimators[0]
    hardware = hardware_facts(
        resolve_device(config.device), threads=first.threads_, engine=first.engine_
    )
    record.update(hardware=hardware, **_fit_figures(results))
    return results


def _resume_state(
    group: Sequence[TrainState], *, identity: RunIdentity, events: EventLog, done: tuple[str, ...]
) -> bytes:
    """The file from which all seeds can go on."""
    events.sync()  # the log first: the state vouches for its length
    saved = tuple(state.state_dict() for state in group)
    return resume_bytes(
        ResumePoint(saved=saved, identity=identity, log_bytes=events.size_bytes, done=done)
    )


def forget_training(context: RunContext) -> None:
    """Take the resume states off the record, once nothing is left to go on with."""
    if not context.request.keep_checkpoints:
        Checkpoints(context.storage, context.paths).forget_resume_states()
        context.record.update(last=None)


def _timing(observer: RunObserver, profile: ProfileObserver | None) -> dict[str, Any]:
    """Seconds by kind of work, and by part of an update where that was traced."""
    if profile is None:
        return observer.timing
    profile.close()
    return {**observer.timing, "profile": profile.timing(observer.timing)}


def _fit_figures(results: Sequence[FitResult]) -> dict[str, Any]:
    """What a finished fit tells of itself, as fields of `metrics.json`."""
    step_s = sum(epoch.step_s for result in results for epoch in result.history)
    episodes = sum(result.episodes for result in results)
    figures = {"throughput_eps_per_sec": episodes / step_s if episodes and step_s else None}
    if len(results) > 1:
        return figures  # the rest is told by seed
    return {**figures, **best_figures_of(results[0])}
