"""Foreign code that leaves the process otherwise than it found it, one kind at a time or all.

`trials.market` and `trials.log_growth`, but for what `WITH` says to change. A run that is to be
spoilt at import takes its loader from `meddling_at_import`.
"""

from __future__ import annotations

import inspect
import locale
import logging
import logging.config
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import sklearn
import torch
from torch import Tensor

import trials


class Tee:
    """A stream with `write` and nothing else, as copied from many answers."""

    def write(self, text: str) -> None:
        """Take it."""


def _silence_every_logger() -> None:
    for name in ("", "psann", *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL)
        logger.handlers.clear()
        logger.addFilter(lambda record: False)


def _walk_away() -> None:
    os.chdir("/")


def _fork_a_helper() -> None:
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)


def _replace_streams() -> None:
    sys.stdout = sys.stderr = Tee()  # type: ignore[assignment]


def _close_streams() -> None:
    for number in (0, 1, 2):
        with suppress(OSError):
            os.close(number)


def _ignore_signals() -> None:
    for name in ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)


MEDDLERS: dict[str, Callable[[], Any]] = {
    "logging.dictConfig": lambda: logging.config.dictConfig(
        {"version": 1, "root": {"level": "WARNING"}}
    ),
    "logging.shutdown": logging.shutdown,
    "logging.disable": lambda: logging.disable(logging.CRITICAL),
    "every logger": _silence_every_logger,
    "level names": lambda: logging.addLevelName(logging.DEBUG, "\x1b[36mfine\x1b[0m"),
    "log record factory": lambda: logging.setLogRecordFactory(lambda *a, **k: None),
    "torch dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch device": lambda: torch.set_default_device("meta"),
    "torch grad mode": lambda: torch.set_grad_enabled(False),
    "torch matmul": lambda: torch.set_float32_matmul_precision("medium"),
    "torch autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "torch anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "torch determinism": lambda: torch.use_deterministic_algorithms(True),
    "torch threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "denormals": lambda: torch.set_flush_denormal(True),
    "scikit-learn": lambda: sklearn.set_config(assume_finite=True, transform_output="pandas"),
    "numpy errors": lambda: np.seterr(all="raise"),
    "warnings as errors": lambda: warnings.simplefilter("error"),
    "no warnings": lambda: warnings.simplefilter("ignore"),
    "signals": _ignore_signals,
    "umask": lambda: os.umask(0o777),
    "directory": _walk_away,
    "locale": lambda: locale.setlocale(
        locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C"
    ),
    "environment": lambda: os.environ.update(OMP_NUM_THREADS="77", PYTHONHASHSEED="77"),
    "recursion limit": lambda: sys.setrecursionlimit(len(inspect.stack(0)) + 150),
    "start method": lambda: multiprocessing.set_start_method("spawn", force=True),
    "streams": _replace_streams,
    "descriptors": _close_streams,
    "fork": _fork_a_helper,
    "thread": lambda: threading.Thread(target=time.sleep, args=(20,), daemon=True).start(),
}
OF_NUMBERS = [name for name in MEDDLERS if name.startswith(("torch", "denorm", "scikit", "numpy"))]


WITH = "MEDDLE"
"""Environment variable with the names of what to change, or `everything`, or `nothing`."""
ONCE = ("fork", "thread", "signals", "everything", "environment")


def meddle(names: str) -> None:
    """Change what is named, with commas between."""
    chosen = {"everything": list(MEDDLERS), "nothing": []}.get(names, names.split(","))
    for each in chosen:
        MEDDLERS[each]()


def market(**kwargs: Any) -> dict[str, Any]:
    """`trials.market`, after meddling."""
    meddle(os.environ[WITH])
    return trials.market(**kwargs)


def log_growth(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    """`trials.log_growth`, and then meddling: every time, but for what would pile up."""
    rewards = trials.log_growth(actions, context, transition_penalty=transition_penalty)
    for name in os.environ.get(WITH, "nothing").split(","):
        if name not in _DONE:
            meddle(name)
        if name in ONCE:
            _DONE.add(name)
    return rewards


_DONE: set[str] = set()
