"""Axes have a few round labels within their range, and dates of the calendar."""

from __future__ import annotations

import numpy as np
import pytest

from psann.presentation.axes import (
    Axis,
    date_ticks,
    log_axis,
    log_ticks,
    names_axis,
    number_axis,
    round_numbers,
    time_axis,
)


def labels(axis: Axis) -> list[str]:
    return [text for _, text in axis.ticks]


@pytest.mark.parametrize(
    ("low", "high"), [(0.98, 1.02), (0.5, 25), (0.01, 5e8), (1e-12, 1e12), (3.1, 3.2), (0.4, 0.9)]
)
def test_log_axis_has_a_few_round_ticks_within_its_range(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 6
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.31, 0), (1e-7, 3e-7), (-1e9, 2e9), (5, 6.2)])
def test_axis_of_numbers_has_equal_steps_within_its_range(low: float, high: float) -> None:
    ticks = round_numbers(low, high)
    assert 3 <= len(ticks) <= 6
    assert all(low - 1e-9 * abs(low) <= tick <= high for tick in ticks)
    steps = np.diff(ticks)
    assert steps == pytest.approx(np.full(len(steps), steps[0]))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("1962-07-03", "1984-12-31", ["1965", "1970", "1975", "1980"]),
        ("2018-11-28", "2020-02-19", ["2019-01", "2019-07", "2020-01"]),
        ("2020-01-30", "2020-05-02", ["2020-02", "2020-03", "2020-04", "2020-05"]),
        ("2020-02-26", "2020-03-01", ["2020-02-26", "2020-02-28", "2020-03-01"]),
        ("2020-02-28T22:30", "2020-02-29T01:10", ["02-28 23:00", "02-29 00:00", "02-29 01:00"]),
        ("2020-01-01T00:00:01", "2020-01-01T00:00:03", ["00:00:01", "00:00:02", "00:00:03"]),
    ],
)
def test_dates_are_labelled_by_the_calendar(first: str, last: str, expected: list[str]) -> None:
    assert labels(time_axis(np.array([first, last], dtype="M8[s]"))) == expected


@pytest.mark.parametrize("days", [0, 1, 3, 11, 13, 45, 100, 400, 3000, 40_000, 900_000])
def test_a_span_of_any_length_has_few_labels_within_it(days: int) -> None:
    low = 5e8
    high = low + days * 86400.0
    ticks = date_ticks(low, high)
    assert (2 if days else 1) <= len(ticks) <= 5
    assert all(low <= at <= high for at, _ in ticks)
    assert sum(len(text) for _, text in ticks) <= 40  # side by side on a telephone


def test_numbers_that_are_all_the_same_lie_in_the_middle() -> None:
    assert number_axis([3.0, 3.0]).places([3.0]).tolist() == [0.5]
    assert log_axis([3.0, 3.0]).places([3.0]) == pytest.approx([0.5])


def test_parts_are_written_as_percent() -> None:
    assert labels(number_axis([-0.31, 0.0], is_percent=True, high=0.0)) == [
        *("-30%", "-20%", "-10%", "0%"),
    ]


def test_axes_of_nothing_and_of_what_is_not_finite_can_be_drawn() -> None:
    for axis in (number_axis([]), number_axis([np.nan, np.inf]), log_axis([0.0, -1.0, np.nan])):
        assert axis.high > axis.low
        assert np.isfinite(axis.places([1.0])).all()


def test_of_many_names_some_are_written_and_long_ones_are_cut() -> None:
    axis = names_axis([f"name {i} and more" for i in range(90)], most=40, longest=8)
    assert len(axis.ticks) == 30
    assert axis.ticks[1] == (3.5, "name 3 …")
    assert axis.places([0.0, 90.0]).tolist() == [1.0, 0.0]  # from the top down
