"""A sweep's folder as it is read: varied keys as columns, the best by validation first."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from made_runs import made_run
from made_sweeps import KEYS, SHUT, made_sweep_folder
from psann._terminal import Terminal
from psann.errors import UsageError
from psann.run.reading.comparison import comparison_sections, names_of
from psann.run.reading.reading import read_run
from psann.run.sweep.reading import (
    best_ten,
    read_sweep,
    show_sweep,
    trials_table,
    versions_sentences,
    winner_of,
)


@pytest.mark.parametrize(("monitor", "order"), [("val_reward", "1 3 0 2"), ("val_loss", "0 3 1 2")])
def test_trials_are_sorted_by_validation_those_without_a_value_last(
    tmp_path: Path, monitor: str, order: str
) -> None:
    sweep = made_sweep_folder(tmp_path, [0.1, 0.4, None, 0.2], monitor=monitor)
    table = trials_table(sweep)
    assert [row[0] for row in table.rows] == [f"t000{n}" for n in order.split()]
    assert table.columns[:4] == ("run", "status", *KEYS)
    assert [row[4].startswith("* ") for row in table.rows] == [True, False, False, False]
    assert ("higher" if monitor == "val_reward" else "lower") in table.columns[4]
    assert [row[2] for row in table.rows if row[0] == "t0003"] == ["0.008"]


def test_trials_that_are_as_good_as_the_best_have_a_star_too(tmp_path: Path) -> None:
    table = trials_table(made_sweep_folder(tmp_path, [0.4, 0.1, 0.4, None], monitor="val_reward"))
    assert [row[4].startswith("* ") for row in table.rows] == [True, True, False, False]


def test_no_star_stands_among_trials_on_several_data(tmp_path: Path) -> None:
    sweep = made_sweep_folder(tmp_path, [0.1, 0.4], monitor="val_reward")
    sweep.record["trials"][0]["data_sha256"] = "another"
    table = trials_table(sweep)
    assert not any("*" in cell for row in table.rows for cell in row)
    assert table.note == "of 2 data sets: none is best"


def test_what_is_told_before_and_after_the_test_rows_were_opened(tmp_path: Path) -> None:
    shut, opened = io.StringIO(), io.StringIO()
    show_sweep(made_sweep_folder(tmp_path / "a", [0.1, 0.4]), Terminal(shut))
    assert "The test rows are shut" in shut.getvalue()
    assert "2 of 3 trials done, 1 waiting" in shut.getvalue()
    sweep = made_sweep_folder(tmp_path / "b", [0.1, 0.4], finished=True)
    show_sweep(sweep, Terminal(opened))
    assert "t0001 (chosen)" in opened.getvalue()
    assert "looked at once, for the best of 10 candidates in 3 trials" in opened.getvalue()
    assert "for all 10 candidates, not for the 5 of its own trial" in opened.getvalue()
    assert "1/N" in opened.getvalue()


def test_trials_of_several_versions_are_told_with_the_versions(tmp_path: Path) -> None:
    sweep = made_sweep_folder(tmp_path, [0.1, 0.4])
    assert list(versions_sentences(sweep)) == []
    file = sweep.paths.run(1).provenance
    file.write_text(file.read_text().replace('"psann": "0.1.0"', '"psann": "0.2.0"'))
    (sentence,) = versions_sentences(sweep)
    assert sentence.startswith("The trials were trained by several versions of psann, 0.1.0, 0.2.0")
    text = io.StringIO()
    show_sweep(sweep, Terminal(text))
    assert "several versions of psann" in " ".join(text.getvalue().split())


def test_the_winner_is_a_run_that_is_here_once_the_sweep_has_chosen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has not\. Choose with hisso-runs sweep .* --finish"):
        winner_of(made_sweep_folder(tmp_path / "a", [0.1, 0.4]))
    sweep = made_sweep_folder(tmp_path / "b", [0.1, 0.4], finished=True)
    run = winner_of(sweep)
    assert run == tmp_path / "b" / "runs" / "t0001"
    run.rename(tmp_path / "away")
    with pytest.raises(UsageError, match=r"its sweep chose, t0001; .* has not\. Copy it there"):
        winner_of(sweep)
    (tmp_path / "away").rename(run)
    assert winner_of(sweep) == run


def test_a_run_that_is_elsewhere_is_shown_as_it_was_told(tmp_path: Path) -> None:
    import shutil

    made_sweep_folder(tmp_path, [0.1, 0.4])
    shutil.rmtree(tmp_path / "runs" / "t0001")
    found = read_sweep(tmp_path)
    assert found is not None and found.rows[0]["value"] == 0.4
    show_sweep(found, Terminal(text := io.StringIO()))
    assert "2 of 3 trials done" in text.getvalue()


def test_a_trial_is_known_by_its_name_where_one_before_it_is_lost(tmp_path: Path) -> None:
    sweep = made_sweep_folder(tmp_path, [0.1, 0.2, 0.4], finished=True)
    del sweep.record["trials"][0]
    assert [row["run"] for row in sweep.rows] == ["t0002", "t0001"]
    assert winner_of(sweep) == sweep.paths.run(1).root


def test_test_figures_are_never_starred_where_runs_withhold_them(tmp_path: Path) -> None:
    """Planted in a record by hand: a run that withholds them has none."""

    def starred(*records: dict[str, Any]) -> set[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        runs = [
            read_run(made_run(folder / str(n), lr=0.001 * (n + 1), **each))
            for n, each in enumerate(records)
        ]
        _, beside = comparison_sections(runs, names_of(runs))
        (table,) = beside.tables
        return {row[0] for row in table.rows if any(cell.startswith("* ") for cell in row)}

    values = tuple({"test_reward_mean": each, "val_reward_mean": each} for each in (0.1, 0.2))
    assert "test reward" in starred(*values)
    shut = starred(*({**each, **SHUT} for each in values))
    assert "validation reward" in shut
    assert not shut & {"test reward", "log growth", "log growth over 1/N", "Sharpe ratio"}


def test_a_folder_that_is_no_sweep_is_none(tmp_path: Path) -> None:
    assert read_sweep(tmp_path) is None


def test_the_best_ten_have_values(tmp_path: Path) -> None:
    sweep = made_sweep_folder(tmp_path, [None, *(0.01 * n for n in range(12))])
    found = best_ten(sweep.rows)
    assert [row["run"] for row in found] == [f"t{n:04d}" for n in range(12, 2, -1)]
