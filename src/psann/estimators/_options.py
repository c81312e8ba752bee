"""Options that a user gave as a mapping: validated, with every mistake in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from psann._labels import labels_of
from psann._model_keys import ConfigKey, config_keys, keys_below
from psann._published import hisso_key_answer
from psann._tree import Path
from psann.errors import did_you_mean, known_here
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
    mapping = given if isinstance(given, Mapping) else {}
    if named := [key for key in mapping if labels_of(mapping[key]).rows is not None]:
        raise ValueError(
            "\n".join(
                f"{who}.{key} must be a number or a list in the order of the assets; got "
                f"{type(mapping[key]).__name__}. Give {key}.reindex(prices.columns).to_list()."
                for key in named
            )
        )
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ValueError("\n".join(_sentences(error, given, model=model, who=who))) from None


def read_schedule(given: str | Mapping[str, Any] | LRScheduleOptions | None) -> LRScheduleOptions:
    """The learning-rate schedule of an estimator's `lr_schedule`; a name takes its defaults.

    Raises
    ------
    ValueError
        As `read_options`.
    """
    mapping = {"name": given} if isinstance(given, str) else given or {}
    return read_options(LRScheduleOptions, mapping, who="lr_schedule")


def _sentences(
    error: ValidationError, given: Any, *, model: type[BaseModel], who: str
) -> list[str]:
    findings: dict[Path, list[Any]] = {}
    values: dict[Path, Any] = {}
    for finding in error.errors(include_url=False):
        path, value = _place_in(given, finding["loc"])
        findings.setdefault(path, []).append(finding)
        values[path] = value
    # A key with several forms is refused in each; the form that got further is the one meant.
    deepest = [
        path
        for path in findings
        if not any(path == other[: len(path)] for other in findings if other != path)
    ]
    keys = config_keys(model)
    return [_sentence(findings[path], path, keys, who=who, value=values[path]) for path in deepest]


def _place_in(given: Any, location: Sequence[int | str]) -> tuple[Path, Any]:
    """Pydantic's location without the names of the forms that it tried, and what is there."""
    path: Path = ()
    for step in location:
        if isinstance(given, Mapping) and step in given:
            path, given = (*path, str(step)), given[step]
    return path, given


def _sentence(
    findings: Sequence[Any], path: Path, keys: dict[Path, ConfigKey], *, who: str, value: Any
) -> str:
    first, name = findings[0], ".".join((who, *path))
    if first["type"] == "extra_forbidden":
        *section, key = path
        if who == "hisso" and not section and (cure := hisso_key_answer(key)) is not None:
            return f"{name} is a key of psann 0.12; {cure}."
        known = keys_below(keys, path[:-1])
        return f"{name} is no known key.{did_you_mean(key, known) or known_here(known)}"
    own = next((finding for finding in findings if finding["type"] == "value_error"), None)
    if own is not None:
        return f"{name}: {own['ctx']['error']}."
    if first["type"] == "model_type" and not path:
        model, given = first["ctx"]["class_name"], first["input"]
        return f"{name} must be of type {model}, a mapping of its keys, or None; got {given!r}."
    if path not in keys or first["input"] is not value:  # but an item of it
        wish = first["msg"].lower().replace("input should be", "it must be")
        return f"{name}: {wish}; got {first['input']!r}."
    expected = keys[path].expected.replace("or null", "or None")
    if any(finding["type"] == "callable_type" for finding in findings):
        expected += ", or a function"
    return f"{name} must be {expected}; got {first['input']!r}."


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
