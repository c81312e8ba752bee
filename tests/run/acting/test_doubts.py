"""What cannot be believed of the newest prices is said beside the weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from acting_runs import ActingRuns
from made_tables import days, prices
from psann import load_policy
from psann.run.acting.doubts import newest_doubts

VALUES, DATES = prices(61, 3, seed=3) * [1, 2, 3], np.asarray(days(61)).astype("datetime64[us]")
NAMES = ("AAA", "BBB", "CCC")
Floats = np.ndarray


def _in_pence(values: Floats) -> None:
    values[40:, 1] *= 100


def _filled(values: Floats) -> None:
    values[-12:, 1] = values[-12, 1]


def _standing(values: Floats) -> None:
    values[:, 1] = 7.0


def _copied(values: Floats) -> None:
    values[-1] = values[-2]


def _exchanged(values: Floats) -> None:
    values[50:, [0, 1]] = values[50:, [1, 0]]


def _halved_at_the_last(values: Floats) -> None:
    values[-1, 1] /= 2


def _of_another_asset(values: Floats) -> None:
    values[45:, 1] *= 2.5


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_exchanged, "assets 0 ('AAA') and 1 ('BBB') change places at row 50: columns that were"),
        (_halved_at_the_last, "row 60, near 1/2: a split that was not adjusted?"),
        (_of_another_asset, "to row 45: the price of another asset? Look it up."),
        (_in_pence, "'BBB') moves by a factor of 98.4 to row 40: another unit?"),
        (_in_pence, f"Row 40 is {str(DATES[40])[:10]}."),
        (_filled, "'BBB') stands still for 11 moves from row 49 on"),
        (_standing, "of the newest 61 rows: The price of asset 1 ('BBB') never moves."),
        (_copied, f"are those of {str(DATES[59])[:10]}, of every asset: filled, or not there yet?"),
    ],
)
def test_prices_that_nobody_saw_are_doubted(spoil: Callable[[Floats], None], told: str) -> None:
    assert newest_doubts(VALUES, DATES, NAMES) == []
    spoilt = VALUES.copy()
    spoil(spoilt)
    (doubt,) = newest_doubts(spoilt, DATES, NAMES)
    assert told in doubt


def test_of_an_asset_that_lacks_a_price_nothing_is_said() -> None:
    spoilt = VALUES.copy()
    _in_pence(spoilt)
    spoilt[3, 1] = np.nan
    assert newest_doubts(spoilt, DATES, NAMES) == []
    assert newest_doubts(np.full((5, 3), np.nan), DATES[:5], NAMES) == []


def test_a_policy_says_so_of_a_table_whose_last_row_was_copied(acting_runs: ActingRuns) -> None:
    policy = load_policy(acting_runs("prices"))
    table = acting_runs.table()
    assert not [each for each in policy.act(table).provenance.warnings if "filled" in each]
    table.iloc[-1] = table.iloc[-2]
    assert [each for each in policy.act(table).provenance.warnings if "of every asset" in each]
