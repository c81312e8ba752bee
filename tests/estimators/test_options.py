from __future__ import annotations

from typing import Any

import pytest

from psann.estimators._options import read_options, read_schedule
from psann.hisso.options import EvaluationOptions, HISSOOptions, WarmStartOptions
from psann.nn.sine import SineOptions
from psann.nn.state import StateOptions
from psann.training.schedules import LRScheduleOptions


def problems(model: Any, given: Any, who: str = "hisso") -> list[str]:
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_options(model, given, who=who)
    return str(caught.value).splitlines()


def test_an_instance_or_a_mapping_is_read() -> None:
    options = HISSOOptions(window=5)
    assert read_options(HISSOOptions, options, who="hisso") is options
    assert read_options(HISSOOptions, {"window": 5}, who="hisso") == options


def test_all_mistakes_are_told_at_once_each_with_its_key_and_value() -> None:
    given = {"window": 1, "primary_transform": "sofmax", "batch_episodes": 3}
    assert problems(HISSOOptions, given) == [
        "hisso.window must be a whole number of at least 2 and of at most 10000000; got 1.",
        "hisso.primary_transform must be one of identity, softmax, tanh, softmax_cash, "
        "long_short, sigmoid, bounded; got 'sofmax'.",
    ]


@pytest.mark.parametrize(
    ("model", "given", "sentence"),
    [
        (HISSOOptions, {"windw": 3}, "hisso.windw is no known key. Did you mean 'window'?"),
        (
            HISSOOptions,
            {"supervised": {"epocs": 3}},
            "hisso.supervised.epocs is no known key. Did you mean 'epochs'?",
        ),
        (
            HISSOOptions,
            {"reward": {"target": "sharpe", "kwarg": {}}},
            "hisso.reward.kwarg is no known key. Did you mean 'kwargs'?",
        ),
        (
            HISSOOptions,
            {"supervised": WarmStartOptions().model_dump() | {"lr": -1}},
            "hisso.supervised.lr must be a number greater than 0, or None; got -1.",
        ),
        (EvaluationOptions, {"initial": 3}, "hisso.initial must be one of cash, invested; got 3."),
        (EvaluationOptions, {"window": 3}, "hisso.window is no known key."),
        (HISSOOptions, {5: 3}, "hisso.5: keys should be strings; got 5."),
        (StateOptions, {"detach": False}, "hisso.detach must be true; got False."),
        (SineOptions, {"learnable": ["f"]}, "hisso.learnable: it must be 'amplitude', "),
        (SineOptions, {"bounds": {"damping": [1]}}, "hisso.bounds.damping: field required; got"),
        (HISSOOptions, {"reward_inputs": [1]}, "hisso.reward_inputs: it must be a valid string; "),
        (
            HISSOOptions,
            {"transition_penalty": "x y"},
            "hisso.transition_penalty: must be a number, a list of them, or an array of the data",
        ),
    ],
)
def test_a_mistake_is_told_in_one_sentence(model: Any, given: Any, sentence: str) -> None:
    (told,) = problems(model, given)
    assert told.startswith(sentence)


def test_a_key_of_several_forms_says_all_of_them() -> None:
    (sentence,) = problems(HISSOOptions, {"reward": 3})
    assert sentence.startswith("hisso.reward must be text, or a mapping, or None, or a function;")
    assert sentence.endswith("got 3.")


def test_settings_that_contradict_each_other_are_explained() -> None:
    (sentence,) = problems(LRScheduleOptions, {"name": "step", "lr_min": 0.1}, who="lr_schedule")
    expected = "lr_schedule: lr_min has no effect on the schedule 'step'; remove it."
    assert sentence == expected


@pytest.mark.parametrize("given", [3, True, [("window", 5)]])
def test_what_is_no_mapping_is_refused(given: Any) -> None:
    assert problems(HISSOOptions, given) == [
        f"hisso must be of type HISSOOptions, a mapping of its keys, or None; got {given!r}."
    ]


def test_a_schedule_is_read_by_name_as_mapping_or_not_at_all() -> None:
    cosine = LRScheduleOptions(name="cosine")
    assert read_schedule("cosine") == read_schedule({"name": "cosine"}) == cosine
    assert read_schedule(cosine) is cosine
    assert read_schedule(None) == LRScheduleOptions()
    with pytest.raises(ValueError, match=r"lr_schedule\.name must be"):
        read_schedule("cosin")
