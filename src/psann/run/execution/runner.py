"""Where everything meets: `run` goes straight through and raises, `execute` is the guard around it.

Nothing here imports torch, NumPy or scikit-learn before the configuration is valid.
"""

from __future__ import annotations

import logging
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

from psann._lean_imports import import_scikit_learn, lasting_imports
from psann._process import LENT, put_back
from psann._signals import stop_requests
from psann._strict_json import to_json
from psann.errors import (
    ConfigError,
    FileFormatError,
    RunLockedError,
    TrainingInterrupted,
    UsageError,
    memory_story,
)
from psann.run.config.changes import changes_since, check_resolved
from psann.run.config.load import config_sha256
from psann.run.config.model import RunConfig
from psann.run.config.targets import check_modules, check_targets
from psann.run.directory.checkpoints import remove_leftovers
from psann.run.directory.digests import describe_artefacts
from psann.run.directory.fields import OVER, Record
from psann.run.directory.files import read_json
from psann.run.directory.lock import check_lock
from psann.run.directory.log import EventLog, listening, log_event
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths, default_run_name
from psann.run.directory.record import RunRecord, seal_of
from psann.run.directory.storage import Storage
from psann.run.execution.claim import (
    check_before_overwriting,
    check_may_write,
    claim_directory,
    existing_run,
    finished_record,
    has_resume_state,
    is_free,
)
from psann.run.execution.context import EXIT_DONE, EXIT_FAILED, Outcome, RunContext, RunRequest
from psann.run.execution.endings import (
    exit_code_of,
    how_to_go_on,
    is_a_message,
    record_ending,
    refused,
    story_of,
    unwritable,
)
from psann.training.console import ConsoleProgress

_logger = logging.getLogger(__name__)


def execute(request: RunRequest) -> Outcome:
    """Do a run, and turn every ending into an exit code and a `metrics.json`.

    Returns
    -------
    Outcome
        Exit code: 0 finished, 1 failed, 2 bad name or existing directory, 3 diverged, 4 ruined, 75
        locked by a live process, 130 interrupted, 143 (or as asked) preempted.
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
            message = _already_complete(request, done, paths)
            code = exit_code_of(None, status=done["status"])
            return Outcome(exit_code=code, message=message, paths=paths, record=done)
        if request.overwrite and not is_free(paths):
            check_before_overwriting(request, paths)
        storage, note = claim_directory(paths, overwrite=request.overwrite, resume=request.resume)
    except (RunLockedError, UsageError, ConfigError, OSError) as error:
        return refused(error, request.output_dir / run_name)
    try:
        with (
            storage,
            stop_requests(
                max_time_minutes=request.max_time_minutes,
                preempt_exit_code=request.preempt_exit_code,
                preempt_signals=request.preempt_signals,
            ) as stop,
        ):
            context = RunContext(
                request=request,
                record=record,
                storage=storage,
                paths=paths,
                stop=stop,
                console=ConsoleProgress(quiet=request.quiet),
                resumes=request.resume and has_resume_state(paths),
            )
            return _in_directory(context, note)
    except OSError as error:  # what is left to fail is letting the directory go
        return unwritable(error, request, paths)


def _in_directory(context: RunContext, note: str | None) -> Outcome:
    """Run in a directory that is this process's own, whatever the disk does."""
    record, paths = context.record, context.paths
    if context.resumes:
        record.go_on_from(read_metrics(paths.metrics)[0])
    try:
        return _recorded(context, note)
    except FileFormatError as error:  # a log that is damaged, before anything is written
        return Outcome(exit_code=EXIT_FAILED, message=str(error), paths=paths)
    except OSError as error:
        record.fail(error)
        with suppress(OSError):  # where the log had no room, this may still have some
            record.flush(force=True)
        return unwritable(error, context.request, paths)


def check(request: RunRequest, *, is_placed: bool = True) -> Outcome:
    """Find out what a run would do, or what stands in its way; write nothing.

    `is_placed` says whether the user has named the place, so that it must be possible there.

    Returns
    -------
    Outcome
        Exit code 0 with a plan, or that of a run that would be refused, with a message.
    """
    run_name = request.run_name or default_run_name(request.config)
    try:
        paths = RunPaths.in_output(request.output_dir, run_name)
        if request.resume and (done := finished_record(paths)) is not None:
            code = exit_code_of(None, status=done["status"])
            return Outcome(exit_code=code, message=_already_complete(request, done, paths))
        check_lock(paths.lock)
        if not (request.overwrite or request.resume or is_free(paths)):
            raise existing_run(paths)
        if is_placed:
            check_may_write(paths, overwrite=request.overwrite)
        resumes = request.resume and has_resume_state(paths)
    except (RunLockedError, UsageError, OSError) as refusal:
        return refused(refusal, request.output_dir / run_name)
    plans = []

    def make_plan() -> None:
        config = request.run_config
        if resumes:
            check_resolved(paths.config_resolved, config)
        check_modules(config)

        _load_libraries()
        from psann.run.execution.plan import describe_plan

        plans.append(describe_plan(config, paths, resumes=resumes))

    warned = listening(ConsoleProgress(quiet=True).take)
    with warned, warnings_as_log(), request.imports.in_force():
        error = guarded(make_plan)
    if error is None:
        return Outcome(exit_code=EXIT_DONE, plan=plans[0])
    # No file will hold the traceback, and whoever wrote the loader needs it.
    whole = "".join(traceback.format_exception(error)).rstrip()
    story = story_of(error) if is_a_message(error) else whole
    return Outcome(exit_code=exit_code_of(error), message=story)


def _already_complete(request: RunRequest, done: Record, paths: RunPaths) -> str:
    """Why there is nothing to go on with, and what does train on."""
    message = f"The run {done['run_name']} is already complete: {done['status']}."
    with suppress(ConfigError):  # whatever has become of the file, the run is complete
        if found := changes_since(paths.config_resolved, request.run_config):
            message += (
                " It was made with other values than are given now, which have no effect: "
                f"{', '.join(found)}. To train on from it give --mode fine_tune --init-from "
                f"{paths.root} and another --run-name."
            )
    return message


def _recorded(context: RunContext, note: str | None) -> Outcome:
    """Run with record and log in place, and write down how it ended."""
    record, paths = context.record, context.paths
    if not context.resumes:
        record.attach(context.storage, paths.metrics)
    with _logging_to(context.console, context.storage, paths) as events:
        size_bytes = events.size_bytes
        if note is not None:
            log_event(_logger, logging.INFO, "log", note)
        with context.request.imports.in_force():
            error = guarded(lambda: run(replace(context, events=events)))
        record_ending(context, error)
        status = record.as_dict()["status"]
        exit_code = exit_code_of(error, status=status)
        end = f"{status}, exit code {exit_code}"
        log_event(_logger, logging.DEBUG, "run_end", end)
        if not record.is_attached:
            events.cut_back(size_bytes)  # a resume that was refused leaves no trace
    if not record.is_attached:
        message = None if error is None else story_of(error)
        return Outcome(exit_code=exit_code, message=message, paths=paths)
    # Last, when no row of the log can follow: the final version vouches for every other file.
    leaving = () if error or context.request.keep_checkpoints else paths.resume_states
    record.update(artefacts=describe_artefacts(paths, leaving_out=leaving))
    record.flush(force=True)
    record.close()
    for path in leaving:
        if path.exists():
            context.storage.remove(path)
    if status in OVER:
        # At the very end: nothing changes the record any more.
        with suppress(ValueError):  # one beyond what readers take is as good without
            context.storage.put(paths.seal, to_json(seal_of(read_json(paths.metrics))))
    story = None if error is None else story_of(error)
    can_go_on = status not in OVER and has_resume_state(paths)
    if isinstance(error, TrainingInterrupted | KeyboardInterrupt) and can_go_on:
        story = f"{story} {how_to_go_on(context.request, paths)}"
    elif isinstance(error, OSError) and can_go_on:
        story = f"{story}. {how_to_go_on(context.request, paths, the='Once that is mended, the')}"
    return Outcome(exit_code=exit_code, message=story, paths=paths, record=record.as_dict())


def guarded(action: Callable[[], None]) -> BaseException | None:
    """Do something and return what it raised: the one place where nothing passes."""
    try:
        action()
    except BaseException as error:  # noqa: BLE001 (also SystemExit, and the panics of Rust)
        if memory_story(error) is not None:
            traceback.clear_frames(error.__traceback__)  # room for writing down what happened
        return error
    return None


@contextmanager
def _logging_to(console: ConsoleProgress, storage: Storage, paths: RunPaths) -> Iterator[EventLog]:
    """Send the log of psann, and Python's warnings, to the console and to `events.csv`."""

    def show(record: logging.LogRecord) -> None:
        # The command itself tells the ending, once.
        if record.__dict__.get("event", {}).get("event") not in ("error", "signal"):
            console.take(record)

    log = closing(EventLog(storage, paths.events))
    with log as events, listening(show, events.take), warnings_as_log():
        yield events


@contextmanager
def warnings_as_log() -> Iterator[None]:
    """Log Python's warnings by what they say, each once; where in our code helps no user."""
    told: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in told:
            told.add(str(message))
            log_event(_logger, logging.WARNING, "log", str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


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
    record = context.record
    record.update(phase="setup")
    config = context.request.run_config
    record.update(mode=config.mode, seed=config.seed, config_sha256=config_sha256(config))
    what = f"{config.mode}, {config.seeds_in_words} ({config.recorded.seed_from})"
    log_event(_logger, logging.INFO, "run_start", what, seed=config.seed)
    for note in config.recorded.notes:
        log_event(_logger, logging.INFO, "config", note)
    if context.resumes:
        check_resolved(context.paths.config_resolved, config)
    check_modules(config)
    # Only here, for it costs its time; before code of the user's may change what it tells.
    from psann._origin import describe_start

    start = describe_start(context.request.argv)
    with context.stop.at_once():
        log_event(_logger, logging.INFO, "log", "loading torch and scikit-learn")
        _load_libraries()

    def tell(text: str) -> None:
        log_event(_logger, logging.WARNING, "log", text)

    # The bar, which takes the standard streams, ends before these are looked at.
    user_code = put_back(LENT, who="code that the configuration names", tell=tell)
    with user_code, closing(context.console):
        _work(context, config, start)


def _load_libraries() -> None:
    """Import what a valid configuration is worth the seconds of."""
    from psann._allocator import keep_freed_memory

    keep_freed_memory()
    with lasting_imports("torch"):
        import torch  # noqa: F401 (first, as its threads are to be the process's)

        import_scikit_learn()
        import psann.run.execution.studies  # noqa: F401 (brings all the others)


def _work(context: RunContext, config: RunConfig, start: Mapping[str, Any]) -> None:
    """Import, load, train and judge."""
    from psann.run.execution.judging import is_ruined, judge
    from psann.run.execution.parent import first_estimators
    from psann.run.execution.resume import run_identity
    from psann.run.execution.setup import read_data, take_up, write_setup
    from psann.run.execution.studies import run_studies
    from psann.run.execution.training import forget_training, train

    record = context.record
    with context.stop.at_once():
        targets = check_targets(config)
        splits = read_data(config, targets)
    estimators, parent = first_estimators(config, targets, splits)
    record.update(parent=parent)
    identity = run_identity(
        config, data_sha256=splits.sha256, init_from_sha256=targets.estimator_file_sha256
    )
    point = take_up(context, identity) if context.resumes else None
    write_setup(context, config, targets, splits, start=start)
    status, results = "completed", None
    if config.mode != "evaluate":
        results = train(context, config, estimators, splits, identity=identity, point=point)
        status = "early_stopped" if all(result.stopped_early for result in results) else status
    elif context.request.profile:
        told = "--profile has no effect: mode evaluate does not train"
        log_event(_logger, logging.WARNING, "log", told)
    record.update(phase="evaluation")
    what = ": backtest, baselines, intervals" if config.prices_key in splits.arrays else ""
    log_event(_logger, logging.INFO, "log", f"judging{what}")
    record.update(**judge(context, config, estimators, splits, results=results))
    judged = record.as_dict()
    status = "ruined" if is_ruined(judged) else status
    # Of several seeds it is their ensemble that folds and placebos are beside.
    versus = (judged["ensemble"] or judged)["versus_uniform"] or {}
    studies = run_studies(context, config, targets, splits, growth=versus.get("growth"))
    if results is not None:
        forget_training(context)
    record.update(**studies, phase="evaluation", status=status)
