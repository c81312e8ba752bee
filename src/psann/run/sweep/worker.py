"""A worker: takes trials, runs them, adopts those of dead workers, and writes down what came out.

Any number of workers, here or elsewhere, do the same with the same folder; none is the first.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from psann._imports import OF_THE_USER, ImportPolicy
from psann._signals import PREEMPTED_EXIT_CODE
from psann.errors import ConfigError, PsannError
from psann.run.config.load import config_sha256, load_run_config
from psann.run.directory.lock import is_locked
from psann.run.execution.context import EXIT_DONE, EXIT_INTERRUPTED, EXIT_LOCKED, RunRequest
from psann.run.reading.reading import read_run
from psann.run.sweep import pruning
from psann.run.sweep.child import (
    Child,
    Ending,
    exit_code_of_stop,
    passed_on,
    passing_on_signals,
    preloading_context,
    run_trial,
)
from psann.run.sweep.config import Sweep, overrides_of
from psann.run.sweep.ledger import Ledger, join
from psann.run.sweep.pruning import Lag
from psann.run.sweep.record import SweepPaths, SweepRecord, run_name

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from psann.run.sweep.queue import Claim, Queue

_LOOK_S = 1.0
_BEAT_S = 60.0
_MOST_KILLS = 3


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """How a worker works."""

    n_at_once: int = 1
    """Trials at the same time."""
    storage: str | None = None
    """Address of a queue where workers share no disk."""
    imports: ImportPolicy = OF_THE_USER
    argv: tuple[str, ...] = ()
    """The command line, for the provenance of the runs."""
    look: Callable[[SweepRecord], None] = lambda record: None
    """Shown the record whenever there is news, and about once a second."""


@dataclass(frozen=True)
class WorkDone:
    """How a worker ended."""

    exit_code: int
    record: SweepRecord
    messages: list[str] = field(default_factory=list)


class Worker:
    """Works until nothing is left to take, or it is told to stop.

    Parameters
    ----------
    queue : Queue
        Shared with all other workers.
    """

    def __init__(self, sweep: Sweep, paths: SweepPaths, queue: Queue, options: WorkOptions) -> None:
        self._sweep, self._paths, self._queue, self._options = sweep, paths, queue, options
        self._children: dict[int, tuple[Child, Claim]] = {}
        self._ledger = Ledger(sweep, paths, queue)
        self._stop: signal.Signals | None = None
        self._messages: list[str] = []
        self._n_killed: Counter[int] = Counter()
        self._beaten_s = time.monotonic()

    def work(self) -> WorkDone:
        """Take trials until none is left."""
        context = preloading_context()
        self._ledger.restore()
        record = self._ledger.refresh()
        with passing_on_signals(self._receive, self._alive):
            while True:
                while self._has_room and (claim := self._next()) is not None:
                    self._start(Child(context, partial(run_trial, self._request(claim))), claim)
                if not self._children:
                    break
                wait([child.sentinel for child in self._alive()], timeout=_LOOK_S)
                news = [number for number, (child, _) in self._children.items() if child.is_over]
                for number in news:
                    child, claim = self._children.pop(number)
                    self._take(claim, child.ending())
                self._beat()
                record = self._ledger.refresh() if news else self._ledger.glance(record)
                self._options.look(record)
        return WorkDone(self._exit_code(), self._ledger.refresh(), self._messages)

    def _alive(self) -> list[Child]:
        return [child for child, _ in self._children.values()]

    def _start(self, child: Child, claim: Claim) -> None:
        self._children[claim.number] = (child, claim)
        if self._stop is not None:  # it came while the child was made
            child.send_signal(passed_on(self._stop))

    @property
    def _has_room(self) -> bool:
        is_going_on = self._stop is None and not self._messages
        return is_going_on and len(self._children) < self._options.n_at_once

    def _next(self) -> Claim | None:
        """An orphan, else a new trial; those whose runs are over already are told on the way."""
        if not self._is_as_it_was():
            return None
        for trial in self._queue.running(but=self._children):
            if self._is_orphan(trial):
                claim = self._queue.adopt(trial)
                if claim is not None and not self._ledger.tell_if_settled(claim):
                    return claim
        while (new := self._queue.claim()) is not None:
            if not self._ledger.tell_if_settled(new):
                return new
        return None

    def _is_as_it_was(self) -> bool:
        """Whether the configuration, which every run reads anew, is the one of the other trials."""
        path = self._sweep.config_path
        with suppress(ConfigError):
            if config_sha256(load_run_config(path)) == config_sha256(self._sweep.base):
                return True
        self._messages.append(
            f"{path} must stay as it is while a sweep goes on, and has changed. Restore it, or "
            "sweep anew into a new folder."
        )
        return False

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Whether nobody works on a trial that somebody began: by its run, else by its claim."""
        from psann.run.sweep.queue import is_claimed_here, may_live_elsewhere

        paths = self._paths.run(trial.number)
        if self._n_killed[trial.number] >= _MOST_KILLS or is_claimed_here(trial):
            return False
        if paths.root.exists() and is_locked(paths.lock):
            return False
        status = read_run(paths.root).status if paths.root.exists() else "unknown"
        if status == "unknown":
            return not may_live_elsewhere(trial)
        return status != "running"

    def _take(self, claim: Claim, ending: Ending) -> None:
        """What the end of a trial's process means; a killed or stopped one is somebody's later."""
        if self._ledger.tell_if_settled(claim):
            return
        if ending.exit_code == EXIT_LOCKED:
            return  # somebody else has it
        self._queue.release(claim.number)
        if ending.exit_code < 0:
            self._note_end(
                claim,
                f"killed {_MOST_KILLS} times by {signal.Signals(-ending.exit_code).name}. Is "
                "there memory enough for so many trials at once? Give fewer --workers.",
            )
        elif ending.exit_code in (EXIT_INTERRUPTED, PREEMPTED_EXIT_CODE):
            if self._stop is None:
                self._note_end(
                    claim,
                    f"stopped {_MOST_KILLS} times, and not by this command: its own code may "
                    "raise KeyboardInterrupt.",
                )
        else:
            # Not the trial's fault: no room on the disk, say. Others would meet the same.
            self._messages.append(f"{run_name(claim.number)}: {ending.message or 'it was ended'}")

    def _note_end(self, claim: Claim, how: str) -> None:
        """A trial that was killed or stopped goes on here, unless it is again and again."""
        self._n_killed[claim.number] += 1
        if self._n_killed[claim.number] == _MOST_KILLS:
            self._messages.append(f"{run_name(claim.number)} was {how}")

    def _request(self, claim: Claim) -> RunRequest:
        return RunRequest(
            config=self._sweep.config_path,
            output_dir=self._paths.runs.absolute(),
            run_name=run_name(claim.number),
            overrides=overrides_of(claim.overrides, self._sweep.base),
            imports=self._options.imports,
            resume=True,
            quiet=True,
            is_hopeless=self._lag(claim.number),
            argv=self._options.argv,
        )

    def _lag(self, number: int) -> Lag | None:
        """What stops a trial that lags behind; None where none is to be stopped."""
        if self._sweep.file.prune is None:
            return None
        return Lag(
            sweep=self._sweep,
            journal=self._paths.journal,
            storage=self._options.storage,
            number=number,
            every_s=pruning.EVERY_S,
        )

    def _beat(self) -> None:
        if self._options.storage is not None and time.monotonic() - self._beaten_s > _BEAT_S:
            self._beaten_s = time.monotonic()
            for number in self._children:
                self._queue.beat(number)

    def _receive(self, number: signal.Signals) -> None:
        """Take no trial any more."""
        self._stop = self._stop or number

    def _exit_code(self) -> int:
        if self._stop is not None:
            return exit_code_of_stop(self._stop)
        return 1 if self._messages else EXIT_DONE


def work(sweep: Sweep, paths: SweepPaths, options: WorkOptions) -> WorkDone:
    """Join a sweep and work until nothing is left to take.

    Raises
    ------
    UsageError
        If the folder holds another sweep, or the address of the storage leads nowhere.
    PsannError
        If Optuna is not installed, or the storage answers no more; trials that have begun go on
        to their end, and are told at the next start.
    """
    from psann.run.sweep.queue import Queue, answering, open_storage

    join(sweep, paths)
    storage = open_storage(paths.journal, options.storage)
    with answering("The queue answers no more; start the command again once it does", PsannError):
        return Worker(sweep, paths, Queue(sweep, storage), options).work()
