"""scikit-learn in a third of the time: without what it imports and a run does not use."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


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
