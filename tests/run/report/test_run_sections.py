"""What a report says in words, for runs of every status."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faults import killed_runs
from made_runs import made_run
from psann._npz import npz_bytes
from psann.presentation.content import Section
from psann.run.reading.reading import read_run
from psann.run.report.run_sections import run_sections, summary


def sections(path: Path) -> dict[str, Section]:
    return {s.title: s for s in run_sections(read_run(path), level=2, points=100)}


def test_finished_run_has_every_section_what_matters_first(tmp_path: Path) -> None:
    made = sections(made_run(tmp_path / "run"))
    assert list(made) == [
        *("Summary", "Wealth and weights", "Result beside the baselines", "When", "Problems"),
        *("All figures", "Training and time", "Configuration", "Provenance"),
    ]
    folded = [title for title, section in made.items() if section.is_folded]
    assert folded == ["All figures", "Training and time", "Configuration", "Provenance"]


def test_where_no_portfolio_was_judged_figures_and_training_are_open(tmp_path: Path) -> None:
    root = made_run(tmp_path / "run", portfolio_metrics=None, baselines=None)
    (root / "evaluation.npz").unlink()
    made = sections(root)
    assert list(made)[:4] == ["Summary", "Problems", "All figures", "Training and time"]
    assert not made["All figures"].is_folded and not made["Training and time"].is_folded


def test_returns_and_drawdowns_of_the_table_are_percent(tmp_path: Path) -> None:
    made = sections(made_run(tmp_path / "run"))
    (table,) = made["Result beside the baselines"].tables
    for head in ("return", "volatility", "worst drawdown", "traded"):
        place = table.columns.index(head)
        assert all(row[place].endswith("%") for row in table.rows)
    said = [section.title for section in made.values() if "log growth" in dict(section.terms)]
    assert len(said) == 1


def test_time_of_each_kind_of_work_and_the_rest_adds_up(tmp_path: Path) -> None:
    (table,) = sections(made_run(tmp_path / "run"))["Training and time"].tables
    assert table.rows[-1] == ("start, judging, the rest", "10.27", "56%")
    assert sum(float(row[1]) for row in table.rows) == pytest.approx(18.5, abs=0.02)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (
            [[0.25, 0.25]] * 2,
            "The policy wants the same weights on every row: 25.0% in each asset.",
        ),
        ([[0.5, 0.25]] * 2, "The policy wants the same weights on every row."),
        ([[0.0, 0.0]] * 2, "The policy wants to hold nothing but cash on every row."),
        ([[0.5, 0.5], [1.0, 0.0]], None),
        (
            [[1.0, -1.0], [0.5, -0.5]],
            "It wants up to 200% of the wealth, long and short together; what is borrowed is had "
            "for nothing here (evaluation.borrow_rate).",
        ),
    ],
)
def test_weights_that_never_change_are_a_sentence(
    tmp_path: Path, weights: list[list[float]], said: str | None
) -> None:
    root = made_run(tmp_path / "run")
    net = np.array([[1.0, 1.1]])
    arrays = {"names": np.array(["policy"]), "net": net, "gross": net}
    content = npz_bytes({**arrays, "allocations": np.array(weights, dtype=np.float32)})
    (root / "evaluation.npz").write_bytes(content)
    assert sections(root)["Wealth and weights"].sentences == (() if said is None else (said,))


def test_many_warnings_are_folded_and_counted_in_the_summary(tmp_path: Path) -> None:
    root = made_run(tmp_path / "run")
    log = (root / "events.csv").read_text().splitlines(keepends=True)
    (root / "events.csv").write_text("".join([*log, *log[-1:] * 11]))
    made = sections(root)
    assert made["Problems"].is_folded
    assert any(text.endswith("warnings: see Problems.") for text in made["Summary"].sentences)


def test_folds_and_placebos_have_sections_of_their_own(tmp_path: Path) -> None:
    placebo = {"n": 1, "growth": 0.3, "share_as_good": 0.0, "growths": [0.1]}
    root = made_run(tmp_path / "run", placebo=placebo)
    net = np.array([[1.0, 1.1, 1.2, 1.1]])
    arrays = {"names": np.array(["policy"]), "net": net, "gross": net}
    weights, fold = np.eye(4, 2, dtype=np.float32), np.array([1, 1, 2, 2])
    (root / "walk_forward.npz").write_bytes(
        npz_bytes({**arrays, "allocations": weights, "fold": fold})
    )
    made = sections(root)
    assert len(made["Walk-forward"].pictures) == len(made["Walk-forward"].tables) == 1
    assert len(made["Placebo"].pictures) == 1


def test_summary_tells_the_result_and_what_it_cost(tmp_path: Path) -> None:
    figures = {"cum_return": 1.5, "annual_log_growth": 0.3, "annual_return": 0.35, "n_steps": 250.0}
    uniform = {"cum_return": 0.25, "annual_log_growth": 0.1}
    run = read_run(
        made_run(
            tmp_path / "run",
            portfolio_metrics=figures,
            portfolio_metrics_delay_1={"annual_log_growth": 0.05},
            versus_uniform_delay_1={"growth": -0.05},
            baselines={"uniform": uniform},
            judged={"split": "test", "first": "2020-01-02", "last": "2020-12-30"},
        )
    )
    first, second, *_, last = summary(run)
    few = made_run(tmp_path / "few", portfolio_metrics={**figures, "n_steps": 3.0})
    first_of_few, *_ = summary(read_run(few))
    assert "policy turned 1.00 into 2.50;" in first_of_few  # three rows are no year
    assert first == (
        "Test rows 2020-01-02 ... 2020-12-30, 250 steps: net of 10 bp per unit traded the policy "
        "turned 1.00 into 2.50 (+35.0% per year); 1/N turned it into 1.25."
    )
    assert second.startswith("The edge needs trading at the very price")
    assert last == (
        "A run of psann.PSANNRegressor, mode train, seed 42, on cpu: completed after epoch 40 of "
        "40, 18.5 s of wall time."
    )


def test_traceback_is_a_block_and_its_last_line_is_in_the_summary(tmp_path: Path) -> None:
    error = "Traceback (most recent call last):\n  File x\nValueError: no such column\n"
    made = sections(made_run(tmp_path / "run", status="failed", error=error, best_epoch=None))
    assert made["Problems"].blocks == (error.rstrip(),)
    assert "ValueError: no such column" in " ".join(made["Summary"].sentences)


def test_warnings_of_the_log_are_repeated(tmp_path: Path) -> None:
    made = sections(made_run(tmp_path / "run"))
    assert made["Problems"].warnings == ("warning: column 3 is constant ",)


def test_run_that_only_began_is_reported(tmp_path: Path) -> None:
    made = sections(tmp_path)
    first, *_, last = made["Summary"].sentences
    assert (first, last) == ("metrics.json tells no status.", "A run: unknown.")
    assert "metrics.json is missing" in made["Problems"].warnings[0]


def test_values_of_wrong_kinds_break_no_sentence(tmp_path: Path) -> None:
    foreign = {
        "portfolio_metrics": {"annual_log_growth": "much", "cum_return": [1]},
        "baselines": {"uniform": 3},
        "versus_uniform": {"growth": 0.1},
        "timing": {"data_s": "long"},
        "parent": {"run_id": ["x"]},
        "artefacts": {},
        "nonfinite": ["val_loss", "walk_forward.versus_uniform.psr", "deflated_skill"],
    }
    made = sections(made_run(tmp_path / "run", **foreign))
    assert "Not finite, and null in metrics.json: val_loss." in made["Problems"].warnings
    many = sections(made_run(tmp_path / "many", nonfinite=["a", "b", "c", "d", "e"]))["Problems"]
    assert "Not finite, and null in metrics.json: a, b, c and 2 more." in many.warnings


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "diverged", "error": "DivergedError: loss is nan"}, "loss is nan"),
        ({"status": "running", "finished_utc": None}, "stale"),
        ({"schema_version": 99}, "schema version"),
    ],
    ids=["diverged", "running when copied", "another version"],
)
def test_run_of_any_ending_is_reported(
    tmp_path: Path, fields: dict[str, object], said: str
) -> None:
    made = sections(made_run(tmp_path / "run", **fields))
    texts = [text for each in made.values() for text in (*each.sentences, *each.warnings)]
    assert said in " ".join(texts)
    assert made["Training and time"].pictures


@pytest.mark.slow
def test_runs_killed_at_random_instants_are_reported(tmp_path: Path) -> None:
    for paths in killed_runs(tmp_path, 10):
        made = sections(paths.root)
        status = read_run(paths.root).status
        assert status in made["Summary"].sentences[-1]
