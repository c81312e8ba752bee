"""What a run does while it trains: keeps `metrics.json` alive, commits the best, heeds signals."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from psann._signals import StopRequest
from psann.errors import TrainingInterrupted
from psann.estimators._base import BasePSANNRegressor
from psann.run.directory.checkpoints import Checkpoints
from psann.run.directory.columns import sign_of
from psann.run.directory.log import log_event
from psann.run.directory.record import RunRecord
from psann.run.execution.figures import best_of, training_figures
from psann.training.history import EpochRecord
from psann.training.observers import Observer
from psann.training.state import Best, TrainState

_logger = logging.getLogger(__name__)

# With --keep-checkpoints about this many epochs of a phase are kept, evenly spaced.
_KEPT_EPOCHS = 10


class RunObserver(Observer):
    """Joins training to the run directory; a commit writes the best estimators, then the record.

    A commit is of all seeds at once.

    Parameters
    ----------
    estimators : mapping
        What is being fitted, by seed; each turns a state of its own into the bytes of a file.
    resume_state : callable
        Turns the states of all seeds into the bytes of a resume state.
    keep_checkpoints : bool
        Keep estimators and resume states of some epochs, besides those of best and warm start.
    checkpoint_every_s : float
        Seconds between two commits, at least.
    is_hopeless : callable, optional
        Of `RunRequest`.
    """

    def __init__(
        self,
        estimators: Mapping[int, BasePSANNRegressor],
        *,
        record: RunRecord,
        checkpoints: Checkpoints,
        resume_state: Callable[[Sequence[TrainState]], bytes],
        stop: StopRequest,
        checkpoint_every_s: float,
        keep_checkpoints: bool = False,
        is_hopeless: Callable[[int, float], bool] | None = None,
    ) -> None:
        self._estimators = estimators
        self._record = record
        self._checkpoints = checkpoints
        self._resume_state = resume_state
        self._stop = stop
        self._checkpoint_every_s = checkpoint_every_s
        self._keep_checkpoints = keep_checkpoints
        self._is_hopeless = is_hopeless
        self._committed_at_s = time.monotonic()
        self._group: Sequence[TrainState] = ()
        self._saved: dict[int, Best] = {}
        self._saved_winner: Best | None = None
        self._saved_moment: list[tuple[str, int, int]] = []
        self.timing = {"data_s": 0.0, "step_s": 0.0, "val_s": 0.0, "checkpoint_s": 0.0}

    def on_phase_start(self, state: TrainState) -> None:
        """Name the phase in the record."""
        self._group = state.group
        if state is not state.group[-1]:
            return
        self._record.update(
            phase=state.phase,
            epochs_total=max(each.epochs_total for each in self._group),
            monitor=state.monitor,
            **training_figures(self._group),
        )
        self._record.flush(force=True)

    def on_launch(self, state: TrainState) -> None:
        """Keep the record alive and stop here if that was asked for."""
        self._record.update(episodes=sum(each.episodes for each in self._group))
        self._record.flush()
        self._stop.check()

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        """Take over the epoch's figures, and commit when that is due."""
        for name in ("data_s", "step_s", "val_s"):
            self.timing[name] += getattr(record, name)
        if not state.closes_epoch:
            return
        figures = training_figures(self._group)
        self._record.update(**figures)
        if state.phase not in ("warm_start", "refit") and self._keep_checkpoints:
            every = max(1, record.epochs_total // _KEPT_EPOCHS)
            if record.epoch % every == 0:
                self._keep_epoch(record.epoch)
        if time.monotonic() - self._committed_at_s >= self._checkpoint_every_s:
            self.commit()
        self._record.flush()
        self._stop.check()
        if state.phase not in ("warm_start", "refit"):
            self._prune(state, figures.get("monitor_value"))

    def _prune(self, state: TrainState, value: object) -> None:
        """Stop here if the run is beyond hope beside others."""
        if self._is_hopeless is None or not isinstance(value, float):
            return
        if self._is_hopeless(state.epoch, sign_of(state.monitor) * value):
            raise TrainingInterrupted("lagging behind other trials", status="pruned", exit_code=0)

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        """Keep the warm start's weights; commit the end of any phase."""
        if phase == "warm_start":
            self._save("warm_start", state, metric=None)
        if state is self._group[-1]:
            self.commit()

    def _keep_epoch(self, epoch: int) -> None:
        """Keep the estimators after an epoch, and where to go on from it."""
        for state in self._group:
            if state.epoch == epoch:
                self._save("epoch", state, metric=state.history[-1].monitor_value)
        self._checkpoints.save_kept_state(self._resume_state(self._group), epoch=epoch)

    def commit(self, *, with_state: bool = True) -> None:
        """Make what training has found so far durable: best estimators, resume state, then record.

        Parameters
        ----------
        with_state : bool
            False where the state may not be whole.
        """
        self._save_best()
        if self._group and with_state:
            self._save_state()
        self._record.flush(force=self._record.has_news)
        self._committed_at_s = time.monotonic()

    def _save_best(self) -> None:
        """Write what is better than on disk: of each of several seeds, then of all."""
        if len(self._group) > 1:
            for state in self._group:
                if state.best is not None and state.best is not self._saved.get(state.seed):
                    self._save("best_seed", state, metric=state.best.value)
                    self._saved[state.seed] = state.best
        winner = best_of(self._group)
        if winner is None or winner.best is None or winner.best is self._saved_winner:
            return
        self._save("best", winner, metric=winner.best.value)
        self._saved_winner = winner.best
        figures = training_figures(self._group)
        self._record.update(best=self._checkpoints.describe("best"), **figures)

    def _save_state(self) -> None:
        """Write the resume state, unless it is the one already written."""
        moment = [(state.phase, state.epoch, state.update) for state in self._group]
        if moment == self._saved_moment:
            return
        started = time.perf_counter()
        epoch = max(state.epoch for state in self._group)
        self._checkpoints.save_last(self._resume_state(self._group), epoch=epoch)
        self._saved_moment = moment
        self._record.update(last=self._checkpoints.describe("last"))
        self.timing["checkpoint_s"] += time.perf_counter() - started

    def _save(self, kind: str, state: TrainState, *, metric: float | None) -> None:
        """Write the estimator of this moment, or the best one, and log what that took."""
        started = time.perf_counter()
        is_best = kind in ("best", "best_seed")
        epoch = state.best_epoch if is_best else state.epoch
        data = self._estimators[state.seed].to_bytes(state, best=is_best)
        seed = state.seed if len(self._group) > 1 else None
        self._checkpoints.save(kind, data, epoch=epoch, metric=metric, seed=seed)
        seconds = time.perf_counter() - started
        self.timing["checkpoint_s"] += seconds
        log_event(
            _logger,
            logging.DEBUG,
            "checkpoint",
            f"{kind}: the estimator of epoch {epoch}",
            phase=state.phase,
            seed=seed,
            epoch=epoch,
            checkpoint_s=seconds,
        )
