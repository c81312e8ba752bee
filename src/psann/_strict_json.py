"""JSON as a stranger may have written it: one object, each key once, every number finite."""

from __future__ import annotations

import json
import math
from typing import Any


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
        If it is not UTF-8, no JSON object, too deep, or has a key twice or a number that is not
        finite.

    Examples
    --------
    >>> parse_strict('{"a": 1.5}')
    {'a': 1.5}
    """
    text = data if isinstance(data, str) else data.decode()
    try:
        content = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it must hold one object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key occurs twice")
    return mapping


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number
