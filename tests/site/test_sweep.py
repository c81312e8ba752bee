"""A sweep, from its file to a choice that counts all trials, by the page alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pages import ROOT, Reader, block
from psann.run import read_run

SWEEP = block("sweeps.md", "config: nyse_o.yaml")
COMMANDS = block("sweeps.md", "hisso-runs sweep sweep.yaml -o sweeps/lr --check")


@pytest.mark.slow
def test_a_sweep_is_checked_run_and_finished(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    # The file of the page, with fewer trials of a smaller run.
    reader.writes("sweep.yaml", SWEEP.text.replace("trials: 24", "trials: 2"))
    shutil.copy(ROOT / "configs" / "hisso" / "dense_cpu_smoke.yaml", tmp_path / "nyse_o.yaml")
    check, work, finish = COMMANDS.commands
    assert "t0001  training.lr=" in reader.does(check)
    assert not (tmp_path / "sweeps").exists()
    assert "2 of 2 trials done" in reader.does(work)
    assert "The test rows have been looked at once" in reader.does(finish)
    sweep = json.loads((tmp_path / "sweeps" / "lr" / "sweep.json").read_text())
    assert sweep["n_looks"] == 1
    assert read_run(tmp_path / "sweeps" / "lr" / "chosen").status == "completed"
