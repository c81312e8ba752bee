"""Libraries in less time: without what a run does not use, or searches for garbage."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def lasting_imports(module: str) -> Iterator[None]:
    """Keep the collector of garbage off what a process imports at its start and has to its end.

    It would go through some 200,000 objects of torch again and again, which takes a sixth of the
    time, and once more through everything when the process ends.

    Parameters
    ----------
    module : str
        What the block imports; where that is there already, nothing is kept.
    """
    if module in sys.modules or not gc.isenabled():
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
    with _standing_in({"scipy.stats": _StandIn("scipy.stats"), "pandas": None}):
        importlib.import_module("sklearn.base")


@contextmanager
def unasked_packages() -> Iterator[None]:
    """Let pydantic build its first schema without a look at what is installed.

    For plug-ins, which the commands switch off, it imports `importlib.metadata`, and that e-mail,
    sockets and compressed files: 60 modules. Where they are not switched off, they are found.
    """
    packages = _StandIn("importlib.metadata")
    vars(packages)["entry_points"] = lambda **asked: packages.whole().entry_points(**asked)
    with _standing_in({"importlib.metadata": packages}):
        yield


@contextmanager
def _standing_in(stand_ins: Mapping[str, Any]) -> Iterator[None]:
    """Have something in place of modules that nobody has imported, until the end of a block."""
    new = {name: each for name, each in stand_ins.items() if name not in sys.modules}
    sys.modules.update(new)
    try:
        yield
    finally:
        for name, each in new.items():
            if sys.modules.get(name, each) is each:
                sys.modules.pop(name, None)


class _StandIn(ModuleType):
    """A module that is imported when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of every module
            raise AttributeError(name)
        return getattr(self.whole(), name)

    def whole(self) -> Any:
        """The module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)
