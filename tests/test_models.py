"""Models that say in sentences what is wrong with a call, and that may grow."""

from __future__ import annotations

import copy
import pickle
from typing import Annotated, Any

import pandas as pd
import pytest
from pydantic import BaseModel, Field, ValidationError

from psann._model_keys import LATER, UNTOLD
from psann._models import GrowingModel, StrictModel


class Part(StrictModel):
    size: int = Field(default=1, ge=1)
    costs: list[float] | float = 0.0


class Whole(BaseModel):
    part: Part = Part()


class Growing(GrowingModel):
    old: int = 1
    bound: Annotated[float | None, UNTOLD] = None
    flag: Annotated[bool, UNTOLD] = False
    names: Annotated[list[str], UNTOLD] = Field(default_factory=list)
    told: Annotated[int, LATER] = 0


def test_a_call_says_every_mistake_in_a_sentence() -> None:
    given: dict[str, Any] = {"size": 0, "sice": 2}
    with pytest.raises(ValueError, match=r"^Part\.size must") as caught:
        Part(**given)
    assert str(caught.value).splitlines() == [
        "Part.size must be a whole number of at least 1; got 0.",
        "Part.sice is no known key. Did you mean 'size'?",
    ]


def test_costs_that_belong_to_names_are_refused_with_the_cure() -> None:
    costs = pd.Series([0.1, 0.2], index=["B", "A"])
    cure = r"Give costs\.reindex\(prices\.columns\)\.to_list\(\)\.$"
    with pytest.raises(ValueError, match=cure):
        Part(costs=costs)  # type: ignore[arg-type]
    assert Part(costs=costs.reindex(["A", "B"]).to_list()).costs == [0.2, 0.1]


def test_below_another_model_every_mistake_keeps_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"part": {"size": 0, "sice": 2}})
    assert [each["loc"] for each in caught.value.errors()] == [("part", "size"), ("part", "sice")]


def test_what_was_made_cannot_be_changed_but_copied() -> None:
    part = Part(size=3)
    with pytest.raises(AttributeError, match=r"^Part cannot be changed\. Make another: P") as e:
        part.size = 4  # type: ignore[misc]
    cure = str(e.value).partition("another: ")[2].removesuffix(".")
    assert eval(cure, {"Part": Part, "options": part}) == Part(size=4)
    assert pickle.loads(pickle.dumps(part)) == copy.deepcopy(part) == part


def test_a_model_that_grows_leaves_out_what_is_untold_at_its_default_only() -> None:
    assert Growing().model_dump() == {"old": 1, "told": 0}
    assert Growing(bound=0.0, flag=True).model_dump() == {
        **{"old": 1, "told": 0},
        **{"bound": 0.0, "flag": True},
    }
    assert Growing(names=["a"]).model_dump(mode="json")["names"] == ["a"]
