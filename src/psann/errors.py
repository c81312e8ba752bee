"""The errors that psann raises on purpose, each naming what to change.

Every error carries `problems`: one readable sentence per mistake, all mistakes found at once.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Sequence

# As NumPy and Python say by the type of an error, torch and the loader of libraries in words.
_OF_MEMORY = re.compile(r"out of memory|allocate memory|failed to map segment", re.IGNORECASE)


class PsannError(Exception):
    """Base of every deliberate error of this package.

    Parameters
    ----------
    problems : str or sequence of str
        What is wrong: who, must be, got, cure. Several problems become several lines.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (
            (problems,) if isinstance(problems, str) else tuple(problems)
        )
        super().__init__("\n".join(self.problems))


class UsageError(PsannError, ValueError):
    """Bad command line, run name, or a run directory that already exists (exit code 2)."""


class ConfigError(PsannError, ValueError):
    """A configuration that cannot be read, or says something that cannot be done."""


class DataError(PsannError, ValueError):
    """Arrays that training or evaluation must refuse."""


class ImportTargetError(PsannError, ValueError):
    """An import path that is dangerous, missing, or names the wrong kind of object."""


class FileFormatError(PsannError, ValueError):
    """A file that is damaged, hostile, or of another format version."""


class DeviceError(PsannError, RuntimeError):
    """A device that was asked for by name and is not there."""


class RunLockedError(PsannError, RuntimeError):
    """The run directory belongs to a live process (exit code 75)."""


class DivergedError(PsannError, ArithmeticError):
    """A non-finite loss, reward or gradient; the weights are those before that update (exit 3)."""


class RuinedError(DivergedError):
    """Nothing can be kept, since every epoch lost everything on the validation rows (exit 4)."""


class TrainingInterrupted(PsannError):  # noqa: N818 (an ending, not an error)
    """Training stopped at a launch boundary because it was asked to.

    Parameters
    ----------
    reason : str
        What asked, in words (`"SIGTERM"`, `"the time limit of 5 minutes"`).
    status : str
        `preempted` or `interrupted`.
    exit_code : int
        The exit code that the command owes.
    """

    def __init__(self, reason: str, *, status: str, exit_code: int) -> None:
        super().__init__(f"Training was stopped by {reason}.")
        self.reason = reason
        self.status = status
        self.exit_code = exit_code


def unavailable(error: ImportError, *, install: str) -> str:
    """Say of a library that could not be imported why, and what brings one that can be.

    Examples
    --------
    >>> unavailable(ModuleNotFoundError(name="jinja2"), install="pip install 'psann[report]'")
    "jinja2 is not installed. Install it with: pip install 'psann[report]'"
    """
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed. Install it with: {install}"
    why = str(error).strip().partition("\n")[0].rstrip(".")
    return f"what is installed cannot be imported: {why}. Install what fits with: {install}"


def memory_story(error: BaseException) -> str | None:
    """Say of an error that memory does not suffice, and for what; None of one of another kind.

    Examples
    --------
    >>> memory_story(MemoryError("Unable to allocate 745. GiB for an array"))
    'Memory does not suffice: Unable to allocate 745. GiB for an array'
    >>> memory_story(RuntimeError("no luck"))
    """
    if isinstance(error, PsannError):
        return None
    # Not str(error): an exception's own text may raise.
    text = "".join(traceback.format_exception_only(error)).strip()
    is_one = isinstance(error, RuntimeError | OSError | ImportError) and _OF_MEMORY.search(text)
    if not is_one and not isinstance(error, MemoryError):
        return None
    said = text.partition(": ")[2].partition("\n")[0]
    return f"Memory does not suffice{said and f': {said}'}"


def reason_of(error: BaseException) -> str:
    """What went wrong with a file that the message names: of the system's errors its words alone.

    Examples
    --------
    >>> reason_of(FileNotFoundError(2, "No such file or directory", "runs/a"))
    'No such file or directory'
    >>> reason_of(ValueError("it was cut"))
    'it was cut'
    """
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error)


def file_and_reason(error: BaseException) -> str:
    """What went wrong, and of the system's errors with which file, where no message names it.

    Examples
    --------
    >>> file_and_reason(FileNotFoundError(2, "No such file or directory", "runs/a"))
    'No such file or directory (runs/a)'
    """
    file = error.filename if isinstance(error, OSError) else None
    # Not `file: reason`, which is masked where a file has the name of a secret.
    return reason_of(error) if file is None else f"{reason_of(error)} ({file})"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that names the known word nearest to a misspelt one.

    Nearness is the number of letters inserted, deleted, replaced or swapped with a neighbour
    (optimal string alignment); at most one letter in three may differ.

    Parameters
    ----------
    word : str
        What the user wrote.
    known : iterable of str
        The words that would have been right.

    Returns
    -------
    str
        `" Did you mean 'window'?"`, with its leading blank, or an empty string.

    Examples
    --------
    >>> did_you_mean("windw", ["window", "reward"])
    " Did you mean 'window'?"
    >>> did_you_mean("zebra", ["window", "reward"])
    ''
    """
    guess = nearest(word, known)
    return f" Did you mean {guess!r}?" if guess else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "update"), counted(15360, "episode")
    ('1 update', '15,360 episodes')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Join names for a sentence, the rest of many as a number.

    Examples
    --------
    >>> listed(["A", "B", "C"], most=2)
    'A, B and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def known_here(names: Sequence[str]) -> str:
    """Return a sentence, as `did_you_mean` does, with all that would have been right.

    Examples
    --------
    >>> known_here(["window", "reward"])
    ' Known here: window, reward.'
    """
    return f" Known here: {', '.join(names)}." if names else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `did_you_mean` would name, None if none is near.

    Examples
    --------
    >>> nearest("windw", ["window", "reward"])
    'window'
    """
    most = max(1, len(word) // 3)
    ranked = sorted(
        (_edits(word.lower(), other.lower()), word[:1] != other[:1], other)
        for other in set(known)
        if abs(len(word) - len(other)) <= most  # so many letters are missing; a word may be a text
    )
    if not ranked or ranked[0][0] > most:
        return None
    return ranked[0][2]


def _edits(left: str, right: str) -> int:
    two_above: list[int] = []
    above = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        row = [i]
        for j, b in enumerate(right, start=1):
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, two_above[j - 2] + 1)
            row.append(best)
        two_above, above = above, row
    return above[-1]
