"""One trial in a process of its own, forked from one that has torch loaded already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from psann.run.execution.context import RunRequest
from psann.run.execution.runner import execute

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, ForkServerProcess

# What every run would load, and what torch loads at the first update: once for all of them.
_PRELOADED = ["psann.run.sweep.child", "psann.run.execution.studies", "sklearn.utils", "sympy"]
_UNKNOWN_CODE = 255


@dataclass(frozen=True)
class Ending:
    """How a trial's process ended."""

    exit_code: int
    """That of the run; minus the signal that killed it."""
    message: str | None = None


class Child:
    """A trial that runs beside this process.

    Parameters
    ----------
    context : ForkServerContext
        Of `preloading_context`.
    """

    def __init__(self, context: ForkServerContext, request: RunRequest) -> None:
        self._receiver, sender = context.Pipe(duplex=False)
        # By its own pipe: the process that forks is another than the one that waits.
        self._process: ForkServerProcess = context.Process(
            target=run_trial, args=(request, sender), name=request.run_name
        )
        self._process.start()
        sender.close()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` waits for."""
        return self._process.sentinel

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return not self._process.is_alive()

    def send_signal(self, number: signal.Signals) -> None:
        """Ask the run to stop; nothing where it has ended."""
        if not self.is_over:
            os.kill(self.pid, number)

    def ending(self) -> Ending:
        """Wait for the end."""
        told: tuple[int, str | None] | None = None
        try:
            told = self._receiver.recv()
        except EOFError:  # killed
            told = None
        self._receiver.close()
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        if told is not None:
            return Ending(*told)
        # Of a child whose forkserver was killed first nobody knows the code.
        return Ending(-signal.SIGKILL if code == _UNKNOWN_CODE else code or 1)


def preloading_context() -> ForkServerContext:
    """Where children come from; the first of them waits until everything is loaded."""
    # Read when torch loads OpenMP: idle threads of several runs at once sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def run_trial(request: RunRequest, sender: Connection) -> None:
    """Do a run and tell how it ended; what it would show goes nowhere, its log has it."""
    # A terminal's Ctrl-C is for the worker, which passes it on once.
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(null, number)
    threading.Thread(target=_stop_with_worker, daemon=True).start()
    outcome = execute(replace(request, quiet=True))
    sender.send((outcome.exit_code, outcome.message))
    sender.close()


def _stop_with_worker() -> None:
    """Commit and leave when the worker dies: whoever adopts the trial goes on from there."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
