"""Reading runs back: what a run directory says, finished, killed, running or copied half-way.

Only files are read, and nothing is executed. Whatever is missing or damaged becomes a sentence in
`problems`; one bad run never keeps a reader from the others. Neither torch nor pydantic is
imported, and numpy and pandas only where arrays and tables are asked for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from psann._plain_files import read_plain
from psann._strict_yaml import MAX_BYTES, read_config_file
from psann.errors import PsannError, UsageError, reason_of, unavailable
from psann.run.directory.columns import COLUMNS
from psann.run.directory.evaluation import Evaluation, read_evaluation
from psann.run.directory.fields import Record
from psann.run.directory.files import MAX_LOG_BYTES
from psann.run.directory.liveness import judge
from psann.run.directory.metrics import read_metrics
from psann.run.directory.packing import left_out_of
from psann.run.directory.paths import RunPaths, check_directory, hint_of_run
from psann.run.directory.provenance import read_starts
from psann.run.directory.rows import Row, parse_log

if TYPE_CHECKING:
    import pandas as pd

_T = TypeVar("_T")
_TRASH = ("$RECYCLE.BIN", "System Volume Information", "Trash", "__MACOSX", "lost+found")


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run directory as it was read; its larger files are read when they are asked for.

    Examples
    --------
    >>> import tempfile
    >>> run = read_run(tempfile.mkdtemp())
    >>> run.status, run.figure("portfolio_metrics.sharpe"), run.epochs
    ('unknown', None, ())
    """

    path: Path
    """The run directory."""
    metrics: Record
    """Every field of `metrics.json`; None where it is null, missing, or of a wrong kind."""
    status: str
    """The true status: as in `metrics.json`, or `dead` (killed), `stale` (was running when it was
    copied or last seen), `unknown` (no readable record)."""
    status_reason: str
    """How the status is known, in one sentence."""
    metrics_problems: tuple[str, ...]
    """What is wrong with `metrics.json`."""
    _found: dict[str, list[str]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the run directory as it is now."""
        return self.path.resolve().name if self.path.name in ("", "..") else self.path.name

    def figure(self, key: str) -> float | None:
        """Look a number up by its dotted key.

        Returns
        -------
        float or None
            None where there is no number.
        """
        value = self.value(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def value(self, key: str) -> object:
        """Look anything in `metrics.json` up by its dotted key; None where there is nothing."""
        return _look_up(self.metrics, key)

    def setting(self, key: str) -> Any:
        """Look anything in the configuration up likewise."""
        return _look_up(self.config, key)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; empty where it cannot be read."""
        path = RunPaths(self.path).config_resolved

        def read() -> dict[str, Any]:
            # A user's own may come by a pipe; this may not.
            tree = read_config_file(path, data=read_plain(path, MAX_BYTES))
            self._found.setdefault(path.name, []).extend(tree.problems)
            return {key: _finite(value) for key, value in tree.values.items()}

        return self._careful(path, read, {})

    @cached_property
    def starts(self) -> tuple[dict[str, Any], ...]:
        """Where each start came from, as in `provenance.json`; the newest last."""
        path = RunPaths(self.path).provenance
        return self._careful(path, lambda: tuple(read_starts(path)), ())

    @cached_property
    def events(self) -> tuple[Row, ...]:
        """All rows of `events.csv` by column; numbers are numbers, empty cells None."""
        path = RunPaths(self.path).events

        def read() -> tuple[Row, ...]:
            rows, problems = parse_log(read_plain(path, MAX_LOG_BYTES))
            told = (f"{path.name} {problem}." for problem in problems)
            self._found.setdefault(path.name, []).extend(told)
            return tuple(rows)

        return self._careful(path, read, ())

    @cached_property
    def epochs(self) -> tuple[Row, ...]:
        """The rows of epochs: one per phase, seed, fold and epoch, in the order of the log."""
        return tuple(row for row in self.events if row["event"] == "epoch")

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """The series behind the figures on the evaluation rows; None where there are none."""
        path = RunPaths(self.path).evaluation
        return self._careful(path, lambda: read_evaluation(path), None)

    @cached_property
    def walk_forward(self) -> Evaluation | None:
        """The same of the folds of a walk-forward, with the fold that acted on each row."""
        path = RunPaths(self.path).walk_forward
        return self._careful(path, lambda: read_evaluation(path), None)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing or damaged, one sentence each; this reads every file but one.

        What is wrong with `evaluation.npz`, which numpy must read, is told once it was asked for.
        """
        _ = self.config, self.starts, self.events
        found = [text for texts in self._found.values() for text in texts]
        return (*self.metrics_problems, *found, *_missing(self.path, self.metrics))

    def _careful(self, path: Path, read: Callable[[], _T], default: _T) -> _T:
        """Read a file, or note why it cannot be read."""
        try:
            return read()
        except FileNotFoundError:
            return default  # `_missing` tells of those that the run vouches for
        except (OSError, PsannError, ValueError, KeyError, TypeError) as error:
            problem = f"{path.name} cannot be read: {reason_of(error).rstrip('.')}."
        self._found.setdefault(path.name, []).append(problem)
        return default


@dataclass(frozen=True)
class Runs:
    """Several runs, and tables of them for a notebook (these need pandas)."""

    root: Path
    """The directory below which they were found."""
    views: tuple[RunView, ...]
    unreadable: tuple[Path, ...] = ()
    """Directories that could not be looked into."""

    def __iter__(self) -> Iterator[RunView]:
        return iter(self.views)

    def __len__(self) -> int:
        return len(self.views)

    def name_of(self, run: RunView) -> str:
        """Path of a run from the root; the name of the run where they are the same."""
        return run.name if run.path == self.root else run.path.relative_to(self.root).as_posix()

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run: `run`, `status` (the true one), then `metrics.json` by dotted key."""
        return _frame([{"run": self.name_of(run), **flat_metrics(run)} for run in self.views])

    @cached_property
    def configs(self) -> pd.DataFrame:
        """One row per run: `run`, then its configuration by dotted key."""
        return _frame([{"run": self.name_of(run), **flat(run.config)} for run in self.views])

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch of every run: `run`, then the columns of `events.csv`."""
        rows = [{"run": self.name_of(run), **row} for run in self.views for row in run.epochs]
        return _frame(rows, columns=None if rows else ["run", *COLUMNS])


def _frame(rows: list[dict[str, Any]], columns: list[str] | None = None) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        why = unavailable(error, install="pip install pandas")
        raise UsageError(f"A table of runs needs pandas, and {why}") from None
    return pd.DataFrame(rows, columns=columns)


def _look_up(values: object, key: str) -> object:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _finite(value: Any) -> Any:
    # As text where it is not: JSON holds no such number, and the value was told of as a problem.
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_run(path: Path | str) -> RunView:
    """Read one run directory.

    Parameters
    ----------
    path : Path or str
        The directory; what it lacks is told by `problems`.

    Raises
    ------
    UsageError
        If there is no such directory.
    """
    path = Path(path).expanduser().absolute()
    check_directory(path)
    metrics, problems = read_metrics(RunPaths(path).metrics)
    if metrics["status"] is None:
        problems = [f"{problem}{hint_of_run(path)}" for problem in problems]
    liveness = judge(RunPaths(path), metrics)
    return RunView(
        path=path,
        metrics=metrics,
        status=liveness.status,
        status_reason=liveness.reason,
        metrics_problems=tuple(problems),
    )


def read_runs(path: Path | str) -> Runs:
    """Read every run at or below a directory, in the order of their paths.

    Parameters
    ----------
    path : Path or str
        A run directory, or a directory of them at any depth; links to directories are not
        followed.

    Returns
    -------
    Runs
        The runs; `Runs.runs` and `Runs.epochs` are tables of pandas.

    Raises
    ------
    UsageError
        If there is no such directory.

    Examples
    --------
    >>> import tempfile
    >>> len(read_runs(tempfile.mkdtemp()))
    0
    """
    root = Path(path).expanduser().absolute()
    check_directory(root, "PATH", "a directory of runs")
    found, unreadable = _find(root)
    return Runs(root, tuple(read_run(each) for each in found), unreadable)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write nested mappings as one with dotted keys; lists and empty mappings are values.

    Examples
    --------
    >>> flat({"seed": 1, "training": {"lr": 0.1}})
    {'seed': 1, 'training.lr': 0.1}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def flat_metrics(run: RunView) -> dict[str, Any]:
    """The true status and every field of `metrics.json` by dotted key, without the file list."""
    fields = {name: value for name, value in run.metrics.items() if name != "artefacts"}
    return {"status": run.status, **flat({**fields, "status": run.status})}


def _find(root: Path) -> tuple[list[Path], tuple[Path, ...]]:
    """Run directories at or below a directory, and what may not be looked into.

    What a run directory holds is not looked into; hidden folders and trash are passed over.
    """
    found, unreadable, waiting = [], [], [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue  # it has just been moved
        except OSError:
            unreadable.append(folder)
            continue
        if _is_run(folder, entries):
            found.append(folder)
        else:
            waiting += [
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and not entry.name.startswith(".")
                and entry.name not in _TRASH
            ]
    return sorted(found), tuple(sorted(unreadable))


def _is_run(folder: Path, entries: list[os.DirEntry[str]]) -> bool:
    # One alone may be another tool's metrics.json, or a configuration that somebody has copied.
    paths = RunPaths(folder)
    own = (paths.metrics, paths.events, paths.config_resolved, paths.provenance, paths.lock)
    return len({path.name for path in own} & {entry.name for entry in entries}) > 1


def _missing(path: Path, metrics: Record) -> list[str]:
    """Files that the last record names and that are not there as it says, as in half a copy."""
    if not path.is_dir():
        return [f"{path} is no longer there: it was moved, or its file system is not mounted."]
    texts = []
    left_out = left_out_of(RunPaths(path))
    for name, entry in (metrics["artefacts"] or {}).items():
        if name in left_out:
            continue
        n_bytes = entry.get("bytes") if isinstance(entry, dict) else None
        try:
            found = (path / name).lstat().st_size
        except OSError:
            texts.append(f"{name} is missing: the copy is not complete.")
            continue
        if n_bytes is not None and found != n_bytes:
            texts.append(f"{name} must have {n_bytes} bytes; it has {found}.")
    return texts
