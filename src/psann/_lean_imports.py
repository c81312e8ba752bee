"""torch and scikit-learn in less time: without what a run does not use, or searches for garbage."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def lasting_imports() -> Iterator[None]:
    """Keep the collector of garbage off what a process imports at its start and has to its end.

    It would go through some 200,000 objects again and again, which takes a sixth of the time.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_scikit_learn() -> None:
    """Import `sklearn.base`, and neither scipy.stats nor pandas with it.

    It imports both for helpers of its own that nothing here calls, and takes pandas for something
    that may not be installed. Afterwards both are as if nobody had asked yet: whoever does gets
    them whole, also scikit-learn, should it take from scipy.stats already while it is imported.
    """
    if "sklearn" in sys.modules:
        return
    # None is Python's own mark of what cannot be imported.
    stand_ins: dict[str, Any] = {"scipy.stats": _StandIn("scipy.stats"), "pandas": None}
    stand_ins = {name: each for name, each in stand_ins.items() if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        importlib.import_module("sklearn.base")
    finally:
        for name, each in stand_ins.items():
            if sys.modules.get(name, each) is each:
                sys.modules.pop(name, None)


class _StandIn(ModuleType):
    """A module that is imported when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of every module
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
