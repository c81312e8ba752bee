"""`compare` and the report say the same of the same runs, by the same names and groups."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from made_runs import made_run
from psann._terminal import Terminal
from psann.presentation.content import Section
from psann.run.reading.compare import show_comparison
from psann.run.reading.comparison import comparison_sections, monitor_curves, names_of
from psann.run.reading.reading import RunView, read_run
from psann.run.report.comparison import report_of

KINDS = {
    "two copies of one run": [("a/run", {}), ("b/run", {})],
    "two seeds of one configuration": [
        ("x", {"seed": 1, "run_id": "1" * 32}),
        ("y", {"seed": 2, "run_id": "2" * 32}),
    ],
    "two configurations": [
        ("x", {"lr": 0.1, "run_id": "1" * 32}),
        ("y", {"lr": 0.2, "run_id": "2" * 32}),
    ],
}


def runs_of(kind: str, folder: Path) -> list[RunView]:
    return [read_run(made_run(folder / name, **how)) for name, how in KINDS[kind]]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_compare_and_report_name_and_group_the_same_runs_alike(kind: str, tmp_path: Path) -> None:
    runs = runs_of(kind, tmp_path)
    differing, beside = comparison_sections(runs, names_of(runs))
    stream = io.StringIO()
    show_comparison(runs, Terminal(stream))
    text = stream.getvalue().replace(" +- ", " ± ")
    report = report_of(runs, points=50)
    in_report = {section.title: section for section in report.sections}
    for section in (differing, beside):
        assert _texts(in_report[section.title]) == _texts(section)
        assert all(sentence in text for sentence in section.sentences)
        for table in section.tables:
            assert all(name in text for name in (*table.columns, *(row[0] for row in table.rows)))


def _texts(section: Section) -> object:
    return section.sentences, section.tables


def test_copies_are_called_copies_and_have_neither_mean_nor_spread(tmp_path: Path) -> None:
    runs = runs_of("two copies of one run", tmp_path)
    _, beside = comparison_sections(runs, names_of(runs))
    assert beside.sentences == ("a/run and b/run are copies of one run.",)
    assert beside.tables[0].columns[3:] == ("a/run", "b/run")
    assert not any("±" in cell for row in beside.tables[0].rows for cell in row)


def test_seeds_are_a_group_with_mean_and_spread(tmp_path: Path) -> None:
    runs = runs_of("two seeds of one configuration", tmp_path)
    _, beside = comparison_sections(runs, names_of(runs))
    sentence, caution = beside.sentences
    assert sentence == (
        "x and 1 more: mean ± standard deviation over 2 seeds (1, 2) of one configuration: x and y."
    )
    assert caution.startswith("Seeds of a group have their rows in common: the luck of those is no")
    assert beside.tables[0].columns[3:] == ("x", "y", "x and 1 more")


def test_runs_of_several_seeds_are_not_called_seeds(tmp_path: Path) -> None:
    each = [{"seed": 0}, {"seed": 1}, {"seed": 2}]
    runs = [
        read_run(made_run(tmp_path / name, seed=seed, run_id=name * 32, per_seed=each))
        for name, seed in (("a", 1), ("b", 9))
    ]
    _, beside = comparison_sections(runs, names_of(runs))
    assert "deviation over 2 runs of 3 seeds each (from 1, 9 on) of one" in beside.sentences[0]


def test_a_seed_that_was_run_twice_is_no_second_draw(tmp_path: Path) -> None:
    runs = [
        read_run(made_run(tmp_path / name, seed=seed, run_id=name * 32, test_reward_mean=value))
        for name, seed, value in (("a", 1, 1.0), ("b", 1, 9.0), ("c", 2, 3.0), ("d", 3, None))
    ]
    _, beside = comparison_sections(runs, names_of(runs))
    assert beside.sentences[0].endswith(
        "(1, 2, 3) of one configuration: a, b, c and d, of each seed the first."
    )
    (row,) = [row for row in beside.tables[0].rows if row[0] == "test reward"]
    assert row[-1] == "2 ± 1.414 (of 2)"


def test_what_is_written_alike_is_alike_the_best(tmp_path: Path) -> None:
    runs = [
        read_run(made_run(tmp_path / f"{k}", lr=0.1 * k, run_id=f"{k}" * 32, val_reward_mean=value))
        for k, value in enumerate((0.5, 0.5 + 1e-12, 0.25), start=1)
    ]
    for n, best in ((3, ("* 0.5", "* 0.5", "0.25")), (2, ("0.5", "0.5"))):
        table = comparison_sections(runs[:n], names_of(runs))[1].tables[0]
        (cells,) = (row for row in table.rows if row[0] == "validation reward")
        assert cells[3:] == best


def test_configurations_are_no_group(tmp_path: Path) -> None:
    runs = runs_of("two configurations", tmp_path)
    differing, beside = comparison_sections(runs, names_of(runs))
    assert differing.sentences[0] == "The two runs differ in one key: training.lr."
    assert beside.sentences == ()


def test_curves_are_gathered_by_what_chose_the_best_epoch(tmp_path: Path) -> None:
    runs = runs_of("two configurations", tmp_path)
    ((column, found),) = monitor_curves(runs).items()
    assert column == "val_reward_mean"
    assert [run for run, _ in found] == runs
    assert all(len(values) == 40 for _, values in found)


def test_a_choice_among_runs_has_the_candidates_of_all(tmp_path: Path) -> None:
    runs = [
        read_run(made_run(tmp_path / name, lr=lr, run_id=identity * 32, n_trials=61))
        for name, lr, identity in (("a", 0.1, "1"), ("b", 0.2, "2"), ("copy", 0.2, "2"))
    ]
    (*_, told) = comparison_sections(runs, names_of(runs))[1].sentences
    assert told == (
        "Each run counts its own candidates alone; whoever chooses one of these runs has compared "
        "up to 122."
    )
    (*_, other) = comparison_sections(runs[1:], names_of(runs))[1].sentences
    assert "candidates" not in other
