"""Few of many like cases are asked by the fast suite, all of them by the slow one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet


def slow(case: Any) -> ParameterSet:
    """One case of `parametrize` for the slow suite; a tuple is the values of several names."""
    if isinstance(case, ParameterSet):
        return case._replace(marks=[*case.marks, pytest.mark.slow])
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)


def thinned(cases: Iterable[Any], every: int = 4) -> list[Any]:
    """Cases of `parametrize`: the first of each `every` is fast, the others are slow.

    Of a product of lists, let `every` share no factor with the length of the inner ones, so that
    each value of each list is among the fast.
    """
    return [slow(case) if number % every else case for number, case in enumerate(cases)]


def parted(cases: Iterable[Any], fast: int) -> list[Any]:
    """Cases that one test walks through: a list of `fast` ones, and a slow one of the rest."""
    every = list(cases)
    return [every[:fast], slow(every[fast:])]
