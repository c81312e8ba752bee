"""A process of a worker's own, forked from one that has torch loaded already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import TYPE_CHECKING

from psann._process import PREEMPT_SIGNALS, taking_signals
from psann._signals import PREEMPTED_EXIT_CODE
from psann.run.execution.context import EXIT_INTERRUPTED, RunRequest
from psann.run.execution.runner import execute

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, ForkServerProcess

# What every run would load, and what torch loads at the first update: once for all of them.
_PRELOADED = ["psann.run.sweep.child", "psann.run.execution.studies", "sklearn.utils", "sympy"]
_UNKNOWN_CODE = 255


Told = tuple[int, str | None]
"""Exit code and message."""


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    exit_code: int
    """That of the run; minus the signal that killed it."""
    message: str | None = None


class Child:
    """Work that is done beside this process.

    Parameters
    ----------
    context : ForkServerContext
        Of `preloading_context`.
    work : callable
        What it does; can be pickled, as `partial(run_trial, request)` can.
    """

    def __init__(self, context: ForkServerContext, work: Callable[[], Told]) -> None:
        self._receiver, sender = context.Pipe(duplex=False)
        # By its own pipe: the process that forks is another than the one that waits.
        self._process: ForkServerProcess = context.Process(target=_do_and_tell, args=(work, sender))
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
        """Ask it to stop; nothing where it has ended."""
        if not self.is_over:
            os.kill(self.pid, number)

    def ending(self) -> Ending:
        """Wait for the end."""
        told: Told | None = None
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


def run_trial(request: RunRequest) -> Told:
    """Do a run, and say how it ended."""
    outcome = execute(replace(request, quiet=True))
    return outcome.exit_code, outcome.message


def _do_and_tell(work: Callable[[], Told], sender: Connection) -> None:
    """Do what a child is for; what it would show goes nowhere, its log has it."""
    # A terminal's Ctrl-C is for the worker, which passes it on once.
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(null, number)
    threading.Thread(target=_stop_with_worker, daemon=True).start()
    sender.send(work())
    sender.close()


@contextmanager
def passing_on_signals(
    receive: Callable[[signal.Signals], None], children: Callable[[], Iterable[Child]]
) -> Iterator[None]:
    """Pass signals on to the children, which commit and end, after `receive` has been told."""

    def take(number: int, frame: FrameType | None) -> None:
        receive(signal.Signals(number))
        for child in children():
            child.send_signal(passed_on(number))

    with taking_signals((signal.SIGINT, *PREEMPT_SIGNALS), take):
        yield


def passed_on(number: int) -> signal.Signals:
    """What a child is told of a signal: to be interrupted, or preempted."""
    return signal.SIGINT if number == signal.SIGINT else signal.SIGTERM


def exit_code_of_stop(number: signal.Signals) -> int:
    """What a worker exits with that was stopped."""
    return EXIT_INTERRUPTED if number == signal.SIGINT else PREEMPTED_EXIT_CODE


def _stop_with_worker() -> None:
    """Commit and leave when the worker dies: whoever adopts the trial goes on from there."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
