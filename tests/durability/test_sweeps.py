"""Sweeps under SIGKILL at random instants: no trial is lost, and none is another."""

from __future__ import annotations

import os
import random
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from made_sweeps import COMMAND, TESTS, digest, kill, looped, made_sweep, write_sweep
from psann._machine import is_alive
from psann.run.directory.lock import read_holder
from psann.run.sweep.record import SweepPaths, read_record
from psann.run.sweep.worker import WorkOptions, work
from psann.run.verification.verify import verify_run

CONFIG = {"training": {"epochs": 30, "checkpoint_every_s": 1e-6}}
SEED = int(os.environ.get("PSANN_CHAOS_SEED", "0"))
N_KILLS = int(os.environ.get("PSANN_CHAOS_KILLS", "50"))


def start(file: Path, output: Path) -> subprocess.Popen[str]:
    """A worker in a process of its own, with the loaders and rewards of the tests."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*COMMAND, "sweep", str(file), "-o", str(output), "--workers", "1"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children_of(pid: int) -> list[int]:
    """Processes below one: its forkserver, and the runs that came of that."""
    found, waiting = [], [pid]
    while waiting:
        above = waiting.pop()
        with suppress(OSError):
            text = Path(f"/proc/{above}/task/{above}/children").read_text()
            waiting += map(int, text.split())
            found += map(int, text.split())
    return found


def runs_alive(paths: SweepPaths) -> list[int]:
    holders = (read_holder(run / ".lock").get("pid") for run in paths.runs.glob("t*"))
    return [pid for pid in holders if isinstance(pid, int) and is_alive(pid)]


def is_done(paths: SweepPaths, n_trials: int) -> bool:
    record = read_record(paths)
    rows = [] if record is None else record["trials"]
    return sum(row["value"] is not None for row in rows) == n_trials


@pytest.mark.chaos
def test_twelve_trials_under_kills_of_workers_forkservers_and_runs_are_those_of_a_plain_loop(
    tmp_path: Path,
) -> None:
    print(f"PSANN_CHAOS_SEED={SEED}")
    draws = random.Random(SEED)
    file = write_sweep(tmp_path, trials=12, config=CONFIG)
    sweep, paths = made_sweep(tmp_path, trials=12, config=CONFIG)
    workers: list[subprocess.Popen[str]] = []
    landed = 0
    while not is_done(paths, 12) or workers:
        for worker in list(workers):
            if worker.poll() is not None:
                worker.communicate()
                workers.remove(worker)
        while len(workers) < 2 and not is_done(paths, 12):
            workers.append(start(file, paths.root))
        time.sleep(draws.uniform(0.5, 6.0))
        if landed < N_KILLS and workers:
            worker = draws.choice(workers)
            below = children_of(worker.pid)
            victim = draws.choice([worker.pid, *below, *runs_alive(paths)])
            with suppress(ProcessLookupError):
                kill(victim)
                landed += 1
    print(f"kills that landed: {landed}")
    assert work(sweep, paths, WorkOptions()).exit_code == 0
    calm_sweep, calm = made_sweep(tmp_path / "calm", trials=12, config=CONFIG)
    assert work(calm_sweep, calm, WorkOptions(n_at_once=2)).exit_code == 0
    loop_sweep, loop = made_sweep(tmp_path / "loop", trials=12, config=CONFIG)
    looped(loop_sweep, loop)
    assert work(loop_sweep, loop, WorkOptions()).exit_code == 0  # sums up what is there
    assert digest(paths) == digest(calm) == digest(loop)
    assert all(verify_run(run).errors == () for run in paths.runs.iterdir())
