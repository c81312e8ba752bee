"""Returns by calendar period and the worst drawdowns, with their dates."""

from __future__ import annotations

import numpy as np

from psann.run.directory.evaluation import Evaluation
from psann.run.report.periods import falls_table, folds_table, years_table


def series(dates: object, fold: object = None, **paths: object) -> Evaluation:
    net = np.array(list(paths.values()), dtype=float)
    weights = np.ones((net.shape[1], 1), dtype=np.float32)
    time = None if dates is None else np.array(dates, dtype="M8[us]")
    numbers = None if fold is None else np.array(fold)
    return Evaluation(
        names=tuple(paths),
        net=net,
        gross=net,
        allocations=weights,
        time=time,
        assets=None,
        fold=numbers,
    )


YEARS = ["2018-12-30", "2018-12-31", "2019-01-02", "2019-12-31", "2020-07-01"]


def test_returns_of_years_are_from_the_last_row_of_the_year_before() -> None:
    found = years_table(
        series(YEARS, policy=[1.0, 1.1, 1.2, 1.65, 1.32], uniform=[1.0, 1.0, 1.0, 1.2, 1.2])
    )
    assert found is not None
    assert found.columns == ("year", "policy", "1/N", "policy less 1/N")
    assert found.rows == (
        ("2018", "+10.0%", "+0.0%", "+10.0%"),
        ("2019", "+50.0%", "+20.0%", "+30.0%"),
        ("2020", "-20.0%", "+0.0%", "-20.0%"),
    )
    assert found.note.endswith("more than 1/N in 2 of 3.")


def test_short_spans_are_told_by_month_and_rows_without_dates_not_at_all() -> None:
    dates = ["2020-01-31", "2020-02-03", "2020-03-02"]
    found = years_table(series(dates, policy=[1.0, 1.1, 1.1]))
    assert found is not None
    assert [row[0] for row in found.rows] == ["2020-01", "2020-02", "2020-03"]
    assert years_table(series(None, policy=[1.0, 1.1, 1.1])) is None
    assert years_table(series(dates[:2], policy=[1.0, 1.1])) is None  # two months are no course


def test_worst_drawdowns_have_dates_and_what_1_n_did_meanwhile() -> None:
    found = falls_table(
        series(YEARS, policy=[1.0, 2.0, 1.0, 2.0, 1.8], uniform=[1.0, 1.0, 0.9, 1.0, 1.1])
    )
    assert found is not None
    assert found.rows == (
        ("2018-12-31", "2019-01-02", "2019-12-31", "-50.0%", "-10.0%"),
        ("2019-12-31", "2020-07-01", "–", "-10.0%", "+10.0%"),
    )


def test_falls_of_rows_without_dates_are_told_by_row_and_rising_wealth_has_none() -> None:
    found = falls_table(series(None, policy=[1.0, 0.5, 1.0]))
    assert found is not None
    assert found.columns[:3] == ("row from", "row lowest", "row recovered")
    assert found.rows == (("0", "1", "2", "-50.0%"),)
    assert falls_table(series(None, policy=[1.0, 1.1, 1.2])) is None


def test_folds_have_their_span_and_what_their_own_actions_earned() -> None:
    # Fold 1 acts on two rows: +100 % to the second, +50 % to the third, where fold 2 begins.
    found = series(YEARS, [1, 1, 2, 2, 2], policy=[1.0, 2.0, 3.0, 3.0, 4.5], uniform=[1.0] * 5)
    assert folds_table(found).rows == (
        ("1: 2018-12-30 ... 2018-12-31", "+200.0%", "+0.0%", "+200.0%"),
        ("2: 2019-01-02 ... 2020-07-01", "+50.0%", "+0.0%", "+50.0%"),
    )
    for delay, returns in ((1, ["+200.0%", "+50.0%"]), (2, ["+350.0%", "+0.0%"])):
        assert [row[1] for row in folds_table(found, delay=delay).rows] == returns
    assert folds_table(found, delay=3).rows == folds_table(found, delay=2).rows


def test_more_than_1_n_is_what_shows_in_the_table() -> None:
    found = folds_table(series(YEARS, [1, 1, 2, 2, 2], policy=[1 + 1e-12] * 5, uniform=[1.0] * 5))
    assert found.note.endswith("more than 1/N in 0 of 2.")


def test_ruin_is_no_return_of_later_years() -> None:
    found = years_table(series(YEARS, policy=[1.0, 1.0, 0.0, 0.0, 0.0]))
    assert found is not None
    assert [row[1] for row in found.rows] == ["+0.0%", "-100.0%", "–"]
