"""Reading runs back: what a run directory says, finished, killed, running or copied half-way.

Only files are read, and nothing is executed. Whatever is missing or damaged becomes a sentence in
`problems`; one bad run never keeps a reader from the others. Neither torch nor pydantic is
imported, and numpy and pandas only where arrays and tables are asked for.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from psann._strict_json import parse_strict
from psann.errors import PsannError, UsageError
from psann.run.config.file import read_config_file
from psann.run.directory.columns import COLUMNS
from psann.run.directory.fields import FIELDS, SCHEMA_VERSION, STATUSES, is_of_its_kind
from psann.run.directory.liveness import judge
from psann.run.directory.paths import RunPaths
from psann.run.directory.rows import Row, parse_log

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_MAX_JSON_BYTES = 64 * 2**20
_MAX_CONFIG_BYTES = 2**20
_MAX_LOG_BYTES = 2**30

# Fields that hold numbers by name, at any depth.
_FIGURES = (
    *("portfolio_metrics", "portfolio_metrics_delay_1", "baselines", "timing"),
    *("versus_uniform", "versus_uniform_delay_1", "per_seed", "spread", "ensemble"),
)
_NUMBERS = frozenset({float, int, bool, type(None)})
_FIGURE_KEY = re.compile(r"[A-Za-z0-9_]{1,64}")

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The series that `evaluation.npz` holds: `S` strategies, `T` rows, `M` assets.

    Equity begins at 1.0 before the first row; `net` is after costs.
    """

    names: tuple[str, ...]
    """The strategies: `policy`, `policy_delay_1`, then baselines."""
    net: NDArray[np.float64]
    """(S, T)"""
    gross: NDArray[np.float64]
    """(S, T)"""
    allocations: NDArray[np.float32]
    """(T, M) weights of the policy."""
    time: NDArray[Any] | None
    """(T,) of the data, None where they have none."""
    assets: tuple[str, ...] | None
    """Names of the M assets, None where the data have none."""


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
    metrics: Mapping[str, Any]
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

        Parameters
        ----------
        key : str
            Such as `val_loss` or `portfolio_metrics.sharpe`.

        Returns
        -------
        float or None
            None where there is no number.
        """
        value: Any = self.metrics
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; empty where it cannot be read."""
        path = RunPaths(self.path).config_resolved

        def read() -> dict[str, Any]:
            if not _is_readable(path, _MAX_CONFIG_BYTES):
                return {}
            tree = read_config_file(path)
            self._found.setdefault(path.name, []).extend(tree.problems)
            return tree.values

        return self._careful(path, read, {})

    @cached_property
    def starts(self) -> tuple[dict[str, Any], ...]:
        """Where each start came from, as in `provenance.json`; the newest last."""
        path = RunPaths(self.path).provenance
        return self._careful(path, lambda: _starts(path), ())

    @cached_property
    def events(self) -> tuple[Row, ...]:
        """All rows of `events.csv` by column; numbers are numbers, empty cells None."""
        path = RunPaths(self.path).events

        def read() -> tuple[Row, ...]:
            if not _is_readable(path, _MAX_LOG_BYTES):
                return ()
            rows, problems = parse_log(path.read_bytes())
            self._found.setdefault(path.name, []).extend(problems)
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
        return self._careful(path, lambda: _evaluation(path), None)

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
        except OSError as error:
            problem = f"{path.name} cannot be read: {error.strerror or error}."
        except (PsannError, ValueError, KeyError, TypeError) as error:
            problem = f"{path.name} cannot be read: {str(error).rstrip('.')}."
        self._found.setdefault(path.name, []).append(problem)
        return default


@dataclass(frozen=True)
class Runs:
    """Several runs, and tables of them for a notebook (these need pandas)."""

    root: Path
    """The directory below which they were found."""
    views: tuple[RunView, ...]

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
        import pandas as pd

        rows = [{"run": self.name_of(run), **flat_metrics(run)} for run in self.views]
        return pd.DataFrame(rows)

    @cached_property
    def configs(self) -> pd.DataFrame:
        """One row per run: `run`, then its configuration by dotted key."""
        import pandas as pd

        return pd.DataFrame([{"run": self.name_of(run), **flat(run.config)} for run in self.views])

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch of every run: `run`, then the columns of `events.csv`."""
        import pandas as pd

        rows = [{"run": self.name_of(run), **row} for run in self.views for row in run.epochs]
        return pd.DataFrame(rows, columns=["run", *COLUMNS] if not rows else None)


def read_run(path: Path | str) -> RunView:
    """Read one run directory.

    Parameters
    ----------
    path : Path or str
        The directory; what it lacks is told by `problems`.

    Returns
    -------
    RunView
        The run.

    Raises
    ------
    UsageError
        If there is no such directory.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"RUN must be a run directory; {path} is none.")
    metrics, problems = _metrics(path)
    starts: tuple[dict[str, Any], ...] = ()
    if metrics["status"] == "running":
        try:
            starts = _starts(RunPaths(path).provenance)
        except (OSError, ValueError):
            starts = ()  # whoever reads `starts` learns of it
    liveness = judge(RunPaths(path), metrics, starts)
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
        The runs; `.runs` and `.epochs` are tables of pandas.

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
    root = Path(path)
    if not root.is_dir():
        raise UsageError(f"PATH must be a directory of runs; {root} is none.")
    return Runs(root, tuple(read_run(found) for found in _find(root)))


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


def _find(root: Path) -> list[Path]:
    """Run directories at or below a directory; what a run directory holds is not looked into."""
    found, waiting = [], [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        if folder == root and _is_run(folder, entries):
            return [root]
        if _is_run(folder, entries):
            found.append(folder)
        else:
            waiting += [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    return sorted(found)


def _is_run(folder: Path, entries: list[os.DirEntry[str]]) -> bool:
    names = {entry.name for entry in entries}
    paths = RunPaths(folder)
    own = {path.name for path in (paths.config_resolved, paths.provenance)}
    # Many tools write a metrics.json; what begins a run beside it is the lock or the log.
    others = {paths.lock.name, paths.events.name}
    return bool(names & own) or (paths.metrics.name in names and bool(names & others))


def _metrics(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Every field, None where it cannot be had, and what is wrong."""
    empty: dict[str, Any] = dict.fromkeys(FIELDS)
    file = RunPaths(path).metrics
    try:
        if not _is_readable(file, _MAX_JSON_BYTES):
            return empty, [
                "metrics.json is missing: the run never began, or its copy is not complete."
            ]
        content = parse_strict(file.read_bytes())
    except OSError as error:
        return empty, [f"metrics.json cannot be read: {error.strerror or error}."]
    except ValueError as error:
        return empty, [f"metrics.json cannot be read: it is not strict JSON ({error})."]
    return _fields(content)


def _fields(content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    problems = []
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        problems.append(
            f"metrics.json is of schema version {str(version)[:80]!r}; this psann knows version "
            f"{SCHEMA_VERSION} and shows the fields in common."
        )
    else:
        missing = [name for name in FIELDS if name not in content]
        if missing:
            problems.append(f"metrics.json lacks {', '.join(missing)}.")
    wrong = [name for name in FIELDS if not is_of_its_kind(name, content.get(name))]
    if content.get("status") not in STATUSES and "status" not in wrong:
        wrong.append("status")
    fields = {name: None if name in wrong else content.get(name) for name in FIELDS}
    for name in _FIGURES:
        match fields[name]:
            case dict() as figures:
                fields[name] = _numbers(figures, name, wrong)
            case list() as entries:
                kept = [entry for entry in entries if isinstance(entry, dict)]
                wrong += [name] if len(kept) < len(entries) else []
                fields[name] = [
                    _numbers(entry, f"{name}.{i}", wrong) for i, entry in enumerate(kept)
                ]
    if wrong:
        problems.append(f"metrics.json has values that cannot be read: {', '.join(wrong)}.")
    return fields, problems


def _numbers(values: dict[str, Any], name: str, wrong: list[str]) -> dict[str, Any]:
    """What in nested figures is a number or null under a plain key; the rest counts as wrong."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if not _is_figure_key(key):
            wrong.append(f"a key of {name}")
        elif type(value) in _NUMBERS:
            found[key] = value
        elif isinstance(value, dict):
            found[key] = _numbers(value, f"{name}.{key}", wrong)
        elif isinstance(value, list) and all(type(item) in _NUMBERS for item in value):
            found[key] = value
        else:
            wrong.append(f"{name}.{key}")
    return found


@lru_cache  # a list of a thousand runs asks for the same few a quarter of a million times
def _is_figure_key(key: str) -> bool:
    return _FIGURE_KEY.fullmatch(key) is not None


def _starts(path: Path) -> tuple[dict[str, Any], ...]:
    if not _is_readable(path, _MAX_JSON_BYTES):
        return ()
    starts = parse_strict(path.read_bytes()).get("starts")
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise ValueError("it must list the starts of a run")
    return tuple(starts)


def _evaluation(path: Path) -> Evaluation | None:
    if not _is_readable(path, _MAX_LOG_BYTES):
        return None
    from psann.run.directory.npz import read_npz

    content = read_npz(path)
    if content.broken:
        raise ValueError("; ".join(content.broken.values()))
    arrays = content.arrays
    names, net, gross, allocations = (
        arrays[name] for name in ("names", "net", "gross", "allocations")
    )
    time, assets = arrays.get("time"), arrays.get("assets")
    n_rows = net.shape[-1] if net.ndim == 2 else -1
    fits = (
        names.ndim == 1
        and net.shape == gross.shape == (len(names), n_rows)
        and allocations.ndim == 2
        and len(allocations) == n_rows
        and (time is None or time.shape == (n_rows,))
        and (assets is None or assets.shape == allocations.shape[1:])
    )
    if not fits or any(array.dtype.kind not in "fiu" for array in (net, gross, allocations)):
        raise ValueError("the shapes or types of its arrays do not fit together")
    return Evaluation(
        names=tuple(str(name) for name in names),
        net=net.astype(float),
        gross=gross.astype(float),
        allocations=allocations.astype("float32"),
        time=time,
        assets=None if assets is None else tuple(str(name) for name in assets),
    )


def _is_readable(path: Path, max_bytes: int) -> bool:
    """Whether a file is there; one that must not be read is an error."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no plain file")
    if status.st_size > max_bytes:
        raise ValueError(f"it has {status.st_size:,} bytes, more than {max_bytes:,}")
    return True


def _missing(path: Path, metrics: Mapping[str, Any]) -> list[str]:
    """Files that the last record names and that are not there as it says, as in half a copy."""
    texts = []
    left_out = _left_out(path)
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


def _left_out(path: Path) -> list[str]:
    """Files that the archive was made without from which the run came."""
    packing_list = RunPaths(path).packing_list
    if not packing_list.is_file():
        return []
    # Only here: few runs came by archive, and what reads archives is slow to import.
    from psann.run.directory.packing import left_out_of

    return left_out_of(packing_list)
