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
    # Behind what takes the locks away, where that is asked for.
    modules = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(TESTS)]))
    environment = {**os.environ, "PYTHONPATH": modules, "OMP_NUM_THREADS": "1"}
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


def under_kills(folder: Path, draws: random.Random, most: int) -> tuple[SweepPaths, int]:
    """A sweep by two workers, of which something is killed every few seconds; and how often."""
    file = write_sweep(folder, trials=12, config=CONFIG)
    sweep, paths = made_sweep(folder, trials=12, config=CONFIG)
    workers: list[subprocess.Popen[str]] = []
    landed = 0
    while not is_done(paths, 12) or workers:
        for worker in [each for each in workers if each.poll() is not None]:
            worker.communicate()
            workers.remove(worker)
        while len(workers) < 2 and not is_done(paths, 12):
            workers.append(start(file, paths.root))
        time.sleep(draws.uniform(0.5, 6.0))
        if landed < most and workers:
            worker = draws.choice(workers)
            below = children_of(worker.pid)
            victim = draws.choice([worker.pid, *below, *runs_alive(paths)])
            with suppress(ProcessLookupError):
                kill(victim)
                landed += 1
    assert work(sweep, paths, WorkOptions()).exit_code == 0
    return paths, landed


@pytest.mark.chaos
def test_twelve_trials_under_kills_of_workers_forkservers_and_runs_are_those_of_a_plain_loop(
    tmp_path: Path,
) -> None:
    print(f"PSANN_CHAOS_SEED={SEED}")
    calm_sweep, calm = made_sweep(tmp_path / "calm", trials=12, config=CONFIG)
    assert work(calm_sweep, calm, WorkOptions(n_at_once=2)).exit_code == 0
    loop_sweep, loop = made_sweep(tmp_path / "loop", trials=12, config=CONFIG)
    looped(loop_sweep, loop)
    assert work(loop_sweep, loop, WorkOptions()).exit_code == 0  # sums up what is there
    assert digest(calm) == digest(loop)
    draws = random.Random(SEED)
    n_sweeps = landed = 0
    while landed < N_KILLS:  # one is over before so many have landed
        paths, more = under_kills(tmp_path / str(n_sweeps), draws, N_KILLS - landed)
        n_sweeps, landed = n_sweeps + 1, landed + more
        assert digest(paths) == digest(loop)
        assert all(verify_run(run).errors == () for run in paths.runs.iterdir())
    print(f"kills that landed: {landed}, in {n_sweeps} sweeps")
