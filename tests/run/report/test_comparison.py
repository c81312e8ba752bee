"""Several runs in one report: what differs, side by side, seeds grouped."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_runs import HOSTILE, made_run
from psann.presentation.content import Picture, Report, Section, Table
from psann.presentation.figure import Area, Line
from psann.presentation.page import render_html
from psann.run.reading.reading import read_run
from psann.run.report.comparison import report_of


def report(*roots: Path) -> Report:
    return report_of([read_run(root) for root in roots], points=100)


def section(made: Report, title: str) -> Section:
    (found,) = [each for each in made.sections if each.title == title]
    return found


def cells(table: Table, label: str) -> list[str]:
    """What a table of few runs has under a quantity."""
    (row,) = [row for row in table.rows if row[0] == label]
    return list(row[-table.n_numbers :])


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two learning rates, two seeds of the first."""
    folder = tmp_path_factory.mktemp("grid")
    return report(
        made_run(folder / "a", seed=1, lr=0.01, val_reward_mean=0.25),
        made_run(folder / "b", seed=2, lr=0.01, val_reward_mean=0.75),
        made_run(folder / "c", seed=1, lr=0.02, val_reward_mean=0.125),
    )


def test_report_of_one_run_is_named_after_it(tmp_path: Path) -> None:
    made = report(made_run(tmp_path / "first"))
    assert (made.title, made.status) == ("first", "completed")
    assert made.sections[0].title == "Summary"


def test_comparison_comes_first_then_every_run(grid: Report) -> None:
    chapters = [each.title for each in grid.sections if each.is_chapter]
    assert grid.title == "Comparison of 3 runs"
    assert chapters == [
        "What differs",
        "Side by side",
        "Training",
        "a: completed",
        "b: completed",
        "c: completed",
    ]


def test_each_run_is_in_short_and_folded(grid: Report) -> None:
    assert [len(each.pictures) for each in grid.sections] == [0, 1, 1, 0, 0, 0]
    for each in grid.sections[2:]:
        assert each.is_folded
    for each in grid.sections[3:]:
        assert each.sentences and len(each.tables) == 1


def test_runs_that_differ_in_one_key_say_exactly_that_key(tmp_path: Path) -> None:
    made = report(made_run(tmp_path / "a", lr=0.01), made_run(tmp_path / "b", lr=0.02))
    differs = section(made, "What differs")
    assert differs.sentences[0] == "The two runs differ in one key: training.lr."
    (table,) = differs.tables
    assert table.columns == ("key", "a", "b")
    assert table.rows == (("training.lr", "0.01", "0.02"),)


def test_identical_runs_are_called_identical(tmp_path: Path) -> None:
    roots = [made_run(tmp_path / name / "run") for name in ("x", "y")]
    made = report(*roots)
    assert any("identical" in text for text in section(made, "What differs").sentences)
    chapters = [each.title for each in made.sections if each.is_chapter]
    assert chapters[3:] == ["x/run: completed", "y/run: completed"]


def test_seeds_of_one_configuration_are_a_row_of_mean_and_spread(grid: Report) -> None:
    (table,) = section(grid, "Side by side").tables
    assert table.columns == ("", "unit", "better", "a", "b", "c", "a and 1 more")
    assert cells(table, "validation reward") == ["0.25", "* 0.75", "0.125", "0.5 ± 0.3536"]


def lines_of(picture: Picture, panel: int = 0) -> dict[str, Line]:
    marks = picture.figure.panels[panel].marks
    return {mark.label: mark for mark in marks if isinstance(mark, Line)}


def wealth_of(made: Report) -> Picture:
    (picture,) = section(made, "Side by side").pictures
    return picture


def test_seeds_of_one_configuration_are_one_line_their_mean_in_their_range(grid: Report) -> None:
    drawn = lines_of(wealth_of(grid))
    assert list(drawn) == ["a and 1 more", "c", "1/N"]
    assert len({line.look.colour for line in drawn.values()}) == 3
    (area,) = [m for m in wealth_of(grid).figure.panels[0].marks if isinstance(m, Area)]
    assert area.label == "range of a and 1 more"
    assert "Of several seeds the line is their mean, in their range." in wealth_of(grid).caption
    (reward,) = section(grid, "Training").pictures
    assert reward.caption.endswith("; of several seeds that of the first.")
    looks = {label: line.look.colour for label, line in lines_of(reward).items()}
    assert looks == {name: drawn[name].look.colour for name in ("a and 1 more", "c")}


def test_period_is_named_where_all_were_judged_on_the_same(tmp_path: Path) -> None:
    judged = [{"split": "test", "first": "2001-02-03", "last": day} for day in ("2002-01-01", "x")]
    same = [made_run(tmp_path / f"same{i}", lr=i + 1.0, judged=judged[0]) for i in range(2)]
    assert wealth_of(report(*same)).caption.startswith("Test rows 2001-02-03 ... 2002-01-01.")
    other = made_run(tmp_path / "other", lr=3.0, judged=judged[1])
    apart = wealth_of(report(same[0], other))
    assert apart.caption.startswith("Each on its own rows.") and "1/N" not in lines_of(apart)
    # A run that came to no judgement has no rows of its own.
    failed = made_run(tmp_path / "failed", data_sha256=None, judged=None)
    (failed / "evaluation.npz").unlink()
    caption = wealth_of(report(*same, failed)).caption
    assert caption.startswith("Test rows 2001-02-03 ") and "1/N on the same rows" in caption


def test_best_is_the_highest_or_the_lowest(tmp_path: Path) -> None:
    roots = [
        made_run(tmp_path / f"run{i}", lr=i + 1.0, duration_seconds=float(i), best_epoch=i)
        for i in range(3)
    ]
    (table,) = section(report(*roots), "Side by side").tables
    assert cells(table, "duration") == ["* 0.0", "1.0", "2.0"]
    assert cells(table, "best epoch") == ["0", "1", "2"]


def test_uniform_of_other_data_is_not_drawn(tmp_path: Path) -> None:
    roots = [made_run(tmp_path / name, data_sha256=name * 64) for name in "ab"]
    assert "1/N" not in lines_of(wealth_of(report(*roots)))


def test_of_many_runs_each_has_a_row_of_what_differs(tmp_path: Path) -> None:
    roots = [
        made_run(
            tmp_path / f"run{i}", lr=i + 1.0, n_rows=20, n_epochs=3, val_reward_mean=float(i % 5)
        )
        for i in range(7)
    ]
    made = report(*roots)
    (table,) = section(made, "What differs").tables
    assert table.columns == ("run", "training.lr")
    assert table.rows[6] == ("run6", "7.0")
    (ranking,) = section(made, "Side by side").tables
    assert ranking.columns[2] == "validation reward (per row, higher is better)"
    assert [row[0] for row in ranking.rows] == [f"run{i}" for i in range(7)]
    assert list(lines_of(wealth_of(made))) == ["run4", "run3", "run2", "run1", "1/N"]
    assert "the 4 of 7 that are best on validation rows" in wealth_of(made).caption
    bare = [made_run(tmp_path / f"b{i}", lr=i + 1.0, val_reward_mean=None) for i in range(7)]
    assert "Drawn are the 4 of 7 that are first." in wealth_of(report(*bare)).caption
    apart = [made_run(tmp_path / f"c{i}", data_sha256=f"{i}" * 64, n_rows=20) for i in range(7)]
    assert "Drawn are the 4 of 7 that are first." in wealth_of(report(*apart)).caption


def test_runs_without_results_are_compared_by_what_they_have(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    made = report(tmp_path / "empty", made_run(tmp_path / "run"))
    assert "No configuration of empty can be read." in section(made, "What differs").sentences[0]
    (table,) = section(made, "Side by side").tables
    assert cells(table, "status") == ["unknown", "completed"]


@pytest.mark.slow
def test_page_of_twenty_runs_is_small_enough(tmp_path: Path) -> None:
    roots = [
        made_run(tmp_path / f"run{i}", seed=i % 4, lr=i // 4 + 1.0, n_rows=1131, n_assets=36)
        for i in range(20)
    ]
    runs = [read_run(root) for root in roots]
    assert len(render_html(report_of(runs, points=100)).encode()) < 2_000_000


@pytest.mark.slow
def test_hostile_texts_of_several_runs_inject_nothing(tmp_path: Path) -> None:
    roots = [made_run(tmp_path / str(i), text=HOSTILE + str(i), run_name=HOSTILE) for i in range(2)]
    page = render_html(report(*roots))
    for name in ("script", "img", "b"):
        assert f"<{name}>" not in page
