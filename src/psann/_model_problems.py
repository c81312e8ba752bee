"""From pydantic's findings to sentences: where, which key, what it must be, what was found."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from psann._model_keys import ConfigKey, config_keys, keys_below
from psann._published import hisso_key_answer
from psann._tree import MISSING, ConfigTree, Path
from psann.errors import did_you_mean, known_here, listed, nearest

Keys = dict[Path, ConfigKey]
_MAX_GUESSES = 100  # of more misspelt keys nobody reads what was meant


def readable_problems(
    error: ValidationError, *, model: type[BaseModel], tree: ConfigTree
) -> list[str]:
    """Say every finding of a validation in one sentence.

    Returns
    -------
    list of str
        `"run.yaml line 4: hisso.window must be a whole number of at least 2; got 1."`, one per
        key, in the order of the model; a key that is missing because it is misspelt is told once,
        and a number that is not finite not at all: whoever read the file has refused it.
    """
    keys = config_keys(model)
    found = {
        _path_in_file(finding["loc"], tree, keys): finding
        for finding in error.errors(include_url=False)
    }
    # Where a key has several forms, one of them is refused as a whole and another for a key
    # below; the one that got further is the one that was meant.
    above = {path[:n] for path in found for n in range(len(path))}
    found = {
        path: finding
        for path, finding in found.items()
        if path not in above and not _is_not_finite(tree.get(path))
    }
    unknown = [path for path, finding in found.items() if finding["type"] == "extra_forbidden"]
    guesses = {
        path: _guess(path, keys) if k < _MAX_GUESSES else None for k, path in enumerate(unknown)
    }
    hints = _hints(guesses, keys)
    problems = []
    for path, finding in found.items():
        if path in hints:
            verdict = f" is no known key.{hints[path]}"
        elif finding["type"] == "missing" and path in guesses.values():
            continue
        else:
            value = tree.get(path)
            verdict = _verdict(finding, keys.get(path), value)
            if value is not MISSING and verdict.endswith(f"got {show(value)}."):
                verdict += _hint_of_section(keys, path, value, where=tree.where(path))
        problems.append(f"{tree.where(path)}: {'.'.join(path)}{verdict}")
    return problems


def in_order_of_the_file(problems: Iterable[str]) -> list[str]:
    """Sort what begins with `"run.yaml line 4: "` by line; what has none, options, comes last."""

    def line(problem: str) -> float:
        found = re.match(r"[^:]* line ([0-9]+): ", problem)
        return int(found[1]) if found else math.inf

    return sorted(problems, key=line)


def _path_in_file(location: tuple[int | str, ...], tree: ConfigTree, keys: Keys) -> Path:
    """Drop from pydantic's location the names of the alternatives that it tried."""
    path: Path = ()
    for step in location:
        longer = (*path, str(step))
        if longer in keys or tree.get(longer) is not MISSING:
            path = longer
    return path


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _guess(path: Path, keys: Keys) -> Path | None:
    """Find the key that was meant: a near one here, else one of this very name elsewhere."""
    here = nearest(path[-1], keys_below(keys, path[:-1]))
    if here:
        return (*path[:-1], here)
    return next((other for other in keys if other[-1] == path[-1]), None)


def _hints(guesses: Mapping[Path, Path | None], keys: Keys) -> dict[Path, str]:
    """What to write in place of each unknown key; what a section knows is listed once."""
    hints, told = {}, set()
    for path, guess in guesses.items():
        section = path[:-1]
        if ":" in path[-1]:
            hints[path] = " YAML wants a space after the colon."
        elif guess:
            hints[path] = f" Did you mean {'.'.join(_shortest(path, guess))!r}?"
        else:
            hints[path] = "" if section in told else known_here(keys_below(keys, section))
            told.add(section)
    return hints


def _shortest(path: Path, guess: Path) -> Path:
    return guess[-1:] if guess[:-1] == path[:-1] else guess


def _verdict(finding: Any, key: ConfigKey | None, value: Any) -> str:
    if finding["type"] == "value_error":
        return f": {finding['ctx']['error']}."
    expected = key.expected if key else finding["msg"].lower()
    if finding["type"] == "missing":
        return f" is missing; it must be {expected}."
    hint = ""
    if isinstance(value, str) and key:
        hint = did_you_mean(value, key.choices)
        if "true or false" in expected and value.lower() in ("yes", "on", "no", "off"):
            hint = f" Write {'true' if value.lower() in ('yes', 'on') else 'false'}."
    return f" must be {expected}; got {show(value)}.{hint}"


def _hint_of_section(keys: Keys, path: Path, value: Any, *, where: str) -> str:
    """Of a mapping that was given as something else: its keys."""
    names = keys_below(keys, path)
    if not names:
        return ""
    such_as = ""
    if type(value) is int and "whole number" in keys[(*path, names[0])].expected:
        such_as = f", such as {{{names[0]}: {value}}}"
        if where.startswith("--set"):  # where a space would need quotes
            such_as = f", such as --set {'.'.join(path)}.{names[0]}={value}"
    return f" Its keys are {listed(names, 6)}{such_as}."


def show(value: Any) -> str:
    """Write a value as JSON, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def problems_of_python(
    error: ValidationError, given: Any, *, model: type[BaseModel], who: str
) -> list[str]:
    """Say every finding about a mapping of Python's in one sentence.

    Parameters
    ----------
    who : str
        What begins every sentence, before the key.
    """
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
        is_published = who in ("hisso", "HISSOOptions") and not section
        if is_published and (cure := hisso_key_answer(key)) is not None:
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
