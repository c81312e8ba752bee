"""Sentences for pydantic's findings, on a small model of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from psann._model_problems import in_order_of_the_file, readable_problems, show
from psann._tree import ConfigTree, Origins


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(default=1, ge=1)
    name: str = "x"


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int
    inner: bool | _Inner = False
    other: _Inner = Field(default_factory=_Inner)
    odd: int = 1

    @field_validator("odd")
    @classmethod
    def _must_be_odd(cls, odd: int) -> int:
        if odd % 2 == 0:
            raise ValueError("is even; write an odd number")
        return odd


def _problems(values: dict[str, Any]) -> list[str]:
    tree = ConfigTree(values, Origins(source="f", places={(key,): f"f {key}" for key in values}))
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate_json(json.dumps(values), strict=True)
    return readable_problems(caught.value, model=_Outer, tree=tree)


def test_a_missing_key_is_named_with_what_it_must_be() -> None:
    assert _problems({}) == ["f: size is missing; it must be a whole number."]


def test_the_form_that_was_meant_is_told_not_its_alternatives() -> None:
    assert _problems({"size": 1, "inner": {"count": 0}}) == [
        "f inner: inner.count must be a whole number of at least 1; got 0."
    ]
    assert _problems({"size": 1, "inner": "x"}) == [
        'f inner: inner must be true or false, or a mapping; got "x". Its keys are count, name.'
    ]


def test_a_number_in_the_place_of_a_section_is_told_how_to_write_it() -> None:
    assert _problems({"size": 1, "other": 3}) == [
        "f other: other must be a mapping; got 3. Its keys are count, name, such as {count: 3}."
    ]


def test_of_an_option_a_section_is_told_as_an_option() -> None:
    tree = ConfigTree({"size": 1}, Origins(source="f"))
    tree.set(("other",), 3, origin="--set other=3")
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate_json(json.dumps(tree.values), strict=True)
    (problem,) = readable_problems(caught.value, model=_Outer, tree=tree)
    assert problem.endswith("such as --set other.count=3.")


def test_a_missing_space_is_told() -> None:
    assert _problems({"size": 1, "other": {"count:3": None}}) == [
        "f other: other.count:3 is no known key. YAML wants a space after the colon."
    ]


def test_unknown_keys_are_guessed_here_first_and_then_elsewhere() -> None:
    assert _problems({"size": 1, "other": {"cuont": 1}}) == [
        "f other: other.cuont is no known key. Did you mean 'count'?"
    ]
    assert _problems({"size": 1, "count": 1}) == [
        "f count: count is no known key. Did you mean 'inner.count'?"
    ]


def test_of_a_key_like_no_other_all_that_are_known_there_are_told_once() -> None:
    given = {"size": 1, "zebra": 1, "yak": 1, "other": {"ox": 1}}
    assert _problems(given) == [
        "f other: other.ox is no known key. Known here: count, name.",
        "f zebra: zebra is no known key. Known here: size, inner, other, odd.",
        "f yak: yak is no known key.",
    ]


def test_a_missing_key_that_is_misspelt_is_told_once() -> None:
    assert _problems({"siez": 1}) == ["f siez: siez is no known key. Did you mean 'size'?"]


def test_a_validators_own_words_are_kept() -> None:
    assert _problems({"size": 1, "odd": 2}) == ["f odd: odd: is even; write an odd number."]


def test_a_number_that_is_not_finite_was_told_by_the_reader_of_the_file() -> None:
    assert _problems({"size": float("nan"), "odd": 2}) == [
        "f odd: odd: is even; write an odd number."
    ]


def test_yes_and_no_are_told_how_to_write_them() -> None:
    assert _problems({"size": 1, "inner": "No"})[0].endswith('got "No". Write false.')
    assert _problems({"size": 1, "inner": "on"})[0].endswith('got "on". Write true.')


def test_problems_come_in_the_order_of_the_file_and_options_last() -> None:
    problems = [
        "--set a=1: a is no known key.",
        "run.yaml line 10: c must be 1; got 2.",
        "run.yaml line 9: b: is on line 3: no.",
        "--seed: seed must be a number.",
    ]
    assert in_order_of_the_file(problems) == [problems[i] for i in (2, 1, 0, 3)]


def test_long_values_are_cut() -> None:
    assert show("é" * 5) == '"ééééé"'
    assert len(show("x" * 1000)) == 80
    assert show("x" * 1000).endswith("...")
