"""The fields of `metrics.json`, and what follows from their rows."""

from __future__ import annotations

from pathlib import Path

from psann.metrics import portfolio_metrics
from psann.run.directory.fields import (
    EPOCH_FIGURES,
    FIELDS,
    LOGGED_FIGURES,
    has_mean,
    is_of_its_kind,
    kinds_of,
)
from psann.run.directory.groups import SeedFigures

CONTRACT = (
    "train_loss val_loss best_epoch reward_mean reward_std episodes transition_penalty device "
    "duration_seconds throughput_eps_per_sec portfolio_metrics error schema_version status mode "
    "phase run_id run_name seed monitor monitor_value epoch epochs_total test_loss val_reward_mean "
    "test_reward_mean started_utc updated_utc finished_utc heartbeat best last resumes "
    "resume_exact nonfinite baselines timing hardware parent config_sha256 data_sha256 per_seed "
    "artefacts trans_cost resume_differences portfolio_metrics_delay_1 versus_uniform "
    "versus_uniform_delay_1 deflated_sharpe n_trials spread ensemble "
    "walk_forward placebo temperature min_improvement val_turnover "
    "deflated_skill judged ruined_at train_figures_of cautions doubts min_significance "
    "spans ends portfolio_metrics_cost_2 portfolio_metrics_cost_3 "
    "delay portfolio_metrics_advance_1 versus_uniform_advance_1"
)


def test_the_documentation_has_a_row_for_each_field() -> None:
    text = (Path(__file__).parents[3] / "docs" / "artefacts.md").read_text()
    rows = [f"| `{name}` | {field.meaning} |" for name, field in FIELDS.items()]
    assert [row for row in rows if row not in text] == []


def test_the_documentation_has_a_row_for_each_portfolio_metric() -> None:
    text = (Path(__file__).parents[3] / "docs" / "artefacts.md").read_text()
    figures = portfolio_metrics([[0.5, 0.5]] * 3, [[1, 1], [1.1, 0.9], [1.32, 0.9]])
    assert [name for name in figures if f"\n| `{name}` | " not in text] == []


def test_fields_are_those_of_the_contract() -> None:
    assert set(FIELDS) == set(CONTRACT.split())


def test_each_field_has_a_kind_that_its_values_are_held_against() -> None:
    for name in FIELDS:
        assert kinds_of(name), name
        assert is_of_its_kind(name, None)
        assert not is_of_its_kind(name, object())
    assert is_of_its_kind("train_loss", 1)
    assert not is_of_its_kind("train_loss", True)
    assert not is_of_its_kind("resume_exact", 1)
    assert not is_of_its_kind("portfolio_metrics_delay_1", [])


def test_what_the_log_keeps_of_the_best_epoch_is_not_judged_again() -> None:
    assert set(LOGGED_FIGURES) < set(EPOCH_FIGURES)
    assert {"train_loss", "reward_mean", "reward_std"} <= set(LOGGED_FIGURES)
    assert not {"val_loss", "val_reward_mean"} & set(LOGGED_FIGURES)


def test_figures_of_seeds_have_means_and_their_counts_and_names_none() -> None:
    assert has_mean("val_loss")
    assert not any(map(has_mean, ("seed", "epoch", "best_epoch", "status", "stopped_early")))


def test_each_figure_of_a_seed_is_a_field_of_the_record() -> None:
    assert set(SeedFigures.__annotations__) - {"stopped_early"} <= set(FIELDS)
