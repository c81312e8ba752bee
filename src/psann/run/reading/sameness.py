"""Whether two runs found the same, to the last bit: the only place that decides it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from psann._digest import entry_of
from psann.run.directory.columns import DETERMINISTIC_COLUMNS, LATER_COLUMNS
from psann.run.directory.fields import FIELDS, FIELDS_OF_THE_START, LATER
from psann.run.directory.packing import left_out_of
from psann.run.directory.paths import RunPaths
from psann.run.reading.reading import RunView

_MOST_SHOWN = 5
_RESULTS = ("best*", "warm_start*", "fold_*", "placebo_*")
_ON_REQUEST = "epoch_*"


def bit_differences(left: RunView, right: RunView) -> list[str]:
    """Where two runs are not the same to the last bit.

    Parameters
    ----------
    left, right : RunView
        Two runs, of one configuration if they are to be the same.

    Returns
    -------
    list of str
        A phrase each: rows of epochs (every column but times), fields of `metrics.json` (but
        times, identity, machine and what tells of resumes), estimators and series. What a release
        did not know yet, what only one of them was asked to keep, and what an archive was made
        without, is no difference. Empty if there is none.
    """
    return [*_of_rows(left, right), *_of_records(left, right), *_of_files(left, right)]


def _of_rows(left: RunView, right: RunView) -> list[str]:
    found = []
    lacking = {name for run in (left, right) for name in LATER_COLUMNS if not _has(run, name)}
    known = [name for name in DETERMINISTIC_COLUMNS if name not in lacking]
    for ours, theirs in zip_longest(left.epochs, right.epochs):
        if ours is None or theirs is None:
            counts = f"one log has {len(left.epochs)} rows of epochs, the other {len(right.epochs)}"
            found.append(counts)
            break
        columns = [name for name in known if repr(ours[name]) != repr(theirs[name])]
        if columns:
            where = f"seed {ours['seed']}, phase {ours['phase']}, epoch {ours['epoch']}"
            values = ", ".join(f"{name} {ours[name]} / {theirs[name]}" for name in columns)
            found.append(f"{where}: {values}")
    if len(found) > _MOST_SHOWN:
        found[_MOST_SHOWN:] = [f"{len(found) - _MOST_SHOWN} more rows of epochs"]
    return found


def _has(run: RunView, column: str) -> bool:
    return any(row[column] is not None for row in run.epochs)


def _of_records(left: RunView, right: RunView) -> Iterator[str]:
    for name, field in FIELDS.items():
        ours, theirs = left.value(name), right.value(name)
        is_unknown = LATER in field.traits and None in (ours, theirs)
        if name not in FIELDS_OF_THE_START and not is_unknown and _json(ours) != _json(theirs):
            yield f"metrics.json: {name} {ours!r} / {theirs!r}"


def _json(value: object) -> str:
    """A text that is the same for values that are the same to the bit, also for zeros of a sign."""
    return json.dumps(value, sort_keys=True)


def _of_files(left: RunView, right: RunView) -> Iterator[str]:
    ours, theirs = (results_of(RunPaths(run.path)) for run in (left, right))
    left_out = {name for run in (left, right) for name in left_out_of(RunPaths(run.path))}
    for name in sorted(ours.keys() | theirs.keys()):
        both = name in ours and name in theirs
        if both and entry_of(ours[name]) != entry_of(theirs[name]):
            yield f"{name} differs"
        elif not both and name not in left_out and not Path(name).match(_ON_REQUEST):
            yield f"only one has {name}"


def results_of(paths: RunPaths) -> dict[str, Path]:
    """What a run found, by relative path: its estimators and its series."""
    estimators = [
        path for kind in (*_RESULTS, _ON_REQUEST) for path in paths.checkpoints.glob(kind)
    ]
    series = [path for path in (paths.evaluation, paths.walk_forward) if path.exists()]
    return {path.relative_to(paths.root).as_posix(): path for path in (*estimators, *series)}
