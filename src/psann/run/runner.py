"""Where everything meets: `run` goes straight through and raises, `execute` is the guard around it.

Nothing here imports torch, NumPy or scikit-learn before the configuration is valid.
"""

from __future__ import annotations

import json
import logging
import sysconfig
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from psann.errors import (
    ConfigError,
    DivergedError,
    PsannError,
    RunLockedError,
    TrainingInterrupted,
    UsageError,
)
from psann.run.checkpoints import remove_leftovers
from psann.run.config import RunConfig, config_sha256, load_run_config
from psann.run.console import ConsoleProgress
from psann.run.events import EventsHandler, log_event
from psann.run.paths import RunPaths, default_run_name
from psann.run.record import RunRecord, describe_artefacts, is_vouched_for
from psann.run.signals import PREEMPTED_EXIT_CODE, StopRequest, stop_requests
from psann.run.storage import Storage, check_lock

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
    resume: bool = False
    overwrite: bool = False
    max_time_minutes: float | None = None
    preempt_exit_code: int = PREEMPTED_EXIT_CODE
    profile: bool = False
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
    resumes: bool
    """Whether there is a resume state to go on from."""
    events: EventsHandler | None = None
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
    run_name = request.run_name
    if run_name is None:
        run_name = default_run_name(request.config)
    record.update(run_name=run_name, run_id=uuid.uuid4().hex, resumes=0)
    try:
        paths = RunPaths.in_output(request.output_dir, run_name)
        if request.resume and (done := finished_record(paths)) is not None:
            remove_leftovers(paths, done)
            message = f"The run {run_name} is already complete: {done['status']}."
            return Outcome(exit_code=EXIT_DONE, message=message, paths=paths, record=done)
        if request.overwrite and not _is_free(paths):
            _check_before_overwriting(request, paths)
        storage, note = claim_directory(paths, overwrite=request.overwrite, resume=request.resume)
    except RunLockedError as error:
        return Outcome(exit_code=EXIT_LOCKED, message=str(error))
    except UsageError as error:
        return Outcome(exit_code=EXIT_USAGE, message=str(error))
    except ConfigError as error:
        return Outcome(exit_code=EXIT_FAILED, message=str(error))
    except OSError as error:
        return Outcome(exit_code=EXIT_FAILED, message=f"The run directory cannot be made: {error}.")
    try:
        with (
            storage,
            stop_requests(
                max_time_minutes=request.max_time_minutes,
                preempt_exit_code=request.preempt_exit_code,
            ) as stop,
        ):
            context = RunContext(
                request=request,
                record=record,
                storage=storage,
                paths=paths,
                stop=stop,
                console=ConsoleProgress(quiet=request.quiet),
                resumes=request.resume and _has_resume_state(paths),
            )
            return _in_directory(context, note)
    except OSError as error:  # what is left to fail is letting the directory go
        return _unwritable(error, paths)


def _in_directory(context: RunContext, note: str | None) -> Outcome:
    """Run in a directory that is this process's own, whatever the disk does."""
    record, paths = context.record, context.paths
    if context.resumes:
        record.go_on_from(_read_record(paths) or {})
    try:
        return _recorded(context, note)
    except OSError as error:
        record.fail(error)
        with suppress(OSError):  # where the log had no room, this may still have some
            record.flush(force=True)
        return _unwritable(error, paths)


def _unwritable(error: OSError, paths: RunPaths) -> Outcome:
    message = f"The run directory cannot be written: {error}. What it held is intact."
    return Outcome(exit_code=EXIT_FAILED, message=message, paths=paths)


def check(request: RunRequest) -> Outcome:
    """Find out what a run would do, or what stands in its way; write nothing.

    Parameters
    ----------
    request : RunRequest
        What the command line asks for.

    Returns
    -------
    Outcome
        Exit code 0 with a plan, or that of a run that would be refused, with a message.
    """
    run_name = request.run_name or default_run_name(request.config)
    try:
        paths = RunPaths.in_output(request.output_dir, run_name)
        if request.resume and (done := finished_record(paths)) is not None:
            message = f"The run {run_name} is already complete: {done['status']}."
            return Outcome(exit_code=EXIT_DONE, message=message)
        check_lock(paths.lock)
        if not (request.overwrite or request.resume or _is_free(paths)):
            raise _existing(paths)
    except (RunLockedError, UsageError) as refusal:
        is_locked = isinstance(refusal, RunLockedError)
        return Outcome(exit_code=EXIT_LOCKED if is_locked else EXIT_USAGE, message=str(refusal))
    resumes = request.resume and _has_resume_state(paths)
    plans = []

    def make_plan() -> None:
        config = request.load_config()

        from psann.run.plan import describe_plan

        plan = describe_plan(config, paths, resumes=resumes, only_import=request.only_import)
        plans.append(plan)

    with _warnings_as_log():
        error = _guarded(make_plan)
    if error is None:
        return Outcome(exit_code=EXIT_DONE, plan=plans[0])
    # No file will hold the traceback, and whoever wrote the loader needs it.
    whole = "".join(traceback.format_exception(error)).rstrip()
    story = _story(error) if _is_a_message(error) else whole
    return Outcome(exit_code=_exit_code(error), message=story)


def _recorded(context: RunContext, note: str | None) -> Outcome:
    """Run with record and log in place, and write down how it ended."""
    record, paths = context.record, context.paths
    if not context.resumes:
        record.attach(context.storage, paths.metrics)
    with _logging_to(context.console, context.storage, paths) as events:
        size_bytes = events.size_bytes
        if note is not None:
            _logger.info("%s", note)
        error = _guarded(lambda: run(replace(context, events=events)))
        _record_ending(context, error)
        status = record.as_dict()["status"]
        end = f"{status}, exit code {_exit_code(error)}"
        log_event(_logger, logging.DEBUG, "run_end", end)
        if not record.is_attached:
            events.cut_back(size_bytes)  # a resume that was refused leaves no trace
    if not record.is_attached:
        message = None if error is None else _story(error)
        return Outcome(exit_code=_exit_code(error), message=message, paths=paths)
    # Last, when no row of the log can follow: the final version vouches for every other file.
    leaving = () if error or context.request.keep_checkpoints else paths.resume_states
    record.update(artefacts=describe_artefacts(paths, leaving_out=leaving))
    record.flush(force=True)
    record.close()
    for path in leaving:
        if path.exists():
            context.storage.remove(path)
    story = None if error is None else _story(error)
    if isinstance(error, TrainingInterrupted | KeyboardInterrupt) and _has_resume_state(paths):
        story = f"{story} {_how_to_go_on(context.request, paths)}"
    return Outcome(exit_code=_exit_code(error), message=story, paths=paths, record=record.as_dict())


def _how_to_go_on(request: RunRequest, paths: RunPaths) -> str:
    option = "--resume" if request.run_name else f"--run-name {paths.root.name} --resume"
    instead = " instead of --overwrite" if request.overwrite else ""
    return f"The same command with {option}{instead} goes on from here."


def _guarded(action: Callable[[], None]) -> BaseException | None:
    """Do something and return what it raised: the one place where nothing passes."""
    try:
        action()
    except BaseException as error:  # noqa: BLE001 (also SystemExit, and the panics of Rust)
        return error
    return None


def _record_ending(context: RunContext, error: BaseException | None) -> None:
    """Write status and story of a run that did not get to its end."""
    if error is None:
        return
    record = context.record
    phase = record.as_dict()["phase"]
    if isinstance(error, TrainingInterrupted):
        record.update(status=error.status)
        level, event = logging.WARNING, "signal"
    elif isinstance(error, KeyboardInterrupt):
        record.update(status="interrupted")
        level, event = logging.WARNING, "signal"
    else:
        record.fail(error, status="diverged" if isinstance(error, DivergedError) else "failed")
        level, event = logging.ERROR, "error"
    record.flush()
    log_event(_logger, level, event, _story(error), phase=phase)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return EXIT_DONE
    if isinstance(error, TrainingInterrupted):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return EXIT_DIVERGED if isinstance(error, DivergedError) else EXIT_FAILED


def _story(error: BaseException) -> str:
    """What happened, for a person."""
    if isinstance(error, TrainingInterrupted):
        return f"The run was stopped by {error.reason}."
    if isinstance(error, KeyboardInterrupt):
        return "Left at once, as asked."
    if isinstance(error, SystemExit):
        story = f"The loader, the reward or what they call ended Python: sys.exit({error.code!r})"
        return f"{story}{_place(error)}."
    if _is_a_message(error):
        return str(error)
    # Not str(error): an exception's own text may raise.
    return "".join(traceback.format_exception_only(error)).strip() + _place(error)


def _place(error: BaseException) -> str:
    """The last line of the user's own code that an exception came through."""
    ours = Path(__file__).parents[1]
    not_the_user_s = (ours, *(Path(path) for path in sysconfig.get_paths().values()))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_file() and not any(file.is_relative_to(folder) for folder in not_the_user_s):
            return f" (at {file.name}:{frame.lineno} in {frame.name})"
    return ""


def _is_a_message(error: BaseException) -> bool:
    """Whether the text alone tells the user what to change, so that no traceback is missed."""
    if isinstance(error, PsannError | KeyboardInterrupt):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    # What psann itself raises about a value is meant for its user.
    origin = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    return isinstance(error, ValueError) and origin.startswith("psann.")


@contextmanager
def _logging_to(
    console: ConsoleProgress, storage: Storage, paths: RunPaths
) -> Iterator[EventsHandler]:
    """Send the log of psann, and Python's warnings, to the console and to `events.csv`."""
    events = EventsHandler(storage, paths.events)
    console.handler.addFilter(_is_news)
    logger = logging.getLogger("psann")
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(console.handler)
    logger.addHandler(events)
    try:
        with _warnings_as_log():
            yield events
    finally:
        logger.removeHandler(console.handler)
        logger.removeHandler(events)
        logger.setLevel(level)
        logger.propagate = propagate
        console.close()
        events.close()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether the console shows a record: the command itself tells the ending, once."""
    return record.__dict__.get("event", {}).get("event") not in ("error", "signal")


@contextmanager
def _warnings_as_log() -> Iterator[None]:
    """Log Python's warnings by what they say; where in our code they arose helps no user."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _logger.warning("%s", message)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def claim_directory(
    paths: RunPaths, *, overwrite: bool, resume: bool = False
) -> tuple[Storage, str | None]:
    """Open and lock the run directory, new or free to be used.

    A directory whose run ended before training gives its name away: what it holds moves to
    `attempts/`. With `overwrite` the whole old directory is renamed out of the way.

    Parameters
    ----------
    paths : RunPaths
        The directory.
    overwrite : bool
        Whether an existing run may be set aside.
    resume : bool
        Whether an unfinished run may be gone on with; one that never committed starts anew.

    Returns
    -------
    storage : Storage
        Locked by this process.
    note : str or None
        Where an older run went.

    Raises
    ------
    RunLockedError
        If a live process has it.
    UsageError
        If it holds a run; nothing is touched then.
    """
    may_enter = overwrite or resume
    if not (may_enter or _is_free(paths)):
        check_lock(paths.lock)
        raise _existing(paths)
    with ExitStack() as until_claimed:
        storage = until_claimed.enter_context(Storage(paths.root))
        storage.lock(paths.lock)
        # Again: from here on nobody else can change what it holds.
        if not (may_enter or _is_free(paths)):
            raise _existing(paths)
        storage.clean()
        note = None
        contents = paths.contents()
        if contents and not (resume and _has_resume_state(paths)):
            if overwrite:
                name = storage.set_aside().name
                storage.close()
                # Again an overwriting claim: another starter may have come and gone by now.
                storage, _ = claim_directory(paths, overwrite=True)
                return storage, f"the old run is now in {name}"
            home = storage.archive(contents, paths.attempts)
            note = f"an earlier start that never trained is now in attempts/{home.name}"
        elif paths.packing_list.exists():
            storage.remove(paths.packing_list)  # its files are about to change
        until_claimed.pop_all()
    return storage, note


def _existing(paths: RunPaths) -> UsageError:
    return UsageError(
        f"--run-name must be new; the run directory {paths.root} exists. Choose another name, or "
        "give --resume to go on with it, or "
        "--overwrite to set it aside."
    )


def _check_before_overwriting(request: RunRequest, paths: RunPaths) -> None:
    """Refuse a configuration that cannot run before the run in its way is set aside."""
    init_from = request.load_config().init_from
    if init_from is not None and Path(init_from).resolve().is_relative_to(paths.root.resolve()):
        raise UsageError(
            f"--overwrite would set aside {paths.root}, which --init-from reads. Choose another "
            "--run-name."
        )


def finished_record(paths: RunPaths) -> dict[str, Any] | None:
    """The `metrics.json` of a run that got to its end, None for any other directory."""
    content = _read_record(paths)
    if content is None or content.get("status") not in ("completed", "early_stopped"):
        return None
    # A copy made while the run ended may have the end of the record and the middle of the rest.
    if _has_resume_state(paths) and not is_vouched_for(paths, content):
        return None
    return content


def _read_record(paths: RunPaths) -> dict[str, Any] | None:
    try:
        content = json.loads(paths.metrics.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _has_resume_state(paths: RunPaths) -> bool:
    return any(path.exists() for path in paths.resume_states)


def _is_free(paths: RunPaths) -> bool:
    """Whether a directory holds no run, or a start that never trained: nothing can be lost."""
    try:
        contents = paths.contents()
    except FileNotFoundError:  # also where another starter has just set it aside
        return True
    if _has_resume_state(paths):
        return False  # also where a start that went on with it was stopped in its setup
    if paths.metrics not in contents:
        # A process killed at its first step leaves a temporary file.
        return all(path.suffix == ".tmp" for path in contents)
    try:
        content = json.loads(paths.metrics.read_bytes())
        return content["phase"] in (None, "setup")
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
        config_sha256=config_sha256(config),
    )
    start = f"{config.mode}, {config.seeds_in_words} ({config.recorded.seed_from})"
    log_event(_logger, logging.INFO, "run_start", start, seed=config.seed)
    for note in config.recorded.notes:
        log_event(_logger, logging.INFO, "config", note)

    with stop.at_once():
        # The configuration is valid: from here on torch is worth its seconds.
        _logger.info("loading torch and scikit-learn")
        from psann.run.config_targets import check_targets
        from psann.run.judging import judge
        from psann.run.resume import run_identity
        from psann.run.stages import (
            first_estimators,
            forget_training,
            read_data,
            take_up,
            train,
            write_setup,
        )
        from psann.run.studies import run_studies

        targets = check_targets(config, only_import=context.request.only_import)
        splits = read_data(config, targets)
    estimators, parent = first_estimators(config, targets, splits)
    record.update(parent=parent)
    identity = run_identity(
        config, data_sha256=splits.sha256, init_from_sha256=targets.estimator_file_sha256
    )
    point = take_up(context, identity) if context.resumes else None
    write_setup(context, config, targets, splits)
    status, results = "completed", None
    if config.mode != "evaluate":
        results = train(context, config, estimators, splits, identity=identity, point=point)
        status = "early_stopped" if all(result.stopped_early for result in results) else status
    elif context.request.profile:
        _logger.warning("--profile has no effect: mode evaluate does not train")
    record.update(phase="evaluation")
    figures = judge(context, config, estimators, splits, results=results)
    record.update(**figures)
    # Of several seeds it is their ensemble that folds and placebos are beside.
    versus = (figures.get("ensemble") or figures)["versus_uniform"] or {}
    studies = run_studies(context, config, targets, splits, growth=versus.get("growth"))
    if results is not None:
        forget_training(context)
    record.update(**studies, phase="evaluation", status=status)
