"""Training a run again from its resolved configuration, and comparing two runs bit by bit."""

from __future__ import annotations

import csv
import json
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import Any

from psann.errors import UsageError
from psann.run.events import COLUMNS
from psann.run.paths import RunPaths
from psann.run.runner import EXIT_DONE, RunRequest, execute, finished_record

# Times, and what numbers the rows: everything else is the same in every repetition.
_OF_THE_START = frozenset({"schema", "seq", "time_utc", "level", "message"})
DETERMINISTIC_COLUMNS = tuple(
    name for name in COLUMNS if name not in _OF_THE_START and not name.endswith("_s")
)
_FIELDS_OF_THE_START = frozenset(
    {
        *("run_id", "run_name", "started_utc", "updated_utc", "finished_utc", "heartbeat"),
        *("duration_seconds", "throughput_eps_per_sec", "resumes", "resume_exact"),
        *("resume_differences", "timing", "hardware", "artefacts"),
    }
)
_MOST_SHOWN = 5


def replay(root: Path, *, last_epochs: int) -> list[str]:
    """Train a finished run again in a scratch directory and compare.

    This imports and runs the loader, the reward and whatever else the configuration names.

    Parameters
    ----------
    root : Path
        The run directory; nothing in it is changed.
    last_epochs : int
        How many epochs before the end the repetition must begin at least. Kept epochs are
        estimators, which hold no optimiser, so that it begins at the start whatever this is.

    Returns
    -------
    list of str
        What differs; empty if everything is the same to the bit.

    Raises
    ------
    UsageError
        If the run was not trained to its end, or has fewer epochs.
    """
    paths = RunPaths(root)
    record = finished_record(paths)
    if record is None or record.get("mode") == "evaluate":
        raise UsageError(f"--replay needs a run that was trained to its end; {root} was not.")
    if last_epochs > (record.get("epoch") or 0):
        raise UsageError(
            f"--replay must be at most the {record.get('epoch')} epochs of the run; "
            f"got {last_epochs}."
        )
    with tempfile.TemporaryDirectory(prefix="psann-replay-") as scratch:
        outcome = execute(
            RunRequest(
                config=paths.config_resolved,
                output_dir=Path(scratch),
                run_name="replay",
                argv=("hisso-runs", "verify", "--replay", str(last_epochs)),
            )
        )
        if outcome.exit_code != EXIT_DONE or outcome.paths is None:
            return [f"the repetition ended with exit code {outcome.exit_code}: {outcome.message}"]
        found = bit_differences(paths, outcome.paths)
        return found + (_changes_of_machine(paths, outcome.paths) if found else [])


def bit_differences(left: RunPaths, right: RunPaths) -> list[str]:
    """Where two finished runs of one configuration are not the same to the last bit.

    Parameters
    ----------
    left, right : RunPaths
        Two run directories.

    Returns
    -------
    list of str
        Differing estimator files, epoch rows (every column but times) and fields of
        `metrics.json` (but times, identity and what tells of resumes).
    """
    found = []
    for ours, theirs in ((left.best, right.best), (left.warm_start, right.warm_start)):
        if _content(ours) != _content(theirs):
            found.append(f"{ours.name} differs")
    return [*found, *_row_differences(left, right), *_record_differences(left, right)]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _row_differences(left: RunPaths, right: RunPaths) -> list[str]:
    found = []
    for ours, theirs in zip_longest(_epoch_rows(left), _epoch_rows(right)):
        if ours is None or theirs is None:
            found.append("one log has more epoch rows than the other")
            break
        columns = [name for name in DETERMINISTIC_COLUMNS if ours[name] != theirs[name]]
        if columns:
            where = f"phase {ours['phase']}, epoch {ours['epoch']}"
            values = ", ".join(f"{name} {ours[name]} / {theirs[name]}" for name in columns)
            found.append(f"{where}: {values}")
    if len(found) > _MOST_SHOWN:
        found[_MOST_SHOWN:] = [f"{len(found) - _MOST_SHOWN} more epoch rows differ"]
    return found


def _epoch_rows(paths: RunPaths) -> list[dict[str, str]]:
    with paths.events.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["event"] == "epoch"]


def _record_differences(left: RunPaths, right: RunPaths) -> list[str]:
    ours, theirs = _record(left), _record(right)
    names = [name for name in ours if name not in _FIELDS_OF_THE_START]
    return [
        f"metrics.json: {name} {ours[name]!r} / {theirs.get(name)!r}"
        for name in names
        if ours[name] != theirs.get(name)
    ]


def _record(paths: RunPaths) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(paths.metrics.read_bytes())
    return content


def _changes_of_machine(left: RunPaths, right: RunPaths) -> list[str]:
    """What may explain a difference: another version, processor or number of threads."""
    ours, theirs = _surroundings(left), _surroundings(right)
    return [
        f"(the run had {name} {value!r}, the repetition {theirs.get(name)!r})"
        for name, value in ours.items()
        if value != theirs.get(name)
    ]


def _surroundings(paths: RunPaths) -> dict[str, Any]:
    start = json.loads(paths.provenance.read_bytes())["starts"][-1]
    hardware = _record(paths).get("hardware") or {}
    names = ("device", "device_name", "threads", "threads_available")
    return {**start["versions"], **{name: hardware.get(name) for name in names}}
