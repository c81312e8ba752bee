"""Models of what a user writes: they refuse what they do not know, in sentences, and may grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from psann._model_keys import UNTOLD, later_of
from psann._model_problems import problems_of_python


def refuse_series(given: Mapping[str, Any], who: str) -> None:
    """Refuse values that belong to names, which an option does not know.

    Raises
    ------
    ValueError
        If there is a series or frame of pandas.
    """
    problems = [
        f"{who}.{key} must be a number or a list in the order of the assets; got "
        f"{type(value).__name__}. Give {key}.reindex(prices.columns).to_list()."
        for key, value in given.items()
        if hasattr(value, "reindex")
    ]
    if problems:
        raise ValueError("\n".join(problems))


class StrictModel(BaseModel):
    """A model without unknown keys that nobody changes; calling it says what is wrong.

    Raises
    ------
    ValueError
        With every key that is unknown or has a value it cannot have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def __init__(self, /, **given: Any) -> None:
        who = type(self).__name__
        refuse_series(given, who)
        try:
            super().__init__(**given)
        except ValidationError as error:
            problems = problems_of_python(error, given, model=type(self), who=who)
            raise ValueError("\n".join(problems)) from None

    # As part of another model it is validated as any, not by a call; pydantic's own mark.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields:
            made = f"{type(self).__name__}(**{{**options.model_dump(), {name!r}: {value!r}}})"
            raise AttributeError(f"{type(self).__name__} cannot be changed. Make another: {made}.")
        super().__setattr__(name, value)


class GrowingModel(StrictModel):
    """A model whose files keep their bytes as it grows: they lack an `UNTOLD` default."""

    @model_serializer(mode="wrap")
    def _without_the_untold(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        for name, field in type(self).model_fields.items():
            if later_of(field) == UNTOLD and name in values:
                default = field.get_default(call_default_factory=True)
                if values[name] == default:
                    del values[name]
        return values
