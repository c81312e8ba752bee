"""What a subcommand writes is harmless, whoever wrote the run."""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path

import pytest

from made_tables import prices as made_prices
from made_tables import wide
from psann.scripts import commands
from psann.scripts.hisso_log_run import main as log_run
from psann.scripts.hisso_runs import main
from trials import finished


class Tee:
    """A stream as many a script has one: `write`, and nothing else."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `out/run`, its copy `twin`, and the configuration `trial.yaml`."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(finished(folder, "training.epochs=1").root, folder / "twin")
    return folder


@pytest.mark.parametrize("command", ["train", "check", "ls", "show", "compare", "help", "mistake"])
def test_streams_that_have_nothing_but_write_do_from_the_start(
    command: str, folder_of_two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, twin = str(folder_of_two / "out" / "run"), str(folder_of_two / "twin")
    config = ["--config", str(folder_of_two / "trial.yaml"), "--output-dir", str(tmp_path)]
    do, words, expected = {
        "train": (log_run, [*config, "--run-name", "again"], "policy"),
        "check": (log_run, [*config, "--check"], "estimator   PSANNRegressor"),
        "ls": (main, ["ls", str(folder_of_two)], "completed"),
        "show": (main, ["show", run], "policy"),
        "compare": (main, ["compare", run, twin], "copies of one run"),
        "help": (main, ["ls", "--help"], "usage"),
        "mistake": (log_run, ["--confg", "x"], "usage"),
    }[command]
    both = Tee()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    try:
        code = do(words)
    except SystemExit as left:
        code = left.code
    assert (code, expected in both.text) == (2 if command == "mistake" else 0, True), both.text


def test_messages_neither_draw_nor_leak(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    commands.tell("red \x1b[31m token=abc\nsecond", file=stream)
    assert "\x1b" not in stream.getvalue()
    assert "abc" not in stream.getvalue()


def test_a_directory_without_runs_is_listed_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(
        path=tmp_path, where=None, sort=None, reverse=False, json=False, csv=False
    )
    assert commands.ls(options) == commands.EXIT_CLEAN
    assert capsys.readouterr().out == "no runs\n"


def test_a_run_that_is_unknown_is_a_finding_and_told_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(run=tmp_path, watch=False, every=2.0)
    assert commands.status(options) == commands.EXIT_FINDINGS
    told = capsys.readouterr().out
    assert "unknown" in told
    assert "metrics.json is missing: the run never began, or its copy is not complete.\n" in told


def test_a_table_of_prices_is_told_drawn_and_given_a_configuration_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = wide(tmp_path / "my.prices.csv", made_prices(200, 3), ["AAA", "BBB", "CCC"])
    out = tmp_path / "out"
    assert main(["prices", str(table), "--output-dir", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "layout   wide" in shown
    assert "AAA, BBB, CCC" in shown
    assert (out / "my.svg").read_bytes().startswith(b"<svg")
    config = out / "my.yaml"
    runs = ["--output-dir", str(tmp_path / "runs"), "--run-name", "own", "--quiet"]
    few = ["--set", "training.epochs=2", "--set", "hisso.updates_per_epoch=4"]
    assert log_run(["--config", str(config), *runs, *few]) == 0
    config.write_text("mine")
    assert main(["prices", str(table), "--output-dir", str(out)]) == 0
    assert config.read_text() == "mine"


@pytest.mark.parametrize("out", [".", "configs/own"])
def test_a_written_configuration_moves_with_its_table(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    wide(home / "p.csv", made_prices(200, 2))
    monkeypatch.chdir(home)
    assert main(["prices", "p.csv", "--output-dir", out]) == 0
    moved = home.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    config = moved / out / "p.yaml"
    assert str(tmp_path) not in config.read_text()
    assert log_run(["--config", str(config), "--output-dir", "runs", "--check"]) == 0


def test_a_table_that_can_be_read_in_two_ways_is_asked_about_and_the_answer_settles_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    rows = [f"2021-01-{day:02d},{day}.5,{day}.25" for day in range(4, 29)]
    table.write_text("\n".join(["Date,Close,Settle", *rows]) + "\n")
    assert main(["prices", str(table), "--output-dir", str(tmp_path / "out")]) == 1
    assert "price: Close" in capsys.readouterr().err
    settled = ["--set", "price=Close", "--output-dir", str(tmp_path / "out")]
    assert main(["prices", str(table), *settled]) == 0
    assert "no configuration: the recipe must have at least 75 rows" in capsys.readouterr().out
    assert not (tmp_path / "out" / "t.yaml").exists()
    assert main(["prices", str(table), "--set", "price"]) == 2
    assert main(["prices", str(table), "--set", "split=2020-01-01"]) == 2  # of a configuration
