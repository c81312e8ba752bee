"""The script for an array of a scheduler, under commands that stand for Slurm's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from made_sweeps import TESTS, digest, made_sweep, wait_for
from psann.run.sweep.worker import WorkOptions, work

SCRIPT = TESTS.parent / "configs" / "sweeps" / "array.sbatch"
SCRIPTS = Path(sys.executable).parent
LONG = {"training": {"epochs": 60, "checkpoint_every_s": 1e-6}}
# Runs each task of an array at once, in a session of its own, and tells its process id.
SBATCH = """\
#!{python}
import os, subprocess, sys
tasks, script, *rest = [word for word in sys.argv[1:] if not word.startswith("--requeue")]
first, last = map(int, tasks.removeprefix("--array=").split("-"))
for task in range(first, last + 1):
    env = {{**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1"}}
    env.pop("OMP_NUM_THREADS", None)
    log = open("slurm-%d.out" % task, "a")
    started = subprocess.Popen(
        ["sh", script, *rest], env=env, start_new_session=True, stdout=log, stderr=log
    )
    print(started.pid)
"""


def array(folder: Path, tasks: str, *, scripts: Path = SCRIPTS) -> list[int]:
    """Submit an array by the command that stands for sbatch; ids of the tasks' processes."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    for name, text in (
        ("sbatch", SBATCH.format(python=sys.executable)),
        ("srun", '#!/bin/sh\nexec "$@"\n'),
    ):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    path = f"{commands}:{scripts}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sbatch", f"--array={tasks}", "--requeue", str(SCRIPT), "sweep.yaml", "out"],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(line) for line in done.stdout.split()]


def test_each_task_of_an_array_is_a_worker_of_the_sweep_with_its_own_threads(
    tmp_path: Path,
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    stand_in = scripts / "hisso-runs"
    stand_in.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS $*"\n')
    stand_in.chmod(0o755)
    for pid in array(tmp_path, "1-2", scripts=scripts):
        subprocess.run(["tail", f"--pid={pid}", "-f", os.devnull], timeout=60, check=True)
    logs = [path.read_text() for path in tmp_path.glob("slurm-*.out")]
    assert logs == ["1 sweep sweep.yaml -o out\n"] * 2


@pytest.mark.slow
def test_an_array_with_a_node_killed_finds_what_one_worker_finds(tmp_path: Path) -> None:
    _, paths = made_sweep(tmp_path, config=LONG)
    tasks = array(tmp_path, "1-2")
    watch = subprocess.Popen(["tail", f"--pid={tasks[0]}", "-f", os.devnull])
    wait_for(paths.run(0).last, watch)
    # All that the node ran, as when it loses power; Slurm queues its task again.
    os.killpg(tasks[0], signal.SIGKILL)
    watch.wait(timeout=60)
    tasks = [tasks[1], *array(tmp_path, "1-1")]
    for pid in tasks:
        subprocess.run(["tail", f"--pid={pid}", "-f", os.devnull], timeout=300, check=True)
    logs = "".join(path.read_text() for path in sorted(tmp_path.glob("slurm-*.out")))
    assert "4 of 4 trials done" in logs, logs
    assert "Traceback" not in logs
    calm_sweep, calm = made_sweep(tmp_path / "calm", config=LONG)
    assert work(calm_sweep, calm, WorkOptions(n_at_once=2)).exit_code == 0
    assert digest(paths) == digest(calm)
