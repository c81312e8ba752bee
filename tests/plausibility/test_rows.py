"""Rows in two splits are found by what is in them."""

from __future__ import annotations

import numpy as np
import pytest

from psann.plausibility.rows import gap_findings, overlap_findings, pace_findings, rate_findings

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
    assert len(overlap_findings({"a": ROWS[:10], "b": ROWS[9:20]}, least=1)) == 1
    assert overlap_findings({"a": np.zeros((2, 2)), "b": np.negative(np.zeros((2, 2)))}) == []


def test_prices_of_one_asset_that_return_to_where_they_were_are_not_in_two_splits() -> None:
    steps = np.random.default_rng(1).integers(-30, 31, size=(400, 1))
    rates = np.round(1.16 + 1e-5 * steps.cumsum(axis=0), 5)
    splits = {"train": rates[:240], "test": rates[240:]}
    shared = set(rates[:240].ravel()) & set(rates[240:].ravel())
    assert len(shared) > 2
    assert overlap_findings(splits) == []
    # Rows that are in both are many more.
    assert len(overlap_findings({**splits, "test": rates[140:]})) == 1


DAYS = np.arange("2015-01-01", "2020-01-01", dtype="datetime64[D]")
WEEKDAYS = DAYS[np.is_busday(DAYS)]


def test_a_stretch_that_is_missing_is_told_with_its_ends() -> None:
    (found,) = gap_findings(np.delete(WEEKDAYS, np.s_[500:530]))
    assert (found.name, found.row) == ("gap", 500)
    assert (
        f"between row 499, {WEEKDAYS[499]}, and row 500, {WEEKDAYS[530]}: 43 days" in found.message
    )
    (found,) = gap_findings(np.delete(np.arange(300.0), np.s_[40:60]))
    assert "between row 39, 39, and row 40, 60: 21, 21 usual steps" in found.message
    # The cure: begin after them, or fill them in.
    assert gap_findings(np.delete(WEEKDAYS, np.s_[:530])) == gap_findings(WEEKDAYS) == []


def test_months_that_days_follow_are_told_from_rows_of_one_frequency() -> None:
    months = np.arange("2000-01", "2015-01", dtype="datetime64[M]").astype("datetime64[D]")
    (found,) = pace_findings(np.concatenate([months, WEEKDAYS]))
    assert found.row is not None
    assert abs(found.row - len(months)) < 30
    assert "on rows come 31 times as often as before" in found.message
    later = np.arange("2020-01", "2030-01", dtype="datetime64[M]").astype("datetime64[D]")
    (found,) = pace_findings(np.concatenate([WEEKDAYS, later]))
    assert "times as seldom as before" in found.message
    draws = np.random.default_rng(0)  # trades: many by day, few by night
    rate = np.exp(np.sin(np.arange(24) / 12 * np.pi))
    trades = np.cumsum(np.tile(np.repeat(draws.exponential(1 / rate), 40), 9))
    days_off = np.delete(WEEKDAYS, np.s_[500:530])
    assert pace_findings(np.repeat(np.arange(9.0), 40)) == []  # times that repeat tell nothing
    assert pace_findings(trades) == pace_findings(days_off) == pace_findings(minutes()) == []


def minutes() -> np.ndarray:
    """Five minutes apart, 78 a day, on weekdays."""
    clock = np.timedelta64(570, "m") + np.arange(78) * np.timedelta64(5, "m")
    return (WEEKDAYS[:60].astype("datetime64[m]")[:, None] + clock).ravel()


@pytest.mark.parametrize(
    "times",
    {
        "weekdays": WEEKDAYS,
        "without a week, as after 2001-09-11": np.delete(WEEKDAYS, np.s_[300:305]),
        "a holiday of twelve days": np.delete(WEEKDAYS[:200], np.s_[102:110]),
        "months": np.arange("1990-01", "2020-01", dtype="datetime64[M]"),
        "five minutes": minutes(),
        "row numbers": np.arange(500.0),
        "numbers such as 20150131": np.array([int(str(d).replace("-", "")) for d in WEEKDAYS]),
        "few rows": np.array([0.0, 1.0, 100.0]),
        "every other year": np.concatenate([np.arange(50.0) + 365 * k for k in range(6)]),
    }.values(),
)
def test_nights_weekends_holidays_and_what_recurs_are_no_gaps(times: np.ndarray) -> None:
    assert gap_findings(times) == []


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        (np.arange("1980-01", "2020-01", dtype="datetime64[M]"), 12.0),
        (DAYS, 365.0),
        (np.arange(3000) * np.timedelta64(1, "h") + np.datetime64("2020-01-01"), 8770.0),
    ],
    ids=["months", "days", "hours"],
)
def test_rows_that_are_not_as_many_a_year_as_figures_take_them_for_are_told(
    times: np.ndarray, rate: float
) -> None:
    (found,) = rate_findings(times, periods_per_year=252)
    assert f"about {rate:g} rows are a year" in found.message
    assert found.message.endswith(f"Set evaluation.periods_per_year to {rate:g}.")
    assert rate_findings(times, periods_per_year=rate) == []


def test_holidays_numbers_and_few_rows_say_nothing_of_a_rate() -> None:
    assert rate_findings(WEEKDAYS, periods_per_year=252) == []
    assert rate_findings(np.delete(WEEKDAYS, np.s_[::8]), periods_per_year=252) == []
    assert rate_findings(np.arange(300.0), periods_per_year=252) == []
    assert rate_findings(DAYS[:29], periods_per_year=12) == []


def test_days_of_hours_without_a_weekend_say_nothing_of_a_rate() -> None:
    hours = np.arange(14 * 24 + 1) * np.timedelta64(1, "h") + np.datetime64("2025-11-04")
    assert rate_findings(hours[:68], periods_per_year=6429.5) == []
    assert len(rate_findings(hours, periods_per_year=6429.5)) == 1
