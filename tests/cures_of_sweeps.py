"""What is said of sweeps, and what does what it says; `test_cures.py` does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_sweeps import made_sweep
from psann.run.directory.paths import RunPaths
from psann.run.sweep.config import Sweep
from psann.run.sweep.ledger import join
from psann.run.sweep.queue import Queue, open_storage
from psann.run.sweep.record import SweepPaths, read_record
from psann.run.sweep.studies import check_run
from trials import change_record, finished

_PENALTY = {"hisso.transition_penalty": [0.001, 0.002]}
_SEEDS = {"training.seeds": [1, 2]}
_FEW = {"training.lr": [0.01, 0.02]}


def joined(folder: Path, **changes: Any) -> tuple[Sweep, SweepPaths]:
    sweep, paths = made_sweep(folder, **changes)
    join(sweep, paths)
    return sweep, paths


def _without_journal(folder: Path, *, starts: int) -> None:
    """A worker whose journal is removed, and who starts once or again."""
    sweep, paths = joined(folder)
    queue = Queue(sweep, open_storage(paths.journal))
    queue.claim()
    paths.journal.unlink()
    for _ in range(starts - 1):
        queue = Queue(sweep, open_storage(paths.journal))
    queue.claim()


def _of_another_version(folder: Path) -> None:
    sweep, paths = joined(folder)
    content = json.loads(paths.record.read_text())
    paths.record.write_text(json.dumps({**content, "schema_version": 0}))
    join(sweep, paths)


def _removed(folder: Path) -> None:
    """The cure of the record that `_of_another_version` has left."""
    sweep, paths = made_sweep(folder)
    paths.record.unlink()
    join(sweep, paths)
    record = read_record(paths)
    assert record is not None and record["sweep_sha256"] == sweep.sha256


def _of_a_lost_record(folder: Path) -> None:
    sweep, paths = joined(folder, search="tpe")
    paths.run(0).root.mkdir()
    paths.record.unlink()
    join(sweep, paths)


def _in_a_new_folder(folder: Path) -> None:
    sweep, _ = made_sweep(folder, search="tpe")
    join(sweep, SweepPaths(folder / "new"))


def _begun(folder: Path) -> RunPaths:
    """A run whose record says that it was stopped."""
    asked = ("data.loader=trials.continuous", "evaluation.placebo=1")
    paths = finished(folder, *asked)
    change_record(paths, status="preempted")
    return paths


# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Callable[..., object], ...]] = {
    "is null; give that in the run's configuration": (
        lambda tmp_path: made_sweep(tmp_path, space=_PENALTY),
        lambda tmp_path: made_sweep(
            tmp_path, space=_PENALTY, config={"evaluation": {"trans_cost": 0.001}}
        ),
    ),
    "would take means over other seeds; give it in the run's configuration": (
        lambda tmp_path: made_sweep(tmp_path, space=_SEEDS),
        lambda tmp_path: made_sweep(tmp_path, space=_FEW, config={"training": {"seeds": 2}}),
    ),
    "has no effect where search is grid: remove it": (
        lambda tmp_path: made_sweep(tmp_path, search="grid", trials=2, space=_FEW),
        lambda tmp_path: made_sweep(tmp_path, search="grid", trials=None, space=_FEW),
    ),
    "was removed while this worker used it. Start the command again": (
        lambda tmp_path: _without_journal(tmp_path, starts=1),
        lambda tmp_path: _without_journal(tmp_path, starts=2),
    ),
    "Remove it: the next start makes it anew from the runs, but for n_looks": (
        lambda tmp_path: _of_another_version(tmp_path),
        lambda tmp_path: _removed(tmp_path),
    ),
    "is known by it alone. Choose a new folder": (
        lambda tmp_path: _of_a_lost_record(tmp_path),
        lambda tmp_path: _in_a_new_folder(tmp_path),
    ),
    "with your file, and its configuration with what it was. Only `trials` may change": (
        lambda tmp_path: [joined(tmp_path), joined(tmp_path, seed=1)],
        lambda tmp_path: [joined(tmp_path), joined(tmp_path, trials=5)],
    ),
    "has no config_resolved.yaml. Start the run, and give its directory": (
        lambda tmp_path: check_run(RunPaths(tmp_path)),
        lambda tmp_path: check_run(_begun(tmp_path)),
    ),
}

# Text of the message: the test that does what it says.
ELSEWHERE: dict[str, str] = {
    "Restore it, or sweep anew into a new folder": (
        "run/sweep/test_worker.py::"
        "test_a_configuration_that_is_changed_under_a_worker_is_trained_by_nobody"
    ),
}

# Text of the message: why no test can do here what it says.
OUTSIDE: dict[str, str] = {
    "start the command again once it does": "needs a server that comes back",
    "Give fewer --workers": "needs a machine that is short of memory",
}

# What only looks like a message that tells what to do.
NONE = ("order       what is tried, or for how long", "order       every number is a function")
