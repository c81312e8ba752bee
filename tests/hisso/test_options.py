from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from psann.hisso.options import EvaluationOptions, HISSOOptions, WarmStartOptions


def test_defaults_are_those_of_the_contract() -> None:
    options = HISSOOptions()
    assert (options.window, options.batch_episodes, options.updates_per_epoch) == (64, 32, None)
    assert (options.primary_transform, options.transition_penalty) == ("softmax", 0.0)
    assert options.enabled and options.warm_start is None and not options.mixed_precision
    judging = EvaluationOptions()
    assert (judging.initial, judging.trans_cost, judging.periods_per_year) == ("cash", None, 252.0)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (HISSOOptions, {"window": 1}),
        (HISSOOptions, {"window": 2.5}),
        (HISSOOptions, {"batch_episodes": 0}),
        (HISSOOptions, {"updates_per_epoch": 0}),
        (HISSOOptions, {"transition_penalty": -0.1}),
        (HISSOOptions, {"transition_penalty": float("inf")}),
        (HISSOOptions, {"input_noise": float("nan")}),
        (HISSOOptions, {"primary_transform": "sofmax"}),
        (HISSOOptions, {"amp_dtype": "float8"}),
        (HISSOOptions, {"reward": 3}),
        (HISSOOptions, {"reward": {"kwargs": {}}}),
        (HISSOOptions, {"reward": {"target": "sharpe", "kwarg": {}}}),
        (HISSOOptions, {"supervised": {"epocs": 3}}),
        (HISSOOptions, {"windw": 3}),
        (HISSOOptions, {"min_significance": -1}),
        (HISSOOptions, {"min_significance": float("inf")}),
        (HISSOOptions, {"min_significance": "5 %"}),
        (WarmStartOptions, {"epochs": 0}),
        (WarmStartOptions, {"batch_size": 0}),
        (WarmStartOptions, {"lr": 0.0}),
        (WarmStartOptions, {"weight_decay": -1.0}),
        (EvaluationOptions, {"trans_cost": 1.0}),
        (EvaluationOptions, {"initial": "bonds"}),
        (EvaluationOptions, {"periods_per_year": 0.0}),
    ],
)
def test_impossible_values_and_unknown_keys_are_refused(model: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{model.__name__}(\.|: ){next(iter(wrong))}\b"):
        model(**wrong)


def test_options_cannot_be_changed_once_made() -> None:
    with pytest.raises(AttributeError, match="HISSOOptions cannot be changed"):
        HISSOOptions().window = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("supervised", "expected"),
    [
        (False, None),
        (True, WarmStartOptions()),
        ({"epochs": 2}, WarmStartOptions(epochs=2)),
        (WarmStartOptions(lr=0.1), WarmStartOptions(lr=0.1)),
    ],
)
def test_warm_start_may_be_a_switch_or_its_options(supervised: Any, expected: Any) -> None:
    assert HISSOOptions(supervised=supervised).warm_start == expected


def test_significance_may_be_a_number_or_left_to_the_number_of_epochs() -> None:
    assert HISSOOptions().min_significance == 0.0
    assert HISSOOptions(min_significance=2).min_significance == 2.0
    assert HISSOOptions(min_significance="auto").min_significance == "auto"


@pytest.mark.parametrize(
    "given",
    [
        {
            "window": 5,
            "reward": {"target": "mean_variance", "kwargs": {"risk_aversion": 2.0}},
            "supervised": WarmStartOptions(epochs=3),
        },
        # Bounds that equal the False of settings that are left out.
        {"primary_transform": "bounded", "low": 0.0, "high": 2.0, "n_actions": 1},
        {"primary_transform": "bounded", "low": -1.0, "high": 0.0},
    ],
)
def test_options_survive_the_way_through_plain_values(given: Any) -> None:
    options = HISSOOptions(**given)
    assert HISSOOptions.model_validate(options.model_dump()) == options


def test_importing_the_options_does_not_import_torch() -> None:
    program = "import sys, psann.hisso.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
