"""What a key may be, and the numbers that are drawn for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from psann.run.sweep.space import Choices, Interval, dimension, grid, share


@pytest.mark.parametrize(
    ("written", "share_", "value"),
    [
        ([16, 32, 64], 0.34, 32),
        ({"range": [0, 10]}, 0.25, 2.5),
        ({"int": [1, 4]}, 0.999, 4),
        ({"log": [0.001, 10.0]}, 0.25, 0.01),
    ],
)
def test_a_share_of_the_way_gives_the_value_computed_by_hand(
    written: object, share_: float, value: object
) -> None:
    assert dimension(written).at(share_) == value


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([], "at least one value"),
        ([1, 1], "each once"),
        (3, "must be {log"),
        ({}, "must be {log"),
        ({"log": [1, 2], "range": [1, 2]}, "must be {log"),
        ({"log": [1, 2, 3]}, "must be {log"),
        ({"uniform": [1, 2]}, "must be {log"),
        ({"log": [0, 1]}, "lower bound above 0"),
        ({"range": [2, 1]}, "a lower bound and then a higher one"),
        ({"range": [1, 1]}, "then a higher one"),
        ({"int": [1, 2.5]}, "two whole numbers"),
        ({"range": ["1", 2]}, "two numbers"),
        ({"range": [0, 10**400]}, r"two numbers as bounds, within \+-1e\+300"),
        (
            {"range": [-1.7e308, 1.7e308]},
            r"within \+-1e\+300",
        ),  # further apart than a number is large
        ({"int": [1, 10**400]}, r"two whole numbers as bounds, within \+-9007199254740992"),
        ({"range": [True, 2]}, "two numbers"),
    ],
)
def test_what_is_no_form_of_a_key_is_refused(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        dimension(written)


def test_shares_are_uniform_and_those_of_two_keys_are_independent() -> None:
    a, b = (np.array([share(7, key, n) for n in range(4000)]) for key in ("a.b", "c"))
    for each in (a, b):
        counts = np.histogram(each, bins=20, range=(0, 1))[0]
        # Chi-square of 19 degrees: above 43.8 once in a thousand.
        assert ((counts - 200) ** 2 / 200).sum() < 43.8
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(4000)
    assert share(8, "a.b", 0) != share(7, "a.b", 0)


def test_a_drawn_number_can_be_written_down_and_stays_within_its_bounds() -> None:
    interval = Interval(0.0012345678, 0.0012345679, is_log=True)
    for number in range(100):
        value = interval.at(share(0, "x", number))
        assert isinstance(value, float) and interval.low <= value <= interval.high
    drawn = Interval(1e-4, 1e-1, is_log=True).at(0.123456789)
    assert len(repr(drawn).replace("0.", "", 1).lstrip("0")) <= 6


def test_a_grid_has_every_combination_once_the_last_key_fastest() -> None:
    found = grid({"a": Choices((1, 2)), "b": Choices(("x", "y", "z"))})
    assert [(each["a"], each["b"]) for each in found] == [(a, b) for a in (1, 2) for b in "xyz"]
