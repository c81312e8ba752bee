"""Which engine trains: what was asked for, or what the planned work pays for.

A function of device, shapes and planned updates, and of whether there is a compiler; never of a
timing, so that the same run takes the same engine everywhere and every time.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from psann.errors import DeviceError, counted
from psann.nn.network import Network
from psann.training.captured import CapturedEngine
from psann.training.compiled import CompiledEngine, compile_s
from psann.training.engine import EagerEngine
from psann.training.history import Decision
from psann.training.work import can_record, work_s

EngineName = Literal["auto", "eager", "compiled", "captured"]
ENGINES: dict[str, type[EagerEngine]] = {
    "eager": EagerEngine,
    "compiled": CompiledEngine,
    "captured": CapturedEngine,
}

# Seconds that a compiled update saves, as measured on the cases of docs/performance.md and rounded
# against the compiler.
_SAVED, _SAVED_OF_RECORDED = (1e-3, 0.02), (0.25e-3, 0.03)  # and shares of the arithmetic
# A capture costs some eager updates and saves nearly all of each later one.
_CAPTURE_UPDATES = 1_000


@dataclass(frozen=True, kw_only=True)
class PlannedWork:
    """The training that is ahead, in numbers that decide what an update costs."""

    n_updates: int
    rows_per_update: int
    n_seeds: int = 1
    goes_row_by_row: bool = False
    """Whether an update goes through the rows of its episodes one after the other."""
    is_ours: bool = True
    """Whether loss or reward is none of the user's."""


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """The engine of a fit, and why."""

    name: str
    reason: str
    least_updates: int = 0
    """Updates below which a phase runs eagerly all the same."""

    def decision(self, threads: int, *, is_asked: bool) -> Decision:
        """The choice for the log, with that of the threads."""
        why = "as asked" if is_asked else "chosen by the size of an update"
        message = f"engine {self.name} ({self.reason}), {counted(threads, 'thread')} ({why})"
        return Decision(phase="setup", message=message)


def compiler_problem(device: torch.device) -> str | None:
    """Why updates cannot be compiled for a device here; None if nothing speaks against it."""
    if device.type == "cuda":
        from importlib.util import find_spec

        return None if find_spec("triton") else "Triton is not installed"
    default = "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", default)
    if shutil.which(compiler) is None:
        return f"there is no C++ compiler {compiler}"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's C headers (Python.h) are not installed"
    return None


def updates_that_pay(network: Network, work: PlannedWork) -> int:
    """Updates from which compiling pays even when nothing is cached.

    ``(25 s + 0.3 s per weight tensor) / saved``, once per structure that a progressive network
    takes on; an update saves 0.25 ms and 3 % of its arithmetic where eager ones are recorded, else
    1 ms and 2 %.
    """
    cost_s = network.n_stages * compile_s(network)
    rows, n_seeds = work.rows_per_update, work.n_seeds
    is_recorded = work.is_ours and can_record(network, rows, n_seeds=n_seeds)
    saved_s, share = _SAVED_OF_RECORDED if is_recorded else _SAVED
    return int(cost_s / (saved_s + share * work_s(network.n_products, rows * n_seeds)))


def choose_engine(
    asked: EngineName,
    network: Network,
    work: PlannedWork,
    *,
    device: torch.device,
    resumed: str | None = None,
    problem_of: Callable[[torch.device], str | None] = compiler_problem,
) -> EngineChoice:
    """The engine to train with.

    Parameters
    ----------
    asked : {"auto", "eager", "compiled", "captured"}
        What the user set.
    network : Network
        What is trained.
    work : PlannedWork
        How much of it.
    device : torch.device
        Where.
    resumed : str, optional
        Engine of the training that goes on; `auto` stays with it.
    problem_of : callable
        Tells why nothing can be compiled.

    Returns
    -------
    EngineChoice

    Raises
    ------
    DeviceError
        If what was asked for cannot run here.
    """
    if asked == "eager":
        return EngineChoice(name="eager", reason="as asked")
    if asked == "captured" and device.type != "cuda":
        raise DeviceError(
            f"engine captured needs a CUDA device; the device is {device}. Use auto, eager or "
            "compiled."
        )
    if asked == "captured":
        return EngineChoice(name="captured", reason="as asked")
    if asked == "compiled":
        if (problem := _program_problem(work) or problem_of(device)) is not None:
            raise DeviceError(f"engine compiled cannot run here: {problem}. Use auto or eager.")
        return EngineChoice(name="compiled", reason="as asked")
    return _automatic(network, work, device=device, resumed=resumed, problem_of=problem_of)


def _program_problem(work: PlannedWork) -> str | None:
    """Why there is no program of such updates; None if nothing is known."""
    if not work.goes_row_by_row or work.n_seeds == 1:
        return None
    return (
        "the rows of an episode follow each other (hisso.max_turnover), of which torch makes a "
        "program for one seed only"
    )


def _automatic(
    network: Network,
    work: PlannedWork,
    *,
    device: torch.device,
    resumed: str | None,
    problem_of: Callable[[torch.device], str | None],
) -> EngineChoice:
    name = "captured" if device.type == "cuda" else "compiled"
    least = _CAPTURE_UPDATES if name == "captured" else updates_that_pay(network, work)
    planned = counted(work.n_updates, "planned update")
    if resumed == "eager" or (resumed is None and work.n_updates < least):
        why = f"auto: {planned}, {name} pays from {least:,} on"
        if resumed == "eager":
            why = "auto: as when this training began"
        return EngineChoice(name="eager", reason=why)
    problem = _program_problem(work) or problem_of(device) if name == "compiled" else None
    if problem is not None:
        return EngineChoice(name="eager", reason=f"auto: {planned}, but {problem}")
    if resumed is not None:
        return EngineChoice(
            name=name, reason="auto: as when this training began", least_updates=least
        )
    return EngineChoice(name=name, reason=f"auto: {planned}", least_updates=least)
