"""The folder of a sweep, and `sweep.json` in it: one row per trial, what was chosen, who counted.

The runs below `runs/` are the truth; this file is a summary of them that can be made again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from psann._strict_json import finite_json, to_json
from psann.errors import FileFormatError, RunLockedError, reason_of
from psann.run.directory.columns import sign_of
from psann.run.directory.fields import Record, got_to_its_end, trials_before
from psann.run.directory.files import read_json
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage

SCHEMA_VERSION = 1
FAILED = ("failed", "diverged", "ruined")
"""Statuses of a trial that has no value and gets none by being repeated."""
PRUNED = "pruned"
WAITING = "waiting"
"""Status of a trial that nobody has begun."""
_RUN = re.compile(r"t[0-9]{4,9}")
_PATIENCE_S, _NAP_S = 60.0, 0.01


class TrialRow(TypedDict):
    """One trial, as `sweep.json` has it."""

    run: str
    """Name of its run directory below `runs/`."""
    overrides: dict[str, Any]
    """What it sets, by key."""
    status: str
    """Of its run, or `waiting`."""
    value: float | None
    """The monitor of its kept weights on validation rows; of several seeds their mean."""
    best_epoch: int | None
    candidates: int
    """What it compared: epochs, temperatures, the untrained policy, of every seed."""
    data_sha256: str | None


class SweepRecord(TypedDict):
    """`sweep.json`."""

    schema_version: int
    sweep_sha256: str
    """Digest of what the trials are a function of."""
    data_sha256: str | None
    search: str
    order_dependent: bool
    """Whether what was tried depends on which trial ended first."""
    monitor: str | None
    """The quantity that `value` is of."""
    keys: list[str]
    planned: int
    trials: list[TrialRow]
    chosen: dict[str, Any] | None
    """Run, value and n_trials of the last `--finish`."""
    n_trials: int
    """Candidates of all trials together, pruned and failed included."""
    n_looks: int
    """How often test rows have been looked at."""


@dataclass(frozen=True)
class SweepPaths:
    """The files of one sweep."""

    root: Path

    @property
    def sweep(self) -> Path:
        """The search, with all defaults."""
        return self.root / "sweep.yaml"

    @property
    def record(self) -> Path:
        """One row per trial."""
        return self.root / "sweep.json"

    @property
    def journal(self) -> Path:
        """Queue and history of the search, of Optuna's format."""
        return self.root / "study.journal"

    @property
    def runs(self) -> Path:
        """Folder of the trials' run directories."""
        return self.root / "runs"

    @property
    def chosen(self) -> Path:
        """The chosen policy, judged on test rows."""
        return self.root / "chosen"

    @property
    def lock(self) -> Path:
        """Held while `sweep.json` is read and written."""
        return self.root / ".lock"

    def run(self, number: int) -> RunPaths:
        """The run directory of a trial."""
        return RunPaths(self.runs / run_name(number))


def run_name(number: int) -> str:
    """Name of a trial's run.

    Examples
    --------
    >>> run_name(7)
    't0007'
    """
    return f"t{number:04d}"


def number_of(row: TrialRow) -> int:
    """Number of the trial that a row tells of."""
    return int(row["run"].removeprefix("t"))


@contextmanager
def claimed(paths: SweepPaths) -> Iterator[Storage]:
    """Write access to a sweep's folder, for as short as it takes to read and write its record.

    Raises
    ------
    RunLockedError
        If another process has it for a minute.
    """
    deadline = time.monotonic() + _PATIENCE_S
    with Storage(paths.root) as storage:
        while True:
            try:
                storage.lock(paths.lock)
                break
            except RunLockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_NAP_S)
        yield storage


_MADE_ANEW = "Remove it: the next start makes it anew from the runs, but for n_looks."


def read_record(paths: SweepPaths) -> SweepRecord | None:
    """Read `sweep.json`; None where there is none.

    Raises
    ------
    FileFormatError
        If it is damaged or of another version.
    """
    try:
        content = read_json(paths.record)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileFormatError(f"{paths.record} cannot be read: {reason_of(error)}.") from None
    except ValueError as error:
        raise FileFormatError(f"{paths.record} cannot be read: {error}. {_MADE_ANEW}") from None
    hints = SweepRecord.__annotations__
    rows = content.get("trials")
    is_whole = content.get("schema_version") == SCHEMA_VERSION and hints.keys() <= content.keys()
    names = TrialRow.__annotations__.keys()
    if not (is_whole and isinstance(rows, list) and all(_has(row, names) for row in rows)):
        raise FileFormatError(
            f"{paths.record} must be of schema version {SCHEMA_VERSION} with all its fields. "
            f"{_MADE_ANEW}"
        )
    return cast(SweepRecord, content)


def _has(row: object, names: Any) -> bool:
    if not isinstance(row, dict) or not names <= row.keys():
        return False
    is_named = isinstance(row["run"], str) and _RUN.fullmatch(row["run"]) is not None
    return is_named and isinstance(row["overrides"], dict)


def write_record(storage: Storage, paths: SweepPaths, record: SweepRecord) -> None:
    """Write `sweep.json`."""
    storage.put(paths.record, to_json(finite_json(cast(Any, record))[0]))


def trial_row(number: int, overrides: dict[str, Any], metrics: Record) -> TrialRow:
    """What the record of a trial's run says of it."""
    return {
        "run": run_name(number),
        "overrides": overrides,
        "status": metrics["status"] or WAITING,
        "value": value_of(metrics),
        "best_epoch": metrics["best_epoch"],
        "candidates": candidates_of(metrics),
        "data_sha256": metrics["data_sha256"],
    }


def read_row(paths: SweepPaths, number: int, overrides: dict[str, Any]) -> TrialRow:
    """The row of a trial, from its run directory."""
    return trial_row(number, overrides, read_metrics(paths.run(number).metrics)[0])


def value_of(metrics: Record) -> float | None:
    """The monitor of the kept weights of a run that got to its end; None of any other.

    What a pruned trial had by then is no value of its own: it was stopped as worse than others.
    """
    is_whole = got_to_its_end(metrics) and metrics["status"] != PRUNED
    return metrics["monitor_value"] if is_whole else None


def is_settled(metrics: Record) -> bool:
    """Whether nothing more will come of a run: it ended, or failed and would fail again.

    A disk that took no more would take more another time.
    """
    last_line = (metrics["error"] or "").strip().rpartition("\n")[2]
    has_failed = metrics["status"] in FAILED and not last_line.startswith("OSError")
    return has_failed or metrics["status"] == PRUNED or value_of(metrics) is not None


def candidates_of(metrics: Record) -> int:
    """Candidates that a run compared, also one that failed or was stopped on its way."""
    if metrics["n_trials"] is not None:
        return metrics["n_trials"] - (trials_before(metrics) or 0)
    seeds = metrics["per_seed"] or [{"epoch": metrics["epoch"]}]
    return sum((entry.get("epoch") or 0) + 1 for entry in seeds) if metrics["status"] else 0


def n_data_sets(rows: list[TrialRow]) -> int:
    """How many data sets the values are of; one, unless a file was changed on the way."""
    return len({row["data_sha256"] for row in rows if row["value"] is not None})


def best_row(rows: list[TrialRow], monitor: str | None) -> TrialRow | None:
    """The row with the best value, the first of equals; None without one, or of several data."""
    judged = [row for row in rows if row["value"] is not None and monitor is not None]
    if n_data_sets(rows) > 1:
        return None
    return max(judged, key=lambda row: sign_of(monitor) * (row["value"] or 0.0), default=None)
