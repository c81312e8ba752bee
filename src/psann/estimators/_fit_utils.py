"""From arrays to training: the one way there, for `fit` and for the command alike.

`prepare_inputs_and_scaler` turns what a user has into scaled float32 rows; `maybe_run_hisso`
trains on episodes cut from them. Both take arrays and options, never an estimator.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psann._mapped import is_mapped
from psann._typing import AnyFloats, Array, Floats
from psann.accounting import executed_late
from psann.estimators._arrays import checked_matrices, inputs_of
from psann.estimators._scaling import (
    check_inverse,
    fitted_scaler,
    scale_rows,
    taught_scaler,
    transformed,
    writable_float32,
)
from psann.hisso.constraints import capacity_problem
from psann.hisso.objective import Series
from psann.hisso.options import EvaluationOptions, HISSOOptions, cost_problems, named_arrays
from psann.hisso.reward_context import (
    RewardSource,
    check_context_width,
    idle_inputs,
    input_problems,
    resolve_reward_for,
    reward_context,
    reward_source,
)
from psann.hisso.rewards import Reward, is_ours
from psann.hisso.task import HISSOTask
from psann.hisso.trainer import train_hisso
from psann.losses import LOSSES, Loss
from psann.training.engine import EagerEngine
from psann.training.engine_choice import PlannedWork
from psann.training.history import Decision, FitResult
from psann.training.observers import Observer, tell_all
from psann.training.options import TrainingOptions
from psann.training.state import SavedState, SeedStart, TrainState
from psann.training.supervised import Rows


@dataclass(frozen=True, kw_only=True)
class PreparedSplit:
    """Rows of one split, ready for tensors."""

    X: NDArray[np.float32]  # (N, F) scaled
    X_raw: AnyFloats  # (N, F) as given
    y: NDArray[np.float32] | None = None  # (N, M) scaled
    prices: Floats | None = None  # (N, M)
    context: NDArray[np.float32] | None = None  # (N, C)
    active: NDArray[np.int8] | None = None  # (N, M) codes of `psann.holdings`
    reward_inputs: Mapping[str, Floats] = field(default_factory=dict)  # (N, k) each
    weight: NDArray[np.float32] | None = None  # (N,) of mean 1


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


def prepare_inputs_and_scaler(
    train: Mapping[str, Any],
    validation: Mapping[str, Any] | None,
    *,
    scaler: Any = None,
    target_scaler: Any = None,
    fitted: bool = False,
    teaches: bool = False,
    n_scaled: int | None = None,
    is_portfolio: bool = True,
) -> PreparedInputs:
    """Check that the arrays fit together, fit the scalers on the training rows, scale.

    Parameters
    ----------
    train, validation : mapping
        Keys ``X`` (N, F) and optionally ``y`` (N,) or (N, M), ``prices`` and ``active`` (N, M),
        ``context`` (N, C), ``sample_weight`` (N,): rows of weight 0 are left out; and what the
        reward is given by name, under the keys of `named_inputs`.
    scaler, target_scaler : str, transformer or None
        ``standard``, ``minmax``, any scikit-learn transformer, or none.
    fitted : bool
        The scalers are fitted already: use them as they are (fine-tuning).
    teaches : bool
        Fitted scalers learn from the training rows too, in copies (partial fits).
    n_scaled : int, optional
        Columns of X that the scaler knows, where fewer than there are: every so many columns are
        scaled alike.
    is_portfolio : bool
        Whether prices are those of what actions hold: positive, a column for each of y.

    Returns
    -------
    PreparedInputs
        Float32 rows, float64 prices, fitted scalers.

    Raises
    ------
    ValueError
        With every problem: lengths, widths, ranks, values that are not finite.
    """
    train, validation = checked_matrices(train, validation, is_portfolio=is_portfolio)
    train = _rows_that_count(train)
    validation = None if validation is None else _rows_that_count(validation)
    if teaches or not fitted:
        X, weight = _folded(train["X"], n_scaled), train.get("sample_weight")
        weight = None if weight is None else weight[:, 0]
        folds = None if weight is None else weight.repeat(len(X) // len(weight))
        learn = taught_scaler if fitted else fitted_scaler
        scaler = learn(scaler, X, folds)
        target_scaler = learn(target_scaler, train.get("y"), weight)
        if target_scaler is not None and "y" in train:
            check_inverse(train["y"], target_scaler)
    return PreparedInputs(
        train=prepared_split(train, scaler, target_scaler, n_scaled),
        validation=(
            None
            if validation is None
            else prepared_split(validation, scaler, target_scaler, n_scaled)
        ),
        scaler=scaler,
        target_scaler=target_scaler,
    )


def _rows_that_count(split: dict[str, AnyFloats]) -> dict[str, AnyFloats]:
    """The rows whose weight is not 0; without weights, if all that are left weigh the same."""
    weight = split.get("sample_weight")
    if weight is None:
        return split
    counts = weight[:, 0] != 0
    kept = split if counts.all() else {key: array[counts] for key, array in split.items()}
    if np.ptp(kept["sample_weight"]) == 0:
        return {key: array for key, array in kept.items() if key != "sample_weight"}
    return kept


def _folded(X: AnyFloats, n_columns: int | None) -> AnyFloats:
    return X if n_columns is None else X.reshape(-1, n_columns)


def prepared_split(
    split: Mapping[str, AnyFloats], scaler: Any, target_scaler: Any, n_scaled: int | None
) -> PreparedSplit:
    """Matrices that `checked_matrices` has checked, scaled by fitted scalers."""
    y, prices, context = split.get("y"), split.get("prices"), split.get("context")
    active, weight = split.get("active"), split.get("sample_weight")
    if y is not None:
        y = y if target_scaler is None else transformed(y, target_scaler, who="target_scaler")
    return PreparedSplit(
        X=scale_rows(_folded(split["X"], n_scaled), scaler).reshape(split["X"].shape),
        X_raw=split["X"],
        y=None if y is None else writable_float32(y),
        prices=None if prices is None else prices.astype(np.float64),
        context=None if context is None else context.astype(np.float32),
        active=None if active is None else active.astype(np.int8),
        reward_inputs={k: each.astype(np.float64) for k, each in inputs_of(split).items()},
        weight=(
            None if weight is None else (weight[:, 0] / weight.mean(dtype=np.float64)).astype("f4")
        ),
    )


def action_width(prepared: PreparedInputs, hisso: HISSOOptions | None) -> int:
    """Number of actions, M: as told, else columns of y, of the prices, of the reward context."""
    train = prepared.train
    if hisso is not None and hisso.enabled and hisso.n_actions is not None:
        return hisso.n_actions
    for array in (train.y, train.prices):
        if array is not None:
            return int(array.shape[1])
    assert hisso is not None
    reward = resolve_reward_for(hisso, has_prices=False)
    source = reward_source(reward, hisso, has_prices=False)
    if source == "none":
        raise ValueError(
            "hisso.n_actions must say how many actions there are: there is no y, and no context "
            f"of the reward {reward.name}, whose columns would tell."
        )
    return int(judged_against(train, source, reward, hisso).shape[1])


def judged_against(
    split: PreparedSplit, source: RewardSource, reward: Reward, hisso: HISSOOptions
) -> Floats:
    """What the reward judges the actions of a split against, ``(N, M)`` or ``(N, 1)``."""
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
    least = hisso.window + hisso.delay + (0 if training.is_pass else 1)
    problems = _fit_problems(prepared, reward, hisso, evaluation, least=least)
    if problems:
        raise ValueError("\n".join(problems))
    source = reward_source(reward, hisso, has_prices=train.prices is not None)
    n_actions = action_width(prepared, hisso)
    decisions = []
    if validation is not None and _lacks(validation, source):
        decisions.append(_no_validation(source))
        tell_all(observers, *decisions)
        validation = None
    if validation is None:
        _check_that_none_is_needed(hisso)

    def series(split: PreparedSplit) -> Series:
        judged = judged_against(split, source, reward, hisso)
        check_context_width(judged, n_actions, reward=reward, hisso=hisso)
        return _series(split, judged, engine.device, n_actions if hisso.held_weights else 0)

    late = hisso.delay
    task = HISSOTask(
        train=series(train).executed_late(late),
        validation=None if validation is None else series(validation).executed_late(late),
        warm_start_rows=(
            None if hisso.warm_start is None else _rows(train, engine.device, delay=late)
        ),
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


def _series(split: PreparedSplit, judged: Floats, device: torch.device, n_seen: int) -> Series:
    """Rows of a split on the device, with prices of as many assets whose weights are seen."""
    known = np.array(np.broadcast_to(judged, (len(judged), n_seen))) if n_seen else None
    return Series(
        X=_tensor(split.X, device),
        reward_context=_tensor(judged, device),
        inputs={k: _tensor(each, device) for k, each in split.reward_inputs.items()},
        context=None if split.context is None else _tensor(split.context, device),
        active=None if split.active is None else _tensor(split.active, device),
        known_prices=None if known is None else _tensor(known, device),
    )


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


def _fit_problems(
    prepared: PreparedInputs,
    reward: Reward,
    hisso: HISSOOptions,
    evaluation: EvaluationOptions,
    *,
    least: int,
) -> list[str]:
    """What the options ask of the rows, of which training needs a least number, and do not get."""
    train, validation = prepared.train, prepared.validation
    problems = []
    if hisso.window < reward.min_rows:
        problems.append(
            f"hisso.window must be at least {reward.min_rows} for the reward {reward.name}; got "
            f"{hisso.window}."
        )
    late = f" + delay {hisso.delay}" if hisso.delay else ""
    if len(train.X) < least:
        one = " + 1" if least > hisso.window + hisso.delay else ""
        problems.append(
            f"training needs at least window{one}{late} = {least} rows; got {len(train.X)}. "
            "Use a smaller window or more rows."
        )
    if validation is not None and len(validation.X) < reward.min_rows + hisso.delay:
        problems.append(
            f"validation needs at least {reward.min_rows}{late} rows for the reward "
            f"{reward.name}; got {len(validation.X)}."
        )
    if hisso.refit and validation is not None and len(validation.X) < hisso.window + hisso.delay:
        problems.append(
            f"hisso.refit needs as many validation rows as hisso.window, {hisso.window}{late}; got "
            f"{len(validation.X)}."
        )
    problems += _account_problems(reward, hisso, has_members=train.active is not None)
    n_targets = None if train.y is None else train.y.shape[1]
    if hisso.warm_start is not None and n_targets is None:
        problems.append("hisso.supervised trains on targets: y is missing.")
    elif n_targets is not None and n_targets != action_width(prepared, hisso):
        problems.append(
            f"y must have a column for each of the {hisso.n_actions} actions of hisso.n_actions; "
            f"got {n_targets}. Leave y out where nothing trains on it."
        )
    problems += idle_inputs(train.reward_inputs, named_arrays(hisso, evaluation))
    if train.active is not None and not hisso.is_portfolio:
        problems.append(
            "active says which asset can be held, and these actions hold none (hisso.n_actions or "
            f"primary_transform {hisso.primary_transform}). Leave it out."
        )
    n_actions, has_cash = action_width(prepared, hisso), train.active is not None
    if short := capacity_problem(hisso, n_actions, has_cash=has_cash):
        problems.append(short)
    problems += cost_problems(hisso, evaluation, n_actions)
    told: Any = {"hisso": hisso, "evaluation": evaluation, "reward": reward, "n_assets": n_actions}
    for split in (train,) if validation is None else (train, validation):
        found = input_problems(split.reward_inputs, **told)
        problems += [each for each in found if each not in problems]
    return problems


def _account_problems(reward: Reward, hisso: HISSOOptions, *, has_members: bool) -> Iterator[str]:
    """What options of an account ask of reward and rows, and do not get."""
    if hisso.max_turnover is not None and not reward.takes_active:
        yield (
            "hisso.max_turnover limits what is traded at prices, so the reward must be one of what "
            f"is held, such as portfolio; got {reward.name}. Use another reward, or remove "
            "hisso.max_turnover."
        )
    if hisso.held_weights and (has_members or not reward.needs_prices):
        why = "active says that assets come and go"
        if not reward.needs_prices:
            why = f"the reward is {reward.name}, which is not of prices"
        yield (
            f"hisso.held_weights follow from prices of assets that can always be held; here {why}. "
            "Remove hisso.held_weights."
        )


def _lacks(split: PreparedSplit, source: RewardSource) -> bool:
    return (source == "prices" and split.prices is None) or (source == "y" and split.y is None)


def _no_validation(source: RewardSource) -> Decision:
    return Decision(
        phase="hisso",
        message=f"the validation rows have no {source}, by which the reward judges actions: "
        "training rewards choose the best epoch",
    )


def _rows(split: PreparedSplit, device: torch.device, *, delay: int = 0) -> Rows:
    """Rows and their targets, which are of the rows on which actions are executed."""
    assert split.y is not None
    X, y = executed_late(delay, split.X, split.y)
    context = None if split.context is None else split.context[: len(X)]
    return Rows(
        X=_tensor(X, device),
        y=_tensor(y, device),
        context=None if context is None else _tensor(context, device),
        weight=None if split.weight is None else _tensor(split.weight, device),
    )


def _tensor(array: Array, device: torch.device) -> Tensor:
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
    loss: Loss,
    n_seeds: int,
) -> PlannedWork:
    """Updates of the main phase, should no epoch be spared, and their size."""
    n_rows = len(prepared.train.X)
    if hisso is None or not hisso.enabled:
        return PlannedWork(
            n_updates=epochs * -(-n_rows // batch_size),
            rows_per_update=min(batch_size, n_rows),
            n_seeds=n_seeds,
            is_ours=loss in LOSSES.values(),
        )
    n_rows = max(n_rows - hisso.delay, 1)  # too few are refused later
    return PlannedWork(
        n_updates=epochs * hisso.updates_on(n_rows),
        # A row that lies in several windows is computed once where that is less work.
        rows_per_update=min(hisso.window * hisso.batch_episodes, n_rows),
        n_seeds=n_seeds,
        goes_row_by_row=hisso.max_turnover is not None,
        is_ours=is_ours(hisso.reward),
    )
