"""From arrays to training: the one way there, for `fit` and for the command alike.

`prepare_inputs_and_scaler` turns what a user has into scaled float32 rows; `maybe_run_hisso`
trains on episodes cut from them. Both take arrays and options, never an estimator.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor

from psann._mapped import count_where, is_mapped, row_blocks, scratch_array
from psann.hisso.episodes import default_updates_per_epoch
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.hisso.reward_context import (
    RewardSource,
    check_context_width,
    resolve_reward_for,
    reward_context,
    reward_source,
)
from psann.hisso.rewards import Reward
from psann.hisso.trainer import HISSOTask, Series, train_hisso
from psann.hisso.transforms import TRANSFORMS
from psann.training.engine import EagerEngine
from psann.training.engine_choice import PlannedWork
from psann.training.history import Decision, FitResult
from psann.training.observers import Observer
from psann.training.options import TrainingOptions
from psann.training.state import SavedState, SeedStart, TrainState
from psann.training.supervised import Rows

Floats = NDArray[np.floating[Any]]
DataFormat = Literal["channels_first", "channels_last"]
SCALERS = {"minmax": MinMaxScaler, "standard": StandardScaler}


@dataclass(frozen=True, kw_only=True)
class PreparedSplit:
    """Rows of one split, ready for tensors."""

    X: NDArray[np.float32]  # (N, F) scaled
    X_raw: Floats  # (N, F) as given
    y: NDArray[np.float32] | None = None  # (N, M) scaled
    prices: NDArray[np.float64] | None = None  # (N, M)
    context: NDArray[np.float32] | None = None  # (N, C)


@dataclass(frozen=True, kw_only=True)
class PreparedInputs:
    """Both splits and the scalers fitted on the first."""

    train: PreparedSplit
    validation: PreparedSplit | None
    scaler: Any
    target_scaler: Any

    @property
    def n_features(self) -> int:
        """Columns of X, F."""
        return int(self.train.X.shape[1])

    @property
    def n_context(self) -> int:
        """Columns of the network's context, 0 without one."""
        return 0 if self.train.context is None else self.train.context.shape[1]


def validation_mapping(validation_data: Any) -> Mapping[str, Any] | None:
    """What `fit` was given to validate on as a mapping; the pair `(X, y)` is short for one."""
    if validation_data is None:
        return None
    if isinstance(validation_data, Mapping):
        keys = set(validation_data)
        if "X" in keys and keys <= {"X", "y", "prices", "context"}:
            return validation_data
        got = ", ".join(sorted(map(str, keys))) or "nothing"
    elif isinstance(validation_data, tuple | list) and len(validation_data) == 2:
        return dict(zip(("X", "y"), validation_data, strict=True))
    else:
        got = type(validation_data).__name__
    raise ValueError(
        "validation_data must be a mapping with X and any of y, prices, context, or the pair "
        f"(X, y); got {got}."
    )


def flatten_rows(X: ArrayLike, data_format: DataFormat) -> NDArray[Any]:
    """Each row as one vector, channels outermost whatever the format, ``(N, F)``.

    Parameters
    ----------
    X : array-like of shape (N, ...)
        Rows of any rank; one- and two-dimensional arrays pass through unchanged.
    data_format : {"channels_first", "channels_last"}
        Where the channel axis of a row is.
    """
    array = np.asarray(X)
    if array.ndim <= 2:
        return array
    if data_format == "channels_last":
        array = np.moveaxis(array, -1, 1)
    return array.reshape(len(array), -1)


def prepare_inputs_and_scaler(
    train: Mapping[str, Any],
    validation: Mapping[str, Any] | None,
    *,
    scaler: Any = None,
    target_scaler: Any = None,
    fitted: bool = False,
) -> PreparedInputs:
    """Check that the arrays fit together, fit the scalers on the training rows, scale.

    Parameters
    ----------
    train, validation : mapping
        Keys ``X`` (N, F) and optionally ``y`` (N,) or (N, M), ``prices`` (N, M),
        ``context`` (N, C).
    scaler, target_scaler : str, transformer or None
        ``standard``, ``minmax``, any scikit-learn transformer, or none.
    fitted : bool
        The scalers are fitted already: use them as they are (fine-tuning).

    Returns
    -------
    PreparedInputs
        Float32 rows, float64 prices, fitted scalers.

    Raises
    ------
    ValueError
        With every problem: lengths, widths, ranks, values that are not finite.
    """
    train, problems = _as_matrices(train, "")
    problems += _split_problems(train, "")
    if validation is not None:
        validation, others = _as_matrices(validation, "validation ")
        problems += [*others, *_split_problems(validation, "validation ")]
        problems += _match_problems(train, validation)
    if problems:
        raise ValueError("\n".join(problems))
    if not fitted:
        scaler = _fitted_scaler(scaler, train["X"])
        target_scaler = _fitted_scaler(target_scaler, train.get("y"))
    return PreparedInputs(
        train=_prepare(train, scaler, target_scaler),
        validation=None if validation is None else _prepare(validation, scaler, target_scaler),
        scaler=scaler,
        target_scaler=target_scaler,
    )


def _as_matrices(split: Mapping[str, Any], name: str) -> tuple[dict[str, Floats], list[str]]:
    """Numeric arrays, vectors as single columns, absent keys dropped; and what is no array."""
    matrices: dict[str, Floats] = {}
    problems = []
    for key, value in split.items():
        if value is None:
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            problems.append(f"{name}{key} must be numeric; got dtype {array.dtype}.")
        elif array.ndim not in (1, 2):
            problems.append(f"{name}{key} must have rows and columns; got shape {array.shape}.")
        else:
            array = array if array.dtype.kind == "f" else array.astype(np.float64)
            matrices[key] = array[:, None] if array.ndim == 1 else array
    return matrices, problems


def _split_problems(split: Mapping[str, Floats], name: str) -> list[str]:
    problems = []
    for key, array in split.items():
        if "X" in split and len(array) != len(split["X"]):
            problems.append(
                f"{name}{key} must have the {len(split['X'])} rows of X; got {len(array)}."
            )
        n_bad, first = count_where(array, lambda rows: ~np.isfinite(rows))
        if n_bad:
            problems.append(
                f"{name}{key} must be finite; {n_bad} values are NaN or infinite, the first in row "
                f"{first[0]}."
            )
        elif count_where(array, lambda rows: np.abs(rows) > np.finfo(np.float32).max)[0]:
            problems.append(f"{name}{key} must fit into float32; some values are too large.")
    return problems + _price_problems(split, name)


def _price_problems(split: Mapping[str, Floats], name: str) -> list[str]:
    prices, y = split.get("prices"), split.get("y")
    if prices is None:
        return []
    problems = []
    # The smallest price that float32, in which training divides, can hold.
    if (prices < np.finfo(np.float32).tiny).any():
        problems.append(f"{name}prices must be greater than 0; the smallest is {prices.min():g}.")
    if y is not None and prices.shape[1] != y.shape[1]:
        problems.append(
            f"{name}prices must have one column per column of y, {y.shape[1]}; got "
            f"{prices.shape[1]}. Both are the assets that are acted on."
        )
    return problems


def _match_problems(train: Mapping[str, Floats], validation: Mapping[str, Floats]) -> list[str]:
    """Where the validation rows are not like the training rows."""
    problems = [
        f"validation {key} must have the {train[key].shape[1]} columns of the training rows; "
        f"got {array.shape[1]}."
        for key, array in validation.items()
        if key in train and array.shape[1] != train[key].shape[1]
    ]
    if ("context" in train) != ("context" in validation):
        has, lacks = (
            ("training", "validation") if "context" in train else ("validation", "training")
        )
        problems.append(
            f"context must be given for all rows or none; only the {has} rows have it, "
            f"the {lacks} rows do not."
        )
    return problems


def _fitted_scaler(scaler: Any, array: Floats | None) -> Any:
    if scaler is None or array is None:
        return None
    transformer = SCALERS[scaler]() if isinstance(scaler, str) else clone(scaler)
    blocks = row_blocks(array)
    if len(blocks) == 1 or not hasattr(transformer, "partial_fit"):
        return transformer.fit(array)
    # Also where all rows are in memory, so that it makes no difference where they are.
    for block in blocks:
        transformer.partial_fit(array[block])
    return transformer


def _prepare(split: Mapping[str, Floats], scaler: Any, target_scaler: Any) -> PreparedSplit:
    y, prices, context = split.get("y"), split.get("prices"), split.get("context")
    if y is not None:
        y = y if target_scaler is None else target_scaler.transform(y)
    return PreparedSplit(
        X=scale_rows(split["X"], scaler),
        X_raw=split["X"],
        y=None if y is None else _writable_float32(y),
        prices=None if prices is None else prices.astype(np.float64),
        context=None if context is None else context.astype(np.float32),
    )


def scale_rows(X: Floats, scaler: Any) -> NDArray[np.float32]:
    """Scaled rows in float32; those of a file stay in it, or go to a scratch file."""
    if not is_mapped(X):
        return _writable_float32(X if scaler is None else scaler.transform(X))
    is_usable = X.dtype == np.float32 and X.flags.c_contiguous and X.flags.aligned
    if scaler is None and is_usable:
        return X
    scaled: NDArray[np.float32] | None = None
    for block in row_blocks(X):
        rows = X[block] if scaler is None else scaler.transform(X[block])
        if scaled is None:
            scaled = scratch_array((len(X), rows.shape[1]), np.float32)
        scaled[block] = rows
    assert scaled is not None
    return scaled


def _writable_float32(array: Floats) -> NDArray[np.float32]:
    # torch shares memory with NumPy and warns where it must not write.
    return np.require(array, np.float32, ["C", "W"])


def action_width(prepared: PreparedInputs, hisso: HISSOOptions | None) -> int:
    """Columns of the actions, M: those of y, else of the prices, else of the reward context."""
    train = prepared.train
    for array in (train.y, train.prices):
        if array is not None:
            return int(array.shape[1])
    assert hisso is not None
    reward = resolve_reward_for(hisso, has_prices=False)
    source = reward_source(reward, hisso, has_prices=False)
    return int(_judged(train, source, reward, hisso).shape[1])


def _judged(
    split: PreparedSplit, source: RewardSource, reward: Reward, hisso: HISSOOptions
) -> NDArray[np.float64]:
    """What the reward judges the actions of a split against."""
    arrays = {"X": split.X_raw, "y": split.y, "prices": split.prices}
    return reward_context(arrays, source, reward=reward, hisso=hisso)


def maybe_run_hisso(
    engine: EagerEngine,
    prepared: PreparedInputs,
    *,
    starts: Sequence[SeedStart],
    hisso: HISSOOptions | None,
    evaluation: EvaluationOptions,
    training: TrainingOptions,
    keeps_first_weights: bool = False,
    observers: Sequence[Observer] = (),
    saved: Sequence[SavedState] = (),
) -> list[tuple[TrainState, FitResult]] | None:
    """Train on episodes if the options say so.

    Parameters
    ----------
    engine : EagerEngine
        Runs the updates.
    prepared : PreparedInputs
        Scaled rows, one set for all seeds.
    starts : sequence of SeedStart
        Where each seed begins.
    hisso : HISSOOptions or None
        None, or ``enabled=False``: nothing is done here.
    evaluation : EvaluationOptions
        Cost and first holdings of the validation pass.
    training : TrainingOptions
        How to train.
    keeps_first_weights : bool
        Whether epoch 0 is the network as given (fine-tuning) rather than one that does nothing.
    observers : sequence of Observer
        Who watches.
    saved : sequence of SavedState
        Where an earlier start left off, by seed.

    Returns
    -------
    list of (TrainState, FitResult) or None
        By seed; None when HISSO is not wanted.

    Raises
    ------
    ValueError
        If windows, widths, the reward or the warm start do not fit the data.
    DivergedError
        If a reward or gradient is not finite.
    """
    if hisso is None or not hisso.enabled:
        return None
    train, validation = prepared.train, prepared.validation
    reward = resolve_reward_for(hisso, has_prices=train.prices is not None)
    problems = _fit_problems(prepared, reward, hisso)
    if problems:
        raise ValueError("\n".join(problems))
    source = reward_source(reward, hisso, has_prices=train.prices is not None)
    n_actions = action_width(prepared, hisso)
    decisions = []
    if validation is not None and _lacks(validation, source):
        decisions.append(_no_validation(source))
        for observer in observers:
            observer.on_decision(decisions[-1])
        validation = None
    if validation is None:
        _check_that_none_is_needed(hisso)

    def series(split: PreparedSplit) -> Series:
        judged = _judged(split, source, reward, hisso)
        check_context_width(judged, n_actions)
        return Series(
            X=_tensor(split.X, engine.device),
            reward_context=_tensor(judged, engine.device),
            context=None if split.context is None else _tensor(split.context, engine.device),
        )

    task = HISSOTask(
        train=series(train),
        validation=None if validation is None else series(validation),
        warm_start_rows=None if hisso.warm_start is None else _rows(train, engine.device),
        reward=reward,
        hisso=hisso,
        evaluation=evaluation,
        training=training,
        keeps_first_weights=keeps_first_weights,
    )
    trained = train_hisso(engine, task, starts=starts, observers=observers, saved=saved)
    for _, result in trained:
        result.decisions[:0] = decisions
    return trained


def _check_that_none_is_needed(hisso: HISSOOptions) -> None:
    """Refuse what cannot be done without validation rows."""
    needs = {
        "refit": ("trains anew on training and validation rows", "false"),
        "temperature_scaling": ("chooses the temperature on validation rows", "false"),
        "min_improvement": ("is a gain over epoch 0 on validation rows", "0"),
        "min_significance": ("is that of a gain over epoch 0 on validation rows", "0"),
    }
    problems = [
        f"hisso.{name} {what}: there are no validation rows by which the reward can judge. Give "
        f"them, or set hisso.{name} to {off}."
        for name, (what, off) in needs.items()
        if getattr(hisso, name)
    ]
    if problems:
        raise ValueError("\n".join(problems))


def _fit_problems(prepared: PreparedInputs, reward: Reward, hisso: HISSOOptions) -> list[str]:
    """What the options ask of the rows, and do not get."""
    train, validation = prepared.train, prepared.validation
    problems = []
    if hisso.window < reward.min_rows:
        problems.append(
            f"hisso.window must be at least {reward.min_rows} for the reward {reward.name}; got "
            f"{hisso.window}."
        )
    if len(train.X) < hisso.window + 1:
        problems.append(
            f"training needs at least window + 1 = {hisso.window + 1} rows; got {len(train.X)}. "
            "Use a smaller window or more rows."
        )
    if validation is not None and len(validation.X) < reward.min_rows:
        problems.append(
            f"validation needs at least {reward.min_rows} rows for the reward {reward.name}; got "
            f"{len(validation.X)}."
        )
    if hisso.refit and validation is not None and len(validation.X) < hisso.window:
        problems.append(
            f"hisso.refit needs as many validation rows as hisso.window, {hisso.window}; got "
            f"{len(validation.X)}."
        )
    if hisso.warm_start is not None and train.y is None:
        problems.append("hisso.supervised trains on targets: y is missing.")
    return problems


def _lacks(split: PreparedSplit, source: RewardSource) -> bool:
    return (source == "prices" and split.prices is None) or (source == "y" and split.y is None)


def _no_validation(source: RewardSource) -> Decision:
    return Decision(
        phase="hisso",
        message=f"the validation rows have no {source}, by which the reward judges actions: "
        "training rewards choose the best epoch",
    )


def _rows(split: PreparedSplit, device: torch.device) -> Rows:
    assert split.y is not None
    return Rows(
        X=_tensor(split.X, device),
        y=_tensor(split.y, device),
        context=None if split.context is None else _tensor(split.context, device),
    )


def _tensor(array: Floats, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        if is_mapped(array):  # nobody writes into the series, which may be a file's
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)


def supervised_rows(prepared: PreparedInputs, device: torch.device) -> tuple[Rows, Rows | None]:
    """Training and validation rows with targets, on the device."""
    validation = prepared.validation
    return _rows(prepared.train, device), (
        None if validation is None else _rows(validation, device)
    )


def planned_work(
    prepared: PreparedInputs,
    hisso: HISSOOptions | None,
    *,
    epochs: int,
    batch_size: int,
    n_seeds: int,
) -> PlannedWork:
    """Updates of the main phase, should no epoch be spared, and their size."""
    n_rows = len(prepared.train.X)
    if hisso is None or not hisso.enabled:
        return PlannedWork(
            n_updates=epochs * -(-n_rows // batch_size),
            rows_per_update=min(batch_size, n_rows),
            n_seeds=n_seeds,
        )
    updates = hisso.updates_per_epoch or default_updates_per_epoch(
        n_rows, window=hisso.window, batch_episodes=hisso.batch_episodes
    )
    return PlannedWork(
        n_updates=epochs * updates,
        # A row that lies in several windows is computed once where that is less work.
        rows_per_update=min(hisso.window * hisso.batch_episodes, n_rows),
        n_seeds=n_seeds,
    )


def network_outputs(n_actions: int, hisso: HISSOOptions | None) -> int:
    """Outputs of the network: the actions, and what the transform needs besides."""
    if hisso is None or not hisso.enabled:
        return n_actions
    return n_actions + TRANSFORMS[hisso.primary_transform].extra_outputs
