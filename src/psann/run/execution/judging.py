"""The last stage of a run: the figures of what was kept, and what a report draws."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from psann._npz import npz_bytes
from psann.estimators._base import BasePSANNRegressor
from psann.estimators.seeds import Ensemble
from psann.hisso.temperature import is_at_the_edge
from psann.run.config.model import RunConfig
from psann.run.data.splits import DataSplits
from psann.run.directory.fields import Record, trials_before
from psann.run.directory.log import log_event
from psann.run.execution.context import RunContext
from psann.run.execution.figures import (
    Fitted,
    Series,
    best_figures_of,
    count_trials,
    figures_over_seeds,
    kept_figures,
    loses_training_rows,
    portfolio_figures,
    split_figures,
)
from psann.training.history import FitResult, last_phase

_logger = logging.getLogger(__name__)

_SHARED = ("baselines", "n_trials", "judged")


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    """What one policy came to."""

    figures: dict[str, object]
    series: Series | None
    why_not: str | None
    """Why there are no portfolio figures, where one might expect them."""


def judge(
    context: RunContext,
    config: RunConfig,
    estimators: Sequence[BasePSANNRegressor],
    splits: DataSplits,
    *,
    results: Sequence[FitResult] | None,
) -> dict[str, object]:
    """The figures of the kept weights, as fields of `metrics.json`; logged as one row per seed.

    Of several seeds they are means, with each seed, the spread, and the ensemble beside them. What
    a report draws goes to `evaluation.npz`. `results` are by seed, None without training.
    """
    # Of all seeds together, each of which competes with the others; and of those before them.
    n_trials = config.evaluation.n_trials or trials_before(context.record.as_dict())
    if config.evaluation.withhold_test:
        told = "test rows are withheld: runs like this are compared on validation rows"
        log_event(_logger, logging.INFO, "decision", told)
    if results is not None:
        has_validation = bool(splits.split("val"))
        own = sum(count_trials(each, has_validation=has_validation) for each in results)
        n_trials = own + (n_trials or 0)
    verdicts = [
        _verdict(estimator, splits, config, n_trials=n_trials, with_baselines=number == 0)
        for number, estimator in enumerate(estimators)
    ]
    known: Sequence[FitResult | None] = results or [None] * len(verdicts)
    for estimator, verdict, result in zip(estimators, verdicts, known, strict=True):
        _keep_validation(result, verdict)
        verdict.figures.update(_of_training(estimator, splits, config, result=result))
    first, n_seeds = verdicts[0], len(estimators)
    if first.why_not is not None:
        message = f"There are no portfolio metrics: {first.why_not}."
        log_event(_logger, logging.WARNING, "evaluation", message)
    for seed, verdict in zip(config.seeds, verdicts, strict=True):
        _log(verdict, seed=None if n_seeds == 1 else seed)
    figures, series = first.figures, first.series
    if n_seeds > 1:
        ensemble = _verdict(
            Ensemble(estimators), splits, config, n_trials=n_trials, with_baselines=False
        )
        if results is not None and any(result.is_refitted for result in results):
            ensemble.figures.update(val_loss=None, val_reward_mean=None)
        figures = _of_all_seeds(config.seeds, results, verdicts, ensemble)
        if series is not None:
            series = _series_of_all_seeds(config.seeds, verdicts, ensemble)
    if series is not None:
        context.storage.put(context.paths.evaluation, npz_bytes(series))
    return figures


def _verdict(
    policy: Fitted,
    splits: DataSplits,
    config: RunConfig,
    *,
    n_trials: int | None,
    with_baselines: bool,
) -> _Verdict:
    figures = split_figures(policy, splits, config)
    portfolio, series, why_not = portfolio_figures(
        policy, splits, config, n_trials=n_trials, with_baselines=with_baselines
    )
    return _Verdict(figures={**figures, **portfolio}, series=series, why_not=why_not)


def _keep_validation(result: FitResult | None, verdict: _Verdict) -> None:
    """Let the chosen epoch's figures stand where the kept weights have seen those rows."""
    if result is not None and result.is_refitted:
        kept = best_figures_of(result)
        verdict.figures.update(val_loss=kept["val_loss"], val_reward_mean=kept["val_reward_mean"])


def _of_training(
    estimator: BasePSANNRegressor,
    splits: DataSplits,
    config: RunConfig,
    *,
    result: FitResult | None,
) -> dict[str, object]:
    """What is known of training at its end: figures for weights that have none, and cautions."""
    if result is None:
        return {**kept_figures(estimator, splits, config), "cautions": []}
    names = _cautions(result)
    if loses_training_rows(estimator, splits, config):
        names.append("ruined_in_training")
    cautions = {"cautions": names}
    if result.best_epoch == 0:
        return {**kept_figures(estimator, splits, config), **cautions}
    return {"train_figures_of": "best_epoch", **cautions}


def is_ruined(record: Record) -> bool:
    """Whether all was lost: on the rows judged, by the kept weights, or by every epoch."""
    lost = {"every_epoch_ruined", "ruined_in_training"}
    seeds = record["per_seed"] or [{"cautions": record["cautions"] or []}]
    ensemble = record["ensemble"] or {}
    is_lost = all(lost & {*(entry.get("cautions") or [])} for entry in seeds)
    return is_lost or (record["ruined_at"], ensemble.get("ruined_at")) != (None, None)


def _cautions(result: FitResult) -> list[str]:
    """What a reader of a training should look at, by name; `reading/sentences.py` has the words."""
    facts = {
        "best_is_the_last": result.is_best_the_last,
        "never_moved": result.never_moved,
        "single_updates": result.has_single_updates,
        "every_epoch_ruined": result.lost_every_epoch,
        "edge_temperature": result.temperature is not None and is_at_the_edge(result.temperature),
    }
    return [name for name, holds in facts.items() if holds]


def _log(verdict: _Verdict, *, seed: int | None) -> None:
    figures, policy = verdict.figures, verdict.figures["portfolio_metrics"]
    names = ("val_loss", "val_reward_mean", "test_loss", "test_reward_mean")
    known = {name: figures[name] for name in names if figures[name] is not None}
    text = ", ".join(f"{name} {value:.6g}" for name, value in known.items())
    log_event(
        _logger,
        logging.DEBUG if known else logging.WARNING,
        "evaluation",
        text or "There are no validation or test figures: the data have no rows for them.",
        seed=seed,
        val_loss=figures["val_loss"],
        val_reward_mean=figures["val_reward_mean"],
        turnover=policy["turnover"] if isinstance(policy, dict) else None,
    )


def _of_all_seeds(
    seeds: Sequence[int],
    results: Sequence[FitResult] | None,
    verdicts: Sequence[_Verdict],
    ensemble: _Verdict,
) -> dict[str, object]:
    """Means, spread and ensemble; some figures are the same for all."""
    trained = [{} for _ in seeds] if results is None else [_training_figures(r) for r in results]
    entries = [
        {"seed": seed, **before, **_own(verdict)}
        for seed, before, verdict in zip(seeds, trained, verdicts, strict=True)
    ]
    shared = {name: verdicts[0].figures[name] for name in _SHARED}
    return {**figures_over_seeds(entries), **shared, "ensemble": _own(ensemble)}


def _own(verdict: _Verdict) -> dict[str, object]:
    return {name: value for name, value in verdict.figures.items() if name not in _SHARED}


def _training_figures(result: FitResult) -> dict[str, object]:
    return {
        "epoch": len(last_phase(result.history)),
        "stopped_early": result.stopped_early,
        **best_figures_of(result),
    }


def _series_of_all_seeds(
    seeds: Sequence[int], verdicts: Sequence[_Verdict], ensemble: _Verdict
) -> Series:
    """The mean of the seeds' wealth as the policy's; ensemble and seeds after the baselines."""
    every = [verdict.series for verdict in verdicts if verdict.series is not None]
    first, together = every[0], ensemble.series
    assert together is not None
    own = together["names"].tolist()  # policy, and delayed policy where there is one
    whole: Series = dict(together)
    whole["names"] = np.concatenate(
        [first["names"], _named("ensemble", own), *(_named(f"seed_{seed}", own) for seed in seeds)]
    )
    for kind in ("net", "gross"):
        mean = np.mean([series[kind][: len(own)] for series in every], axis=0)
        rows = (mean, first[kind][len(own) :], together[kind])
        whole[kind] = np.concatenate([*rows, *(series[kind][: len(own)] for series in every)])
    return whole


def _named(who: str, own: Sequence[str]) -> NDArray[np.str_]:
    return np.array([name.replace("policy", who, 1) for name in own], dtype=np.str_)
