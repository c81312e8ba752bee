"""What the stages of a run share: request, context, outcome, exit codes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from psann._imports import OF_THE_USER, ImportPolicy
from psann._process import PREEMPT_SIGNALS
from psann._signals import PREEMPTED_EXIT_CODE, StopRequest
from psann.run.config.load import load_run_config
from psann.run.config.model import RunConfig
from psann.run.directory.fields import Record
from psann.run.directory.log import EventLog
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import RunRecord
from psann.run.directory.storage import Storage
from psann.training.console import ConsoleProgress

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_DIVERGED, EXIT_RUINED, EXIT_LOCKED = 0, 1, 2, 3, 4, 75
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What the command line asks for."""

    config: Path
    output_dir: Path
    run_name: str | None = None
    device: str | None = None
    seed: int | None = None
    mode: str | None = None
    init_from: str | None = None
    overrides: tuple[str, ...] = ()
    imports: ImportPolicy = OF_THE_USER
    keep_checkpoints: bool = False
    resume: bool = False
    overwrite: bool = False
    max_time_minutes: float | None = None
    preempt_exit_code: int = PREEMPTED_EXIT_CODE
    preempt_signals: tuple[signal.Signals, ...] = PREEMPT_SIGNALS
    profile: bool = False
    quiet: bool = False
    is_hopeless: Callable[[int, float], bool] | None = None
    """Told the epoch and the best monitor so far, losses with their sign changed: whether to stop
    there with status `pruned`."""
    argv: tuple[str, ...] = ()

    @cached_property
    def run_config(self) -> RunConfig:
        """The configuration with what the command line overrides."""
        # Once: it may come by a pipe, and may change after what was checked of it.
        return load_run_config(
            self.config,
            overrides=self.overrides,
            mode=self.mode,
            init_from=self.init_from,
            seed=self.seed,
            device=self.device,
        )


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What the stages of a run share."""

    request: RunRequest
    record: RunRecord
    storage: Storage
    paths: RunPaths
    stop: StopRequest
    console: ConsoleProgress
    resumes: bool
    """Whether there is a resume state to go on from."""
    events: EventLog | None = None
    """The log, while it is open."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended, for the command line to show."""

    exit_code: int
    message: str | None = None
    """What went wrong, in words; None when nothing did."""
    plan: str | None = None
    """What a run would do, when only that was asked."""
    paths: RunPaths | None = None
    record: Record | None = None
    """The last `metrics.json`, once there is a run directory."""
