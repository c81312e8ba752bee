"""An array of Slurm's own, on two nodes of one host, one of which loses power."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from made_sweeps import TESTS, digest, looped, made_sweep
from psann.run.directory.lock import read_holder
from psann.run.directory.metrics import read_metrics
from psann.run.sweep.record import SweepPaths
from psann.run.sweep.worker import WorkOptions, work
from psann.run.verification.verify import verify_run
from slurm_cluster import SlurmCluster, wait_until, why_no_slurm

SCRIPT = TESTS.parent / "configs" / "sweeps" / "array.sbatch"
N_TRIALS = 12
LONG = {"training": {"epochs": 120, "checkpoint_every_s": 1e-6}}


@pytest.fixture
def cluster() -> Iterator[SlurmCluster]:
    if reason := why_no_slurm():
        pytest.skip(reason)
    # The paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, SlurmCluster(Path(folder)) as made:
        yield made


def trained_by(cluster: SlurmCluster, node: str, paths: SweepPaths) -> list[Path]:
    """Runs past a commit that processes of a node hold."""
    runs = [paths.run(number) for number in range(N_TRIALS)]
    pids = cluster.processes_of(node)
    return [r.root for r in runs if r.last.exists() and read_holder(r.lock).get("pid") in pids]


@pytest.mark.chaos
def test_a_slurm_array_with_a_node_killed_finds_what_a_plain_loop_finds(
    tmp_path: Path, cluster: SlurmCluster
) -> None:
    _, paths = made_sweep(tmp_path, trials=N_TRIALS, config=LONG)
    options = ["--array=1-2", "--requeue"]
    job = cluster.submit(SCRIPT, "sweep.yaml", "out", folder=tmp_path, options=options)
    wait_until(lambda: trained_by(cluster, "node1", paths) != [], "the first node trains")
    begun = trained_by(cluster, "node1", paths)
    cluster.kill_node("node1")
    wait_until(lambda: cluster.tasks(job)["1"][0] != "RUNNING", "Slurm sees that a node is dead")
    ended = {"1": ("COMPLETED", 1), "2": ("COMPLETED", 0)}
    wait_until(lambda: cluster.tasks(job) == ended, "the array ends", timeout_s=400)
    logs = "".join(path.read_text() for path in sorted(tmp_path.glob("slurm-*.out")))
    assert f"{N_TRIALS} of {N_TRIALS} trials done" in logs, logs
    assert "Traceback" not in logs
    assert all(read_metrics(run / "metrics.json")[0]["resumes"] == 1 for run in begun)
    assert all(verify_run(each).errors == () for each in paths.runs.iterdir())
    reference, loop = made_sweep(tmp_path / "loop", trials=N_TRIALS, config=LONG)
    looped(reference, loop)
    work(reference, loop, WorkOptions())  # sums up what is there
    assert digest(paths) == digest(loop)
