"""What the fast suite leaves out is with the slow one."""

from __future__ import annotations

from typing import Any

import pytest

from thinning import parted, thinned


def _slow(case: Any) -> bool:
    return any(mark.name == "slow" for mark in getattr(case, "marks", ()))


def test_the_first_of_each_few_is_fast_and_the_others_keep_what_they_are() -> None:
    named = pytest.param(4, "d", id="four", marks=pytest.mark.gpu)
    cases = thinned([(0, "a"), (1, "b"), 2, 3, named], every=2)
    assert [_slow(case) for case in cases] == [False, True, False, True, False]
    assert [cases[0], cases[1].values, cases[3].values] == [(0, "a"), (1, "b"), (3,)]
    cases = thinned([0, named])
    assert (cases[1].id, cases[1].values) == ("four", (4, "d"))
    assert [mark.name for mark in cases[1].marks] == ["gpu", "slow"]


def test_a_list_is_parted_into_the_fast_ones_and_the_rest() -> None:
    fast, rest = parted(range(5), fast=2)
    assert not _slow(fast) and _slow(rest)
    assert fast == [0, 1] and rest.values == ([2, 3, 4],)
