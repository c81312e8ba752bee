"""`ls`, `compare` and `report` of the folder of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_runs import made_run
from made_sweeps import made_sweep_folder
from psann.scripts._sweep_folder import report_if_sweep, show_if_sweep
from psann.scripts.hisso_runs import main


def test_ls_and_compare_show_a_sweep_and_a_condition_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_sweep_folder(tmp_path, [0.1, 0.4])
    for command in ("ls", "compare"):
        assert main([command, str(tmp_path)]) == 0
        assert "hisso.primary_transform" in capsys.readouterr().out
    assert main(["ls", str(tmp_path), "--where", "monitor_value>0.2"]) == 0
    told = capsys.readouterr().out
    assert "runs/t0001" in told and "runs/t0000" not in told


def test_runs_that_are_no_sweep_are_left_to_the_usual_way(tmp_path: Path) -> None:
    made_run(tmp_path / "a")
    assert not show_if_sweep([tmp_path])
    assert report_if_sweep([tmp_path], tmp_path / "a.html", format="html") is None
    made_sweep_folder(tmp_path / "s", [0.1])
    assert not show_if_sweep([tmp_path / "s", tmp_path])
