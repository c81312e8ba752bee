"""A run that is killed and goes on by the same command, by the page alone."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from pages import ROOT, Reader, block
from psann.run import read_run

COMMAND = block("durability.md", "hisso-log-run --config c.yaml")


@pytest.mark.slow
def test_a_killed_run_goes_on_by_the_same_command(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    smoke = (ROOT / "configs" / "hisso" / "dense_cpu_smoke.yaml").read_text()
    often = smoke.replace("  epochs: 20\n", "  epochs: 300\n  checkpoint_every_s: 0.05\n")
    reader.writes("c.yaml", often)
    (command,) = COMMAND.commands
    started = subprocess.Popen(command.split(), cwd=tmp_path, env=reader.env())
    state = tmp_path / "runs" / "first" / "checkpoints" / "last.safetensors"
    deadline_s = time.monotonic() + 300
    while not state.exists():
        assert time.monotonic() < deadline_s and started.poll() is None
        time.sleep(0.01)
    started.kill()
    assert started.wait() == -signal.SIGKILL
    assert read_run(tmp_path / "runs" / "first").status == "dead"
    reader.does(command)
    run = read_run(tmp_path / "runs" / "first")
    assert run.status == "completed" and run.metrics["resume_exact"] is True
    assert "0 errors" in reader.does("hisso-runs verify runs/first")
    reader.does(command.replace("first", "unhurt"))
    best = [
        (tmp_path / "runs" / name / "checkpoints" / "best.safetensors").read_bytes()
        for name in ("first", "unhurt")
    ]
    assert best[0] == best[1]
    # A finished run says so.
    reader.does(command)
