"""`metrics.json`, read: its only parser. `record.py` writes it, `fields.py` has its fields."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

from psann.errors import reason_of
from psann.run.directory.fields import FIELDS, LATER, SCHEMA_VERSION, STATUSES, Record
from psann.run.directory.files import read_json
from psann.run.directory.groups import SeedFigures

# Whatever else a mapping of figures holds: numbers and flags.
_NUMBER = float | bool | None
_SCALARS: dict[object, tuple[type, ...]] = {
    float: (int, float),
    int: (int,),
    bool: (bool,),
    str: (str,),
}
_KEY = re.compile(r"-?[A-Za-z0-9_]{1,64}")


def read_metrics(path: Path) -> tuple[Record, list[str]]:
    """Read a `metrics.json` of any version, as far as it can be read.

    Returns
    -------
    record : Record
        Every field, None where it cannot be had.
    problems : list of str
        What is wrong with the file, one sentence each.
    """
    try:
        return conformed(read_json(path))
    except FileNotFoundError:
        problem = "metrics.json is missing: the run never began, or its copy is not complete."
    except (OSError, ValueError) as error:
        problem = f"metrics.json cannot be read: {reason_of(error)}."
    return conformed({"schema_version": SCHEMA_VERSION})[0], [problem]


def conformed(content: Mapping[str, object]) -> tuple[Record, list[str]]:
    """A record as far as it is of its kinds, to the last nested value; what `read_metrics` returns.

    Parameters
    ----------
    content : mapping
        What strict JSON holds.
    """
    problems = []
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        problems.append(
            f"metrics.json is of schema version {str(version)[:80]!r}; this psann knows version "
            f"{SCHEMA_VERSION} and shows the fields in common."
        )
    elif missing := [
        name for name, each in FIELDS.items() if name not in content and LATER not in each.traits
    ]:
        problems.append(f"metrics.json lacks {', '.join(missing)}.")
    wrong: list[str] = []
    kinds = _hints(Record).items()
    fields = {name: _conform(content.get(name), kind, name, wrong) for name, kind in kinds}
    if fields["status"] not in STATUSES and "status" not in wrong:
        wrong.append("status")
        fields["status"] = None
    if wrong:
        problems.append(f"metrics.json has values that cannot be read: {', '.join(wrong)}.")
    return cast(Record, fields), problems


def _conform(value: object, kind: object, name: str, wrong: list[str]) -> object:
    """A value as far as it is of its declared kind; what is not is named and left out."""
    if value is None:
        return None
    for origin, of_items, hints in _options(kind):
        if origin is list and isinstance(value, list):
            return _list(value, of_items, name, wrong)
        if origin is Mapping and isinstance(value, dict):
            return _mapping(value, hints, of_items, name, wrong)
        if origin is object or (origin in _SCALARS and type(value) in _SCALARS[origin]):
            return value
    wrong.append(name)
    return None


@cache
def _options(kind: Any) -> list[tuple[object, object, Mapping[str, object]]]:
    """What a kind allows: list, mapping or scalar; the kind of its items; that of known keys."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return [
        (Mapping, _NUMBER, _hints(option))
        if typing.is_typeddict(option)
        else (
            typing.get_origin(option) or option,
            next(reversed(typing.get_args(option)), None),
            {},
        )
        for option in options
    ]


def _list(value: list[object], kind: object, name: str, wrong: list[str]) -> list[object] | None:
    found = [_conform(item, kind, f"{name}.{i}", []) for i, item in enumerate(value)]
    is_wrong = [item is not None and each is None for item, each in zip(value, found, strict=True)]
    if any(is_wrong):
        wrong.append(name)
        if not any(isinstance(item, dict) for item in found):
            return None  # a series with a hole would be another series
    kept = [item for item, is_left_out in zip(value, is_wrong, strict=True) if not is_left_out]
    return [_conform(item, kind, f"{name}.{i}", wrong) for i, item in enumerate(kept)]


def _mapping(
    value: dict[str, object],
    hints: Mapping[str, object],
    otherwise: object,
    name: str,
    wrong: list[str],
) -> dict[str, object]:
    if otherwise is object:
        return value
    plain = {key: item for key, item in value.items() if _is_plain(key)}
    wrong += [f"a key of {name}"] * (len(plain) < len(value))
    found = {
        key: _conform(item, hints.get(key, otherwise), f"{name}.{key}", wrong)
        for key, item in plain.items()
    }
    return {key: item for key, item in found.items() if item is not None or plain[key] is None}


@cache
def _hints(kind: type) -> dict[str, object]:
    """Kinds by key; of a seed, also those of the record's own fields."""
    own = typing.get_type_hints(kind)
    return {**typing.get_type_hints(Record), **own} if kind is SeedFigures else own


@lru_cache  # a list of a thousand runs asks for the same few a quarter of a million times
def _is_plain(key: str) -> bool:
    return _KEY.fullmatch(key) is not None
