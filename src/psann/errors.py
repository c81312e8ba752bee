"""The errors that psann raises on purpose, each naming what to change.

Every error carries `problems`: one readable sentence per mistake, all mistakes found at once.
"""

from __future__ import annotations

from collections.abc import Sequence


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


class TrainingInterrupted(PsannError):
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
