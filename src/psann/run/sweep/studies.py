"""The folds and placebos of one run, spread over workers; the run puts together what they leave.

There is no queue: the studies are those of the run's configuration, in their order, and whoever
holds the lock of one trains it.
"""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psann._imports import ImportPolicy
from psann._process import LENT, put_back
from psann._signals import StopRequest, stop_requests
from psann.errors import FileFormatError, RunLockedError, UsageError
from psann.run.config.load import load_run_config
from psann.run.config.model import RunConfig
from psann.run.config.targets import check_modules, check_targets
from psann.run.directory.lock import is_locked
from psann.run.directory.log import listening
from psann.run.directory.paths import RunPaths
from psann.run.execution.claim import finished_record
from psann.run.execution.context import EXIT_DONE, EXIT_FAILED
from psann.run.execution.endings import exit_code_of, story_of
from psann.run.execution.runner import guarded
from psann.run.sweep.child import (
    Child,
    Ending,
    Told,
    exit_code_of_stop,
    passed_on,
    passing_on_signals,
    preloading_context,
)

if TYPE_CHECKING:
    import logging

    from psann.run.execution.studies import Study
    from psann.run.execution.study_folder import SharedResult, StudyFolder


_LOOK_S = 1.0


@dataclass(frozen=True)
class StudiesDone:
    """How the workers of one command ended."""

    exit_code: int
    told: str
    """How many studies are done; empty where nobody got so far."""
    messages: list[str] = field(default_factory=list)


def work_on_studies(
    run: Path, *, n_at_once: int, imports: ImportPolicy, look: Callable[[], None] = lambda: None
) -> StudiesDone:
    """Train the folds and placebos of a run until nobody has left one to take.

    Parameters
    ----------
    run : Path
        A run that has begun, alive or not; nothing in it is changed.
    imports : ImportPolicy
        The configuration is the run's, which may be a stranger's: only psann's own modules may be
        imported without being named.
    look : callable
        Called about once a second.

    Raises
    ------
    UsageError
        If it is no such run, or asks for no studies.
    """
    paths = RunPaths(run.absolute())
    check_run(paths)
    endings, stops = _ended(partial(take_studies, paths, imports), n_at_once, look)
    if stops:
        return StudiesDone(exit_code_of_stop(stops[0]), "")
    counts = [each.message or "" for each in endings if each.exit_code == EXIT_DONE]
    told = max(counts, key=lambda text: (len(text), text), default="")  # 10 of 10 is after 9 of 10
    trouble = [each for each in endings if each.exit_code != EXIT_DONE]
    messages = [each.message or f"a worker was ended ({each.exit_code})" for each in trouble]
    code = EXIT_FAILED if trouble else EXIT_DONE
    return StudiesDone(code, told, list(dict.fromkeys(messages)))


def study_lines(run: Path) -> list[str]:
    """How the studies of a run are doing, as their folders tell."""
    root = RunPaths(run.absolute()).studies
    folders = sorted(root.iterdir()) if root.is_dir() else []
    done = [each.name for each in folders if (each / "result.safetensors").exists()]
    locked = [each.name for each in folders if is_locked(each / ".lock")]
    told = {"done": done, "in training": [name for name in locked if name not in done]}
    return [f"{len(names)} {what}: {', '.join(names) or 'none'}" for what, names in told.items()]


def _ended(
    work: Callable[[], Told], n_at_once: int, look: Callable[[], None]
) -> tuple[list[Ending], list[signal.Signals]]:
    """How processes that do the same ended, and what signals this one was sent meanwhile."""
    context, stops = preloading_context(), list[signal.Signals]()
    children: list[Child] = []
    endings = []
    with passing_on_signals(stops.append, lambda: children):
        while len(children) < n_at_once and not stops:
            children.append(Child(context, work))
        if stops:  # it came while the last child was made
            children[-1].send_signal(passed_on(stops[0]))
        while children:
            wait([child.sentinel for child in children], timeout=_LOOK_S)
            look()
            for child in [each for each in children if each.is_over]:
                children.remove(child)
                endings.append(child.ending())
    return endings, stops


def check_run(paths: RunPaths) -> RunConfig:
    """The configuration of a run that has studies to share.

    Raises
    ------
    UsageError
        If there is none.
    ConfigError
        If the configuration is wrong, or names what is not there.
    """
    if not paths.config_resolved.exists():
        raise UsageError(
            f"--study must be a run that has begun; {paths.root} has no config_resolved.yaml. "
            "Start the run, and give its directory."
        )
    if finished_record(paths) is not None:
        raise UsageError(f"--study must be a run that goes on; {paths.root} has ended.")
    config = load_run_config(paths.config_resolved)
    wanted = config.evaluation
    if config.mode != "train" or (wanted.walk_forward is None and not wanted.placebo):
        raise UsageError(
            f"--study must be a run with evaluation.walk_forward or evaluation.placebo; "
            f"{paths.root} has neither."
        )
    return config


def take_studies(paths: RunPaths, imports: ImportPolicy) -> Told:
    """What a worker's process does: say how it ended, or how many studies are done."""
    told: list[str] = []
    with imports.in_force(), stop_requests() as stop:
        error = guarded(lambda: told.append(_take(paths, stop)))
    return (EXIT_DONE, told[0]) if error is None else (exit_code_of(error), story_of(error))


def _take(paths: RunPaths, stop: StopRequest) -> str:
    from psann.run.execution.resume import run_identity
    from psann.run.execution.setup import read_data
    from psann.run.execution.studies import studies_of
    from psann.run.execution.study_folder import StudyFolder

    config = check_run(paths)
    check_modules(config)
    with put_back(LENT, who="code that the configuration names", tell=lambda text: None):
        with stop.at_once():
            targets = check_targets(config)
            splits = read_data(config, targets)
        identity = run_identity(
            config, data_sha256=splits.sha256, init_from_sha256=targets.estimator_file_sha256
        )
        folder = StudyFolder(paths, identity)
        train = partial(_train, config, targets.estimator_class, stop)
        n_trained = -1
        while n_trained:  # again, as long as others may have died meanwhile
            studies = studies_of(config, splits)
            n_trained = sum([_taken(folder, study, train) for study in studies])
        names = [study.name for study in studies_of(config, splits)]
    return f"{sum(_is_done(folder, name) for name in names)} of {len(names)} studies done"


def _is_done(folder: StudyFolder, name: str) -> bool:
    """Whether a study is there; a damaged one is trained again."""
    try:
        return folder.result(name) is not None
    except FileFormatError:
        return False


def _taken(folder: StudyFolder, study: Study, train: Callable[..., SharedResult]) -> bool:
    """Whether this process has trained a study that nobody had trained or is at."""
    if _is_done(folder, study.name):
        return False
    try:
        with folder.claimed(study.name) as storage:
            if _is_done(folder, study.name):  # by who has just let it go
                return False
            folder.keep(storage, study.name, train(study, folder.identity, storage.show_life))
    except RunLockedError:
        return False
    return True


def _train(
    config: RunConfig,
    estimator_class: Any,
    stop: StopRequest,
    study: Study,
    identity: Any,
    show_life: Callable[[], None],
) -> SharedResult:
    from psann.run.execution.studies import StudyObserver, train_study
    from psann.run.execution.study_folder import SharedResult

    rows: list[dict[str, Any]] = []

    def take(record: logging.LogRecord) -> None:
        columns = record.__dict__.get("event", {"event": "log"})
        rows.append({"level": record.levelno, "message": record.getMessage(), **columns})

    with listening(take):
        observer = StudyObserver([stop.check, show_life], study)
        found = train_study(config, estimator_class, study, observer)
    return SharedResult(
        estimators=found.estimators,
        best=found.best,
        events=tuple(rows),
        identity=identity,
        worker=f"process {os.getpid()} on {platform.node()}",
    )
