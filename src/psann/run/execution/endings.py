"""How a run ended: exit code, story, record."""

from __future__ import annotations

import logging
import os
import sysconfig
import traceback
from pathlib import Path

from psann.errors import (
    DivergedError,
    PsannError,
    RuinedError,
    RunLockedError,
    TrainingInterrupted,
    UsageError,
    file_and_reason,
    memory_story,
    reason_of,
)
from psann.run.directory.log import log_event
from psann.run.directory.paths import RunPaths
from psann.run.execution.context import (
    EXIT_DIVERGED,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_LOCKED,
    EXIT_RUINED,
    EXIT_USAGE,
    Outcome,
    RunContext,
    RunRequest,
)

_logger = logging.getLogger(__name__)

_LESS_MEMORY = (
    "Give fewer rows or columns, a smaller hisso.window, hisso.batch_episodes or batch_size, or "
    "the process more memory (ulimit -v, that of the job)."
)


def exit_code_of(error: BaseException | None, *, status: str | None = None) -> int:
    """What the command exits with after this error, or after none with this status."""
    if isinstance(error, RuinedError) or (error is None and status == "ruined"):
        return EXIT_RUINED
    if error is None:
        return EXIT_DONE
    if isinstance(error, TrainingInterrupted):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return EXIT_DIVERGED if isinstance(error, DivergedError) else EXIT_FAILED


def story_of(error: BaseException) -> str:
    """What happened, for a person."""
    if isinstance(error, TrainingInterrupted):
        return f"The run was stopped by {error.reason}."
    if isinstance(error, KeyboardInterrupt):
        return "Left at once, as asked."
    if isinstance(error, SystemExit):
        story = f"Code that the run calls ended Python: sys.exit({error.code!r})"
        return f"{story}{_place(error)}."
    if (of_memory := memory_story(error)) is not None:
        return f"{of_memory}{_place(error)}. {_LESS_MEMORY}"
    if is_a_message(error):
        return file_and_reason(error)
    # Not str(error): an exception's own text may raise.
    return "".join(traceback.format_exception_only(error)).strip() + _place(error)


def _place(error: BaseException) -> str:
    """The last line of the user's own code that an exception came through."""
    ours = Path(__file__).parents[2]
    not_the_user_s = (ours, *(Path(path) for path in sysconfig.get_paths().values()))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_file() and not any(file.is_relative_to(folder) for folder in not_the_user_s):
            return f" (at {file.name}:{frame.lineno} in {frame.name})"
    return ""


def is_a_message(error: BaseException) -> bool:
    """Whether the text alone tells the user what to change, so that no traceback is missed."""
    if isinstance(error, PsannError | KeyboardInterrupt) or memory_story(error) is not None:
        return True
    if isinstance(error, OSError) and error.filename is not None and not _place(error):
        return True  # of a file that psann itself asked for
    frames = list(traceback.walk_tb(error.__traceback__))
    # What psann itself raises about a value is meant for its user.
    origin = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    return isinstance(error, ValueError) and origin.startswith("psann.")


def how_to_go_on(request: RunRequest, paths: RunPaths, *, the: str = "The") -> str:
    """Say how to go on with a run that was stopped; `the` begins the sentence."""
    option = "--resume" if request.run_name else f"--run-name {paths.root.name} --resume"
    instead = " instead of --overwrite" if request.overwrite else ""
    return f"{the} same command with {option}{instead} goes on from here."


def record_ending(context: RunContext, error: BaseException | None) -> None:
    """Write status and story of a run that did not get to its end."""
    if error is None:
        return
    record = context.record
    phase = record.as_dict()["phase"]
    if isinstance(error, TrainingInterrupted | KeyboardInterrupt):
        record.update(
            status="interrupted" if isinstance(error, KeyboardInterrupt) else error.status
        )
        level, event = logging.WARNING, "signal"
    else:
        known = {RuinedError: "ruined", DivergedError: "diverged"}
        record.fail(error, status=next((known[k] for k in known if isinstance(error, k)), "failed"))
        level, event = logging.ERROR, "error"
    record.flush()
    log_event(_logger, level, event, story_of(error), phase=phase)


def refused(error: Exception, root: Path) -> Outcome:
    """How a command ends that may not begin: the name is taken, or the directory out of reach."""
    codes = {RunLockedError: EXIT_LOCKED, UsageError: EXIT_USAGE}
    code = next((codes[kind] for kind in codes if isinstance(error, kind)), EXIT_FAILED)
    message = _no_way_in(error, root) if isinstance(error, OSError) else str(error)
    return Outcome(exit_code=code, message=message)


def _no_way_in(error: OSError, root: Path) -> str:
    """Why a run directory can be neither made nor taken, and whose it is."""
    is_closed = os.path.isdir(root) and not os.access(root, os.W_OK | os.X_OK)
    if not (isinstance(error, PermissionError) and is_closed):
        return f"The run directory cannot be made: {file_and_reason(error)}."
    try:
        owner = root.owner()
    except (KeyError, NotImplementedError, OSError):  # a user without a name, or no users
        owner = f"user {root.stat().st_uid}"
    return (
        f"The run directory {root} is {owner}'s, and this user has no right to it: "
        f"{reason_of(error)}. Choose another --run-name or --output-dir."
    )


def unwritable(error: OSError, request: RunRequest, paths: RunPaths) -> Outcome:
    """How a run ends whose directory takes no more."""
    message = (
        f"The run directory cannot be written: {file_and_reason(error)}. What it held is intact. "
        "Once it can, "
    )
    if not paths.root.is_dir():
        message = (
            f"The run directory {paths.root} is gone: it was moved or removed while the run went "
            "on. Once it is back, "
        )
    message += how_to_go_on(request, paths, the="the")
    return Outcome(exit_code=EXIT_FAILED, message=message, paths=paths)
