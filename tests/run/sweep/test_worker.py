"""One or many workers, killed or not: the same trials, values and weights as a plain loop."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError

from faults import exit_code_of, in_child
from forked import Forked
from made_sweeps import digest, kill, looped, made_sweep, wait_for
from psann.errors import PsannError
from psann.run.directory.lock import read_holder
from psann.run.sweep.child import Child, preloading_context, run_trial
from psann.run.sweep.config import Sweep
from psann.run.sweep.queue import Claim, Queue, open_storage
from psann.run.sweep.record import SweepPaths, SweepRecord, read_record
from psann.run.sweep.worker import WorkDone, Worker, WorkOptions, join, work
from psann.run.verification.verify import verify_run
from thinning import thinned

# Long enough to be killed past a commit, and committed at every epoch.
LONG = {"training": {"epochs": 40, "checkpoint_every_s": 1e-6}}
SHORT = {"training": {"epochs": 10, "checkpoint_every_s": 1e-6}}


def worked(sweep: Sweep, paths: SweepPaths, **options: Any) -> WorkDone:
    done = work(sweep, paths, WorkOptions(**options))
    assert (done.exit_code, done.messages) == (0, [])
    return done


def summed_up(sweep: Sweep, paths: SweepPaths) -> str:
    """Digest of runs that are there already: a worker only reads them."""
    worked(sweep, paths)
    return digest(paths)


def sound(paths: SweepPaths) -> bool:
    return all(verify_run(each).errors == () for each in paths.runs.iterdir())


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    sweep, paths = made_sweep(tmp_path_factory.mktemp("loop"))
    looped(sweep, paths)
    return summed_up(sweep, paths)


@pytest.mark.parametrize("n_at_once", thinned([2, 1]))
def test_workers_find_what_a_plain_loop_finds(
    tmp_path: Path, reference: str, n_at_once: int
) -> None:
    sweep, paths = made_sweep(tmp_path)
    record = worked(sweep, paths, n_at_once=n_at_once).record
    assert digest(paths) == reference
    assert sound(paths)
    assert [row["run"] for row in record["trials"]] == ["t0000", "t0001", "t0002", "t0003"]
    assert [row["overrides"] for row in record["trials"]] == [sweep.point(n) for n in range(4)]
    assert all(row["status"] == "completed" for row in record["trials"])
    assert record["n_trials"] == sum(row["candidates"] for row in record["trials"]) == 4 * 5
    assert record["monitor"] == "val_reward" and not record["order_dependent"]
    assert read_record(paths) == record


def test_no_test_figure_is_found_below_the_runs_before_the_sweep_is_finished(
    tmp_path: Path,
) -> None:
    sweep, paths = made_sweep(tmp_path, trials=2)
    worked(sweep, paths)
    for run in paths.runs.iterdir():
        text = (run / "metrics.json").read_text()
        assert '"test_loss": null' in text and '"test_reward_mean": null' in text
        assert '"portfolio_metrics": null' in text
        assert not (run / "evaluation.npz").exists()


def test_a_worker_that_comes_later_trains_nothing_again(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path, trials=2)
    worked(sweep, paths)
    before = {path: path.stat().st_mtime_ns for path in paths.runs.rglob("*")}
    worked(sweep, paths)
    assert {path: path.stat().st_mtime_ns for path in paths.runs.rglob("*")} == before


def test_more_trials_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path, trials=1)
    worked(sweep, paths)
    more, _ = made_sweep(tmp_path, trials=2)
    record = worked(more, paths).record
    assert (record["planned"], len(record["trials"])) == (2, 2)


def test_a_journal_that_is_lost_half_way_costs_nothing(tmp_path: Path, reference: str) -> None:
    half, paths = made_sweep(tmp_path, trials=2)
    worked(half, paths)
    paths.journal.unlink()
    sweep, _ = made_sweep(tmp_path)
    worked(sweep, paths)
    assert digest(paths) == reference


def test_a_record_that_is_lost_is_made_anew_from_the_runs(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path, trials=2)
    before = worked(sweep, paths).record
    paths.record.unlink()
    assert worked(sweep, paths).record == before


def test_trials_that_fail_or_diverge_have_no_value_and_are_not_repeated(tmp_path: Path) -> None:
    sweep, paths = made_sweep(
        tmp_path,
        search="grid",
        trials=None,
        space={"training.lr": [0.05, 1e30], "training.engine": ["eager", "captured"]},
    )
    record = worked(sweep, paths).record
    statuses = [row["status"] for row in record["trials"]]
    assert statuses[0] == "completed" and statuses[1] == "failed"  # no CUDA device here
    assert statuses[2] in ("diverged", "ruined", "failed") and statuses[3] == "failed"
    assert [row["value"] is None for row in record["trials"]] == [False, True, True, True]
    before = {path: path.stat().st_mtime_ns for path in paths.runs.rglob("*")}
    assert worked(sweep, paths).record == record
    assert {path: path.stat().st_mtime_ns for path in paths.runs.rglob("*")} == before


def test_a_trial_whose_process_is_killed_past_a_commit_goes_on_from_there(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path / "killed", trials=1, config=LONG)
    killed: list[int] = []

    def look(record: SweepRecord) -> None:
        run = paths.run(0)
        if not killed and run.last.exists():
            pid = read_holder(run.lock)["pid"]
            assert isinstance(pid, int)
            kill(pid)
            killed.append(pid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("psann.run.sweep.worker._LOOK_S", 0.02)
        record = worked(sweep, paths, look=look).record
    assert killed and record["trials"][0]["status"] == "completed"
    assert '"resumes": 1' in paths.run(0).metrics.read_text()
    other, calm = made_sweep(tmp_path / "calm", trials=1, config=LONG)
    worked(other, calm)
    assert digest(paths) == digest(calm)
    assert sound(paths)


@pytest.mark.parametrize(
    ("loader", "told"),
    [
        ("trials.killing", "t0000 was killed 3 times by SIGKILL"),
        ("trials.interrupting", "t0000 was stopped 3 times, and not by this command"),
    ],
)
def test_a_trial_that_ends_again_and_again_is_left_with_a_word(
    tmp_path: Path, loader: str, told: str
) -> None:
    sweep, paths = made_sweep(tmp_path, trials=1, config={"data": {"loader": loader}})
    done = work(sweep, paths, WorkOptions())
    assert done.exit_code == 1
    assert told in done.messages[0]


def in_another_process(action: Callable[[], object]) -> int:
    """Do something in a process that is gone then: what it claimed is an orphan's."""

    def act() -> int:
        action()
        return 0

    return exit_code_of(in_child(act))


def test_a_claim_whose_worker_died_before_there_was_a_directory_is_adopted(
    tmp_path: Path, reference: str
) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)

    def claim() -> None:
        Queue(sweep, open_storage(paths.journal)).claim()

    assert in_another_process(claim) == 0
    assert not paths.run(0).root.exists()
    worked(sweep, paths)
    assert digest(paths) == reference


def test_of_two_adopters_of_one_dead_trial_one_has_the_lock_and_the_other_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, paths = made_sweep(tmp_path, trials=1, config=LONG)
    join(sweep, paths)
    assert in_another_process(lambda: Queue(sweep, open_storage(paths.journal)).claim()) == 0
    for name in ("YOUNG_S", "STALE_AFTER_S"):  # neither sees the other's claim
        monkeypatch.setattr(f"psann.run.sweep.queue.{name}", 0.0)
    workers = [
        Worker(sweep, paths, Queue(sweep, open_storage(paths.journal)), WorkOptions())
        for _ in range(2)
    ]
    claims = [worker._next() for worker in workers]
    context, started = preloading_context(), []
    for worker, claim in zip(workers, claims, strict=True):
        assert claim is not None and claim.number == 0
        started.append(Child(context, partial(run_trial, worker._request(claim))))
    endings = [child.ending() for child in started]
    assert sorted(ending.exit_code for ending in endings) == [0, 75]
    for worker, claim, ending in zip(workers, claims, endings, strict=True):
        assert claim is not None
        worker._take(claim, ending)
    assert worked(sweep, paths).record["trials"][0]["status"] == "completed"
    assert '"resumes": 0' in paths.run(0).metrics.read_text()
    assert sound(paths)


def test_a_claim_of_a_live_process_and_one_of_another_machine_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, paths = made_sweep(tmp_path, trials=3)
    join(sweep, paths)
    queue = Queue(sweep, open_storage(paths.journal))
    queue.claim()  # this process lives
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    queue.claim()
    monkeypatch.undo()
    record = worked(sweep, paths).record
    assert [row["status"] for row in record["trials"]] == ["waiting", "waiting", "completed"]
    # Five minutes on, nobody has heard of that machine.
    late = time.time() + 400
    monkeypatch.setattr("psann.run.sweep.queue.time.time", lambda: late)
    record = worked(sweep, paths).record
    assert [row["status"] for row in record["trials"]] == ["completed"] * 3


def test_a_run_that_is_alive_is_nobody_else_s(tmp_path: Path) -> None:
    from psann.run.directory.storage import Storage

    sweep, paths = made_sweep(tmp_path, trials=1)
    join(sweep, paths)
    assert in_another_process(lambda: Queue(sweep, open_storage(paths.journal)).claim()) == 0
    with Storage(paths.run(0).root) as storage:
        storage.lock(paths.run(0).lock)
        assert worked(sweep, paths).record["trials"][0]["status"] == "waiting"
    assert worked(sweep, paths).record["trials"][0]["status"] == "completed"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_runs_and_another_start_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    sweep, paths = made_sweep(tmp_path / "a", trials=2, config=LONG)

    def look(record: SweepRecord) -> None:
        if paths.run(0).last.exists():
            os.kill(os.getpid(), number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("psann.run.sweep.worker._LOOK_S", 0.02)
        done = work(sweep, paths, WorkOptions(look=look))
    assert done.exit_code == code
    status = {143: "preempted", 130: "interrupted"}[code]
    assert [row["status"] for row in done.record["trials"]] == [status]
    worked(sweep, paths)
    other, calm = made_sweep(tmp_path / "b", trials=2, config=LONG)
    worked(other, calm, n_at_once=2)
    assert digest(paths) == digest(calm)


def test_a_signal_that_comes_while_a_run_is_being_started_reaches_it(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    worker = Worker(sweep, paths, Queue(sweep, open_storage(paths.journal)), WorkOptions())
    told: list[signal.Signals] = []

    class Started:
        def send_signal(self, number: signal.Signals) -> None:
            told.append(number)

    started: Any = Started()
    worker._start(started, Claim(0, {}))
    worker._stop = signal.SIGHUP
    worker._start(started, Claim(1, {}))
    worker._stop = signal.SIGINT
    worker._start(started, Claim(2, {}))
    assert told == [signal.SIGTERM, signal.SIGINT]


def test_two_processes_one_killed_find_what_a_plain_loop_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, paths = made_sweep(tmp_path, config=SHORT, trials=2)
    # Both have torch already; `test_array.py` and `test_slurm.py` start the command itself.
    monkeypatch.setattr(
        "psann.run.sweep.worker.preloading_context", lambda: multiprocessing.get_context("fork")
    )
    one, other = (Forked(lambda: work(sweep, paths, WorkOptions()).exit_code) for _ in range(2))
    wait_for(paths.run(0).last, one)
    one.send_signal(signal.SIGKILL)
    assert (one.wait(), other.wait()) == (-signal.SIGKILL, 0)
    # What the dead worker's run had begun, it committed when it saw that it was alone.
    worked(sweep, paths)
    reference, loop = made_sweep(tmp_path / "loop", config=SHORT, trials=2)
    looped(reference, loop)
    assert digest(paths) == summed_up(reference, loop)
    assert sound(paths)


def test_a_queue_that_answers_no_more_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, paths = made_sweep(tmp_path, trials=1)

    def failing(queue: Queue) -> None:
        raise StorageInternalError("An exception is raised")

    monkeypatch.setattr(Queue, "claim", failing)
    with pytest.raises(PsannError, match="The queue answers no more; start the command again"):
        work(sweep, paths, WorkOptions())


def test_a_configuration_that_is_changed_under_a_worker_is_trained_by_nobody(
    tmp_path: Path,
) -> None:
    sweep, paths = made_sweep(tmp_path, trials=2)
    was = sweep.config_path.read_text()

    def look(record: SweepRecord) -> None:
        sweep.config_path.write_text(was.replace("epochs: 4", "epochs: 5"))

    done = work(sweep, paths, WorkOptions(look=look))
    assert done.exit_code == 1 and len(done.record["trials"]) == 1
    assert "trial.yaml must stay as it is while a sweep goes on" in done.messages[0]
    sweep.config_path.write_text(was)
    again, calm = made_sweep(tmp_path / "calm", trials=2)
    worked(again, calm)
    worked(sweep, paths)
    assert digest(paths) == digest(calm)


def test_a_disk_that_is_full_stops_the_worker_and_not_the_trial(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path, trials=1)
    join(sweep, paths)
    (paths.runs / "t0000").write_text("in the way")
    done = work(sweep, paths, WorkOptions())
    assert done.exit_code == 1
    assert "t0000" in done.messages[0]
    (paths.runs / "t0000").unlink()
    assert worked(sweep, paths).record["trials"][0]["status"] == "completed"


def test_tpe_tries_the_same_with_one_worker_and_goes_on_where_a_journal_was_lost(
    tmp_path: Path,
) -> None:
    asked = {"search": "tpe", "trials": 4}
    sweep, paths = made_sweep(tmp_path / "a", **asked)
    record = worked(sweep, paths).record
    assert record["order_dependent"]
    assert len({str(row["overrides"]) for row in record["trials"]}) > 1
    half, other = made_sweep(tmp_path / "b", **{**asked, "trials": 2})
    worked(half, other)
    other.journal.unlink()
    again, _ = made_sweep(tmp_path / "b", **asked)
    worked(again, other)
    assert digest(other) == digest(paths)
    shutil.rmtree(other.root)
