"""The stages of a run, each a function of what came before it."""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from psann._device import device_name, resolve_device
from psann._mapped import is_mapped
from psann.errors import ConfigError, DataError, FileFormatError, TrainingInterrupted, counted
from psann.estimators._base import BasePSANNRegressor
from psann.estimators._fit_utils import network_outputs
from psann.estimators.seeds import fit_together, seeded
from psann.hisso.options import HISSOOptions
from psann.hisso.reward_context import resolve_reward_for
from psann.hisso.rewards import Reward, resolve_reward
from psann.run.checkpoints import Checkpoints
from psann.run.config import RunConfig, dump_resolved
from psann.run.config_targets import ResolvedTargets, estimator_arguments
from psann.run.data import DataSplits, load_splits
from psann.run.data_checks import SPLITS, DataRequirements
from psann.run.events import EpochEvents, EventsHandler, log_event
from psann.run.observer import RunObserver
from psann.run.paths import RunPaths
from psann.run.per_seed import best_epoch_figures
from psann.run.profile import ProfileObserver
from psann.run.provenance import describe_start, save_start
from psann.run.results import judging_cost
from psann.run.resume import (
    ResumePoint,
    RunIdentity,
    check_resumable,
    differences,
    read_resume_point,
    resume_bytes,
)
from psann.run.runner import RunContext
from psann.run.studies import find_jumps, problems_of_studies
from psann.training.history import FitResult
from psann.training.state import TrainState

_logger = logging.getLogger(__name__)

# What may change between a parent and its fine-tuned child; everything else is architecture.
_TRAINING_PARAMETERS = frozenset(
    ["optimizer", "weight_decay", "clip_norm", "loss", "input_noise", "shuffle", "state_reset"]
)


def read_data(config: RunConfig, targets: ResolvedTargets) -> DataSplits:
    """Load and check the arrays, and log what they are.

    Raises
    ------
    DataError
        With every problem of the arrays, or of what the configuration wants of them.
    """
    hisso = config.hisso
    reward = resolve_reward(hisso.reward) if hisso.enabled else None
    warm_start = hisso.warm_start if hisso.enabled and config.mode != "evaluate" else None
    splits = load_splits(
        config.data,
        load_function=targets.loader,
        requirements=DataRequirements(
            window=hisso.window if hisso.enabled else None,
            needs_targets=reward is None or reward.needs_targets,
            needs_prices=False,  # a reward may judge what an extractor returns, or X itself
            y_key=None if warm_start is None else warm_start.y_key,
            portfolio_prices_key=config.evaluation.portfolio_prices_key if hisso.enabled else None,
            mode=config.mode,
        ),
    )
    problems = [*_problems_of_use(config, splits, reward), *problems_of_studies(config, splits)]
    if problems:
        raise DataError(problems)
    for warning in (*splits.warnings, *find_jumps(config, splits)):
        log_event(_logger, logging.WARNING, "data", warning)
    shapes = ", ".join(f"{key} {array.shape}" for key, array in splits.arrays.items())
    log_event(_logger, logging.INFO, "data", _extent(splits))
    log_event(_logger, logging.DEBUG, "data", f"sha256 {splits.sha256}: {shapes}")
    if mapped := [key for key, array in splits.arrays.items() if is_mapped(array)]:
        log_event(_logger, logging.INFO, "data", f"read as needed from disk: {', '.join(mapped)}")
    return splits


def _extent(splits: DataSplits) -> str:
    """Rows of each split, features, and assets or targets."""
    arrays = {name: splits.split(name) for name in SPLITS}  # type: ignore[arg-type]
    rows = [f"{len(split['X'])} {name}" for name, split in arrays.items() if "X" in split]
    first = next(split for split in arrays.values() if "X" in split)
    parts = [f"rows: {', '.join(rows)}", counted(math.prod(first["X"].shape[1:]), "feature")]
    for kind, noun in (("prices", "asset"), ("y", "target")):
        if kind in first:
            parts.append(counted(math.prod(first[kind].shape[1:]), noun))
            break
    return "; ".join(parts)


def _problems_of_use(config: RunConfig, splits: DataSplits, reward: Reward | None) -> list[str]:
    """What a run would stumble over late, or pass over in silence."""
    problems = [] if config.mode == "evaluate" else _problems_of_training(config, splits, reward)
    if reward is None:
        return problems
    key, cost = config.evaluation.portfolio_prices_key, judging_cost(config)
    if key in splits.arrays and cost >= 1:
        problems.append(
            f"{config.where('evaluation', 'trans_cost')}: evaluation.trans_cost must be given: "
            f"hisso.transition_penalty, which takes its place, is {cost:g} and no cost below 1."
        )
    warm_start = config.hisso.warm_start
    if reward.needs_targets and warm_start is not None and warm_start.y_key != "y_train":
        problems.append(
            f"{config.where('hisso', 'supervised', 'y_key')}: hisso.supervised.y_key must be "
            f"'y_train' where the reward is {reward.name}, which has the same targets; got "
            f"{warm_start.y_key!r}."
        )
    return problems


def _problems_of_training(
    config: RunConfig, splits: DataSplits, reward: Reward | None
) -> list[str]:
    """Why there is nothing to maximise, or the best epoch cannot be chosen as it is meant to be."""
    problems = []
    monitor = config.training.monitor
    who = f"{config.where('training', 'monitor')}: training.monitor is {monitor!r}, but"
    has_validation = "X_val" in splits.arrays
    if monitor.startswith("val_") and not has_validation:
        problems.append(
            f"{who} the data have no X_val. Give validation rows, or write monitor: auto."
        )
    if reward is None:
        if monitor.endswith("reward"):
            problems.append(f"{who} hisso.enabled is false. Write val_loss, train_loss or auto.")
        return problems
    hisso = config.hisso
    has_prices = {split: f"prices_{split}" in splits.arrays for split in ("train", "val")}
    try:
        resolve_reward_for(hisso, has_prices=has_prices["train"])
    except ValueError as error:
        problems.append(str(error))
        return problems
    if reward.needs_targets or hisso.context_extractor is not None:
        return problems
    if has_prices["train"] and has_validation and not has_prices["val"]:
        problems.append(
            "prices_val (validation) must be given with X_val, as prices_train is: their reward "
            "chooses the best epoch. Add it, or leave the validation split out."
        )
    if (
        reward.needs_weights
        and not has_prices["train"]
        and not (splits.arrays["X_train"] > 0).all()
    ):
        problems.append(
            f"prices_train must be given: the reward {reward.name} is earned on prices, and "
            "X_train, which would have to stand in for them, is not positive."
        )
    return problems


def first_estimators(
    config: RunConfig, targets: ResolvedTargets, splits: DataSplits
) -> tuple[list[BasePSANNRegressor], dict[str, Any] | None]:
    """The estimators to train or judge, one per seed, and what they come from.

    Raises
    ------
    ConfigError
        If the configuration asks for another architecture than the parent has, or the data are of
        another width.
    """
    arguments = estimator_arguments(config)
    if targets.estimator_file is None:
        return _for_each_seed(targets.estimator_class(**arguments), config), None
    estimator = _loaded(targets.estimator_file, config, targets, splits)
    parent = {
        "sha256": targets.estimator_file_sha256,
        "run_id": _run_id(targets.estimator_file),
        "best_epoch": estimator.best_epoch_,
    }
    if targets.seed_files:
        return [_loaded(file, config, targets, splits) for file in targets.seed_files], parent
    return _for_each_seed(estimator, config), parent


def _for_each_seed(estimator: BasePSANNRegressor, config: RunConfig) -> list[BasePSANNRegressor]:
    """The estimator itself, or a clone for each of several seeds."""
    return [estimator] if len(config.seeds) == 1 else seeded(estimator, config.seeds)


def _loaded(
    file: Path, config: RunConfig, targets: ResolvedTargets, splits: DataSplits
) -> BasePSANNRegressor:
    """A fitted estimator, with the parameters of the configuration."""
    device = str(resolve_device(config.device))
    try:
        estimator = targets.estimator_class.load(file, device=device)
    except (FileFormatError, OSError) as error:  # an OSError is of this file, not of the run's own
        raise ConfigError(
            f"{config.where('init_from')}: init_from must be readable as estimator.target "
            f"{config.estimator.target}: {error}"
        ) from error
    _check_against_parent(config, estimator, splits)
    estimator.set_params(**estimator_arguments(config), warm_start=True)
    # What an evaluation judges by; training sets it anyway.
    estimator.hisso_options_ = config.hisso
    return estimator


def _check_against_parent(
    config: RunConfig, estimator: BasePSANNRegressor, splits: DataSplits
) -> None:
    """Refuse every key that says something else than the file does, and data that do not fit."""
    params = estimator.get_params(deep=False)
    problems = [
        f"{config.where('estimator', 'params', key)}: estimator.params.{key} is {value!r}, but the "
        f"estimator in init_from has {params[key]!r}; remove the key or train from scratch."
        for key, value in config.estimator.params.items()
        if key not in _TRAINING_PARAMETERS and value != params[key]
    ]
    parent = estimator.hisso_options_
    if parent is None or not parent.enabled:
        if config.mode == "evaluate" and config.hisso.enabled:
            problems.append(
                "hisso.enabled is true, but the estimator in init_from was trained on targets and "
                "has no actions to evaluate; write hisso: {enabled: false}."
            )
    elif config.hisso.enabled and config.hisso.primary_transform != parent.primary_transform:
        problems.append(
            f"{config.where('hisso', 'primary_transform')}: hisso.primary_transform is "
            f"{config.hisso.primary_transform!r}, but the policy in init_from has "
            f"{parent.primary_transform!r}; write that or train from scratch."
        )
    problems += _problem_of_the_head(config, parent)
    if widths := _other_widths(estimator, splits, kind="prices" if config.hisso.enabled else "y"):
        problems.append(
            f"{config.where('init_from')}: init_from does not fit the data: {'; '.join(widths)}."
        )
    if problems:
        raise ConfigError(problems)


def _problem_of_the_head(config: RunConfig, parent: HISSOOptions | None) -> list[str]:
    """Where one of parent and child is trained on targets, and the other's network has cash."""
    hisso = config.hisso
    was_hisso = parent is not None and parent.enabled
    if config.mode != "fine_tune" or was_hisso == hisso.enabled:
        return []
    if parent is not None and was_hisso and network_outputs(0, parent):
        return [
            f"{config.where('hisso', 'enabled')}: hisso.enabled is false, but the policy in "
            f"init_from has primary_transform {parent.primary_transform!r}, whose network has an "
            "output for cash that no target goes with. Write hisso: {enabled: true, "
            f"primary_transform: {parent.primary_transform}}}, or mode: train without init_from."
        ]
    if network_outputs(0, hisso):
        return [
            f"{config.where('hisso', 'primary_transform')}: hisso.primary_transform is "
            f"{hisso.primary_transform!r}, which needs an output for cash, but the estimator in "
            "init_from was trained on targets and has none. Write another transform, such as "
            "softmax, or mode: train without init_from."
        ]
    return []


def _other_widths(estimator: BasePSANNRegressor, splits: DataSplits, *, kind: str) -> list[str]:
    """Where the data are of another width than those that the estimator was trained on."""
    found = (splits.split(name) for name in SPLITS)  # type: ignore[arg-type]
    arrays = next(split for split in found if "X" in split)
    row = estimator.input_shape_ or (estimator.n_features_in_,)
    context = arrays.get("context")
    widths = {
        "features": (math.prod(row), math.prod(arrays["X"].shape[1:])),
        "context columns": (estimator.n_context_, 0 if context is None else context.shape[1]),
    }
    if kind in arrays:
        width = math.prod(arrays[kind].shape[1:])
        widths[f"columns of {kind}"] = (estimator.n_outputs_, width)
    return [
        f"{what} {then} in init_from, {now} in the data"
        for what, (then, now) in widths.items()
        if then != now
    ]


def _run_id(estimator_file: Path) -> str | None:
    """Identity of the run that an estimator file lies in, None for a file on its own."""
    paths = RunPaths(estimator_file.parent.parent)
    if paths.checkpoints != estimator_file.parent:
        return None
    try:
        content = json.loads(paths.metrics.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get("run_id") if isinstance(content, dict) else None


def write_setup(
    context: RunContext, config: RunConfig, targets: ResolvedTargets, splits: DataSplits
) -> None:
    """Write, before training, what the run is and where it runs."""
    hardware = _hardware(resolve_device(config.device))
    resolved = dump_resolved(
        config,
        npz_sha256=splits.npz_sha256,
        init_from_sha256=targets.estimator_file_sha256,
    )
    context.storage.put(context.paths.config_resolved, resolved.encode())
    facts = {
        "device": hardware,
        "data": {"sha256": splits.sha256, "keys": dict(splits.key_sha256)},
    }
    start = describe_start(context.request.argv, facts)
    save_start(context.storage, context.paths.provenance, start)
    is_hisso = config.hisso.enabled
    context.record.update(
        device=hardware["device"],
        hardware=hardware,
        transition_penalty=config.hisso.transition_penalty if is_hisso else None,
        min_improvement=config.hisso.min_improvement if is_hisso else None,
        trans_cost=judging_cost(config) if is_hisso else None,
        data_sha256=splits.sha256,
    )
    context.record.flush(force=True)


def _hardware(
    device: torch.device, *, threads: int | None = None, engine: str | None = None
) -> dict[str, Any]:
    """Facts of the machine; `threads` and `engine` are what training takes of those at hand."""
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return {
        "device": str(device),
        "device_name": device_name(device),
        "cores": os.cpu_count(),
        "threads": threads,
        "engine": engine,
        "threads_available": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit,
    }


def training_rows(config: RunConfig, splits: DataSplits) -> dict[str, Any]:
    """Arguments of `fit` that hold data; a warm start may name other targets."""
    rows: dict[str, Any] = splits.split("train")
    warm_start = config.hisso.warm_start if config.hisso.enabled else None
    if warm_start is not None:
        rows["y"] = splits.arrays[warm_start.y_key]
    validation = {kind: array for kind, array in splits.split("val").items() if kind != "time"}
    return {
        "X": rows["X"],
        "y": rows.get("y"),
        "prices": rows.get("prices"),
        "context": rows.get("context"),
        "validation_data": validation or None,
    }


def take_up(context: RunContext, identity: RunIdentity) -> ResumePoint:
    """Where each seed stood, once it is sure that this is the same run; its log is cut back.

    Raises
    ------
    FileFormatError
        If no resume state can be read.
    ConfigError, DataError
        If the run was begun with another configuration or other data.
    """
    point, name = read_resume_point(context.paths)
    check_resumable(point.identity, identity, phase=point.furthest.phase)
    reasons = differences(point.identity, identity)
    record, paths = context.record, context.paths
    was_exact = record.as_dict()["resume_exact"]
    earlier = record.as_dict()["resume_differences"] or []
    record.update(
        resume_exact=was_exact is not False and not reasons,
        resume_differences=[*earlier, *(reason for reason in reasons if reason not in earlier)],
    )
    assert context.events is not None
    if lost := context.events.rows_after(point.log_bytes):
        home = context.storage.archive([], paths.attempts)
        context.storage.put(home / paths.events.name, lost)
        context.events.cut_back(point.log_bytes)
    # Only now is it sure that this start goes on with the run: from here on it writes.
    record.attach(context.storage, paths.metrics)
    values = point.furthest.values
    message = f"going on from {name}: phase {values['phase']}, epoch {values['epoch']}"
    if point.done:
        message += f", {counted(len(point.done), 'training')} beside it done"
    if values["updates_in_epoch"]:
        message += f" and {counted(values['updates_in_epoch'], 'update')}"
    log_event(_logger, logging.INFO, "resume", message, phase=values["phase"])
    if reasons:
        why = "; ".join(reasons)
        log_event(_logger, logging.WARNING, "resume", f"not exact to the last bit: {why}")
    return point


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
    checkpoints = Checkpoints(
        context.storage, context.paths, keep_checkpoints=context.request.keep_checkpoints
    )

    # With more epochs than then, what was trained with fewer is not done.
    done = point.done if point is not None and point.identity.epochs == identity.epochs else ()
    observer = RunObserver(
        dict(zip(config.seeds, estimators, strict=True)),
        record=record,
        checkpoints=checkpoints,
        resume_state=partial(_resume_state, identity=identity, events=events, done=done),
        stop=context.stop,
        checkpoint_every_s=config.training.checkpoint_every_s,
    )
    epoch_events = EpochEvents(
        _logger, n_logged=events.n_epochs(), seed=config.seed if len(estimators) == 1 else None
    )
    profile = ProfileObserver(context.storage, context.paths) if context.request.profile else None
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
    hardware = _hardware(
        resolve_device(config.device), threads=first.threads_, engine=first.engine_
    )
    record.update(hardware=hardware, **_fit_figures(results))
    return results


def _resume_state(
    group: Sequence[TrainState],
    *,
    identity: RunIdentity,
    events: EventsHandler,
    done: tuple[str, ...],
) -> bytes:
    """The file from which all seeds can go on."""
    events.flush()  # the log first: the state vouches for its length
    saved = tuple(state.state_dict() for state in group)
    return resume_bytes(
        ResumePoint(saved=saved, identity=identity, log_bytes=events.size_bytes, done=done)
    )


def forget_training(context: RunContext) -> None:
    """Take the resume states off the record, once nothing is left to go on with."""
    if not context.request.keep_checkpoints:
        checkpoints = Checkpoints(context.storage, context.paths, keep_checkpoints=False)
        checkpoints.forget_resume_states()
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
    best_epoch = results[0].best_epoch
    return {
        "best_epoch": best_epoch,
        "temperature": results[0].temperature,
        **figures,
        **best_epoch_figures(results[0].history, best_epoch),
    }
