"""Choosing, sorting and writing lists of runs."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from foreign import DRAWING, HOSTILE_NAME, LOOKALIKES, change, hostile, of_another_version
from made_runs import made_run
from psann._strict_yaml import read_config_file
from psann._terminal import Terminal
from psann._yaml_text import to_yaml
from psann.errors import UsageError
from psann.run.directory.paths import RunPaths
from psann.run.reading.listing import Listing, list_runs, show_table, to_csv_text, to_json_text
from psann.run.reading.reading import read_runs
from trials import TROUBLE, finished, metrics_of, trial


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: a, b (seed 7, diverged), c (seed 3, killed before it had a validation reward)."""
    base = tmp_path_factory.mktemp("runs")
    finished(base, "training.epochs=2", name="a")
    TROUBLE.plan(3)
    assert trial(base, "hisso.reward=trials.troubled", "seed=7", name="b").exit_code == 3
    shutil.copytree(base / "out" / "a", base / "out" / "c")
    running = {"status": "running", "finished_utc": None, "val_reward_mean": None, "seed": 3}
    old = {"heartbeat": "2020-01-01T00:00:00.000Z"}
    change(RunPaths(base / "out" / "c"), **running, **old)
    (base / "out" / "c" / "config_resolved.yaml").write_text("training: {lr: 0.5}\n")
    return base / "out"


def names(listing: Listing) -> list[str]:
    return [values["run"] for values in listing.values]


def table(listing: Listing) -> str:
    stream = io.StringIO()
    show_table(listing, Terminal(stream))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, ["a", "b", "c"]),
        ({"reverse": True}, ["c", "b", "a"]),
        ({"sort": "seed"}, ["c", "b", "a"]),
        ({"sort": "seed", "reverse": True}, ["a", "b", "c"]),
        # Without a value they come last, whatever the direction.
        ({"sort": "portfolio_metrics.sharpe", "reverse": True}, ["a", "c", "b"]),
        ({"sort": "config.training.lr", "reverse": True}, ["c", "a", "b"]),
        ({"where": "status == 'diverged'"}, ["b"]),
        ({"where": "status == 'dead' or status == 'stale'"}, ["c"]),
        ({"where": 'seed < 10 and device=="cpu"'}, ["b", "c"]),
        ({"where": "config.training.lr < 0.1"}, ["a", "b"]),
        ({"where": "excess_growth == null"}, ["b"]),
        ({"where": "run == 'a'"}, ["a"]),
        ({"where": "error != null and 'Diverged' in error"}, ["b"]),
        ({"where": "best_epoch > 1000"}, []),
    ],
)
def test_runs_are_chosen_and_sorted(
    folder: Path, choice: dict[str, Any], expected: list[str]
) -> None:
    assert names(list_runs(read_runs(folder), **choice)) == expected


@pytest.mark.parametrize("option", ["where", "sort"])
def test_name_that_no_run_has_is_refused(folder: Path, option: str) -> None:
    with pytest.raises(UsageError, match="Did you mean 'val_reward_mean'"):
        list_runs(read_runs(folder), **{option: "val_rewardmean"})


def test_numbers_come_before_texts_and_runs_without_a_value_last(tmp_path: Path) -> None:
    for name, cores in {"a": 5, "b": "many", "c": None, "d": 3, "e": None}.items():
        made_run(tmp_path / name, n_rows=30, n_epochs=2, hardware={"cores": cores})
    runs = read_runs(tmp_path)
    assert names(list_runs(runs, sort="hardware.cores")) == ["d", "a", "b", "c", "e"]
    assert names(list_runs(runs, sort="hardware.cores", reverse=True)) == ["b", "a", "d", "c", "e"]
    assert names(list_runs(runs, reverse=True)) == ["e", "d", "c", "b", "a"]


def test_table_shows_true_status_and_figures(folder: Path) -> None:
    text = table(list_runs(read_runs(folder)))
    rows = {line.split()[0]: line.split() for line in text.splitlines()[2:5]}
    assert rows["a"][:4] == ["a", "completed", "train", "val_reward"]
    assert rows["b"][1] == "diverged"
    assert rows["c"][1] in ("dead", "stale")
    metrics = metrics_of(RunPaths(folder / "a"))
    growth = metrics["portfolio_metrics"]["annual_log_growth"]
    assert f"{growth:+.4f}" in rows["a"]
    excess = growth - metrics["baselines"]["uniform"]["annual_log_growth"]
    assert f"{excess:+.4f}" in rows["a"]
    assert text.splitlines()[5].startswith("3 runs: 1 completed, 1 d")


def test_no_run_is_told(tmp_path: Path) -> None:
    listing = list_runs(read_runs(tmp_path), where="val_loss > 0", sort="val_loss")
    assert table(listing) == "no runs\n"
    assert json.loads(to_json_text(listing)) == []


def test_json_holds_everything_and_is_strict(folder: Path) -> None:
    content = json.loads(to_json_text(list_runs(read_runs(folder))))
    assert [entry["run"] for entry in content] == ["a", "b", "c"]
    assert content[0]["metrics"] == metrics_of(RunPaths(folder / "a"))
    assert content[2]["metrics"]["status"] == "running"
    assert content[2]["status"] in ("dead", "stale")


def test_csv_reads_back_to_the_same_bits(folder: Path) -> None:
    text = to_csv_text(list_runs(read_runs(folder)))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    metrics = metrics_of(RunPaths(folder / "a"))
    assert float(rows[0]["val_loss"]) == metrics["val_loss"]
    assert float(rows[0]["portfolio_metrics.sharpe"]) == metrics["portfolio_metrics"]["sharpe"]
    assert rows[1]["portfolio_metrics.sharpe"] == rows[2]["val_reward_mean"] == ""
    assert text.count("\r\n") == 4


def test_every_text_comes_back_from_json_and_csv_as_it_was(folder: Path, tmp_path: Path) -> None:
    copy = RunPaths(tmp_path / "runs" / "12e4567")
    shutil.copytree(folder / "a", copy.root)
    keys = {f"k{number}": text for number, text in enumerate(LOOKALIKES)}
    config = read_config_file(copy.config_resolved).values
    copy.config_resolved.write_text(to_yaml({**config, "data": {"kwargs": keys}}))
    change(copy, error="0b11", phase="12:30")
    listing = list_runs(read_runs(tmp_path / "runs"), where="config.data.kwargs.k0 != 1")
    (row,) = csv.DictReader(io.StringIO(to_csv_text(listing), newline=""))
    as_text = pd.read_csv(io.StringIO(to_csv_text(listing)), dtype=str, keep_default_na=False)
    for name, text in keys.items():
        assert row[f"config.data.kwargs.{name}"] == text
        assert as_text[f"config.data.kwargs.{name}"][0] == text
    assert (row["run"], row["error"], row["phase"]) == ("12e4567", "0b11", "12:30")
    (entry,) = json.loads(to_json_text(listing))
    assert (entry["run"], entry["metrics"]["error"]) == ("12e4567", "0b11")


def test_hostile_run_is_listed_harmless_in_every_form(folder: Path, tmp_path: Path) -> None:
    hostile(RunPaths(folder / "a"), tmp_path)
    listing = list_runs(read_runs(tmp_path))
    forms = {"table": table(listing), "json": to_json_text(listing), "csv": to_csv_text(listing)}
    for form, text in forms.items():
        inner = text.replace("\r\n", "") if form == "csv" else text
        assert not [part for part in DRAWING if part in inner], form
    assert "failed" in forms["table"]
    assert json.loads(forms["json"])[0]["run"] == HOSTILE_NAME
    rows = list(csv.reader(io.StringIO(forms["csv"], newline="")))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]


def test_run_of_another_version_is_listed_with_what_is_common(folder: Path, tmp_path: Path) -> None:
    of_another_version(RunPaths(folder / "a"), tmp_path)
    text = table(list_runs(read_runs(tmp_path)))
    assert "other-version  completed" in text
    assert "other-version: metrics.json is of schema version '9'" in text


def test_each_of_many_runs_is_opened_a_few_times_and_nothing_heavy_loaded(
    folder: Path, tmp_path: Path
) -> None:
    for number in range(100):
        copy = tmp_path / f"run{number}"
        copy.mkdir()
        for name in ("metrics.json", "events.csv"):
            (copy / name).hardlink_to(folder / "a" / name)
    code = (
        "import os, sys\n"
        "from psann.scripts.hisso_runs import main\n"
        "n_opened = 0\n"
        "def count(event, arguments):\n"
        "    global n_opened\n"
        "    inside = str(arguments[0]).startswith(sys.argv[1]) if arguments else False\n"
        "    n_opened += event in ('open', 'os.listdir', 'os.scandir') and inside\n"
        "sys.addaudithook(count)\n"
        "assert main(['ls', sys.argv[1]]) == 0\n"
        "assert not {'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "print(n_opened)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "100 runs: 100 completed" in done.stdout
    assert int(done.stdout.splitlines()[-1]) <= 5 * 100


def test_traded_weight_of_validation_is_listed(tmp_path: Path) -> None:
    made_run(tmp_path / "a", val_turnover=0.25)
    stream = io.StringIO()
    show_table(list_runs(read_runs(tmp_path)), Terminal(stream))
    head, _, row, *_ = stream.getvalue().splitlines()
    assert "val traded" in head
    assert "0.2500" in row


def test_losses_are_listed_where_there_is_no_reward(tmp_path: Path) -> None:
    made_run(tmp_path / "a", val_loss=-0.25, val_reward_mean=0.25)
    assert "loss" not in table(list_runs(read_runs(tmp_path)))
    rewards = dict.fromkeys(("reward_mean", "val_reward_mean", "test_reward_mean"))
    made_run(tmp_path / "b", train_loss=0.75, val_loss=0.5, **rewards)
    heads, _, first, second, _ = table(list_runs(read_runs(tmp_path))).splitlines()
    assert "val loss" in heads and "test loss" not in heads
    assert "-0.25" not in first and "0.75" in second and "0.5" in second
