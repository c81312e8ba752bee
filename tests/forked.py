"""The command in a child of this process: real streams, signals and exit codes, no start of Python.

A start loads torch and scikit-learn, some seconds of a core; the few tests of the start itself do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faults import in_child
from trials import trial


class Forked:
    """A child that works; what tests use of `subprocess.Popen`, and its streams are pipes.

    Parameters
    ----------
    work : callable
        Returns the exit code.
    terminal : int, optional
        Descriptor to have for all three streams instead.
    """

    def __init__(self, work: Callable[[], int], *, terminal: int | None = None) -> None:
        pipes = [os.pipe() for _ in range(2)]
        self._outputs = [os.fdopen(reader, encoding="utf-8") for reader, _ in pipes]
        ends = [writer for _, writer in pipes]
        streams = (os.open(os.devnull, os.O_RDONLY), *ends) if terminal is None else (terminal,) * 3
        self._child = in_child(lambda: _with_streams(work, streams))
        for fd in ends if terminal is not None else streams:
            os.close(fd)
        self.returncode: int | None = None

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._child, number)

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        code = self._reap(0)
        assert code is not None
        return code

    def communicate(self) -> tuple[str, str]:
        """Stdout and stderr to their ends; a test's are short enough to wait in the pipe."""
        out, err = (output.read() for output in self._outputs)
        self.wait()
        return out, err

    def _reap(self, how: int) -> int | None:
        if self.returncode is None:
            child, status = os.waitpid(self._child, how)
            if child:
                self.returncode = os.waitstatus_to_exitcode(status)
                for output in self._outputs:
                    output.close()
        return self.returncode


@contextmanager
def loading_run(folder: Path) -> Iterator[Forked]:
    """A living run, `out/run`, that is loading its data until it is killed."""
    ready = folder / "ready"
    settings = ("data.loader=trials.slow", f"data.kwargs={{ready: {ready}}}")
    with Forked(lambda: trial(folder, *settings).exit_code) as run:
        try:
            while not ready.exists():
                assert run.poll() is None
                time.sleep(0.01)
            yield run
        finally:
            if run.poll() is None:
                run.send_signal(signal.SIGKILL)


def close_streams(noise: bytes) -> None:
    """Leave this child without streams, while libraries shout into the descriptors of such.

    They do at each call that writes or closes a file, which is when one would be hurt.
    """
    for number in range(3):
        os.close(number)
    # As Python has it when it starts with them closed.
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]

    def shout(frame: object, event: str, function: object) -> None:
        if event == "c_call" and getattr(function, "__name__", "") in _TOUCHING:
            for number in range(3):
                with suppress(OSError):
                    os.write(number, noise)

    sys.setprofile(shout)


_TOUCHING = frozenset({"write", "fsync", "ftruncate", "close", "rename", "replace", "flush"})


def _with_streams(work: Callable[[], int], streams: tuple[int, ...]) -> int:
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    # pytest has put its own objects in the place of these.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))
    try:
        return work()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
