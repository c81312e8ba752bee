"""A trial's process: how it ends is told, and it does not outlive its worker by much."""

from __future__ import annotations

import multiprocessing
import signal
import time
from functools import partial
from pathlib import Path

from forked import Forked
from made_sweeps import wait_for
from psann._machine import is_alive
from psann.run.directory.lock import read_holder
from psann.run.directory.paths import RunPaths
from psann.run.execution.context import RunRequest
from psann.run.sweep.child import Child, Told, preloading_context, run_trial
from trials import metrics_of, write_config


def asked(folder: Path, *overrides: str) -> partial[Told]:
    return partial(
        run_trial,
        RunRequest(
            config=write_config(folder),
            output_dir=folder / "out",
            run_name="run",
            overrides=overrides,
        ),
    )


def test_the_end_of_a_run_is_told_with_exit_code_and_message(tmp_path: Path) -> None:
    context = preloading_context()
    done = Child(context, asked(tmp_path / "a")).ending()
    assert (done.exit_code, done.message) == (0, None)
    failed = Child(context, asked(tmp_path / "b", "data.loader=trials.raising")).ending()
    assert failed.exit_code == 1
    assert failed.message is not None and "the database is down" in failed.message
    killed = Child(context, asked(tmp_path / "c", "data.loader=trials.killing")).ending()
    assert killed.exit_code == -signal.SIGKILL


def test_what_a_run_would_show_goes_nowhere(tmp_path: Path, capfd: object) -> None:
    Child(preloading_context(), asked(tmp_path, "data.loader=trials.raising")).ending()
    assert capfd.readouterr() == ("", "")  # type: ignore[attr-defined]


def test_a_run_whose_worker_is_killed_commits_and_ends(tmp_path: Path) -> None:
    long = ("training.epochs=100000", "training.checkpoint_every_s=1e-6", "training.engine=eager")
    request, run = asked(tmp_path, *long), RunPaths(tmp_path / "out" / "run")
    # It has torch already, and forks its child itself.
    worker = Forked(lambda: Child(multiprocessing.get_context("fork"), request).ending().exit_code)
    wait_for(run.last, worker)
    pid = read_holder(run.lock)["pid"]
    assert isinstance(pid, int)
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert metrics_of(run)["status"] == "preempted"
