"""Requests to stop: signals and the time limit, noticed where training polls for them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from psann._process import PREEMPT_SIGNALS, taking_signals
from psann.errors import TrainingInterrupted

_INTERRUPTED_EXIT_CODE = 130
PREEMPTED_EXIT_CODE = 143


class StopRequest:
    """Whether and why the run was asked to stop; made by `stop_requests`.

    Attributes
    ----------
    reason : str or None
        The first request in words, None without one.
    """

    def __init__(
        self,
        *,
        max_time_minutes: float | None = None,
        preempt_exit_code: int = PREEMPTED_EXIT_CODE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reason: str | None = None
        self._is_from_keyboard = False
        self._stops_at_once = False
        self._n_interrupts = 0
        self._preempt_exit_code = preempt_exit_code
        self._max_time_minutes = max_time_minutes
        self._clock = clock
        self._deadline_s = None if max_time_minutes is None else clock() + 60 * max_time_minutes

    def check(self) -> None:
        """Stop here if that was asked for; cheap, so call it between launches.

        Raises
        ------
        TrainingInterrupted
            After Ctrl-C with status interrupted and exit code 130; after another signal or the
            time limit with status preempted and the exit code of preemption.
        """
        is_late = self._deadline_s is not None and self._clock() >= self._deadline_s
        if self.reason is None and is_late:
            self.reason = f"the time limit of {self._max_time_minutes:g} minutes"
        if self.reason is None:
            return
        if self._is_from_keyboard:
            raise TrainingInterrupted(
                self.reason, status="interrupted", exit_code=_INTERRUPTED_EXIT_CODE
            )
        raise TrainingInterrupted(
            self.reason, status="preempted", exit_code=self._preempt_exit_code
        )

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal stop the block wherever it is: a user's loader polls nothing.

        For work that leaves nothing half-done; `check` runs at both ends.
        """
        self.check()
        self._stops_at_once = True
        try:
            yield
        finally:
            self._stops_at_once = False
        self.check()

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: only remember it, but for a second Ctrl-C, which leaves at once.

        Raises
        ------
        KeyboardInterrupt
            At the second SIGINT.
        TrainingInterrupted
            Inside of `at_once`.
        """
        if number == signal.SIGINT:
            self._n_interrupts += 1
            if self._n_interrupts > 1:
                raise KeyboardInterrupt
        if self.reason is None:
            self.reason = signal.Signals(number).name
            self._is_from_keyboard = number == signal.SIGINT
        if self._stops_at_once:
            self.check()


@contextmanager
def stop_requests(
    *,
    max_time_minutes: float | None = None,
    preempt_exit_code: int = PREEMPTED_EXIT_CODE,
    preempt_signals: Sequence[signal.Signals] = PREEMPT_SIGNALS,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[StopRequest]:
    """Turn SIGINT, the signals of schedulers and a time limit into requests to stop.

    A signal that the process was started to ignore stays ignored: `nohup` keeps its meaning.
    Outside the main thread, where Python takes no signals, only the time limit works.

    Parameters
    ----------
    max_time_minutes : float, optional
        Time limit from here, greater than 0.
    clock : callable
        Monotonic seconds.

    Yields
    ------
    StopRequest
        To be polled with `check`; the old handlers are back when the block ends.
    """
    request = StopRequest(
        max_time_minutes=max_time_minutes, preempt_exit_code=preempt_exit_code, clock=clock
    )
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    with taking_signals((signal.SIGINT, *preempt_signals), request.receive):
        yield request
