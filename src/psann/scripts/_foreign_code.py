"""Code that a run names, called by a command: what it prints, changes or raises does no harm."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TypeVar

from psann.errors import PsannError

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)


def with_foreign_code(action: Callable[[], _T]) -> _T:
    """Do what calls code of a user's, as a run does it.

    What that prints, warns of or logs goes to standard error, so that standard output holds what
    the command writes there; what it changes of the process is put back, and told.

    Raises
    ------
    PsannError
        If that code ends Python, or raises: with the traceback, which nothing else has.
    """
    from psann._numerics import FOREIGN
    from psann._process import LENT, put_back
    from psann.run.directory.log import listening, log_event
    from psann.run.execution.endings import is_a_message, story_of
    from psann.run.execution.runner import guarded, warnings_as_log
    from psann.training.console import ConsoleProgress

    def tell(text: str) -> None:
        log_event(_logger, logging.WARNING, "log", text)

    done: list[_T] = []
    with (
        listening(ConsoleProgress(quiet=True).take),
        warnings_as_log(),
        put_back((*LENT, *FOREIGN), who="code that the run names", tell=tell),
        _descriptors_kept(),
        redirect_stdout(sys.stderr),
    ):
        error = guarded(lambda: done.append(action()))
    if error is None:
        return done[0]
    if isinstance(error, PsannError | OSError | MemoryError | KeyboardInterrupt):
        raise error
    whole = "".join(traceback.format_exception(error)).rstrip()
    is_told = isinstance(error, SystemExit) or is_a_message(error)
    raise PsannError(story_of(error) if is_told else whole) from None


@contextmanager
def _descriptors_kept() -> Iterator[None]:
    """Whatever closes standard streams: those of before are there again afterwards."""
    copies = {number: os.dup(number) for number in (0, 1, 2)}
    try:
        yield
    finally:
        for number, copy in copies.items():
            os.dup2(copy, number)
            os.close(copy)
