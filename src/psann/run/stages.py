"""The stages of a run, each a function of what came before it."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Mapping
from typing import Any

import torch

from psann._device import device_name, resolve_device
from psann.errors import ConfigError
from psann.estimators._base import BasePSANNRegressor
from psann.run.checkpoints import Checkpoints
from psann.run.config import RunConfig, dump_resolved
from psann.run.config_targets import ResolvedTargets, estimator_arguments
from psann.run.data import DataSplits, load_splits
from psann.run.data_checks import DataRequirements
from psann.run.events import EpochEvents, log_event
from psann.run.observer import RunObserver, best_epoch_figures
from psann.run.paths import RunPaths
from psann.run.provenance import describe_start, save_start
from psann.run.results import portfolio_figures, split_figures
from psann.run.runner import RunContext
from psann.training.history import FitResult

_logger = logging.getLogger(__name__)

# What may change between a parent and its fine-tuned child; everything else is architecture.
_TRAINING_PARAMETERS = frozenset(
    ["optimizer", "weight_decay", "clip_norm", "loss", "input_noise", "shuffle", "state_reset"]
)


def read_data(config: RunConfig, targets: ResolvedTargets) -> DataSplits:
    """Load and check the arrays, and log what they are."""
    hisso = config.hisso
    warm_start = hisso.warm_start if hisso.enabled and config.mode != "evaluate" else None
    splits = load_splits(
        config.data,
        load_function=targets.loader,
        requirements=DataRequirements(
            window=hisso.window if hisso.enabled else None,
            needs_targets=not hisso.enabled or hisso.reward == "negative_mse",
            needs_prices=False,
            y_key=None if warm_start is None else warm_start.y_key,
            portfolio_prices_key=config.evaluation.portfolio_prices_key if hisso.enabled else None,
            mode=config.mode,
        ),
    )
    for warning in splits.warnings:
        log_event(_logger, logging.WARNING, "data", warning)
    shapes = ", ".join(f"{key} {array.shape}" for key, array in splits.arrays.items())
    log_event(_logger, logging.DEBUG, "data", f"sha256 {splits.sha256}: {shapes}")
    return splits


def first_estimator(
    config: RunConfig, targets: ResolvedTargets
) -> tuple[BasePSANNRegressor, dict[str, Any] | None]:
    """The estimator to train or judge, and what it comes from.

    Raises
    ------
    ConfigError
        If the configuration asks for another architecture than the parent has.
    """
    arguments = estimator_arguments(config)
    if targets.estimator_file is None:
        return targets.estimator_class(**arguments), None
    device = str(resolve_device(config.device))
    estimator = targets.estimator_class.load(targets.estimator_file, device=device)
    _check_against_parent(config, estimator)
    fixed = {
        key: value
        for key, value in estimator.get_params(deep=False).items()
        if key in config.estimator.params and key not in _TRAINING_PARAMETERS
    }
    estimator.set_params(**{**arguments, **fixed, "warm_start": True})
    estimator.hisso_options_ = config.hisso
    parent = {
        "sha256": targets.estimator_file_sha256,
        "run_id": _run_id(RunPaths(targets.estimator_file.parent.parent)),
        "best_epoch": estimator.best_epoch_,
    }
    return estimator, parent


def _check_against_parent(config: RunConfig, estimator: BasePSANNRegressor) -> None:
    """Refuse every key that says something else than the file does."""
    params = estimator.get_params(deep=False)
    wanted = {
        f"estimator.params.{key}": (value, params[key])
        for key, value in config.estimator.params.items()
        if key not in _TRAINING_PARAMETERS
    }
    parent = estimator.hisso_options_
    if parent is not None and parent.enabled:
        key = "hisso.primary_transform"
        wanted[key] = (config.hisso.primary_transform, parent.primary_transform)
    problems = [
        f"{config.where(*key.split('.'))}: {key} is {asked!r}, but the estimator in init_from has "
        f"{had!r}; remove the key or train from scratch."
        for key, (asked, had) in wanted.items()
        if asked != had
    ]
    if (
        config.mode == "evaluate"
        and config.hisso.enabled
        and (parent is None or not parent.enabled)
    ):
        problems.append(
            "hisso.enabled is true, but the estimator in init_from was trained on targets and has "
            "no actions to evaluate; write hisso: {enabled: false}."
        )
    if problems:
        raise ConfigError(problems)


def _run_id(paths: RunPaths) -> str | None:
    """Identity of the run that an estimator file lies in, None for a file on its own."""
    import json

    try:
        content = json.loads(paths.metrics.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get("run_id") if isinstance(content, dict) else None


def write_setup(
    context: RunContext, config: RunConfig, targets: ResolvedTargets, splits: DataSplits
) -> None:
    """Write, before training, what the run is and where it runs."""
    device = resolve_device(config.device)
    hardware = {
        "device": str(device),
        "device_name": device_name(device),
        "cores": os.cpu_count(),
        "threads_available": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    context.record.update(device=str(device), hardware=hardware)
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
    save_start(
        context.storage, context.paths.provenance, describe_start(context.request.argv, facts)
    )
    context.record.flush(force=True)


def training_rows(config: RunConfig, splits: DataSplits) -> dict[str, Any]:
    """Arrays of the training split by kind; a warm start may name other targets."""
    rows: dict[str, Any] = splits.split("train")
    warm_start = config.hisso.warm_start if config.hisso.enabled else None
    if warm_start is not None:
        rows["y"] = splits.arrays[warm_start.y_key]
    return rows


def train(
    context: RunContext, config: RunConfig, estimator: BasePSANNRegressor, splits: DataSplits
) -> FitResult:
    """Fit the estimator under the eyes of log, console and run directory."""
    checkpoints = Checkpoints(
        context.storage, context.paths, keep_checkpoints=context.request.keep_checkpoints
    )
    observer = RunObserver(
        estimator,
        record=context.record,
        checkpoints=checkpoints,
        stop=context.stop,
        checkpoint_every_s=config.training.checkpoint_every_s,
    )
    rows = training_rows(config, splits)
    validation = {k: v for k, v in splits.split("val").items() if k != "time"}
    try:
        estimator.fit(
            rows["X"],
            rows.get("y"),
            prices=rows.get("prices"),
            context=rows.get("context"),
            validation_data=validation or None,
            hisso=config.hisso,
            evaluation=config.evaluation,
            observers=(EpochEvents(_logger, seed=config.seed), context.console, observer),
        )
    finally:
        # Whatever ends training, the best epoch so far is kept.
        observer.commit()
        context.record.update(timing=_timing(observer))
    result: FitResult = estimator.fit_result_
    step_s = observer.timing["step_s"]
    context.record.update(
        best_epoch=result.best_epoch,
        episodes=result.episodes,
        throughput_eps_per_sec=result.episodes / step_s if result.episodes and step_s else None,
        best={
            "path": context.paths.best.relative_to(context.paths.root).as_posix(),
            **checkpoints.entries.get(context.paths.best.name, {}),
        },
        **best_epoch_figures(result.history, result.best_epoch),
    )
    return result


def _timing(observer: RunObserver) -> Mapping[str, float]:
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**observer.timing, "peak_memory_bytes": 1024.0 * peak_kib}


def judge(config: RunConfig, estimator: BasePSANNRegressor, splits: DataSplits) -> dict[str, Any]:
    """The figures of the kept weights, as fields of `metrics.json`; logged as one row."""
    figures = split_figures(estimator, splits, config)
    policy, baselines, note = portfolio_figures(estimator, splits, config)
    if note is not None:
        log_event(_logger, logging.WARNING, "evaluation", note)
    known = {name: value for name, value in figures.items() if value is not None}
    text = ", ".join(f"{name} {value:.6g}" for name, value in known.items())
    log_event(
        _logger,
        logging.DEBUG,
        "evaluation",
        text or "no validation or test rows to evaluate on",
        val_loss=figures["val_loss"],
        val_reward_mean=figures["val_reward_mean"],
        turnover=None if policy is None else policy["turnover"],
    )
    return {**figures, "portfolio_metrics": policy, "baselines": baselines}
