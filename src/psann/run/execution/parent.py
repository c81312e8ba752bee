"""The estimators that a run begins from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psann._device import resolve_device
from psann._frames import ASSET_NAMES, SPLITS
from psann._plain_files import read_plain
from psann._strict_yaml import MAX_BYTES, read_config_file
from psann.errors import ConfigError, FileFormatError, counted, file_and_reason
from psann.estimators._base import BasePSANNRegressor
from psann.estimators._parameters import TRAINING_PARAMETERS
from psann.estimators.seeds import seeded
from psann.hisso.options import HISSOOptions
from psann.hisso.transforms import TRANSFORMS
from psann.run.config.model import RunConfig
from psann.run.config.targets import ResolvedTargets, estimator_arguments
from psann.run.data.splits import DataSplits
from psann.run.directory.fields import Record
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths


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
    record = _record_of(targets.estimator_file)
    parent = {
        "sha256": targets.estimator_file_sha256,
        # Its identity and trials, None for an estimator file on its own.
        **{name: None if record is None else record[name] for name in ("run_id", "n_trials")},
        "best_epoch": estimator.best_epoch_,
        **({} if record is None else _seen_by(record, estimator, splits)),
        **_loss_before(config, estimator, splits),
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
            f"{config.who('init_from')} must be readable as estimator.target "
            f"{config.estimator.target}: {file_and_reason(error)}"
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
        f"{config.who('estimator', 'params', key)} is {value!r}, but the "
        f"estimator in init_from has {params[key]!r}; remove the key or train from scratch."
        for key, value in config.estimator.params.items()
        if key not in TRAINING_PARAMETERS and value != params[key]
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
            f"{config.who('hisso', 'primary_transform')} is "
            f"{config.hisso.primary_transform!r}, but the policy in init_from has "
            f"{parent.primary_transform!r}; write that or train from scratch."
        )
    elif config.hisso.enabled and (config.hisso.low, config.hisso.high) != (
        parent.low,
        parent.high,
    ):
        problems.append(
            f"{config.where('hisso')}: hisso.low and high are {config.hisso.low} and "
            f"{config.hisso.high}, but the policy in init_from has {parent.low} and {parent.high}; "
            "write those or train from scratch."
        )
    elif config.hisso.enabled and config.hisso.delay != parent.delay:
        problems.append(
            f"{config.who('hisso', 'delay')} is {config.hisso.delay}, but the "
            f"policy in init_from was trained to be executed {counted(parent.delay, 'row')} late; "
            "write that (one row later is shown beside it), or train from scratch."
        )
    problems += _problem_of_the_head(config, parent)
    if widths := _other_widths(estimator, splits, config.hisso):
        problems.append(f"{config.who('init_from')} does not fit the data: {'; '.join(widths)}.")
    held, names = estimator.asset_names_, splits.arrays.get(ASSET_NAMES)
    if estimator.acts_on_any_assets:
        names = None
    if not problems and held is not None and names is not None and list(held) != names.tolist():
        problems.append(
            f"{config.who('init_from')} holds {', '.join(held)}; asset_names are "
            f"{', '.join(names)}. Give the same assets in the same order."
        )
    if problems:
        raise ConfigError(problems)


def _problem_of_the_head(config: RunConfig, parent: HISSOOptions | None) -> list[str]:
    """Where one of parent and child is trained on targets, and the other's network has cash."""
    hisso = config.hisso
    was_hisso = parent is not None and parent.enabled
    if config.mode != "fine_tune" or was_hisso == hisso.enabled:
        return []
    if parent is not None and was_hisso and TRANSFORMS[parent.primary_transform].extra_outputs:
        return [
            f"{config.who('hisso', 'enabled')} is false, but the policy in "
            f"init_from has primary_transform {parent.primary_transform!r}, whose network has an "
            "output for cash that no target goes with. Write hisso: {enabled: true, "
            f"primary_transform: {parent.primary_transform}}}, or mode: train without init_from."
        ]
    if TRANSFORMS[hisso.primary_transform].extra_outputs:
        return [
            f"{config.who('hisso', 'primary_transform')} is "
            f"{hisso.primary_transform!r}, which needs an output for cash, but the estimator in "
            "init_from was trained on targets and has none. Write another transform, such as "
            "softmax, or mode: train without init_from."
        ]
    return []


def _other_widths(
    estimator: BasePSANNRegressor, splits: DataSplits, hisso: HISSOOptions
) -> list[str]:
    """Where the data are of another width than those that the estimator was trained on."""
    found = (splits.split(name) for name in SPLITS)
    arrays = next(split for split in found if "X" in split)
    row = estimator.row_shape
    context = arrays.get("context")
    if estimator.acts_on_any_assets and len(row) == 2 and arrays["X"].ndim == 3:
        n_features = arrays["X"].shape[2]
        if row[1] == n_features:
            return []
        return [f"features of an asset {row[1]} in init_from, {n_features} in the data"]
    widths = {
        "features": (math.prod(row), math.prod(arrays["X"].shape[1:])),
        "context columns": (estimator.n_context_, 0 if context is None else context.shape[1]),
    }
    kind = "prices" if hisso.enabled else "y"
    if hisso.enabled and hisso.n_actions is not None:
        widths["actions"] = (estimator.n_outputs_, hisso.n_actions)
    elif kind in arrays and (hisso.is_portfolio or not hisso.enabled):
        width = math.prod(arrays[kind].shape[1:])
        widths[f"columns of {kind}"] = (estimator.n_outputs_, width)
    return [
        f"{what} {then} in init_from, {now} in the data"
        for what, (then, now) in widths.items()
        if then != now
    ]


def _seen_by(
    record: Record, estimator: BasePSANNRegressor, splits: DataSplits
) -> dict[str, object]:
    """Last date of the rows that trained or chose the parent; empty where it had other assets."""
    held, names = estimator.asset_names_, splits.arrays.get(ASSET_NAMES)
    if held is None or names is None or not {*held} & {*names.tolist()}:
        return {}
    spans: Any = record["spans"] or {}
    dates = [(record["parent"] or {}).get("seen_until")]
    dates += [spans[split].get("last") for split in ("train", "val") if spans.get(split)]
    known = [date for date in dates if isinstance(date, str)]
    return {"seen_until": max(known)} if known else {}


def _loss_before(
    config: RunConfig, estimator: BasePSANNRegressor, splits: DataSplits
) -> dict[str, object]:
    """What the parent itself loses on validation targets, which has no part in the choice."""
    rows = splits.split("val")
    if config.mode != "fine_tune" or config.hisso.enabled or "y" not in rows:
        return {}
    loss = estimator.evaluate_loss(rows["X"], rows["y"], context=rows.get("context"))
    return {"val_loss": loss}


def changed_files(config: RunConfig, targets: ResolvedTargets, splits: DataSplits) -> Iterator[str]:
    """Say which files of the data hold something else than the run of the parent read there."""
    if targets.estimator_file is None or (paths := _run_of(targets.estimator_file)) is None:
        return
    try:
        then = read_config_file(
            paths.config_resolved, data=read_plain(paths.config_resolved, MAX_BYTES)
        )
    except (ConfigError, OSError, ValueError):
        return
    for name, digest in splits.files_sha256.items():
        is_same_place = then.get(("data", name)) == getattr(config.data, name)
        known = then.get(("recorded", f"{name}_sha256"))
        if is_same_place and isinstance(known, str) and known != digest:
            yield f"data.{name} has changed since the run in init_from read it"


def _record_of(estimator_file: Path) -> Record | None:
    """The record of the run that an estimator file lies in."""
    paths = _run_of(estimator_file)
    return None if paths is None else read_metrics(paths.metrics)[0]


def _run_of(estimator_file: Path) -> RunPaths | None:
    paths = RunPaths(estimator_file.parent.parent)
    return paths if paths.checkpoints == estimator_file.parent else None
