"""`hisso-runs sweep` on a command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from made_sweeps import COMMAND, write_sweep
from psann.run.directory.paths import RunPaths
from psann.scripts.hisso_runs import main
from trials import metrics_of


def test_a_sweep_is_worked_on_and_finished_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = write_sweep(tmp_path, trials=2), tmp_path / "out"

    def told(*options: str) -> str:
        assert main(["sweep", str(file), "-o", str(output), *options]) == 0
        return capsys.readouterr().out

    worked = told("--workers", "2", "--only-import", "trials")
    assert "2 of 2 trials done" in worked and "--finish" in worked
    finished = told("--finish")
    assert "chosen on validation rows: t000" in finished
    assert "looked at once, for the best of 10 candidates in 2 trials" in finished
    assert metrics_of(RunPaths(output / "chosen"))["n_trials"] == 10
    assert "The same choice among the same candidates was judged before" in told("--finish")


def test_a_sweep_that_cannot_be_is_told_with_its_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path, space={"seed": [1, 2]})
    for options in ([], ["--check"], ["--finish"]):
        assert main(["sweep", str(file), "-o", str(tmp_path / "out"), *options]) == 1
        assert "sweep.yaml line 5: space.seed must not be varied" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_check_shows_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_sweep(tmp_path)
    assert main(["sweep", str(file), "-o", str(tmp_path / "out"), "--check"]) == 0
    assert "random, 4 trials" in capsys.readouterr().out


@pytest.mark.parametrize("n", ["0", "x", "1025"])
def test_a_number_of_workers_that_is_none_is_refused(
    tmp_path: Path, n: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["sweep", "a.yaml", "-o", str(tmp_path), "--workers", n])
    assert "must be a whole number from 1 to 1024" in capsys.readouterr().err


def test_without_optuna_the_cure_is_told(tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "optuna.py").write_text("raise ModuleNotFoundError(name='optuna')")
    done = subprocess.run(
        [*COMMAND, "sweep", str(file), "-o", str(tmp_path / "out")],
        env={"PYTHONPATH": str(hidden)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip install 'psann[sweep]'" in done.stderr
