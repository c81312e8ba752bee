"""Sweeps and shared studies under SIGKILL at random instants: none is lost, and none is another."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from made_sweeps import TESTS, digest, kill, looped, made_sweep, write_sweep
from psann._machine import is_alive
from psann.run.directory.lock import read_holder
from psann.run.directory.paths import RunPaths
from psann.run.execution.claim import finished_record
from psann.run.sweep.record import SweepPaths, read_record
from psann.run.sweep.worker import WorkOptions, work
from psann.run.verification.verify import verify_run
from trials import bit_differences, finished, rows_of, write_config

RUN, RUNS = "psann.scripts.hisso_log_run", "psann.scripts.hisso_runs"
CONFIG = {"training": {"epochs": 30, "checkpoint_every_s": 1e-6}}
SEED = int(os.environ.get("PSANN_CHAOS_SEED", "0"))
N_KILLS = int(os.environ.get("PSANN_CHAOS_KILLS", "50"))


def start(*command: object) -> subprocess.Popen[str]:
    """A command in a process of its own, with the loaders and rewards of the tests."""
    # Behind what takes the locks away, where that is asked for.
    modules = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(TESTS)]))
    environment = {**os.environ, "PYTHONPATH": modules, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
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
            workers.append(start(RUNS, "sweep", file, "-o", paths.root))
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


@pytest.mark.chaos
def test_a_run_and_the_workers_of_its_studies_under_kills_find_what_one_process_finds(
    tmp_path: Path,
) -> None:
    print(f"PSANN_CHAOS_SEED={SEED}")
    draws = random.Random(SEED)
    studies = ("evaluation.walk_forward={folds: 6, gap: 1}", "evaluation.placebo=6")
    asked = ("data.loader=trials.continuous", *studies, "training.epochs=600")
    whole = finished(tmp_path / "calm", *asked)
    paths = RunPaths(tmp_path / "run")
    told = [option for each in asked for option in ("--set", each)]
    run = ("--config", write_config(tmp_path), "--output-dir", tmp_path, "--run-name", "run", *told)
    worker = ("sweep", "--study", paths.root, "--allow-import", "trials")
    commands = ((RUN, *run, "--resume", "--quiet"), (RUNS, *worker), (RUNS, *worker))
    started: dict[int, subprocess.Popen[str]] = {}
    landed = 0
    while finished_record(paths) is None:
        n_left = len(list(tmp_path.glob("run.studies/*/result.safetensors")))
        for place, command in enumerate(commands):
            if place in started:
                if started[place].poll() is None:
                    continue
                started.pop(place).communicate()
            # Once it is killed among its studies, the run is away while workers do some of them.
            if n_left >= 4 or paths.last.exists() == (place > 0):
                started[place] = start(*command)
        time.sleep(draws.uniform(0.5, 8.0))
        if landed < 12 and started:
            process = draws.choice(list(started.values()))
            with suppress(ProcessLookupError):
                kill(draws.choice([process.pid, *children_of(process.pid)]))
                landed += 1
    for process in started.values():
        process.communicate()
    assert bit_differences(whole, paths) == []
    assert verify_run(paths.root).errors == ()
    taken = [row for row in rows_of(paths, "resume") if "was trained by" in row["message"]]
    print(f"kills that landed: {landed}; studies by workers: {len(taken)} of 12")
    assert taken
