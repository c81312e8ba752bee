"""Where everything meets: `run` goes straight through and raises, `execute` is the guard around it.

Nothing here imports torch, NumPy or scikit-learn before the configuration is valid.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psann.errors import (
    DivergedError,
    PsannError,
    RunLockedError,
    TrainingInterrupted,
    UsageError,
)
from psann.run.config import RunConfig, config_sha256, load_run_config
from psann.run.console import ConsoleProgress
from psann.run.events import EventsHandler, log_event
from psann.run.paths import RunPaths, default_run_name
from psann.run.record import RunRecord, describe_artefacts
from psann.run.signals import PREEMPTED_EXIT_CODE, StopRequest, stop_requests
from psann.run.storage import Storage

_logger = logging.getLogger(__name__)

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_DIVERGED, EXIT_LOCKED = 0, 1, 2, 3, 75
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
    only_import: tuple[str, ...] = ()
    keep_checkpoints: bool = False
    overwrite: bool = False
    max_time_minutes: float | None = None
    preempt_exit_code: int = PREEMPTED_EXIT_CODE
    quiet: bool = False
    argv: tuple[str, ...] = ()

    def load_config(self) -> RunConfig:
        """Read the configuration with what the command line overrides."""
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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, for the command line to show."""

    exit_code: int
    message: str | None = None
    """What went wrong, in words; None when nothing did."""
    paths: RunPaths | None = None
    record: Mapping[str, Any] | None = None
    """The last `metrics.json`, once there is a run directory."""


def execute(request: RunRequest) -> Outcome:
    """Do a run, and turn every ending into an exit code and a `metrics.json`.

    Parameters
    ----------
    request : RunRequest
        What the command line asks for.

    Returns
    -------
    Outcome
        Exit code: 0 finished, 1 failed, 2 bad name or existing directory, 3 diverged, 75 locked by
        a live process, 130 interrupted, 143 (or as asked) preempted.
    """
    record = RunRecord()
    run_name = request.run_name or default_run_name(request.config)
    record.update(run_name=run_name, run_id=uuid.uuid4().hex)
    try:
        paths = RunPaths.in_output(request.output_dir, run_name)
        storage = claim_directory(paths, overwrite=request.overwrite)
    except RunLockedError as error:
        return Outcome(exit_code=EXIT_LOCKED, message=str(error))
    except UsageError as error:
        return Outcome(exit_code=EXIT_USAGE, message=str(error))
    except OSError as error:
        return Outcome(exit_code=EXIT_FAILED, message=f"The run directory cannot be made: {error}.")
    try:
        with storage:
            return _recorded(request, record, storage, paths)
    except OSError as error:
        message = f"The run directory cannot be written: {error}. What it held is intact."
        return Outcome(exit_code=EXIT_FAILED, message=message, paths=paths)


def _recorded(request: RunRequest, record: RunRecord, storage: Storage, paths: RunPaths) -> Outcome:
    """Run with the record, the log and the signals in place; write down how it ended."""
    record.attach(storage, paths.metrics)
    console = ConsoleProgress(quiet=request.quiet)
    try:
        with (
            stop_requests(
                max_time_minutes=request.max_time_minutes,
                preempt_exit_code=request.preempt_exit_code,
            ) as stop,
            _logging_to(console, storage, paths),
        ):
            context = RunContext(
                request=request,
                record=record,
                storage=storage,
                paths=paths,
                stop=stop,
                console=console,
            )
            exit_code, message = _guarded(context)
            status = record.as_dict()["status"]
            log_event(_logger, logging.DEBUG, "run_end", f"{status}, exit code {exit_code}")
    except KeyboardInterrupt:
        exit_code, message = EXIT_INTERRUPTED, "Left at once: interrupted twice."
        record.update(status="interrupted")
    # Last, when no row of the log can follow: the final version vouches for every other file.
    record.update(artefacts=describe_artefacts(paths))
    record.flush(force=True)
    return Outcome(exit_code=exit_code, message=message, paths=paths, record=record.as_dict())


def _guarded(context: RunContext) -> tuple[int, str | None]:
    """Exit code of `run`, and what to tell the user; the record knows why."""
    record = context.record
    try:
        run(context)
    except TrainingInterrupted as interruption:
        record.update(status=interruption.status)
        log_event(_logger, logging.DEBUG, "signal", str(interruption))
        return interruption.exit_code, f"{interruption} The best weights so far are kept."
    except (Exception, SystemExit) as error:  # noqa: BLE001 (the one guard of a run)
        diverged = isinstance(error, DivergedError)
        record.fail(error, status="diverged" if diverged else "failed")
        log_event(_logger, logging.DEBUG, "error", f"{type(error).__name__}: {error}")
        story = str(error) if isinstance(error, PsannError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, PsannError):
            story += f"\nThe full traceback is in {context.paths.metrics}, field error."
        return EXIT_DIVERGED if diverged else EXIT_FAILED, story
    return EXIT_DONE, None


@contextmanager
def _logging_to(console: ConsoleProgress, storage: Storage, paths: RunPaths) -> Iterator[None]:
    """Send the log of psann and Python's warnings to the console and to `events.csv`."""
    events = EventsHandler(storage, paths.events)
    loggers = [logging.getLogger("psann"), logging.getLogger("py.warnings")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(console.handler)
        logger.addHandler(events)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(console.handler)
            logger.removeHandler(events)
            logger.setLevel(level)
            logger.propagate = propagate
        console.close()
        events.close()


def claim_directory(paths: RunPaths, *, overwrite: bool) -> Storage:
    """Open and lock the run directory, new or free to be used.

    A directory whose run failed before training gives its name away: what it holds moves to
    `attempts/`. With `overwrite` the whole old directory is renamed out of the way.

    Parameters
    ----------
    paths : RunPaths
        The directory.
    overwrite : bool
        Whether an existing run may be set aside.

    Returns
    -------
    Storage
        Locked by this process.

    Raises
    ------
    RunLockedError
        If a live process has it.
    UsageError
        If it holds a run; nothing is touched then.
    """
    if paths.root.exists() and not paths.lock.exists() and not overwrite and paths.contents():
        raise UsageError(_existing(paths))  # before a lock file is made
    storage = Storage(paths.root)
    try:
        storage.lock(paths.lock)
        contents = paths.contents()
        if contents and overwrite:
            storage.set_aside()
            storage.close()
            return claim_directory(paths, overwrite=False)
        if contents and not _failed_before_training(paths):
            raise UsageError(_existing(paths))
        storage.clean()
        if contents:
            storage.archive(paths.contents(), paths.attempts)
    except BaseException:
        storage.close()
        raise
    return storage


def _existing(paths: RunPaths) -> str:
    return (
        f"--run-name must be new; the run directory {paths.root} exists. Choose another name, or "
        "give --overwrite to set the old run aside."
    )


def _failed_before_training(paths: RunPaths) -> bool:
    """Whether the directory holds a start that never trained, so that nothing can be lost."""
    try:
        content = json.loads(paths.metrics.read_bytes())
        return content["status"] == "failed" and content["phase"] in (None, "setup")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def run(context: RunContext) -> None:
    """Train, fine-tune or evaluate from start to end; every mistake and accident raises.

    Parameters
    ----------
    context : RunContext
        What to do, and where to; its record is filled on the way.

    Raises
    ------
    ConfigError, DataError, DeviceError
        If the user must change something; nothing was trained.
    DivergedError
        If a loss, reward or gradient was not finite; the best epoch before it is kept.
    TrainingInterrupted
        If a signal or the time limit asked for it; the best epoch so far is kept.
    """
    record, stop = context.record, context.stop
    record.update(phase="setup")
    config = context.request.load_config()
    record.update(
        mode=config.mode,
        seed=config.seed,
        transition_penalty=config.hisso.transition_penalty,
        trans_cost=_judging_cost(config),
        config_sha256=config_sha256(config),
    )
    log_event(_logger, logging.INFO, "run_start", f"{config.mode} in {context.paths.root}")
    for note in config.recorded.notes:
        log_event(_logger, logging.INFO, "config", note)

    # The configuration is valid: from here on torch is worth its second.
    from psann.run.config_targets import check_targets
    from psann.run.stages import first_estimator, judge, read_data, train, write_setup

    targets = check_targets(config, only_import=context.request.only_import)
    stop.check()
    splits = read_data(config, targets)
    stop.check()
    estimator, parent = first_estimator(config, targets)
    record.update(data_sha256=splits.sha256, parent=parent)
    write_setup(context, config, targets, splits)
    status = "completed"
    if config.mode != "evaluate" and train(context, config, estimator, splits).stopped_early:
        status = "early_stopped"
    record.update(phase="evaluation")
    record.update(**judge(config, estimator, splits), status=status)


def _judging_cost(config: RunConfig) -> float | None:
    """Cost per unit traded in the figures of a run; targets have none."""
    if not config.hisso.enabled:
        return None
    cost = config.evaluation.trans_cost
    return config.hisso.transition_penalty if cost is None else cost
