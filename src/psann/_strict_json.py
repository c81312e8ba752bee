"""JSON as a stranger may have written it: one object, each key once, every number finite."""

from __future__ import annotations

import json
import math
from typing import Any

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
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it must hold one object")
    _check_depth(content)
    return content


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
