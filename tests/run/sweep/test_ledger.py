"""The record of a sweep beside its runs; what workers make of it is tested with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_sweeps import made_sweep
from psann.errors import UsageError
from psann.run.sweep.ledger import Ledger, join
from psann.run.sweep.queue import Queue, open_storage
from psann.run.sweep.record import read_record
from psann.run.sweep.worker import WorkOptions, work


def test_another_sweep_in_the_folder_is_refused_and_runs_of_a_lost_tpe_record_too(
    tmp_path: Path,
) -> None:
    sweep, paths = made_sweep(tmp_path, search="tpe", trials=1)
    work(sweep, paths, WorkOptions())
    other, _ = made_sweep(tmp_path, seed=1)
    with pytest.raises(UsageError, match="holds another"):
        work(other, paths, WorkOptions())
    paths.record.unlink()
    with pytest.raises(UsageError, match="known by it alone"):
        work(sweep, paths, WorkOptions())


def test_what_a_killed_writer_left_is_removed_but_nothing_of_a_run_that_may_live(
    tmp_path: Path,
) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    name = ".sweep.json.0123abcd.tmp"
    of_a_run = paths.run(0).root / ".metrics.json.0123abcd.tmp"
    of_a_run.parent.mkdir()
    for path in (paths.root / name, of_a_run):
        path.write_text("half")
    join(sweep, paths)
    assert not (paths.root / name).exists() and of_a_run.exists()


def test_a_glance_at_a_trial_is_of_its_own_run_also_where_earlier_ones_are_gone(
    tmp_path: Path,
) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    record = read_record(paths)
    assert record is not None
    paths.run(2).root.mkdir(parents=True)  # of a journal that is lost, with the runs before it
    ledger = Ledger(sweep, paths, Queue(sweep, open_storage(paths.journal, None)))
    (row,) = ledger.refresh()["trials"]
    assert (row["run"], row["overrides"]) == ("t0002", sweep.point(2))
    assert ledger.glance({**record, "trials": [row]})["trials"] == [row]
