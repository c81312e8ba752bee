"""Epochs as rows of the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from psann.run.directory.columns import COLUMNS
from psann.run.directory.log import log_event
from psann.training.history import Decision, EpochRecord
from psann.training.observers import Observer
from psann.training.state import TrainState

_EPOCH_COLUMNS = tuple(name for name in COLUMNS if name in EpochRecord.__dataclass_fields__)


class EpochEvents(Observer):
    """The observer that logs what training reports: one row per epoch and per decision.

    Epochs are logged at DEBUG, below the console, which shows them as progress.

    Parameters
    ----------
    n_logged : mapping, optional
        Epochs by phase and seed whose rows are in the log already, when a run goes on.
    seed : int, optional
        Of the rows that are about all that is trained; None where there are several seeds.
    fold : int, optional
        Number of the fold or placebo that is trained; None in the main training.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        n_logged: Mapping[tuple[str, int], int] | None = None,
        seed: int | None = None,
        fold: int | None = None,
    ) -> None:
        self._fold = fold
        self._logger = logger
        self._n_logged = n_logged or {}
        self._seed = seed

    def on_phase_start(self, state: TrainState) -> None:
        """Log what the log of a run that goes on lacks: a copy may have its start only."""
        if state is not state.group[-1]:
            return
        missing = [
            (record.epoch, number, record, each)
            for number, each in enumerate(state.group)
            for record in _of_phase(each)[self._n_logged.get((each.phase, each.seed), 0) :]
        ]
        # In the order in which they would have been logged.
        for _, _, record, each in sorted(missing, key=lambda row: row[:2]):
            self.on_epoch(record, each)

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        """Log one epoch."""
        values = {name: getattr(record, name) for name in _EPOCH_COLUMNS}
        message = f"epoch {record.epoch} of {record.epochs_total}"
        own = {"seed": state.seed, "fold": self._fold}
        log_event(self._logger, logging.DEBUG, "epoch", message, **own, **values)

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        """Log that a phase is over."""
        if state is state.group[-1]:
            message = f"phase {phase} is over"
            log_event(self._logger, logging.DEBUG, "log", message, phase=phase, seed=self._seed)

    def on_decision(self, decision: Decision) -> None:
        """Log a choice that training made on its own."""
        log_event(
            self._logger,
            logging.INFO,
            "decision",
            decision.message,
            phase=decision.phase,
            shuffle=decision.shuffle,
            state_reset=decision.state_reset,
            seed=self._seed if decision.seed is None else decision.seed,
        )


def _of_phase(state: TrainState) -> list[EpochRecord]:
    """Epochs of the present phase; a refit keeps those by which its own number was chosen too."""
    return [record for record in state.history if record.phase == state.phase]
