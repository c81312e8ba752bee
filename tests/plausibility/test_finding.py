"""A finding is told with the name of its column where there is one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest

from psann.errors import DataError
from psann.plausibility.features import feature_findings, next_move_findings
from psann.plausibility.finding import Finding, label_of
from psann.plausibility.prices import leap_findings, price_findings
from psann.plausibility.rows import gap_findings, rate_findings


def test_a_column_is_called_by_its_number_and_its_own_name() -> None:
    assert label_of(3, None) == "3"
    assert label_of(1, ["ibm", "ge"]) == "1 ('ge')"


ROWS = np.random.default_rng(0).normal(size=(200, 2))
PATHS = np.exp(0.01 * ROWS.cumsum(axis=0))
HOLED = np.where(ROWS > 2, np.nan, ROWS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: price_findings(-PATHS), "`prices` must be above 0"),
        (lambda: price_findings(PATHS[:, 0]), "`prices` must have rows and columns"),
        (lambda: leap_findings(0 * PATHS), "`prices` must be above 0; got 0 as the lowest"),
        (lambda: price_findings(np.where(ROWS > 2, np.nan, PATHS)), "`prices` must be finite"),
        (lambda: feature_findings(HOLED), "`X` must be finite; got"),
        (lambda: next_move_findings(HOLED, PATHS), "`X` must be finite; got"),
        (lambda: next_move_findings(ROWS, PATHS[1:]), "must have the same rows; got 200 and 199"),
    ],
)
def test_nothing_is_said_of_what_are_no_prices_or_features(
    wrong: Callable[[], object], said: str
) -> None:
    """Of values below 0 it was that all are copies, of missing ones that they never change."""
    with pytest.raises(DataError, match=re.escape(said)):
        wrong()


def test_texts_of_dates_are_dates() -> None:
    days = [str(day) for day in np.arange("2020-01-01", "2020-06-01", dtype="M8[D]")]
    assert gap_findings(days) == []
    assert [each.name for each in gap_findings(days[:60] + days[100:])] == ["gap"]
    assert [each.name for each in rate_findings(days, periods_per_year=12)] == ["rate"]


def test_a_finding_cannot_be_changed() -> None:
    finding = Finding(name="stale", message="...", row=3)
    assert finding.column is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.row = 4  # type: ignore[misc]
