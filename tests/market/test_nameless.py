"""Names that are proposed to a table without any."""

from __future__ import annotations

import numpy as np
import pytest

from made_tables import ohlcv, prices
from psann.market.nameless import proposed_names

BARS = ohlcv(prices(40, 1)[:, 0])
NEAR = np.array([50.0, 55.0, 45.0, 48.0]) + np.arange(40)[:, None] / 10


def proposed(numbers: np.ndarray, *before: str) -> list[list[str]]:
    rows = [[*before, *map(str, row)] for row in numbers.tolist()]
    return proposed_names(rows, lambda cell: "-" in cell)


def test_bars_are_named_and_what_follows_them_by_its_place() -> None:
    more = np.column_stack([BARS, BARS[:, 4] / 3])
    assert proposed(more, "2021-03-01", "A") == [
        ["date", "ticker", "open", "high", "low", "close", "volume", "column_8"]
    ]


def test_four_numbers_that_may_be_assets_are_offered_as_both() -> None:
    assert proposed(NEAR, "2021-03-01") == [
        ["date", "open", "high", "low", "close"],
        ["date", "asset_1", "asset_2", "asset_3", "asset_4"],
    ]
    assert len(proposed(np.column_stack([NEAR, NEAR[:, 0] + 1]), "2021-03-01")) == 2


@pytest.mark.parametrize(
    "numbers",
    [
        NEAR[:, [1, 0, 2, 3]],
        NEAR[:, :3],
        NEAR[:4],
        NEAR * [1, 1, 0.4, 1],
        np.repeat(NEAR[:, :1], 4, axis=1),
        np.where(NEAR[3, 0] == NEAR, np.nan, NEAR),
    ],
    ids=["another order", "three", "few rows", "another level", "all the same", "a hole"],
)
def test_other_numbers_are_assets(numbers: np.ndarray) -> None:
    names = [f"asset_{n + 1}" for n in range(numbers.shape[1])]
    assert proposed(numbers, "2021-03-01") == [["date", *names]]


def test_one_number_is_a_close() -> None:
    assert proposed(NEAR[:, :1], "20210301") == [["date", "close"]]
