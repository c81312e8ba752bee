"""`metrics.json`, read: its only parser. `record.py` writes it, `fields.py` has its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import cast

from psann.run.directory.fields import (
    FIELDS,
    FIGURES,
    LATER,
    SCHEMA_VERSION,
    STATUSES,
    Record,
    is_of_its_kind,
)
from psann.run.directory.files import read_json

_NUMBERS = frozenset({float, int, bool, type(None)})
_FIGURE_KEY = re.compile(r"[A-Za-z0-9_]{1,64}")


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
        return _fields(read_json(path))
    except FileNotFoundError:
        problem = "metrics.json is missing: the run never began, or its copy is not complete."
    except OSError as error:
        problem = f"metrics.json cannot be read: {error.strerror or error}."
    except ValueError as error:
        problem = f"metrics.json cannot be read: {error}."
    return _fields({"schema_version": SCHEMA_VERSION})[0], [problem]


def _fields(content: Mapping[str, object]) -> tuple[Record, list[str]]:
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
    wrong = [name for name in FIELDS if not is_of_its_kind(name, content.get(name))]
    if content.get("status") not in STATUSES and "status" not in wrong:
        wrong.append("status")
    fields: dict[str, object] = {
        name: None if name in wrong else content.get(name) for name in FIELDS
    }
    for name, each in FIELDS.items():
        if FIGURES in each.traits:
            fields[name] = _figures(fields[name], name, wrong)
    if wrong:
        problems.append(f"metrics.json has values that cannot be read: {', '.join(wrong)}.")
    return cast(Record, fields), problems


def _figures(value: object, name: str, wrong: list[str]) -> object:
    """What of nested figures is a number or null under a plain key; the rest counts as wrong."""
    if type(value) in _NUMBERS:
        return value
    if isinstance(value, list):
        found = [_figures(item, f"{name}.{i}", wrong) for i, item in enumerate(value)]
        return [
            item
            for item, given in zip(found, value, strict=True)
            if item is not None or given is None
        ]
    if isinstance(value, dict):
        plain = {key: item for key, item in value.items() if _is_figure_key(key)}
        wrong += [f"a key of {name}"] * (len(plain) < len(value))
        kept = {key: _figures(item, f"{name}.{key}", wrong) for key, item in plain.items()}
        return {key: item for key, item in kept.items() if item is not None or plain[key] is None}
    wrong.append(name)
    return None


@lru_cache  # a list of a thousand runs asks for the same few a quarter of a million times
def _is_figure_key(key: str) -> bool:
    return _FIGURE_KEY.fullmatch(key) is not None
