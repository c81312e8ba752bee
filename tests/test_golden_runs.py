"""Runs of every kind give what they gave before, and what was made before can still be used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import golden_runs
from psann.run.reading.reading import read_run, read_runs
from psann.scripts.hisso_runs import main


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("now")
    golden_runs.make(folder)
    return folder


@pytest.mark.parametrize("name", golden_runs.NAMES)
def test_a_run_gives_the_same_bytes_as_it_did_its_times_aside(
    name: str, runs_of_now: Path, now: Path
) -> None:
    then, found = golden_runs.facts(runs_of_now / name), golden_runs.facts(now / name)
    assert then.keys() == found.keys()
    if (runs_of_now / golden_runs.ARITHMETIC).read_text() != golden_runs.arithmetic():
        pytest.skip("this machine rounds otherwise than the one that made the runs")
    assert {place: found[place] for place in then} == then


@pytest.mark.parametrize("name", [*golden_runs.NAMES, golden_runs.STOPPED])
def test_a_run_of_before_is_verified_without_an_error(
    name: str, runs_of_before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(runs_of_before / name)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", golden_runs.NAMES)
def test_weights_and_epochs_are_what_they_were_before(
    name: str, runs_of_before: Path, now: Path
) -> None:
    then, found = golden_runs.facts(runs_of_before / name), golden_runs.facts(now / name)
    if (runs_of_before / golden_runs.ARITHMETIC).read_text() != golden_runs.arithmetic():
        pytest.skip("this machine rounds otherwise than the one that made the runs")
    rows = ("train_loss", "val_loss", "reward_mean", "val_reward_mean", "turnover", "grad_norm")
    same = [
        place
        for place in then
        if place.startswith("events.csv")
        and place.endswith(rows)
        and then[place]
        # Placebos keep blocks of moves together now.
        and not then[f"{place.rpartition(' ')[0]} phase"].startswith("placebo")
    ]
    assert same
    assert {place: found[place] for place in same} == {place: then[place] for place in same}
    assert found["metrics.json best_epoch"] == then["metrics.json best_epoch"]


def test_a_run_that_was_stopped_before_goes_on(runs_of_before: Path, tmp_path: Path) -> None:
    if (runs_of_before / golden_runs.ARITHMETIC).read_text() != golden_runs.arithmetic():
        pytest.skip("this machine may make other data than the one that made the runs")
    run = tmp_path / golden_runs.STOPPED
    shutil.copytree(runs_of_before / golden_runs.STOPPED, run)
    then = read_run(run)
    assert then.metrics["epoch"] < then.metrics["epochs_total"]
    golden_runs.go_on(run)
    found = read_run(run)
    assert (found.status, found.metrics["epoch"]) == ("completed", then.metrics["epochs_total"])
    assert found.metrics["run_id"] == then.metrics["run_id"]
    assert found.metrics["resumes"] == 1
    assert found.problems == ()


def test_runs_of_before_are_listed_compared_and_reported(
    runs_of_before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not [problem for run in read_runs(runs_of_before) for problem in run.problems]
    assert main(["ls", str(runs_of_before)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in [*golden_runs.NAMES, golden_runs.STOPPED])
    two = [str(runs_of_before / "dense"), str(runs_of_before / "seeds")]
    assert main(["compare", *two]) == 0
    assert "training.seeds" in capsys.readouterr().out
    assert main(["report", *two, "-o", str(tmp_path / "report.html")]) == 0
