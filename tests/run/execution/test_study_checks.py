"""Studies that cannot be made are refused, and odd ones warned of, before any training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from psann.run.config.load import load_run_config
from psann.run.execution.study_checks import find_jumps
from psann.run.verification.verify import verify_run
from trials import finished, metrics_of, rows_of, trial, write_config

STUDIES = ("evaluation.walk_forward={folds: 2, gap: 1}", "evaluation.placebo=2")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["hisso.enabled=false"],
            "evaluation.walk_forward judges actions, of which there are none",
        ),
        (
            ["hisso.primary_transform=identity", "hisso.reward=negative_mse"],
            "judges portfolios",
        ),
        (["data.kwargs={without: [prices_test]}"], "needs the prices of every split"),
        (["evaluation.walk_forward={folds: 2, validation: 60}"], "leave at least 7 rows"),
        (["evaluation.walk_forward={folds: 20}"], "folds must be at most 15"),
        (
            [
                "hisso.supervised={epochs: 1, y_key: other}",
                "data.kwargs={copies: {other: y_train}}",
            ],
            "hisso.supervised.y_key must be 'y_train'",
        ),
        (
            ["data.kwargs={without: [X_test, y_test, prices_test, time_test]}"],
            "refit_every must be given where there is no X_test",
        ),
        (
            ["hisso.context_extractor=trials.cumulative_features"],
            "evaluation.placebo shuffles prices",
        ),
    ],
)
def test_what_cannot_be_studied_is_refused_before_training(
    tmp_path: Path, overrides: list[str], words: str
) -> None:
    outcome = trial(tmp_path, *STUDIES, *overrides)
    assert outcome.exit_code == 1
    assert outcome.message is not None
    assert words in outcome.message
    assert outcome.paths is not None
    assert not rows_of(outcome.paths, "epoch")


def test_fine_tuning_is_no_study(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1", name="parent")
    outcome = trial(tmp_path, *STUDIES, mode="fine_tune", init_from=str(parent.root))
    assert outcome.exit_code == 1
    assert "the parent may have seen the rows that are judged" in (outcome.message or "")


def test_prices_that_start_over_in_each_split_are_warned_of(tmp_path: Path) -> None:
    paths = finished(tmp_path, "evaluation.walk_forward={folds: 1}", "training.epochs=1")
    warnings = [row["message"] for row in rows_of(paths, "data") if row["level"] == "WARNING"]
    assert len(warnings) == 2
    assert all("Do they go on without a break" in text for text in warnings)
    assert metrics_of(paths)["doubts"] == warnings  # so that no verdict goes without them
    assert verify_run(paths.root).findings == ()


@pytest.mark.parametrize(("move", "told"), [(0.099, []), (0.11, ["1.12"]), (-0.11, ["1.12"])])
def test_a_jump_is_a_move_between_splits_beyond_any_inside_of_one(
    tmp_path: Path, move: float, told: list[str]
) -> None:
    overrides = ["evaluation.walk_forward={folds: 1}"]
    config = load_run_config(write_config(tmp_path), overrides=overrides)
    train = np.exp([[0.0, 0.0], [0.1, 0.02], [0.05, 0.0]])
    test = train[-1] * np.exp([[0.01, move], [0.02, move]])
    splits = SimpleNamespace(arrays={"prices_train": train, "prices_test": test})
    found = find_jumps(config, splits)
    assert [text.partition("a factor of ")[2][:4] for text in found] == told
    assert all("the last row of prices_train to the first of prices_test" in text for text in found)
