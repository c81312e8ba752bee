"""What the models say about their keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from psann._model_keys import LATER, UNTOLD, config_keys, keys_below, later_keys
from psann.run.config.model import RunConfig

KEYS = config_keys(RunConfig)


def test_expectations_read_as_sentences() -> None:
    expected = {
        "mode": "one of train, fine_tune, evaluate",
        "seed": "a whole number of at least 0 and of at most 4294967295",
        "device": "text such as auto, cpu, cuda, cuda:0",
        "init_from": "text, or null",
        "hisso": "a mapping",
        "hisso.enabled": "true or false",
        "hisso.window": "a whole number of at least 2 and of at most 10000000",
        "hisso.reward": "text, or a mapping, or null",
        "hisso.reward.target": "text",
        "hisso.reward.kwargs": "a mapping",
        "hisso.supervised": "true or false, or a mapping",
        "hisso.supervised.lr": "a number greater than 0, or null",
        "training.lr_schedule.gamma": "a number greater than 0 and of at most 1, or null",
        "training.lr_schedule": "one of constant, linear, cosine, one_cycle, step, or a mapping",
        "evaluation.trans_cost": "a number of at least 0 and less than 1, or a list, or text, or "
        "null",
        "hisso.max_weight": "a number greater than 0 and less than 1, or null",
        "recorded.notes": "a list",
        "recorded.npz_sha256": "text that matches ^[0-9a-f]{64}$, or null",
    }
    assert {name: KEYS[tuple(name.split("."))].expected for name in expected} == expected


def test_defaults_are_json_or_required() -> None:
    defaults = {
        "mode": '"train"',
        "estimator": "required",
        "estimator.params": "{}",
        "hisso": "",
        "hisso.reward": "null",
        "hisso.reward.target": "required",
        "hisso.reward.kwargs": "",
        "training.lr": "0.001",
    }
    assert {name: KEYS[tuple(name.split("."))].default for name in defaults} == defaults


def test_choices_are_the_words_that_can_be_misspelt() -> None:
    assert KEYS[("hisso", "amp_dtype")].choices == ("float16", "bfloat16")
    assert KEYS[("hisso", "window")].choices == ()


def test_sections_know_their_keys() -> None:
    assert keys_below(KEYS, ("hisso", "reward")) == ["target", "kwargs"]
    assert keys_below(KEYS, ())[:3] == ["mode", "estimator", "hisso"]
    assert [key.path for key in KEYS.values() if key.is_section] == [
        ("estimator",),
        ("hisso",),
        ("hisso", "reward"),
        ("hisso", "supervised"),
        ("data",),
        ("training",),
        ("training", "lr_schedule"),
        ("evaluation",),
        ("evaluation", "walk_forward"),
        ("recorded",),
    ]


class Growing(BaseModel):
    old: int = 1
    bound: Annotated[float | None, UNTOLD] = None
    flag: Annotated[bool, UNTOLD] = False
    names: Annotated[list[str], UNTOLD] = Field(default_factory=list)
    told: Annotated[int, LATER] = 0


def test_later_keys_are_told_apart_by_whether_files_have_them_at_their_defaults() -> None:
    assert [key.path[0] for key in later_keys(Growing)] == ["bound", "flag", "names", "told"]
    assert [key.default for key in later_keys(Growing, untold_only=True)] == ["null", "false", "[]"]
