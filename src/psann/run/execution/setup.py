"""Before training: data are read, the setup is written, an earlier start is taken up."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from psann._device import hardware_facts, resolve_device
from psann._frames import ASSET_NAMES, SPLITS
from psann._inputs import are_dates, show
from psann._labels import Named
from psann._mapped import is_mapped
from psann._typing import Array
from psann.errors import DataError, counted
from psann.hisso.options import cost_problems, mean_cost
from psann.hisso.reward_context import resolve_reward_for, row_cost_problems
from psann.hisso.rewards import Reward, reward_of
from psann.hisso.significance import bound_of
from psann.market.cutting import describe_spans
from psann.run.config.load import dump_resolved
from psann.run.config.model import RunConfig
from psann.run.config.targets import ResolvedTargets
from psann.run.data.requirements import DataRequirements, split_of
from psann.run.data.splits import DataSplits, load_splits
from psann.run.directory.log import log_event
from psann.run.directory.provenance import save_start
from psann.run.directory.record import RunRecord
from psann.run.directory.resume_state import RunIdentity
from psann.run.execution.context import RunContext
from psann.run.execution.estimator_rows import estimator_rows
from psann.run.execution.parent import changed_files
from psann.run.execution.resume import ResumePoint, check_resumable, differences, read_resume_point
from psann.run.execution.study_checks import find_jumps, problems_of_studies

_logger = logging.getLogger(__name__)


def read_data(config: RunConfig, targets: ResolvedTargets) -> DataSplits:
    """Load and check the arrays, and log what they are.

    Raises
    ------
    DataError
        With every problem of the arrays, or of what the configuration wants of them.
    """
    hisso = config.hisso
    given = config.data.loader or config.data.npz or config.data.prices
    sources = given if isinstance(given, list) else [str(given)]
    names = ", ".join(map(os.path.basename, sources))
    log_event(_logger, logging.INFO, "log", f"loading data: {names}")
    reward = reward_of(hisso) if hisso.enabled else None
    warm_start = hisso.warm_start if hisso.enabled and config.mode != "evaluate" else None
    splits = load_splits(
        config.data,
        load_function=targets.loader,
        requirements=DataRequirements(
            window=hisso.window if hisso.enabled else None,
            delay=hisso.delay if hisso.enabled else 0,
            needs_targets=reward is None or reward.needs_targets,
            y_key=None if warm_start is None else warm_start.y_key,
            portfolio_prices_key=config.prices_key,
            periods_per_year=config.evaluation.periods_per_year if config.prices_key else None,
            mode=config.mode,
            reward_inputs=config.reward_inputs,
            is_of_table=config.data.prices is not None,
            is_portfolio=hisso.is_portfolio or not hisso.enabled,
            earns_moves=hisso.is_portfolio if hisso.enabled else config.data.prices is not None,
        ),
    )
    problems = [*_problems_of_use(config, splits, reward), *problems_of_studies(config, splits)]
    if problems:
        raise DataError(problems)
    changes = changed_files(config, targets, splits)
    for warning in (*changes, *splits.warnings, *splits.doubts, *find_jumps(config, splits)):
        log_event(_logger, logging.WARNING, "data", warning)
    for note in splits.notes:
        log_event(_logger, logging.INFO, "data", note)
    shapes = ", ".join(f"{key} {array.shape}" for key, array in splits.arrays.items())
    told = ". ".join(filter(None, [_extent(config, splits), splits.untested]))
    log_event(_logger, logging.INFO, "data", told)
    may_be_none = reward is not None and reward.is_own and hisso.primary_transform == "tanh"
    if may_be_none and config.prices_key in splits.arrays:
        told = f"actions are judged as weights of assets, by {config.prices_key}; if they are none"
        log_event(_logger, logging.WARNING, "data", f"{told}, give hisso.n_actions")
    log_event(_logger, logging.DEBUG, "data", f"sha256 {splits.sha256}: {shapes}")
    if mapped := [key for key, array in splits.arrays.items() if is_mapped(array)]:
        log_event(_logger, logging.INFO, "data", f"read as needed from disk: {', '.join(mapped)}")
    return splits


def _extent(config: RunConfig, splits: DataSplits) -> str:
    """Rows of each split, features, and assets or targets, or actions and what rewards them."""
    arrays = {name: splits.split(name) for name in SPLITS}
    rows = [
        f"{len(split['X'])} {name}{_dates(split.get('time'))}"
        for name, split in arrays.items()
        if "X" in split
    ]
    first = next(split for split in arrays.values() if "X" in split)
    parts = [f"rows: {', '.join(rows)}", counted(math.prod(first["X"].shape[1:]), "feature")]
    if config.hisso.enabled and not config.hisso.is_portfolio:
        n_actions = config.hisso.n_actions
        parts += [] if n_actions is None else [counted(n_actions, "action")]
        parts += [f"rewarded by {', '.join(config.reward_inputs)}"] if config.reward_inputs else []
        return "; ".join(parts)
    for kind, noun in (("prices", "asset"), ("y", "target")):
        if kind in first and (kind == "y" or config.hisso.enabled):
            parts.append(counted(math.prod(first[kind].shape[1:]), noun))
            break
    return "; ".join(parts)


def _dates(time: Array | None) -> str:
    """From when to when, where rows have dates."""
    return f" ({show(time[0])} ... {show(time[-1])})" if are_dates(time) else ""


def _problems_of_use(config: RunConfig, splits: DataSplits, reward: Reward | None) -> list[str]:
    """What a run would stumble over late, or pass over in silence."""
    problems = [] if config.mode == "evaluate" else _problems_of_training(config, splits, reward)
    if reward is None:
        return problems
    key, cost = config.prices_key, config.judging_cost
    if key in splits.arrays and not isinstance(cost, str) and np.max(cost) >= 1:
        problems.append(
            f"{config.who('evaluation', 'trans_cost')} must be given: "
            f"hisso.transition_penalty, which takes its place, is {cost} and no cost below 1."
        )
    prices = splits.arrays.get(key or "prices_train")
    n_assets = None if prices is None or prices.shape[1] == 1 else prices.shape[1]
    if key is not None and n_assets is not None:
        problems += cost_problems(config.hisso, config.evaluation, n_assets)
    told: Any = {"hisso": config.hisso, "evaluation": config.evaluation, "reward": reward}
    for split in SPLITS:
        arrays = splits.split(split, config.reward_inputs)
        found = row_cost_problems(arrays, n_assets=n_assets, split=split, **told)
        problems += [each for each in found if each not in problems]
    warm_start = config.hisso.warm_start
    if reward.needs_targets and warm_start is not None and warm_start.y_key != "y_train":
        problems.append(
            f"{config.who('hisso', 'supervised', 'y_key')} must be "
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
    who = f"{config.who('training', 'monitor')} is {monitor!r}, but"
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


def write_setup(
    context: RunContext,
    config: RunConfig,
    targets: ResolvedTargets,
    splits: DataSplits,
    *,
    start: Mapping[str, Any],
) -> None:
    """Write, before training, what the run is and where it runs.

    Parameters
    ----------
    start : mapping
        What `describe_start` told before any code of the user's was called.
    """
    hardware = hardware_facts(resolve_device(config.device))
    resolved = dump_resolved(
        config,
        **{f"{name}_sha256": digest for name, digest in splits.files_sha256.items()},
        init_from_sha256=targets.estimator_file_sha256,
    )
    context.storage.put(context.paths.config_resolved, resolved.encode())
    if splits.recipe is not None:
        context.storage.put(context.paths.recipe, splits.recipe.encode())
    facts: dict[str, Any] = {
        "weaker": context.storage.weaker,
        "device": hardware,
        "data": {"sha256": splits.sha256, "keys": dict(splits.key_sha256)},
    }
    for told in context.storage.weaker:
        log_event(_logger, logging.WARNING, "log", told)
    save_start(context.storage, context.paths.provenance, {**start, **facts})
    _, judged = split_of(config.evaluation.portfolio_prices_key or "") or ("prices", "test")
    train, rows = (splits.split(split, config.reward_inputs) for split in ("train", judged))
    hisso = config.hisso
    if hisso.enabled:
        context.record.update(
            delay=hisso.delay,
            transition_penalty=mean_cost(hisso.transition_penalty, train),
            min_improvement=hisso.min_improvement,
            min_significance=bound_of(hisso.min_significance, n_epochs=config.training.epochs),
            trans_cost=mean_cost(config.judging_cost, rows),
        )
    context.record.update(
        device=hardware["device"],
        hardware=hardware,
        data_sha256=splits.sha256,
        doubts=[*splits.doubts, *find_jumps(config, splits)],
        spans=None if config.data.prices is None else describe_spans(splits.arrays),
    )
    context.record.flush(force=True)


def training_rows(config: RunConfig, splits: DataSplits) -> dict[str, Any]:
    """Arguments of `fit` that hold data; a warm start may name other targets."""
    rows = estimator_rows(splits.split("train", config.reward_inputs), config)
    warm_start = config.hisso.warm_start if config.hisso.enabled else None
    if warm_start is not None:
        rows["y"] = splits.arrays[warm_start.y_key]
    validation = None
    if "X_val" in splits.arrays:
        validation = estimator_rows(splits.split("val", config.reward_inputs), config)
    prices, names = rows["prices"], splits.arrays.get(ASSET_NAMES)
    if prices is not None and names is not None and len(names) == prices.shape[1]:
        rows["prices"] = Named(prices, names.tolist())
    return rows | {"validation_data": validation}


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
    note_differences(record, reasons)
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


def note_differences(record: RunRecord, reasons: Sequence[str]) -> None:
    """Record why the result may not be an uninterrupted run's, or that so far it is."""
    was_exact = record.as_dict()["resume_exact"]
    earlier = record.as_dict()["resume_differences"] or []
    record.update(
        resume_exact=was_exact is not False and not reasons,
        resume_differences=[*earlier, *(reason for reason in reasons if reason not in earlier)],
    )
