"""Options that a user gave as a mapping: validated, with every mistake in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from psann._model_problems import problems_of_python
from psann._models import refuse_series
from psann.hisso.options import HISSOOptions
from psann.training.schedules import LRScheduleOptions

Options = TypeVar("Options", bound=BaseModel)


def read_options(model: type[Options], given: Options | Mapping[str, Any], *, who: str) -> Options:
    """Options from an instance or a mapping of the same keys.

    Parameters
    ----------
    model : type
        The pydantic model.
    given : model or mapping
        What the user wrote.
    who : str
        Name of the argument; it begins every sentence.

    Raises
    ------
    ValueError
        With every key that is unknown or has a value it cannot have.
    """
    refuse_series(given if isinstance(given, Mapping) else {}, who)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ValueError(
            "\n".join(problems_of_python(error, given, model=model, who=who))
        ) from None


def read_schedule(given: str | Mapping[str, Any] | LRScheduleOptions | None) -> LRScheduleOptions:
    """The learning-rate schedule of an estimator's `lr_schedule`; a name takes its defaults.

    Raises
    ------
    ValueError
        As `read_options`.
    """
    mapping = {"name": given} if isinstance(given, str) else given or {}
    return read_options(LRScheduleOptions, mapping, who="lr_schedule")


def hisso_options(
    hisso: HISSOOptions | Mapping[str, Any] | None, who: str, takes_held_weights: bool
) -> HISSOOptions | None:
    """Options of episodes, where there are any, which an estimator must be able to have.

    Raises
    ------
    ValueError
        If it is none of those that see what they hold.
    """
    options = None if hisso is None else read_options(HISSOOptions, hisso, who="hisso")
    if options is not None and options.held_weights and not takes_held_weights:
        raise ValueError(
            f"{who} has no place for hisso.held_weights, a feature of each asset that follows from "
            "the rows before. Use fit of AssetwiseRegressor, or remove hisso.held_weights."
        )
    return options
