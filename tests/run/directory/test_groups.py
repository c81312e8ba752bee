"""Groups of figures: the names that are written down are those of a run's record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from psann.run.directory import groups
from psann.run.directory.metrics import read_metrics


@pytest.fixture(scope="module")
def records(runs_of_now: Path) -> Mapping[str, Mapping[str, Any]]:
    return {
        name: read_metrics(runs_of_now / name / "metrics.json")[0]
        for name in ("seeds", "walk_forward", "dense")
    }


def test_a_run_writes_every_figure_of_a_policy_beside_uniform_and_no_other(
    records: Mapping[str, Mapping[str, Any]],
) -> None:
    assert records["dense"]["versus_uniform"].keys() == groups.Versus.__annotations__.keys()


def test_a_run_of_several_seeds_writes_every_figure_of_a_seed(
    records: Mapping[str, Mapping[str, Any]],
) -> None:
    for entry in records["seeds"]["per_seed"]:
        assert groups.SeedFigures.__annotations__.keys() <= entry.keys()


def test_a_walk_forward_writes_every_figure_of_its_folds_together(
    records: Mapping[str, Mapping[str, Any]],
) -> None:
    found = records["walk_forward"]["walk_forward"]
    # The reward stands there in place of them, where actions are no weights.
    assert groups.WalkForward.__annotations__.keys() - {"reward_mean"} <= found.keys()
    assert "reward_mean" not in found


def test_a_record_tells_which_rows_it_judged(records: Mapping[str, Mapping[str, Any]]) -> None:
    # Its rows have no dates, it has no benchmark, and its test rows were not left shut.
    absent = {"first", "last", "benchmark", "test_withheld"}
    assert records["dense"]["judged"].keys() == groups.Judged.__annotations__.keys() - absent
