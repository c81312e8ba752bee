"""What a run does while it trains: keeps `metrics.json` alive, commits the best, heeds signals."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from psann.estimators._base import BasePSANNRegressor
from psann.run.checkpoints import Checkpoints
from psann.run.events import log_event
from psann.run.record import RunRecord
from psann.run.signals import StopRequest
from psann.training.history import EpochRecord
from psann.training.observers import Observer
from psann.training.state import Best, TrainState

_logger = logging.getLogger(__name__)

# With --keep-checkpoints about this many epochs of a phase are kept, evenly spaced.
_KEPT_EPOCHS = 10
_Kind = Literal["best", "epoch", "warm_start"]


class RunObserver(Observer):
    """Joins training to the run directory; a commit writes the best estimator, then the record.

    Parameters
    ----------
    estimator : BasePSANNRegressor
        What is being fitted; it turns a state into the bytes of a file.
    record : RunRecord
        The summary.
    checkpoints : Checkpoints
        Where estimators go.
    resume_state : callable
        Turns a state into the bytes of a resume state.
    stop : StopRequest
        Polled after every launch and epoch.
    checkpoint_every_s : float
        Seconds between two commits, at least.
    """

    def __init__(
        self,
        estimator: BasePSANNRegressor,
        *,
        record: RunRecord,
        checkpoints: Checkpoints,
        resume_state: Callable[[TrainState], bytes],
        stop: StopRequest,
        checkpoint_every_s: float,
    ) -> None:
        self._estimator = estimator
        self._record = record
        self._checkpoints = checkpoints
        self._resume_state = resume_state
        self._stop = stop
        self._checkpoint_every_s = checkpoint_every_s
        self._committed_at_s = time.monotonic()
        self._state: TrainState | None = None
        self._saved: Best | None = None
        self._saved_moment: tuple[str, int, int] | None = None
        self.timing = {"data_s": 0.0, "step_s": 0.0, "val_s": 0.0, "checkpoint_s": 0.0}

    def on_phase_start(self, state: TrainState) -> None:
        """Name the phase in the record."""
        self._state = state
        self._record.update(
            phase=state.phase,
            epochs_total=state.epochs_total,
            monitor=state.monitor,
            **_figures(state),
        )
        self._record.flush(force=True)

    def on_launch(self, state: TrainState) -> None:
        """Keep the record alive and stop here if that was asked for."""
        self._record.update(episodes=state.episodes)
        self._record.flush()
        self._stop.check()

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        """Take over the epoch's figures, and commit when that is due."""
        for name in ("data_s", "step_s", "val_s"):
            self.timing[name] += getattr(record, name)
        self._record.update(**_figures(state))
        if state.phase not in ("warm_start", "refit") and self._checkpoints.keep_checkpoints:
            every = max(1, record.epochs_total // _KEPT_EPOCHS)
            if record.epoch % every == 0:
                self._save("epoch", state, metric=record.monitor_value)
                self._checkpoints.save_kept_state(self._resume_state(state), epoch=state.epoch)
        if time.monotonic() - self._committed_at_s >= self._checkpoint_every_s:
            self.commit()
        self._record.flush()
        self._stop.check()

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        """Keep the warm start's weights; commit the end of any phase."""
        if phase == "warm_start":
            self._save("warm_start", state, metric=None)
        self.commit()

    def commit(self, *, with_state: bool = True) -> None:
        """Make what training has found so far durable: best estimator, resume state, then record.

        Parameters
        ----------
        with_state : bool
            False where the state may not be whole.
        """
        state = self._state
        if state is not None and state.best is not None and state.best is not self._saved:
            self._save("best", state, metric=state.best.value)
            self._saved = state.best
            self._record.update(best=self._checkpoints.describe_best(), **_figures(state))
        if state is not None and with_state:
            self._save_state(state)
        self._record.flush(force=True)
        self._committed_at_s = time.monotonic()

    def _save_state(self, state: TrainState) -> None:
        """Write the resume state, unless it is the one already written."""
        moment = (state.phase, state.epoch, state.update)
        if moment == self._saved_moment:
            return
        started = time.perf_counter()
        self._checkpoints.save_last(self._resume_state(state), epoch=state.epoch)
        self._saved_moment = moment
        self._record.update(last=self._checkpoints.describe_last())
        self.timing["checkpoint_s"] += time.perf_counter() - started

    def _save(self, kind: _Kind, state: TrainState, *, metric: float | None) -> None:
        """Write the estimator of this moment, or the best one, and log what that took."""
        started = time.perf_counter()
        is_best = kind == "best"
        epoch = state.best_epoch if is_best else state.epoch
        data = self._estimator.to_bytes(state, best=is_best)
        save = {
            "best": self._checkpoints.save_best,
            "epoch": self._checkpoints.save_epoch,
            "warm_start": self._checkpoints.save_warm_start,
        }[kind]
        save(data, epoch=epoch, metric=metric)
        seconds = time.perf_counter() - started
        self.timing["checkpoint_s"] += seconds
        log_event(
            _logger,
            logging.DEBUG,
            "checkpoint",
            f"{kind}: the estimator of epoch {epoch}",
            phase=state.phase,
            epoch=epoch,
            checkpoint_s=seconds,
        )


def _figures(state: TrainState) -> dict[str, Any]:
    """Figures of `metrics.json` that an epoch may change."""
    figures: dict[str, Any] = {"epoch": state.epoch, "episodes": state.episodes}
    if state.best is not None:
        figures |= {"best_epoch": state.best.epoch, "monitor_value": state.best.value}
        figures |= best_epoch_figures(state.history, state.best.epoch)
    return figures


def best_epoch_figures(history: list[EpochRecord], best_epoch: int) -> dict[str, Any]:
    """Training figures of the best epoch; epoch 0 was not trained and has none.

    Parameters
    ----------
    history : list of EpochRecord
        Epochs of the last phase, in order.
    best_epoch : int
        The epoch whose weights are kept.
    """
    kept = history[best_epoch - 1] if best_epoch else None
    names = ("train_loss", "val_loss", "reward_mean", "reward_std", "val_reward_mean")
    return {name: None if kept is None else getattr(kept, name) for name in names}
