"""What a process has one of, and code that we call may change: noticed, told, put back.

`put_back` looks at settings before and after a block of foreign code. `RELIED_ON` are those that
the next line of our own code needs; `LENT` are the user's to arrange, so that one function of
theirs may rely on another, and only put back at the end of a run.
"""

from __future__ import annotations

import locale
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple

PREEMPT_SIGNALS = tuple(
    signal.Signals[name]
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)  # Windows, where runs are only read, has one of them
)
"""Signals by which schedulers ask a run to stop."""


class Setting(NamedTuple):
    """Something that foreign code may change, how to see it, and how to put it back."""

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], object]


@contextmanager
def put_back(
    settings: Sequence[Setting],
    *,
    who: str,
    told: set[str] | None = None,
    tell: Callable[[str], object] | None = None,
) -> Iterator[None]:
    """Undo what a block of foreign code changes, and warn of it.

    Parameters
    ----------
    who : str
        Whose code it is; the warning begins with it.
    told : set of str, optional
        Names of settings that need no further warning; those that are told join it.
    tell : callable, optional
        Takes the warning in place of `warnings.warn`, which may be told to raise.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as seen:
    ...     warnings.simplefilter("always")
    ...     with put_back(RELIED_ON, who="data.loader"):
    ...         _ = os.umask(0o777)
    >>> print(seen[0].message)
    data.loader changed the umask: put back, so that no result depends on it.
    """
    before = [setting.get() for setting in settings]
    try:
        yield
    finally:
        changed = []
        for setting, value in zip(settings, before, strict=True):
            if setting.get() != value:
                setting.set(value)
                changed.append(setting.name)
        news = [name for name in changed if told is None or name not in told]
        if told is not None:
            told.update(news)
        if news:
            text = f"{who} changed {', '.join(news)}: put back, so that no result depends on it."
            if tell is None:
                warnings.warn(text, stacklevel=3)
            else:
                tell(text)


@contextmanager
def taking_signals(
    numbers: Iterable[signal.Signals], take: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Have signals taken in a block, but for those that the process was started to ignore."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, take)
        yield
    finally:
        _set_handlers(before)


def fill_standard_descriptors() -> None:
    """Put the null device where 0, 1 or 2 is closed: the next file opened would be in its place.

    What a library then wrote to standard error would land in that file.
    """
    _occupy((True, True, True))


def _occupied() -> tuple[bool, ...]:
    def is_open(number: int) -> bool:
        try:
            os.fstat(number)
        except OSError:
            return False
        return True

    return tuple(map(is_open, range(3)))


def _occupy(wanted: Sequence[bool]) -> None:
    for number, is_wanted in enumerate(wanted):
        if is_wanted and not _occupied()[number]:
            fd = os.open(os.devnull, os.O_RDWR)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)


def _umask() -> int:
    # It can only be read by setting it; what another thread makes at this instant stays private.
    current = os.umask(0o077)
    os.umask(current)
    return current


def _handlers() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}  # Python takes signals in the main thread only
    return {number: signal.getsignal(number) for number in (signal.SIGINT, *PREEMPT_SIGNALS)}


def _set_handlers(handlers: Mapping[Any, Any]) -> None:
    for number, handler in handlers.items():
        # None stands for a handler that Python did not set and cannot set again.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _catches_any(entry: tuple[Any, ...]) -> bool:
    return issubclass(UserWarning, entry[2]) and not entry[1] and not entry[3]


def _filters() -> tuple[Any, ...]:
    """Who shows a warning, and the filters that catch any; libraries add narrow ones at import."""
    return warnings.showwarning, list(filter(_catches_any, warnings.filters))


def _set_filters(state: tuple[Any, ...]) -> None:
    warnings.showwarning, before = state
    narrow = [entry for entry in warnings.filters if not _catches_any(entry)]
    warnings.filters[:] = [*narrow, *before]  # type: ignore[index]


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it is gone


def _set_cwd(folder: str | None) -> None:
    if folder is not None:
        with suppress(OSError):  # gone meanwhile: nothing of ours asks for it
            os.chdir(folder)


def _environment() -> dict[str, str]:
    # torch's compiler, which its profiler loads too, keeps the folder of its cache in there, and
    # scikit-learn settings of OpenMP.
    own = ("TORCHINDUCTOR_", "_TORCHINDUCTOR_", "TRITON_", "KMP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def _set_environment(variables: dict[str, str]) -> None:
    for name in _environment().keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _streams() -> tuple[Any, ...]:
    return sys.stdin, sys.stdout, sys.stderr


def _set_streams(streams: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _start_method() -> str | None:
    context = sys.modules.get("multiprocessing")
    if context is None:
        return None
    chosen: str | None = context.get_start_method(allow_none=True)
    # Who asks for the usual one has chosen it, and changed nothing.
    return None if chosen == context.get_all_start_methods()[0] else chosen


def _set_start_method(method: str | None) -> None:
    sys.modules["multiprocessing"].set_start_method(method, force=True)


def _logging() -> tuple[Any, ...]:
    root, own = logging.getLogger(), logging.getLogger("psann")
    return logging.root.manager.disable, *(
        (logger.level, logger.propagate, logger.disabled, tuple(logger.handlers))
        for logger in (root, own)
    )


def _set_logging(state: tuple[Any, ...]) -> None:
    logging.disable(state[0])
    for logger, (level, propagate, disabled, handlers) in zip(
        (logging.getLogger(), logging.getLogger("psann")), state[1:], strict=True
    ):
        logger.setLevel(level)
        logger.propagate, logger.disabled, logger.handlers[:] = propagate, disabled, handlers


RELIED_ON = (
    # Python's own is enough: who raises it has functions that need more.
    Setting(
        "the recursion limit", lambda: min(sys.getrecursionlimit(), 1000), sys.setrecursionlimit
    ),
    Setting("the warnings filters", _filters, _set_filters),
    Setting("a signal handler", _handlers, _set_handlers),
    Setting("the umask", _umask, os.umask),
    Setting("the standard streams' descriptors", _occupied, _occupy),
)
LENT = (
    Setting("the current directory", _cwd, _set_cwd),
    Setting("environment variables", _environment, _set_environment),
    Setting(
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda name: locale.setlocale(locale.LC_ALL, name),
    ),
    Setting("sys.stdin, sys.stdout or sys.stderr", _streams, _set_streams),
    Setting("the start method of multiprocessing", _start_method, _set_start_method),
    Setting("the configuration of logging", _logging, _set_logging),
)
