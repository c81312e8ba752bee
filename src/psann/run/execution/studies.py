"""Trainings beside the main one, each the same recipe on other rows: folds and placebos.

Each leaves its estimator in `checkpoints/` as soon as it is done. The resume state then says so,
together with the length of the log, so that a run that goes on repeats none of them and logs each
of their epochs once. One that a worker has trained (`study_folder`) is taken as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from psann._device import resolve_device
from psann._npz import npz_bytes
from psann._typing import Floats, Places
from psann.errors import FileFormatError
from psann.estimators._base import BasePSANNRegressor
from psann.estimators.seeds import Ensemble, fit_together, seeded
from psann.evaluation.judgement import excess_growth
from psann.evaluation.placebo import share_as_good, shuffled_order, shuffled_prices
from psann.evaluation.walk_forward import Fold
from psann.hisso.constraints import transform_of
from psann.run.config.model import RunConfig
from psann.run.config.targets import ResolvedTargets, estimator_arguments
from psann.run.config.terms import terms_of
from psann.run.data.requirements import split_of
from psann.run.data.splits import DataSplits
from psann.run.directory.checkpoints import Checkpoints
from psann.run.directory.log import log_event
from psann.run.execution.context import RunContext
from psann.run.execution.epoch_events import EpochEvents
from psann.run.execution.estimator_rows import estimator_rows
from psann.run.execution.figures import judged_beside_baselines
from psann.run.execution.resume import differences, read_resume_point, resume_bytes
from psann.run.execution.setup import note_differences
from psann.run.execution.study_checks import Arrays, folds_of, joined_rows
from psann.run.execution.study_folder import SharedResult, StudyFolder, StudyResult
from psann.training.history import EpochRecord
from psann.training.observers import Observer
from psann.training.state import TrainState

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Study:
    """One training beside the main one, of as many seeds."""

    phase: str
    """`walk_forward` or `placebo`."""
    number: int
    """From 1."""
    train: Mapping[str, Any]
    """What `fit` is given of the training rows."""
    validation: Mapping[str, Any] | None
    """The same of the rows that choose the epoch."""

    @property
    def name(self) -> str:
        """Stem of its estimator's file."""
        kind = {"walk_forward": "fold", "placebo": "placebo"}[self.phase]
        return f"{kind}_{self.number:03d}"


class StudyRoom:
    """Where studies are trained, and kept once they are done.

    Parameters
    ----------
    context : RunContext
        The run; its main training is over and its resume state written.
    """

    def __init__(self, context: RunContext, config: RunConfig, targets: ResolvedTargets) -> None:
        self._context = context
        self._config = config
        self._class = targets.estimator_class
        self._checkpoints = Checkpoints(context.storage, context.paths)
        self._point, _ = read_resume_point(context.paths)
        self._folder = StudyFolder(context.paths, self._point.identity)
        self._epoch = (self._checkpoints.describe("last") or {"epoch": 0})["epoch"]

    def policies(self, study: Study) -> list[BasePSANNRegressor]:
        """The fitted estimators of a study, by seed, trained unless an earlier start has done so.

        Raises
        ------
        TrainingInterrupted
            If the run was asked to stop; this study begins anew when it goes on.
        DivergedError
            If a loss, reward or gradient was not finite.
        """
        is_done = study.name in self._point.done
        if is_done and (kept := self._kept(study)) is not None:
            return kept
        with self._folder.turn(study.name, alive=self._alive) as storage:
            # What is in the log already is not told twice.
            found: StudyResult | None = self._shared(study, is_silent=is_done)
            if found is None:
                signs = [self._alive] if storage is None else [self._alive, storage.show_life]
                observer = StudyObserver(signs, study, is_silent=is_done)
                found = train_study(self._config, self._class, study, observer)
        for data, (epoch, metric), seed in zip(
            found.estimators, found.best, self._own_seeds, strict=True
        ):
            self._checkpoints.save(study.name, data, epoch=epoch, metric=metric, seed=seed)
        self._commit(study.name)
        # From their files, as a later start would have them, whatever these hold besides.
        kept = self._kept(study)
        assert kept is not None
        return kept

    def _alive(self) -> None:
        """Keep the record alive, and stop here if that was asked for."""
        self._context.record.flush()
        self._context.stop.check()

    def _shared(self, study: Study, *, is_silent: bool) -> SharedResult | None:
        """What a worker has left of a study, told as if it had been trained here."""
        try:
            found = self._folder.result(study.name)
            for data in () if found is None else found.estimators:
                self._class.from_bytes(data, who=f"the estimator of {study.name}")
        except FileFormatError as error:
            log_event(_logger, logging.WARNING, "resume", f"trained here, because {error}")
            return None
        if found is None:
            return None
        for row in () if is_silent else found.events:
            log_event(_logger, **row)
        told = f"{study.name} was trained by {found.worker}"
        log_event(_logger, logging.INFO, "resume", told, phase=study.phase, fold=study.number)
        if reasons := differences(found.identity, self._point.identity):
            note_differences(self._context.record, reasons)
            why = "; ".join(reasons)
            log_event(_logger, logging.WARNING, "resume", f"not exact to the last bit: {why}")
        return found

    @property
    def _own_seeds(self) -> list[int | None]:
        """Seeds that are part of file names: none where there is one."""
        seeds = self._config.seeds
        return [*seeds] if len(seeds) > 1 else [None]

    def _kept(self, study: Study) -> list[BasePSANNRegressor] | None:
        """What the files of a finished study hold; None if one is missing or damaged."""
        paths, device = self._context.paths, str(resolve_device(self._config.device))
        own = paths.study(study.name)
        files = [own if seed is None else paths.of_seed(own, seed) for seed in self._own_seeds]
        try:
            members = [self._class.load(file, device=device) for file in files]
        except (FileNotFoundError, FileFormatError) as error:
            log_event(_logger, logging.WARNING, "resume", f"trained again, because {error}")
            return None
        for member in members:  # a reward of one's own is named by the configuration, not by them
            member.hisso_options_ = self._config.hisso
        return members

    def _commit(self, name: str) -> None:
        """Write down that a study is done, and how long the log is by now."""
        events = self._context.events
        assert events is not None
        events.sync()  # the log first: the state vouches for its length
        done = tuple(dict.fromkeys((*self._point.done, name)))
        self._point = replace(self._point, done=done, log_bytes=events.size_bytes)
        self._checkpoints.save_last(resume_bytes(self._point), epoch=self._epoch)
        self._context.record.update(last=self._checkpoints.describe("last"))
        self._context.record.flush(force=True)


class StudyObserver(Observer):
    """Logs the epochs of a study, and calls again and again what shows life or may stop it.

    Decisions are not told: the main training has made the same.
    """

    def __init__(
        self, signs: Sequence[Callable[[], None]], study: Study, *, is_silent: bool = False
    ) -> None:
        self._signs = signs
        self._phase = study.phase
        self._events = EpochEvents(_logger, fold=study.number)
        self._is_silent = is_silent

    def on_launch(self, state: TrainState) -> None:
        """Show life, and stop here if that was asked for."""
        for sign in self._signs:
            sign()

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        """Log the epoch under the study's phase, so that nobody takes it for the main one's."""
        if not self._is_silent:
            # A warm start and a refit are phases within the study.
            is_main = record.phase == "hisso"
            phase = self._phase if is_main else f"{self._phase}.{record.phase}"
            self._events.on_epoch(replace(record, phase=phase), state)
        self.on_launch(state)


def train_study(
    config: RunConfig,
    estimator_class: type[BasePSANNRegressor],
    study: Study,
    observer: StudyObserver,
) -> StudyResult:
    """Train a study from its beginning to its end, all seeds together.

    Raises
    ------
    DivergedError
        If a loss, reward or gradient was not finite.
    """
    members = seeded(estimator_class(**estimator_arguments(config)), config.seeds)
    fit_together(
        members,
        **study.train,
        validation_data=study.validation,
        hisso=config.hisso,
        evaluation=config.evaluation.options,
        observers=(observer,),
    )
    results = [member.fit_result_ for member in members]
    return StudyResult(
        estimators=tuple(member.to_bytes() for member in members),
        best=tuple((result.best_epoch, result.best_value) for result in results),
    )


def studies_of(config: RunConfig, splits: DataSplits) -> Iterator[Study]:
    """Every study that a configuration asks for, in the order in which a run trains them."""
    if config.evaluation.walk_forward is not None:
        rows = joined_rows(splits, config.reward_inputs)
        yield from (_fold_study(fold, rows, config) for fold in folds_of(config, splits))
    for number in range(1, config.evaluation.placebo + 1):
        yield _placebo_study(config, splits, number)


def run_studies(
    context: RunContext,
    config: RunConfig,
    targets: ResolvedTargets,
    splits: DataSplits,
    *,
    growth: float | None,
) -> dict[str, object]:
    """Train and judge what the configuration asks for beside the main training.

    Parameters
    ----------
    growth : float or None
        Annual log growth of the main policy over 1/N; of several seeds, of their ensemble.

    Returns
    -------
    dict
        The fields `walk_forward` and `placebo` of `metrics.json`.
    """
    wanted = config.evaluation
    if wanted.walk_forward is None and not wanted.placebo:
        return {}
    if config.mode == "evaluate":
        what = "Walk-forward and placebo are left out: mode evaluate trains nothing."
        log_event(_logger, logging.WARNING, "evaluation", what)
        return {}
    started = time.perf_counter()
    room = StudyRoom(context, config, targets)
    figures: dict[str, object] = {}
    if wanted.walk_forward is not None:
        context.record.update(phase="walk_forward")
        figures["walk_forward"] = _walk_forward(context, config, splits, room)
    if wanted.placebo:
        context.record.update(phase="placebo")
        figures["placebo"] = _placebos(config, splits, room, growth)
    timing = context.record.as_dict()["timing"] or {}
    context.record.update(timing={**timing, "studies_s": time.perf_counter() - started})
    return figures


# ---------------------------------------------------------------------------------- walk-forward


def _walk_forward(
    context: RunContext, config: RunConfig, splits: DataSplits, room: StudyRoom
) -> dict[str, object]:
    rows, folds = joined_rows(splits, config.reward_inputs), folds_of(config, splits)
    actions, told = [], []
    for fold in folds:
        _tell(f"fold {fold.number} of {len(folds)}: {_spans(fold)}", fold.number)
        members = room.policies(_fold_study(fold, rows, config))
        part = _cut(rows, fold.judged)
        actions.append(_actions(members, part))
        told.append(
            {
                "fold": fold.number,
                **{key: _ends(getattr(fold, key)) for key in ("train", "validation", "judged")},
                "best_epochs": [member.best_epoch_ for member in members],
            }
        )
    first = folds[0].judged.start
    stitched, part = np.concatenate(actions), _cut(rows, slice(first, None))
    if not config.hisso.is_portfolio:
        given = estimator_rows(part, config) | {"evaluation": config.evaluation.options}
        return {"reward_mean": members[0].evaluate_reward(**given, actions=stitched), "folds": told}
    before = {"earlier": [rows["prices"][:first]]}
    if "active" in rows:
        before["earlier_active"] = [rows["active"][:first]]
    _, figures, series = judged_beside_baselines(
        stitched, part["prices"], config, splits, rows=part, earlier=before
    )
    numbers = [np.full(len(each), fold.number) for fold, each in zip(folds, actions, strict=True)]
    series["fold"] = np.concatenate(numbers).astype(np.int64)
    context.storage.put(context.paths.walk_forward, npz_bytes(series))
    for name in ("deflated_sharpe", "deflated_skill"):  # of how many trials nobody knows
        del figures[name]
    return {**figures, "folds": told}


def _actions(members: Sequence[BasePSANNRegressor], rows: Arrays) -> Floats:
    """Actions of a policy ``(T, M)``, of several seeds their mean."""
    given = {kind: rows.get(kind) for kind in ("context", "active", "prices")}
    return Ensemble(members).predict_actions(rows["X"], **given)


def _fold_study(fold: Fold, rows: Arrays, config: RunConfig) -> Study:
    validation = None
    if fold.validation is not None:
        validation = estimator_rows(_cut(rows, fold.validation), config)
    return Study(
        phase="walk_forward",
        number=fold.number,
        train=estimator_rows(_cut(rows, fold.train), config),
        validation=validation,
    )


def _cut(rows: Arrays, span: slice) -> Arrays:
    return {kind: array[span] for kind, array in rows.items()}


def _ends(span: slice | None) -> list[int] | None:
    """First row and the row after the last."""
    return None if span is None else [span.start, span.stop]


def _spans(fold: Fold) -> str:
    parts = {"train": fold.train, "validation": fold.validation, "judged": fold.judged}
    named = [f"{name} {s.start} to {s.stop - 1}" for name, s in parts.items() if s is not None]
    return f"rows {', '.join(named)}"


# --------------------------------------------------------------------------------------- placebo


def _placebos(
    config: RunConfig, splits: DataSplits, room: StudyRoom, growth: float | None
) -> dict[str, object]:
    n_placebos = config.evaluation.placebo
    key = config.evaluation.portfolio_prices_key or ""
    _, split = split_of(key) or ("prices", "test")
    arrays = splits.split(split)
    cash = transform_of(config.hisso).holds_cash
    growths = []
    for number in range(1, n_placebos + 1):
        order = _order(config, number, split, len(arrays["X"]))
        prices = shuffled_prices(splits.arrays[key], order)
        members = room.policies(_placebo_study(config, splits, number))
        actions = _actions(members, {**arrays, "prices": prices})
        growths.append(excess_growth(actions, prices, terms=terms_of(config, arrays), cash=cash))
        over = f"{growths[-1]:+.3f} per year over 1/N"
        _tell(f"placebo {number} of {n_placebos}: {over}", number, phase="placebo")
    share = share_as_good(float("nan") if growth is None else growth, growths)
    return {"n": n_placebos, "growth": growth, "share_as_good": share, "growths": growths}


def _placebo_study(config: RunConfig, splits: DataSplits, number: int) -> Study:
    train, validation = _shuffled(config, splits, number, "train"), None
    if "X_val" in splits.arrays:
        validation = _shuffled(config, splits, number, "val")
    return Study(phase="placebo", number=number, train=train, validation=validation)


def _shuffled(config: RunConfig, splits: DataSplits, number: int, split: str) -> dict[str, Any]:
    """Arrays of a split with its moves in another order; what is seen before them stays."""
    arrays = splits.split(split)
    warm_start = config.hisso.warm_start
    if split == "train" and warm_start is not None:
        arrays["y"] = splits.arrays[warm_start.y_key]
    order = _order(config, number, split, len(arrays["X"]))
    arrays["prices"] = shuffled_prices(arrays["prices"], order)
    if "y" in arrays:  # the target of a row is of the move that follows; the last row has none
        arrays["y"] = arrays["y"][np.append(order, len(order))]
    return estimator_rows(arrays, config)


def _order(config: RunConfig, number: int, split: str, n_rows: int) -> Places:
    return shuffled_order(n_rows, seed=config.seed, number=number, span=split)


def _tell(message: str, number: int, *, phase: str = "walk_forward") -> None:
    log_event(_logger, logging.INFO, "evaluation", message, phase=phase, fold=number)
