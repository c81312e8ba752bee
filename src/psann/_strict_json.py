"""Strict JSON, read as a stranger may have written it: each key once, every number finite."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from psann._text import mask_secrets

# What is made costs far more than its text: a list of two bytes takes 56, a mapping of two 64.
MAX_VALUES = 400_000
MAX_DEPTH = 64
_MAX_DIGITS = 39  # of 2**128, the longest whole numbers that generators of NumPy have


def parse_strict(data: bytes | str) -> dict[str, Any]:
    """Read one JSON object.

    Parameters
    ----------
    data : bytes or str
        The whole text; bytes are UTF-8.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    ValueError
        If it is not UTF-8, no JSON object, has a key twice, a number that is not finite or of more
        than 39 digits before the point, 400 000 values, or 64 levels.

    Examples
    --------
    >>> parse_strict('{"a": 1.5}')
    {'a': 1.5}
    """
    text = data if isinstance(data, str) else data.decode()
    if sum(text.count(mark) for mark in ",[{") > MAX_VALUES:
        raise ValueError(f"it holds more than {MAX_VALUES:,} values")
    try:
        content = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        if _depth(text) <= MAX_DEPTH:
            raise  # the caller's stack is at its end, and the text is as good as any
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it must hold one object")
    _check_depth(content)
    return content


def finite_json(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Turn values into what strict JSON can hold, with secrets masked.

    Parameters
    ----------
    fields : mapping
        Numbers, texts, flags, None, paths, and mappings and sequences of these.

    Returns
    -------
    values : dict
        The same with null for numbers that are not finite.
    nonfinite : list of str
        Dotted names of those numbers.

    Raises
    ------
    TypeError
        If a value is of another kind: a bug of the caller.
    """
    nonfinite: list[str] = []
    values = {str(key): _plain(item, str(key), nonfinite) for key, item in fields.items()}
    masked: dict[str, Any] = mask_secrets(values)
    return masked, nonfinite


def to_json(content: Mapping[str, Any]) -> bytes:
    """Encode as JSON for a person to read; NaN is an error."""
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _depth(text: str) -> int:
    marks = re.findall(r"[][{}]", re.sub(r'"(?:\\.|[^"\\])*"', "", text))
    return max(itertools.accumulate(1 if mark in "[{" else -1 for mark in marks), default=0)


def _check_depth(content: dict[str, Any]) -> None:
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key occurs twice")
    return mapping


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS + 1:
        raise ValueError(f"{text[:20]}... has too many digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def _plain(value: Any, name: str, nonfinite: list[str]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if type(value) is float and math.isfinite(value):  # most of a record, and quick to tell
        return value
    if isinstance(value, str | Path):
        # A lone surrogate, as in a file name of odd bytes, is no legal JSON text.
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int | Integral):
        return int(value)
    if isinstance(value, Real):
        if math.isfinite(value):
            return float(value)
        nonfinite.append(name)
        return None
    if isinstance(value, dict | Mapping):
        items = value.items()
        return {str(key): _plain(item, f"{name}.{key}", nonfinite) for key, item in items}
    if isinstance(value, Sequence):
        return [_plain(item, f"{name}.{i}", nonfinite) for i, item in enumerate(value)]
    raise TypeError(f"JSON cannot hold {name} = {value!r}")
