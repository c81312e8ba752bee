"""Runs side by side on a terminal."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from psann._terminal import Terminal
from psann.errors import UsageError
from psann.run.directory.paths import RunPaths
from psann.run.reading.compare import chosen_runs, show_comparison
from psann.run.reading.comparison import names_of
from psann.run.reading.reading import read_run
from trials import finished


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("runs")
    for seed in (1, 2, 3):
        finished(base, f"seed={seed}", "training.epochs=2", name=f"s{seed}")
    finished(base, "seed=1", "training.epochs=3", name="longer")
    return base / "out"


def compared(*paths: Path) -> str:
    stream = io.StringIO()
    show_comparison(chosen_runs(paths), Terminal(stream))
    return stream.getvalue()


def row(text: str, head: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(head)]
    return line.removeprefix(head).split()


def test_one_key_is_said_with_both_values(folder: Path) -> None:
    text = compared(folder / "s1", folder / "longer")
    assert text.startswith("The two runs differ in one key: training.epochs.\n")
    assert row(text, "training.epochs") == ["2", "3"]


def test_numbers_have_unit_direction_and_a_mark_at_the_best(folder: Path) -> None:
    text = compared(folder / "s1", folder / "longer")
    runs = [read_run(folder / name) for name in ("s1", "longer")]
    values = [run.figure("val_reward_mean") for run in runs]
    cells = row(text, "validation reward")
    assert cells[:3] == ["per", "row", "higher"]
    best = "* " if values[0] >= values[1] else ""
    assert " ".join(cells[3:]).startswith(f"{best}{values[0]:.4g}")
    assert "lower" in row(text, "validation loss")
    assert "*" not in row(text, "best epoch")
    assert row(text, "status") == ["completed", "completed"]


def test_seeds_get_a_column_of_mean_and_standard_deviation(folder: Path) -> None:
    text = compared(folder / "s1", folder / "s2", folder / "s3")
    assert (
        "s1 and 2 more: mean +- standard deviation over 3 seeds (1, 2, 3) of one configuration: "
        "s1, s2 and s3." in text
    )
    assert "+-" in row(text, "validation reward")
    assert "differ in one key: seed." in text


def test_many_runs_are_rows(folder: Path, tmp_path: Path) -> None:
    for number in range(7):
        copy = RunPaths(tmp_path / f"r{number}")
        shutil.copytree(folder / "s1", copy.root)
        config = copy.config_resolved.read_text()
        copy.config_resolved.write_text(config.replace("epochs: 2", f"epochs: {number}"))
    runs = chosen_runs([tmp_path])
    stream = io.StringIO()
    show_comparison(runs, Terminal(stream))
    text = stream.getvalue()
    assert "val reward" in text and "higher is better" not in text
    assert "differ in one key: training.epochs" in text
    assert next(line.split() for line in text.splitlines() if line.startswith("r3 ")) == ["r3", "3"]


def test_curves_share_their_scale_and_count_epochs(folder: Path) -> None:
    text = compared(folder / "s1", folder / "longer")
    lines = text.splitlines()
    (place,) = [n for n, line in enumerate(lines) if "val_reward_mean by epoch" in line]
    assert lines[place + 2].split()[0::2] == ["s1", "2"]
    assert lines[place + 3].split()[0::2] == ["longer", "3"]


def test_runs_are_named_so_that_they_can_be_told_apart(folder: Path, tmp_path: Path) -> None:
    runs = [read_run(folder / "s1"), read_run(folder / "s2")]
    assert [*map(names_of(runs), runs)] == ["s1", "s2"]
    (tmp_path / "s1").symlink_to(folder / "s2")
    runs[1] = read_run(tmp_path / "s1")
    parents = [folder.name, tmp_path.name]
    assert [*map(names_of(runs), runs)] == [f"{parent}/s1" for parent in parents]


def test_each_run_is_compared_once_and_all_mistakes_are_told(folder: Path, tmp_path: Path) -> None:
    assert [run.name for run in chosen_runs([folder / "s2", folder])] == [
        "s2",
        "longer",
        "s1",
        "s3",
    ]
    with pytest.raises(UsageError) as caught:
        chosen_runs([tmp_path / "none", tmp_path, folder / "s1"])
    assert len(caught.value.problems) == 2
    with pytest.raises(UsageError, match="at least two runs; got 1"):
        compared(folder / "s1")
