"""A caller whose stack is nearly at its end."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any


def ends_at_the_end_of_the_stack(work: Callable[[], Any], *, n_frames: int = 80) -> set[str]:
    """Names of what ends a piece of work, with ever fewer frames left for it."""
    left = sys.getrecursionlimit() - len(inspect.stack(0))
    return {_end_of(work, left - n) for n in range(2, n_frames)}


def _end_of(work: Callable[[], Any], n_frames: int) -> str:
    try:
        _deeper(work, n_frames)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return type(error).__name__
    return ""


def _deeper(work: Callable[[], Any], n_frames: int) -> None:
    if n_frames > 0:
        _deeper(work, n_frames - 1)
    else:
        work()
