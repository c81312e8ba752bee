"""From a config file to a run directory that can be believed, and back to tables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psann.run.reading.reading import Runs, RunView, read_run, read_runs

# Names resolve on first use (PEP 562): the command line imports this package before all else.
_HOMES = {
    "RunView": "psann.run.reading.reading",
    "Runs": "psann.run.reading.reading",
    "read_run": "psann.run.reading.reading",
    "read_runs": "psann.run.reading.reading",
}

__all__ = ["RunView", "Runs", "read_run", "read_runs"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
