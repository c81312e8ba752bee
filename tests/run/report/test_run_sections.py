"""What a report says in words, for runs of every status."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import killed_runs
from made_runs import made_run
from psann.run.reading.content import Section
from psann.run.reading.reading import read_run
from psann.run.report.run_sections import run_sections, summary


def sections(path: Path) -> dict[str, Section]:
    return {s.title: s for s in run_sections(read_run(path), level=2, points=100)}


def test_finished_run_has_every_section(tmp_path: Path) -> None:
    made = sections(made_run(tmp_path / "run"))
    assert list(made) == [
        *("Summary", "Problems", "Result beside the baselines", "Training and time"),
        *("Configuration", "Provenance"),
    ]
    assert made["Configuration"].is_folded
    assert made["Provenance"].is_folded


def test_summary_tells_the_result_and_what_it_cost(tmp_path: Path) -> None:
    figures = {"cum_return": 1.5, "annual_log_growth": 0.3, "n_steps": 250.0}
    uniform = {"cum_return": 0.25, "annual_log_growth": 0.1}
    run = read_run(
        made_run(
            tmp_path / "run",
            portfolio_metrics=figures,
            portfolio_metrics_delay_1={"annual_log_growth": 0.05},
            baselines={"uniform": uniform},
        )
    )
    first, second, third = summary(run)
    assert first == (
        "A run of psann.PSANNRegressor, mode train, seed 42, on cpu: completed after epoch 40 of "
        "40, 18.5 s of wall time."
    )
    assert second == (
        "Over 250 evaluation rows, net of 10 bp per unit traded, the policy turned 1.00 into 2.50; "
        "1/N turned it into 1.25."
    )
    assert third.startswith("The edge needs trading at the very price")


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
    assert made["Summary"].sentences[:2] == (
        "A run: unknown.",
        "metrics.json tells no status.",
    )
    assert "metrics.json is missing" in made["Problems"].warnings[0]


def test_values_of_wrong_kinds_break_no_sentence(tmp_path: Path) -> None:
    foreign = {
        "portfolio_metrics": {"annual_log_growth": "much", "cum_return": [1]},
        "baselines": {"uniform": 3},
        "versus_uniform": {"growth": 0.1},
        "timing": {"data_s": "long"},
        "parent": {"run_id": ["x"]},
        "artefacts": {},
        "nonfinite": ["val_loss"],
    }
    made = sections(made_run(tmp_path / "run", **foreign))
    assert "Not finite, and null in metrics.json: val_loss." in made["Problems"].warnings


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
        assert status in made["Summary"].sentences[0]
