"""Every block of commands in `docs/sweeps.md` is run as it stands, or it is said what runs it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from made_sweeps import TESTS, digest, made_sweep, write_sweep
from psann._yaml_text import to_yaml
from psann.run.directory.paths import RunPaths
from psann.run.sweep.record import SweepPaths
from psann.run.sweep.worker import WorkOptions, work
from psann.run.verification.verify import verify_run
from trials import metrics_of, rows_of

ROOT = TESTS.parent
PAGE = (ROOT / "docs" / "sweeps.md").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = [text for language, text in FENCED if not language]
# A run that needs no modules but psann's own.
RUN: dict[str, Any] = {
    "estimator": {"target": "psann.PSANNRegressor", "params": {"hidden_units": 8}},
    "hisso": {"window": 6, "batch_episodes": 4, "updates_per_epoch": 2},
    "data": {"loader": "psann.datasets.make_planted_signal"},
    "training": {"epochs": 120, "lr": 0.01, "threads": 1},
    "evaluation": {"walk_forward": {"folds": 3}, "placebo": 3},
    "device": "cpu",
}
RSYNC = """\
#!/bin/sh
at() { case "$1" in *:*) echo "../${1%%:*}/${1#*:}";; *) echo "$1";; esac; }
from=$(at "$2") to=$(at "$3")
case "$from" in */) mkdir -p "$to" && exec cp -a "$from." "$to";; esac
mkdir -p "$to" && exec cp -a "$from" "$to"
"""


def block(start: str) -> list[str]:
    """The lines of the block that begins so, prompts included."""
    (found,) = [each for each in BLOCKS if each.startswith(start)]
    return found.splitlines()


@contextmanager
def shell(folder: Path, command: str) -> Iterator[subprocess.Popen[str]]:
    """A command line of the page in a folder; what is left of it ends with the block."""
    commands = folder.parent / "bin"
    if not commands.exists():  # a script is not written anew while another shell runs it
        commands.mkdir()
        # One host stands for all: what a tunnel would lead to is there.
        for name, text in (("rsync", RSYNC), ("ssh", "#!/bin/sh\n")):
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", command.removesuffix("&")],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def done(folder: Path, command: str) -> str:
    with shell(folder, command) as process:
        text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, (command, text)
    return text


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_block_is_run_by_a_test_or_shown_to_be() -> None:
    known = {
        "pip install 'psann[sweep]'": "installs a package; the extra is what CI installs",
        "hisso-runs sweep sweep.yaml": "below",
        "$ hisso-runs sweep configs/sweeps/nyse_o.yaml -o sweeps/nyse_o --check": "below",
        "$ hisso-runs sweep configs/sweeps/nyse_o.yaml -o sweeps/nyse_o --workers": "minutes long",
        "$ hisso-runs sweep configs/sweeps/nyse_o.yaml -o sweeps/nyse_o --finish": "minutes long",
        "sweeps/lr/sweep.yaml": "no command",
        "sbatch --array=1-16 --requeue": "test_array.py and test_slurm.py run the script",
        "hisso-log-run --config run.yaml": "below",
        "home$  rsync -a runs/first": "below",
        "home$  python -c": "below",
    }
    for each in BLOCKS:
        assert sum(each.startswith(start) for start in known) == 1, each
    assert len(BLOCKS) == len(known)


def test_the_plan_of_the_shipped_sweep_is_the_one_of_the_page(tmp_path: Path) -> None:
    command, *lines = block(
        "$ hisso-runs sweep configs/sweeps/nyse_o.yaml -o sweeps/nyse_o --check"
    )
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "configs").symlink_to(ROOT / "configs")
    text = done(tmp_path / "here", command.removeprefix("$ "))
    assert text.replace(f"{tmp_path / 'here'}/", "").splitlines() == lines


@pytest.mark.slow
def test_the_first_sweep_of_the_page_ends_with_a_choice(tmp_path: Path) -> None:
    write_sweep(tmp_path / "here", trials=2)
    texts = [done(tmp_path / "here", line) for line in block("hisso-runs sweep sweep.yaml")]
    assert "2 trials" in texts[0]
    assert "2 of 2 trials done" in texts[1]
    assert "The test rows have been looked at once" in texts[2]


@pytest.mark.slow
def test_nodes_with_folders_of_their_own_share_a_sweep_that_comes_home_whole(
    tmp_path: Path,
) -> None:
    port = free_port()
    for name in ("home", "node", "other"):
        write_sweep(tmp_path / name, trials=4)
    with ExitStack() as until_done:
        for line in block("home$  python -c"):
            who, command = line.replace("13000", str(port)).split("$  ")
            if command.endswith("&"):
                until_done.enter_context(shell(tmp_path / who, command))
                continue
            wait_for_port(port)
            # The page has one node; what it does here, two do at once.
            if who == "node":
                run_at_once(until_done, tmp_path, [(who, command), ("other", command)])
                continue
            done(tmp_path / who, command)
            if "node:" in command:
                done(tmp_path / who, command.replace("node:", "other:"))
    sweep, calm = made_sweep(tmp_path / "calm", trials=4)
    assert work(sweep, calm, WorkOptions()).exit_code == 0
    paths = SweepPaths(tmp_path / "home" / "sweeps" / "lr")
    assert digest(paths) == digest(calm)
    assert all(verify_run(run).errors == () for run in (*paths.runs.iterdir(), paths.chosen))


def run_at_once(until_done: ExitStack, folder: Path, commands: Sequence[tuple[str, str]]) -> None:
    processes = [until_done.enter_context(shell(folder / who, what)) for who, what in commands]
    for process in processes:
        text, _ = process.communicate(timeout=300)
        assert process.returncode == 0, text


@pytest.mark.slow
def test_workers_of_a_run_train_its_studies_here_and_on_a_node(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "node").mkdir()
    (home / "run.yaml").write_text(to_yaml(RUN))
    run = RunPaths(home / "runs" / "first")
    begin, share = block("hisso-log-run --config run.yaml")
    with shell(home, begin) as process:
        while not run.last.exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGSTOP)  # so that it does not do all of them itself
        for line in block("home$  rsync -a runs/first"):
            who, command = line.split("$  ")
            done(tmp_path / who, command.replace("--workers 8", "--workers 2"))
        shutil.rmtree(run.root.with_name("first.studies") / "fold_003", ignore_errors=True)
        assert "studies done" in done(home, share.replace("--workers 4", "--workers 1"))
        os.killpg(process.pid, signal.SIGCONT)
        text, _ = process.communicate(timeout=300)
        assert process.returncode == 0, text
    taken = [row for row in rows_of(run, "resume") if "was trained by" in row["message"]]
    assert len(taken) == 6
    assert len(metrics_of(run)["walk_forward"]["folds"]) == 3
    assert verify_run(run.root).findings == ()
