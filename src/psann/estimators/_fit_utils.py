"""From arrays to training: the one way there, for `fit` and for the command alike.

`prepare_inputs_and_scaler` turns what a user has into scaled float32 rows; `maybe_run_hisso`
trains on episodes cut from them. Both take arrays and options, never an estimator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor

from psann._imports import import_object
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.hisso.rewards import Reward, resolve_reward
from psann.hisso.trainer import HISSOTask, Series, train_hisso
from psann.hisso.transforms import TRANSFORMS
from psann.training.engine import EagerEngine
from psann.training.history import FitResult
from psann.training.observers import Observer
from psann.training.options import TrainingOptions
from psann.training.state import TrainState
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
    prices: NDArray[np.float64] | None = None  # (N, M) or (N, 1)
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
        Keys ``X`` (N, F) and optionally ``y`` (N,) or (N, M), ``prices`` (N, M) or (N, 1),
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
    train = _as_matrices(train)
    validation = None if validation is None else _as_matrices(validation)
    problems = _split_problems(train, "")
    if validation is not None:
        problems += _split_problems(validation, "validation ")
        problems += _width_problems(train, validation)
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


def _as_matrices(split: Mapping[str, Any]) -> dict[str, Floats]:
    """Numeric arrays, vectors as single columns; absent keys dropped."""
    matrices = {}
    for key, value in split.items():
        if value is not None:
            array = np.asarray(value)
            if array.dtype.kind not in "fiub":
                raise ValueError(f"{key} must be numeric; got dtype {array.dtype}.")
            array = array.astype(np.float64) if array.dtype.kind != "f" else array
            matrices[key] = array[:, None] if array.ndim == 1 else array
    return matrices


def _split_problems(split: Mapping[str, Floats], name: str) -> list[str]:
    problems = []
    n_rows = len(split["X"])
    for key, array in split.items():
        if array.ndim != 2:
            problems.append(f"{name}{key} must have rows and columns; got shape {array.shape}.")
        if len(array) != n_rows:
            problems.append(f"{name}{key} must have the {n_rows} rows of X; got {len(array)}.")
        bad = ~np.isfinite(array)
        if bad.any():
            row = int(np.argwhere(bad)[0][0])
            problems.append(
                f"{name}{key} must be finite; {int(bad.sum())} values are NaN or infinite, the "
                f"first in row {row}."
            )
        elif array.size and np.abs(array).max() > np.finfo(np.float32).max:
            problems.append(f"{name}{key} must fit into float32; some values are too large.")
    prices = split.get("prices")
    if prices is not None and not (prices > 0).all():
        problems.append(f"{name}prices must be greater than 0.")
    y = split.get("y")
    if y is not None and prices is not None and prices.shape[1] not in (1, y.shape[1]):
        problems.append(
            f"{name}prices must have one column per column of y, {y.shape[1]}, or a single one; "
            f"got {prices.shape[1]}."
        )
    return problems


def _width_problems(train: Mapping[str, Floats], validation: Mapping[str, Floats]) -> list[str]:
    return [
        f"validation {key} must have the {train[key].shape[1]} columns of the training rows; "
        f"got {array.shape[1]}."
        for key, array in validation.items()
        if key in train and array.shape[1:] != train[key].shape[1:]
    ]


def _fitted_scaler(scaler: Any, array: Floats | None) -> Any:
    if scaler is None or array is None:
        return None
    transformer = SCALERS[scaler]() if isinstance(scaler, str) else clone(scaler)
    return transformer.fit(array)


def _prepare(split: Mapping[str, Floats], scaler: Any, target_scaler: Any) -> PreparedSplit:
    y, prices, context = split.get("y"), split.get("prices"), split.get("context")
    if y is not None:
        y = y if target_scaler is None else target_scaler.transform(y)
    return PreparedSplit(
        X=scale_rows(split["X"], scaler),
        X_raw=split["X"],
        y=None if y is None else np.ascontiguousarray(y, dtype=np.float32),
        prices=None if prices is None else prices.astype(np.float64),
        context=None if context is None else context.astype(np.float32),
    )


def scale_rows(X: Floats, scaler: Any) -> NDArray[np.float32]:
    """Scaled rows in float32."""
    scaled = X if scaler is None else scaler.transform(X)
    return np.ascontiguousarray(scaled, dtype=np.float32)


def resolve_context_extractor(spec: str | Callable[..., Any] | None) -> Callable[..., Any] | None:
    """The function that computes a reward context from X, from a name or as given."""
    if isinstance(spec, str):
        function: Callable[..., Any] = import_object(spec, who="hisso.context_extractor")
        return function
    return spec


def reward_context(
    *,
    X_raw: Floats,
    y: NDArray[np.float32] | None,
    prices: NDArray[np.float64] | None,
    reward: Reward,
    extractor: Callable[..., Any] | None,
) -> NDArray[np.float64]:
    """What the reward judges actions against, ``(N, M)`` or ``(N, 1)``.

    y for `negative_mse`; else ``extractor(X)``, called once with the whole span as one window,
    ``(1, N, F)`` to ``(1, N, M)``; else the prices; else X.

    Raises
    ------
    ValueError
        If what the reward needs is missing, or the extractor's result has another shape.
    """
    if reward.needs_targets:
        if y is None:
            raise ValueError(f"reward {reward.name} compares actions with targets: y is missing.")
        return np.asarray(y, dtype=np.float64)
    if extractor is not None:
        result = extractor(torch.as_tensor(X_raw)[None])
        array = np.asarray(result.detach().cpu() if isinstance(result, Tensor) else result)
        if array.ndim != 3 or array.shape[:2] != (1, len(X_raw)):
            raise ValueError(
                f"hisso.context_extractor must map windows (1, {len(X_raw)}, F) to "
                f"(1, {len(X_raw)}, M); got shape {array.shape}."
            )
        return np.asarray(array[0], dtype=np.float64)
    if prices is not None:
        return prices
    return np.asarray(X_raw, dtype=np.float64)


def resolve_reward_for(hisso: HISSOOptions, *, has_prices: bool) -> Reward:
    """The reward in force; prices make ``portfolio`` the default.

    Raises
    ------
    ValueError
        If nothing says what to maximise, or the actions cannot be what the reward needs.
    """
    if hisso.reward is None and not has_prices and hisso.context_extractor is None:
        raise ValueError(
            "hisso.reward must say what to maximise: there are no prices, so nothing is earned. "
            "Give prices (reward portfolio), or set reward to negative_mse or to pkg.mod:function."
        )
    reward = resolve_reward(hisso.reward)
    if reward.needs_weights and hisso.primary_transform == "identity":
        raise ValueError(
            f"reward {reward.name} needs portfolio weights, and primary_transform identity gives "
            "numbers of any size. Use softmax, softmax_cash, tanh or long_short."
        )
    return reward


def action_width(prepared: PreparedInputs, hisso: HISSOOptions | None) -> int:
    """Columns of the actions, M: those of y, else of the prices, else of the reward context."""
    train = prepared.train
    if train.y is not None:
        return int(train.y.shape[1])
    assert hisso is not None
    reward = resolve_reward_for(hisso, has_prices=train.prices is not None)
    return int(_context_of(train, reward, hisso).shape[1])


def _context_of(split: PreparedSplit, reward: Reward, hisso: HISSOOptions) -> NDArray[np.float64]:
    return reward_context(
        X_raw=split.X_raw,
        y=split.y,
        prices=split.prices,
        reward=reward,
        extractor=resolve_context_extractor(hisso.context_extractor),
    )


def maybe_run_hisso(
    engine: EagerEngine,
    prepared: PreparedInputs,
    *,
    hisso: HISSOOptions | None,
    evaluation: EvaluationOptions,
    training: TrainingOptions,
    keeps_first_weights: bool = False,
    observers: Sequence[Observer] = (),
) -> tuple[TrainState, FitResult] | None:
    """Train on episodes if the options say so.

    Parameters
    ----------
    engine : EagerEngine
        Runs the updates; its network gives the first weights.
    prepared : PreparedInputs
        Scaled rows.
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

    Returns
    -------
    (TrainState, FitResult) or None
        None when HISSO is not wanted.

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
    if len(train.X) < hisso.window + 1:
        raise ValueError(
            f"training needs at least window + 1 = {hisso.window + 1} rows; got {len(train.X)}. "
            "Use a smaller window or more rows."
        )
    reward = resolve_reward_for(hisso, has_prices=train.prices is not None)
    n_actions = action_width(prepared, hisso)
    warm_start_rows = None
    if hisso.warm_start is not None:
        if train.y is None:
            raise ValueError("hisso.supervised trains on targets: y is missing.")
        warm_start_rows = _rows(train, engine.device)
    if validation is not None and len(validation.X) < 2:
        raise ValueError(f"validation needs at least 2 rows; got {len(validation.X)}.")
    has_validation = validation is not None and (
        validation.prices is not None or train.prices is None or reward.needs_targets
    )
    task = HISSOTask(
        train=_series(train, reward, hisso, n_actions, engine.device),
        validation=_series(validation, reward, hisso, n_actions, engine.device)
        if validation is not None and has_validation
        else None,
        warm_start_rows=warm_start_rows,
        reward=reward,
        hisso=hisso,
        evaluation=evaluation,
        training=training,
        keeps_first_weights=keeps_first_weights,
    )
    return train_hisso(engine, task, observers)


def _series(
    split: PreparedSplit,
    reward: Reward,
    hisso: HISSOOptions,
    n_actions: int,
    device: torch.device,
) -> Series:
    context = _context_of(split, reward, hisso)
    check_context_width(context, n_actions)
    return Series(
        X=torch.from_numpy(split.X).to(device),
        reward_context=torch.from_numpy(context).to(device),
        context=None if split.context is None else torch.from_numpy(split.context).to(device),
    )


def check_context_width(context: NDArray[np.float64], n_actions: int) -> None:
    """Raise `ValueError` unless the reward context has a column per action, or just one."""
    if context.shape[1] not in (1, n_actions):
        raise ValueError(
            f"the reward context must have {n_actions} columns, one per action, or a single one; "
            f"got shape {context.shape}."
        )


def _rows(split: PreparedSplit, device: torch.device) -> Rows:
    assert split.y is not None
    return Rows(
        X=torch.from_numpy(split.X).to(device),
        y=torch.from_numpy(split.y).to(device),
        context=None if split.context is None else torch.from_numpy(split.context).to(device),
    )


def supervised_rows(prepared: PreparedInputs, device: torch.device) -> tuple[Rows, Rows | None]:
    """Training and validation rows with targets, on the device."""
    validation = prepared.validation
    has_targets = validation is not None and validation.y is not None
    return _rows(prepared.train, device), (
        _rows(validation, device) if validation is not None and has_targets else None
    )


def network_outputs(n_actions: int, hisso: HISSOOptions | None) -> int:
    """Outputs of the network: the actions, and what the transform needs besides."""
    if hisso is None or not hisso.enabled:
        return n_actions
    return n_actions + TRANSFORMS[hisso.primary_transform].extra_outputs
