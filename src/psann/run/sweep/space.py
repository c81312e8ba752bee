"""What a key of a sweep may be: one of some choices, or a number between two bounds.

Nothing here imports NumPy or Optuna: `--check` must be quick.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

FORMS = "{log: [a, b]}, {range: [a, b]}, {int: [a, b]}, or a list of choices"
_DIGITS = 6  # of a drawn number: what a person can write down, and no libm disagrees about


@dataclass(frozen=True)
class Choices:
    """Some values, of which a trial has one."""

    values: tuple[object, ...]

    def at(self, share: float) -> object:
        """The value at a share of the way, in [0, 1)."""
        return self.values[int(share * len(self.values))]

    @property
    def corners(self) -> tuple[object, ...]:
        """The values that stand for all when they are checked."""
        return self.values


@dataclass(frozen=True)
class Interval:
    """A number between two bounds, both possible."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def at(self, share: float) -> object:
        """The number at a share of the way, in [0, 1); on the log scale where there is one.

        Examples
        --------
        >>> Interval(0.001, 0.1, is_log=True).at(0.5), Interval(1, 3, is_whole=True).at(0.99)
        (0.01, 3)
        """
        if self.is_whole:
            return int(self.low) + int(share * (int(self.high) - int(self.low) + 1))
        if self.is_log:
            low, high = math.log(self.low), math.log(self.high)
            return self.written(math.exp(low + share * (high - low)))
        return self.written(self.low + share * (self.high - self.low))

    def written(self, value: float) -> float:
        """A number with as many digits as an override has, within the bounds."""
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)

    @property
    def corners(self) -> tuple[object, ...]:
        """The values that stand for all when they are checked."""
        return (int(self.low), int(self.high)) if self.is_whole else (self.low, self.high)


Dimension = Choices | Interval


def dimension(value: object) -> Dimension:
    """What is written below a key of `space`.

    Raises
    ------
    ValueError
        If it is none of the forms, or has nothing to choose from; says what it must be.
    """
    if isinstance(value, list):
        texts = [json.dumps(each, sort_keys=True) for each in value]
        if not value or len(set(texts)) < len(texts):
            raise ValueError("must list at least one value, each once")
        return Choices(tuple(value))
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"must be {FORMS}")
    ((form, bounds),) = value.items()
    if form not in ("log", "range", "int") or not isinstance(bounds, list) or len(bounds) != 2:
        raise ValueError(f"must be {FORMS}")
    kinds, most = (int, 2**53) if form == "int" else ((int, float), 1e300)
    are_numbers = all(isinstance(each, kinds) and not isinstance(each, bool) for each in bounds)
    if not are_numbers or max(map(abs, bounds)) > most:
        whole = "whole " * (form == "int")
        raise ValueError(f"must have two {whole}numbers as bounds, within +-{most}")
    low, high = bounds
    if not low < high or (form == "log" and low <= 0):
        raise ValueError(
            f"must have a lower bound{' above 0' * (form == 'log')} and then a higher one"
        )
    if form == "int":
        return Interval(low, high, is_whole=True)
    return Interval(float(low), float(high), is_log=form == "log")


def share(seed: int, key: str, number: int) -> float:
    """A uniform number in [0, 1) that is a function of seed, key and trial, and of nothing else.

    Examples
    --------
    >>> share(0, "training.lr", 1) == share(0, "training.lr", 1) != share(0, "training.lr", 2)
    True
    """
    digest = hashlib.blake2b(f"{seed} {number} {key}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def grid(space: Mapping[str, Dimension]) -> list[dict[str, object]]:
    """Every combination of choices, the last key changing fastest."""
    found: list[dict[str, object]] = [{}]
    for key, each in space.items():
        found = [{**before, key: value} for before in found for value in each.corners]
    return found
