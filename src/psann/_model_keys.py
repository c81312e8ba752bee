"""What a model says about each of its keys: read once, used by errors, files and the docs."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from psann._tree import Path


@dataclass(frozen=True)
class Later:
    """Mark of a field that files of earlier releases lack: those ran as its default says."""

    is_told: bool
    """Whether files tell it also where it is at its default."""


LATER, UNTOLD = Later(is_told=True), Later(is_told=False)


@dataclass(frozen=True, kw_only=True)
class ConfigKey:
    """One key of the configuration."""

    path: Path
    expected: str
    """What a value must be, in words that follow "must be"."""
    choices: tuple[str, ...]
    """The words among which a value is chosen, if it is."""
    default: str
    """The default in JSON, or `required`."""
    holder: type
    """The model (or typed mapping) that has the key as a field."""
    is_section: bool
    """Whether further keys lie below."""
    later: Later | None
    """None of a key that every file has."""

    @property
    def default_value(self) -> object:
        """The default itself, of a key that has one."""
        return json.loads(self.default)


@functools.cache
def config_keys(model: type[BaseModel]) -> dict[Path, ConfigKey]:
    """Describe every key of a configuration model.

    Parameters
    ----------
    model : type
        A pydantic model, whose fields may be models or typed mappings in turn.

    Returns
    -------
    dict
        Path -> key, in the order of the fields, a section before its keys.
    """
    return {key.path: key for key in _keys_of(model, ())}


def later_keys(model: type[BaseModel], *, untold_only: bool = False) -> list[ConfigKey]:
    """Keys that files of earlier releases lack: those ran as their defaults say."""
    marks = (UNTOLD,) if untold_only else (LATER, UNTOLD)
    return [key for key in config_keys(model).values() if key.later in marks]


def keys_below(keys: dict[Path, ConfigKey], section: Path) -> list[str]:
    """Return the names that are known directly in a section."""
    return [path[-1] for path in keys if path[:-1] == section]


def _keys_of(holder: type, above: Path) -> Iterator[ConfigKey]:
    for name, (annotation, field) in _fields_of(holder).items():
        inner = [part for part in _alternatives(annotation) if _has_fields(part)]
        yield ConfigKey(
            path=(*above, name),
            expected=_expected(annotation, field),
            choices=tuple(word for part in _alternatives(annotation) for word in _choices(part)),
            default=_default(annotation, field),
            holder=holder,
            is_section=bool(inner),
            later=later_of(field) if field else None,
        )
        for part in inner:
            yield from _keys_of(part, (*above, name))


def later_of(field: FieldInfo) -> Later | None:
    """The mark of a field that came later; None of any other."""
    return next((part for part in field.metadata if isinstance(part, Later)), None)


def _fields_of(holder: type) -> dict[str, tuple[Any, FieldInfo | None]]:
    if issubclass(holder, BaseModel):
        return {name: (_written_type(field), field) for name, field in holder.model_fields.items()}
    hints = get_type_hints(holder, include_extras=True)
    return {name: (hint, None) for name, hint in hints.items()}


def _written_type(field: FieldInfo) -> Any:
    """Return the type that a file may write, which a validator may widen."""
    for part in field.metadata:
        widened = getattr(part, "json_schema_input_type", None)
        if widened is not None:
            return widened
    return field.annotation


def _alternatives(annotation: object) -> list[Any]:
    if get_origin(annotation) in (NotRequired, Annotated):
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for inner in get_args(annotation) for part in _alternatives(inner)]
    return [annotation]


def _has_fields(part: object) -> bool:
    return is_typeddict(part) or (isinstance(part, type) and issubclass(part, BaseModel))


def _choices(part: object) -> tuple[str, ...]:
    return get_args(part) if get_origin(part) is Literal else ()


def _expected(annotation: object, field: FieldInfo | None) -> str:
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    # A number among other things has its bounds beside it, not on the field.
    own = (
        p.__metadata__[0] for p in parts if get_origin(p) is Annotated and get_args(p)[0] is float
    )
    bounded = next(own, field)
    words = [_word(part, bounded) for part in _alternatives(annotation)]
    return ", or ".join(dict.fromkeys(word for word in words if word))


def _word(part: object, field: FieldInfo | None) -> str:
    if part is int:
        return "a whole number" + _range(field)
    if part is float:
        return "a number" + _range(field)
    if part is str:
        return _text(field)
    if get_origin(part) is Literal:
        words = [word if isinstance(word, str) else json.dumps(word) for word in get_args(part)]
        return f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    if get_origin(part) in (list, tuple):
        return "a list"
    if get_origin(part) is Callable:
        return ""  # a file cannot hold one
    return {bool: "true or false", NoneType: "null"}.get(part, "a mapping")


def _text(field: FieldInfo | None) -> str:
    if field and field.examples:
        return f"text such as {', '.join(field.examples)}"
    patterns = (
        [part.pattern for part in field.metadata if hasattr(part, "pattern")] if field else []
    )
    return f"text that matches {patterns[0]}" if patterns else "text"


def _range(field: FieldInfo | None) -> str:
    bounds = {}
    for part in field.metadata if field else ():
        for name in ("gt", "ge", "lt", "le"):
            if hasattr(part, name):
                bound = getattr(part, name)
                bounds[name] = str(bound) if isinstance(bound, int) else f"{bound:g}"
    words = [
        phrase.format(bounds[name])
        for name, phrase in (
            ("gt", "greater than {}"),
            ("ge", "of at least {}"),
            ("lt", "less than {}"),
            ("le", "of at most {}"),
        )
        if name in bounds
    ]
    return " " + " and ".join(words) if words else ""


def _default(annotation: object, field: FieldInfo | None) -> str:
    if field is None:  # a typed mapping has no defaults, only keys that may be left out
        return "" if get_origin(annotation) is NotRequired else "required"
    if field.is_required():
        return "required"
    if _has_fields(field.default_factory):
        return ""  # of its keys; making one would cost an error message the building of a schema
    return json.dumps(field.get_default(call_default_factory=True))
