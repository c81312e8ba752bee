"""The page about a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_sweeps import made_sweep_folder
from psann.errors import UsageError
from psann.run.sweep.page import write_sweep_report
from psann.scripts.hisso_runs import main


def test_the_page_has_the_trials_their_pictures_and_the_chosen_run_in_full(tmp_path: Path) -> None:
    made_sweep_folder(tmp_path / "sweep", [0.1, 0.4, None, 0.2], finished=True)
    assert main(["report", str(tmp_path / "sweep"), "-o", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    for told in (
        *("Sweep sweep", "t0001 (chosen)", "1 failed", "looked at once", "Chosen: t0001"),
        *("Validation value by trial", "Validation value against training.lr", "The best 3 trials"),
        "Wealth",
    ):
        assert told in text
    assert text.count("<svg") >= 6


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    sweep = made_sweep_folder(tmp_path / "sweep", [0.1, 0.4, None, 0.2])
    files = [tmp_path / "a.html", tmp_path / "b.html"]
    for file in files:
        write_sweep_report(sweep, file, format="html")
    assert files[0].read_bytes() == files[1].read_bytes()


def test_markdown_has_its_pictures_beside_it(tmp_path: Path) -> None:
    sweep = made_sweep_folder(tmp_path / "sweep", [0.1, 0.4])
    page, *pictures = write_sweep_report(sweep, tmp_path / "page.md", format="markdown")
    assert "| t0001 |" in page.read_text()
    assert [each.name.partition("-")[2] for each in pictures] == [
        *("trials.svg", "key-1.svg", "key-2.svg", "parallel.svg")
    ]


def test_a_page_is_not_written_into_a_run_nor_over_a_folder(tmp_path: Path) -> None:
    sweep = made_sweep_folder(tmp_path / "sweep", [0.1])
    with pytest.raises(UsageError, match="must lie outside"):
        write_sweep_report(sweep, tmp_path / "sweep" / "runs" / "a.html", format="html")
    with pytest.raises(UsageError, match="is a directory"):
        write_sweep_report(sweep, tmp_path, format="html")
