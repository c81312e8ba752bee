"""Taking a run directory: new, free, gone on with, or set aside."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path

from psann.errors import UsageError
from psann.run.directory.digests import is_vouched_for
from psann.run.directory.fields import Record, got_to_its_end
from psann.run.directory.lock import check_lock
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from psann.run.execution.context import RunRequest


def claim_directory(
    paths: RunPaths, *, overwrite: bool, resume: bool = False
) -> tuple[Storage, str | None]:
    """Open and lock the run directory, new or free to be used.

    A directory whose run ended before training gives its name away: what it holds moves to
    `attempts/`. With `overwrite` the whole old directory is renamed out of the way.

    Parameters
    ----------
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
    check_lock(paths.lock)
    if not (may_enter or is_free(paths)):
        raise existing_run(paths)
    with ExitStack() as until_claimed:
        storage = until_claimed.enter_context(Storage(paths.root))
        storage.lock(paths.lock)
        # Again: from here on nobody else can change what it holds.
        if not (may_enter or is_free(paths)):
            raise existing_run(paths)
        storage.clean()
        note = None
        contents = paths.contents()
        if contents and not (resume and has_resume_state(paths)):
            if overwrite:
                name = storage.set_aside().name
                storage.close()
                # Again an overwriting claim: another starter may have come and gone by now.
                storage, _ = claim_directory(paths, overwrite=True)
                return storage, f"the old run is now in {name}"
            home = storage.archive(contents, paths.attempts)
            note = (
                f"an earlier start that left nothing to go on from is now in attempts/{home.name}"
            )
        else:  # what these tell of is about to change
            for path in {paths.packing_list, paths.seal} & set(contents):
                storage.remove(path)
        until_claimed.pop_all()
    return storage, note


def check_may_write(paths: RunPaths, *, overwrite: bool) -> None:
    """Raise `PermissionError` where this user may not make, take or set aside the directory."""
    is_there = os.path.lexists(paths.root)
    wanted = [paths.root] * is_there + [paths.root.parent] * (overwrite or not is_there)
    for folder in wanted:
        nearest = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "this user may not write there", str(nearest))


def existing_run(paths: RunPaths) -> UsageError:
    """The refusal to touch a run that is there."""
    return UsageError(
        f"--run-name must be new; the run directory {paths.root} exists. Choose another name, or "
        "give --resume to go on with it, or --overwrite to set it aside."
    )


def check_before_overwriting(request: RunRequest, paths: RunPaths) -> None:
    """Refuse a configuration that cannot run before the run in its way is set aside."""
    init_from = request.run_config.init_from
    if init_from is not None and Path(init_from).resolve().is_relative_to(paths.root.resolve()):
        raise UsageError(
            f"--overwrite would set aside {paths.root}, which --init-from reads. Choose another "
            "--run-name."
        )


def finished_record(paths: RunPaths) -> Record | None:
    """The `metrics.json` of a run that got to its end, None for any other directory."""
    record, _ = read_metrics(paths.metrics)
    if not got_to_its_end(record):
        return None
    # A copy made while the run ended may have the end of the record and the middle of the rest.
    if has_resume_state(paths) and not is_vouched_for(paths, record["artefacts"] or {}):
        return None
    return record


def has_resume_state(paths: RunPaths) -> bool:
    """Whether there is something to go on from."""
    return any(path.exists() for path in paths.resume_states)


def is_free(paths: RunPaths) -> bool:
    """Whether a directory holds no run, or a start that never trained: nothing can be lost."""
    try:
        contents = paths.contents()
    except FileNotFoundError:  # also where another starter has just set it aside
        return True
    if has_resume_state(paths):
        return False  # also where a start that went on with it was stopped in its setup
    if paths.metrics not in contents:
        # A process killed at its first step leaves a temporary file.
        return all(path.suffix == ".tmp" for path in contents)
    record, problems = read_metrics(paths.metrics)
    return not problems and record["phase"] in (None, "setup")
