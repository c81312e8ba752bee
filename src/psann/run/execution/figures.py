"""The figures of a fitted estimator on the rows of a run: losses, rewards, portfolio, baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from psann._frames import ASSET_NAMES, BENCHMARK_NAME, SPLITS
from psann._inputs import are_dates, show
from psann._typing import Array
from psann.estimators._base import BasePSANNRegressor
from psann.estimators.seeds import Ensemble
from psann.evaluation.judgement import (
    Judgement,
    PolicyVerdict,
    evaluation_series,
    growth_at_ends,
    judge_baselines,
    judge_policy,
)
from psann.hisso.constraints import transform_of
from psann.hisso.rewards import reward_of
from psann.hisso.temperature import TEMPERATURES
from psann.hisso.transforms import TRANSFORMS
from psann.run.config.model import RunConfig
from psann.run.config.terms import terms_of
from psann.run.data.requirements import split_of
from psann.run.data.splits import DataSplits
from psann.run.directory.columns import sign_of
from psann.run.directory.fields import EPOCH_FIGURES, OF_PORTFOLIO, has_mean
from psann.run.execution.estimator_rows import estimator_rows
from psann.training.history import EpochRecord, FitResult, last_phase
from psann.training.state import TrainState

Series = dict[str, Array]
Fitted = BasePSANNRegressor | Ensemble


def split_figures(estimator: Fitted, splits: DataSplits, config: RunConfig) -> dict[str, object]:
    """Losses and rewards of validation and test rows, of the estimator's own weights.

    Returns
    -------
    dict
        ``val_loss``, ``test_loss`` and with HISSO ``val_reward_mean``, ``test_reward_mean``; None
        where a split lacks what is needed.
    """
    figures: dict[str, object] = {}
    for name in ("val", "test"):
        arrays = splits.split(name, config.reward_inputs)
        loss = reward = None
        if name == "test" and config.evaluation.withhold_test:
            pass
        elif config.hisso.enabled and _can_be_rewarded(arrays, splits, config):
            rows = estimator_rows(arrays, config)
            reward = estimator.evaluate_reward(**rows, evaluation=config.evaluation.options)
            loss = -reward
        elif not config.hisso.enabled and "y" in arrays:
            loss = estimator.evaluate_loss(arrays["X"], arrays["y"], context=arrays.get("context"))
        figures[f"{name}_loss"] = loss
        figures[f"{name}_reward_mean"] = reward
    return figures


def kept_figures(
    estimator: BasePSANNRegressor, splits: DataSplits, config: RunConfig
) -> dict[str, object]:
    """Training figures of the kept weights themselves, where no epoch's updates have made them.

    Rewards are of consecutive episodes of the training rows on training's terms.
    """
    arrays = splits.split("train", config.reward_inputs)
    figures: dict[str, object] = {"train_figures_of": "kept_weights"}
    if config.hisso.enabled:
        least = config.hisso.window + config.hisso.delay
        if not _can_be_rewarded(arrays, splits, config) or len(arrays["X"]) < least:
            return {}
        rewards = estimator.evaluate_episodes(**estimator_rows(arrays, config))
        mean = float(rewards.mean())
        return {
            **figures,
            "train_loss": -mean,
            "reward_mean": mean,
            "reward_std": float(rewards.std()),
        }
    if "y" not in arrays:
        return {}
    loss = estimator.evaluate_loss(arrays["X"], arrays["y"], context=arrays.get("context"))
    return {**figures, "train_loss": loss}


def loses_training_rows(
    estimator: BasePSANNRegressor, splits: DataSplits, config: RunConfig
) -> bool:
    """Whether a policy that may borrow or sell short loses everything over the training rows."""
    arrays = splits.split("train", config.reward_inputs)
    transform = TRANSFORMS[config.hisso.primary_transform]
    can_lose = transform.holds_cash and not transform.is_long_only
    if not (config.hisso.enabled and can_lose and _can_be_rewarded(arrays, splits, config)):
        return False
    return estimator.evaluate_reward(**estimator_rows(arrays, config)) == -math.inf


def _can_be_rewarded(arrays: dict[str, Array], splits: DataSplits, config: RunConfig) -> bool:
    """Whether a split has the reward context that training had."""
    if len(arrays.get("X", ())) < 2 + config.hisso.delay:
        return False
    if reward_of(config.hisso).needs_targets:
        return "y" in arrays
    if config.hisso.context_extractor is not None:
        return True
    return "prices" in arrays or "prices" not in splits.split("train")


def portfolio_figures(
    estimator: Fitted,
    splits: DataSplits,
    config: RunConfig,
    *,
    n_trials: int | None = None,
    with_baselines: bool = True,
) -> tuple[dict[str, object], Series | None, str | None]:
    """Metrics of the policy's actions on the evaluation prices, and of what stands beside it.

    Row t of X may hold the price of row t, so that without `hisso.delay` the policy trades at a
    price it has just seen. `portfolio_metrics_delay_1` has the same actions executed one row later,
    `portfolio_metrics_advance_1` one row earlier.

    Parameters
    ----------
    n_trials : int, optional
        Candidates from which the policy was chosen; None if that is not known.
    with_baselines : bool
        False judges the policy only: of several, the first has the baselines.

    Returns
    -------
    figures : dict
        The fields `OF_PORTFOLIO` of `metrics.json`, with `n_trials` and `judged`; each None if
        there are none.
    series : dict or None
        The arrays of `evaluation.npz`; None if there are no figures.
    why_not : str or None
        Why there are none though there are prices.
    """
    figures: dict[str, object] = dict.fromkeys((*OF_PORTFOLIO, "n_trials", "judged"))
    key = config.prices_key
    _, split = split_of(key or "") or ("prices", "test")
    shut = {"test_withheld": True} if config.evaluation.withhold_test else {}
    if shut and split == "test":
        return {**figures, "n_trials": n_trials, "judged": {"split": split, **shut}}, None, None
    if key is None or key not in splits.arrays:
        return figures, None, None  # nobody asked, or the data checks have warned
    if config.hisso.primary_transform == "identity":
        return figures, None, "primary_transform identity gives no weights"
    arrays = splits.split(split, config.reward_inputs)
    active = arrays.get("active")
    prices = splits.arrays[key]
    given: Any = {"context": arrays.get("context"), "active": active, "prices": prices}
    actions = estimator.predict_actions(arrays["X"], **given)
    if prices.shape[1] not in (1, actions.shape[1]):
        widths = f"{key} has {prices.shape[1]} columns, the policy {actions.shape[1]} actions"
        return figures, None, widths
    verdict, own, series = judged_beside_baselines(
        actions,
        prices,
        config,
        splits,
        rows=arrays,
        earlier=_earlier(splits, split) if with_baselines else None,
        n_trials=n_trials,
    )
    figures |= own
    for multiple, values in verdict.at_cost.items():
        figures[f"portfolio_metrics_cost_{multiple}"] = values
    terms, cash = terms_of(config, arrays), transform_of(config.hisso).holds_cash
    matrix = np.broadcast_to(prices, actions.shape)
    figures |= {
        "n_trials": n_trials,
        "judged": {"split": split, "n_rows": len(actions), **_told(splits, arrays), **shut},
        "ruined_at": verdict.judgement.ruined_at,
        "ends": growth_at_ends(actions, matrix, terms=terms, cash=cash, active=active),
    }
    return figures, series, None


def _told(splits: DataSplits, arrays: Mapping[str, Array]) -> dict[str, str]:
    """First and last date of rows and the name of their benchmark, where they have such."""
    time, told = arrays.get("time"), {}
    if are_dates(time):
        told = {"first": show(time[0]), "last": show(time[-1])}
    if "benchmark" in arrays and (name := splits.arrays.get(BENCHMARK_NAME)) is not None:
        told["benchmark"] = str(name.flat[0])
    return told


def judged_beside_baselines(
    actions: Array,
    prices: Array,
    config: RunConfig,
    splits: DataSplits,
    *,
    rows: Mapping[str, Array],
    earlier: Mapping[str, list[Array]] | None,
    n_trials: int | None = None,
) -> tuple[PolicyVerdict, dict[str, object], Series]:
    """Judge actions and their baselines on the same rows: verdict, figures, and what is drawn.

    Parameters
    ----------
    earlier : mapping or None
        What `judge_baselines` is given of the rows before; None judges the actions only.
    """
    terms, active = terms_of(config, rows), rows.get("active")
    cash = transform_of(config.hisso).holds_cash
    verdict = judge_policy(
        actions, prices, terms=terms, cash=cash, n_trials=n_trials, active=active
    )
    figures, baselines = _policy_figures(verdict), dict[str, Judgement]()
    if earlier is not None:
        beside: Any = {"active": active, "benchmark": rows.get("benchmark"), **earlier}
        baselines = judge_baselines(np.broadcast_to(prices, actions.shape), terms=terms, **beside)
        figures["baselines"] = {name: judgement.figures for name, judgement in baselines.items()}
    own = {
        "policy": verdict.judgement,
        "policy_delay_1": verdict.delay_1,
        "policy_advance_1": verdict.advance_1,
    }
    judgements = {name: each for name, each in own.items() if each is not None}
    names = splits.arrays.get(ASSET_NAMES)
    has_names = names is not None and len(names) == actions.shape[1]
    series = evaluation_series(
        judgements | baselines,
        actions=actions,
        time=rows.get("time"),
        assets=names if has_names else None,
        active=active,
    )
    return verdict, figures, series


def _policy_figures(verdict: PolicyVerdict) -> dict[str, object]:
    """Turn a verdict into fields of `metrics.json`; None for what it has not."""
    found = {
        "": (verdict.judgement, verdict.versus_uniform),
        "_delay_1": (verdict.delay_1, verdict.versus_uniform_delay_1),
        "_advance_1": (verdict.advance_1, verdict.versus_uniform_advance_1),
    }
    own = {f"portfolio_metrics{when}": each and each.figures for when, (each, _) in found.items()}
    versus = {f"versus_uniform{when}": each and asdict(each) for when, (_, each) in found.items()}
    return {
        **own,
        **versus,
        "deflated_sharpe": verdict.deflated_sharpe,
        "deflated_skill": verdict.deflated_skill,
    }


def _earlier(splits: DataSplits, split: str) -> dict[str, list[Array]]:
    """Prices and codes of the splits before one, training first; none before training."""
    before = [splits.split(name) for name in SPLITS[: SPLITS.index(split)]]
    priced = [arrays for arrays in before if "prices" in arrays]
    codes = [arrays["active"] for arrays in priced if "active" in arrays]
    return {"earlier": [arrays["prices"] for arrays in priced], "earlier_active": codes}


def count_trials(result: FitResult, *, has_validation: bool) -> int:
    """Candidates that a training compared: epochs, temperatures, and the untrained policy.

    Parameters
    ----------
    has_validation : bool
        Whether the untrained policy competed as epoch 0.
    """
    n_more = 0 if result.temperature is None else len(TEMPERATURES) - 1
    return result.epochs_done + n_more + has_validation


def best_of(group: Sequence[TrainState]) -> TrainState | None:
    """The seed whose best epoch has the best monitor, the earliest of equals; None without one."""
    judged = [state for state in group if state.best is not None]
    if not judged:
        return None
    sign = sign_of(judged[0].monitor)
    return max(judged, key=lambda state: sign * state.best.value if state.best else 0.0)


def training_figures(group: Sequence[TrainState]) -> dict[str, object]:
    """Fields of `metrics.json` that an epoch may change."""
    figures: dict[str, object] = {
        "epoch": max(state.epoch for state in group),
        "episodes": sum(state.episodes for state in group),
    }
    winner = best_of(group)
    if len(group) == 1:
        return figures if winner is None else figures | _best_figures(winner)
    entries = [
        {"seed": state.seed, "epoch": len(last_phase(state.history)), **_best_figures(state)}
        for state in group
    ]
    figures |= figures_over_seeds(entries)
    return figures if winner is None else {**figures, "best_epoch": winner.best_epoch}


def _best_figures(state: TrainState) -> dict[str, object]:
    best = state.best
    if best is None:
        return best_figures([], None, None, None)
    return best_figures(state.history, best.epoch, best.value, best.temperature)


def best_figures_of(result: FitResult) -> dict[str, object]:
    """What the record has of the best epoch once a fit is over."""
    return best_figures(result.history, result.best_epoch, result.best_value, result.temperature)


def best_figures(
    history: Sequence[EpochRecord],
    epoch: int | None,
    value: float | None,
    temperature: float | None,
) -> dict[str, object]:
    """Figures of the epoch whose weights are kept, None before there is one; 0 has no row."""
    kept = history[epoch - 1] if epoch else None
    figures = {name: None if kept is None else getattr(kept, name) for name in EPOCH_FIGURES}
    return {"best_epoch": epoch, "monitor_value": value, "temperature": temperature, **figures}


def figures_over_seeds(entries: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The entries themselves, the mean of every figure under its own name, and its spread.

    Parameters
    ----------
    entries : sequence of mapping
        One per seed, at least 2, all with the same keys; figures are numbers, None, or mappings
        of such.

    Returns
    -------
    dict
        ``per_seed`` (the entries), ``spread`` (standard deviation over the seeds, ddof=1), and the
        means. What one seed lacks has no mean: those that have it are not all of them. A statement
        holds if it holds for every seed.

    Examples
    --------
    >>> found = figures_over_seeds([{"seed": 0, "val_loss": 1.0}, {"seed": 1, "val_loss": 3.0}])
    >>> found["val_loss"], round(found["spread"]["val_loss"], 4)
    (2.0, 1.4142)
    """
    names = [name for name in entries[0] if has_mean(name)]
    columns = {name: [entry[name] for entry in entries] for name in names}
    return {
        **{name: _over(values, _mean) for name, values in columns.items()},
        "per_seed": [dict(entry) for entry in entries],
        "spread": {name: _over(values, _deviation) for name, values in columns.items()},
    }


def _mean(values: Sequence[Any]) -> float | bool:
    return all(values) if isinstance(values[0], bool | np.bool_) else float(np.mean(values))


def _deviation(values: Sequence[Any]) -> float | None:
    return None if isinstance(values[0], bool | np.bool_) else float(np.std(values, ddof=1))


def _over(values: Sequence[Any], statistic: Callable[[Sequence[Any]], Any]) -> Any:
    """A statistic over the seeds, key by key of mappings; None where a seed has no value."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], Mapping):
        return {key: _over([value[key] for value in values], statistic) for key in values[0]}
    return statistic(values)
