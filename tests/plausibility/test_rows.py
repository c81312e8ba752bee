"""Rows in two splits are found by what is in them."""

from __future__ import annotations

import numpy as np

from psann.plausibility.rows import overlap_findings

ROWS = np.random.default_rng(0).standard_normal((90, 3))


def test_splits_that_follow_each_other_share_nothing() -> None:
    assert overlap_findings({"train": ROWS[:50], "val": ROWS[50:70], "test": ROWS[70:]}) == []


def test_shared_rows_are_counted_and_the_first_is_named() -> None:
    found = overlap_findings({"train": ROWS[:50], "val": ROWS[45:70], "test": ROWS[70:]})
    assert [(f.name, f.row) for f in found] == [("overlap", 0)]
    told = "train and val overlap: 5 rows of val stand in train too, first row 0."
    assert found[0].message.startswith(told)
    (shuffled,) = overlap_findings({"train": ROWS[:50], "test": ROWS[[80, 7, 81, 3]]})
    assert shuffled.row == 1


def test_a_split_given_twice_is_said_to_be_the_same() -> None:
    (found,) = overlap_findings({"val": ROWS, "test": ROWS.copy()})
    assert found.message.startswith("val and test are the same: 90 rows")


def test_rows_that_repeat_in_their_own_split_and_a_single_shared_row_say_nothing() -> None:
    holidays = np.repeat([[0.0] * 3, [1.0] * 3, [2.0] * 3], 5, axis=0)
    assert overlap_findings({"a": np.vstack([holidays, ROWS[:9]]), "b": holidays}) == []
    assert overlap_findings({"a": ROWS[:10], "b": ROWS[9:20]}) == []
    assert overlap_findings({"a": np.zeros((2, 2)), "b": np.negative(np.zeros((2, 2)))}) == []
