"""Figures of runs that were judged by different things are beside each other, but not ranked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from made_runs import made_run
from psann._strict_yaml import read_config_file
from psann._yaml_text import to_yaml
from psann.run.directory.paths import RunPaths
from psann.run.reading.comparison import comparison_sections, names_of
from psann.run.reading.quantities import quantity
from psann.run.reading.ranking import judged_apart, may_rank
from psann.run.reading.reading import RunView, read_run

DIGESTS = {"X_train": "1", "prices_train": "2", "X_val": "3", "prices_val": "4", "time_test": "5"}
GROWTH = "portfolio_metrics.annual_log_growth"


def run_of(
    root: Path, settings: dict[str, Any], digests: dict[str, str] | None = None, **fields: Any
) -> RunView:
    """A made run with other settings, by section, and digests of its arrays."""
    paths = RunPaths(made_run(root, run_id=root.name * 32, **fields))
    values = read_config_file(paths.config_resolved).values
    for section, changed in settings.items():
        values[section] |= changed
    paths.config_resolved.write_text(to_yaml(values))
    if digests is not None:
        start = {"data": {"sha256": "d" * 64, "keys": digests}}
        paths.provenance.write_text(json.dumps({"schema_version": 1, "starts": [start]}))
    return read_run(root)


@pytest.mark.parametrize(
    ("settings", "apart"),
    [
        ({"training": {"lr": 0.1}}, {}),
        ({"hisso": {"reward": None}}, {}),
        (
            {"hisso": {"reward": "sharpe"}},
            {"reward_mean": ["hisso.reward"], "val_reward_mean": ["hisso.reward"]},
        ),
        (
            {"hisso": {"transition_penalty": 0.5}},
            {
                "reward_mean": ["hisso.transition_penalty"],
                "val_reward_mean": ["evaluation.trans_cost"],
                GROWTH: ["evaluation.trans_cost"],
            },
        ),
        (
            {"hisso": {"transition_penalty": 0.5}, "evaluation": {"trans_cost": 0.001}},
            {"reward_mean": ["hisso.transition_penalty"]},
        ),
        (
            {"evaluation": {"cash_rate": 0.05}},
            {"val_reward_mean": ["evaluation.cash_rate"], GROWTH: ["evaluation.cash_rate"]},
        ),
        ({"evaluation": {"periods_per_year": 52.0}}, {GROWTH: ["evaluation.periods_per_year"]}),
        (
            {"hisso": {"enabled": False}},
            {"reward_mean": ["hisso.enabled"], "val_reward_mean": ["hisso.enabled"]},
        ),
    ],
)
def test_only_what_was_judged_by_the_same_is_ranked(
    tmp_path: Path, settings: dict[str, Any], apart: dict[str, list[str]]
) -> None:
    same = {"hisso": {"transition_penalty": 0.001}, "evaluation": {"cash_rate": 0.0}}
    merged = {name: same.get(name, {}) | settings.get(name, {}) for name in {*same, *settings}}
    runs = [run_of(tmp_path / "a", same), run_of(tmp_path / "b", merged)]
    for key in ("reward_mean", "val_reward_mean", GROWTH, "duration_seconds"):
        each = quantity(key)
        assert [*judged_apart(each, runs)] == apart.get(key, []), key
        assert may_rank(each, runs) is (key not in apart)


@pytest.mark.parametrize(
    ("changed", "apart"),
    [("X_val", []), ("time_test", []), ("prices_val", ["validation rows"]), ("prices_test", [])],
)
def test_another_choice_of_features_judges_by_the_same_prices(
    tmp_path: Path, changed: str, apart: list[str]
) -> None:
    runs = [
        run_of(tmp_path / "a", {}, DIGESTS),
        run_of(tmp_path / "b", {}, DIGESTS | {changed: "6"}, data_sha256="e" * 64),
    ]
    assert [*judged_apart(quantity("val_reward_mean"), runs)] == apart


def test_runs_on_other_data_stand_beside_each_other_without_a_best_one(tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path / "a", {}, seed=1, duration_seconds=1.0),
        run_of(tmp_path / "b", {}, seed=2, data_sha256="e" * 64),
    ]
    _, beside = comparison_sections(runs, names_of(runs))
    assert beside.sentences == (
        "The runs differ in what judges them, validation rows, test rows and training rows: "
        "figures of that are not ranked.",
    )
    (table,) = beside.tables
    assert [row[0] for row in table.rows if any("*" in cell for cell in row)] == ["duration"]
    assert table.note == "* best"
