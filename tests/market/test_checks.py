"""What prices must be, and what is said of suspicious ones."""

from __future__ import annotations

import numpy as np
import pytest

from psann.market.checks import note_oddities, to_prices
from psann.market.findings import Findings
from psann.market.options import Format

DATES = np.arange("2021-01-01", "2021-03-02", dtype="datetime64[D]").astype("datetime64[us]")
N = len(DATES)
CALM = 100 * np.exp(0.01 * np.random.default_rng(1).standard_normal((N, 2)).cumsum(axis=0))


def notes(prices: np.ndarray, is_compounded: bool = False, **fields: np.ndarray) -> list[str]:
    findings = Findings()
    note_oddities(DATES, ["A", "B"], prices, fields, is_compounded=is_compounded, findings=findings)
    return findings.notes


def problems(table: np.ndarray, **options: object) -> list[str]:
    findings = Findings()
    to_prices(
        table,
        dates=DATES,
        assets=["A", "B"],
        format=Format(**options),
        findings=findings,  # type: ignore[arg-type]
    )
    return findings.problems


def test_calm_prices_get_no_note_but_their_frequency() -> None:
    assert notes(CALM) == ["rows per year: about 365."]
    assert problems(CALM) == []


def test_late_halted_and_ended_assets_are_named_with_dates() -> None:
    prices = CALM.copy()
    prices[:3, 0] = np.nan
    prices[10:12, 0] = np.nan
    prices[-5:, 1] = np.nan
    assert notes(prices)[:3] == [
        "listed late, with their first dates: A (2021-01-04).",
        "ended before the table, with their last dates: B (2021-02-24).",
        "without a price on rows between others, with their number: A (2).",
    ]


def test_rows_that_are_filled_or_missing_are_told_with_their_dates() -> None:
    days = DATES.astype("datetime64[D]")
    last_traded = np.maximum.accumulate(np.where(np.is_busday(days), np.arange(N), 0))
    found = notes(CALM[last_traded])[0]
    assert found.startswith("On 18 of 60 rows no price moves, first on row 1:")
    assert found.endswith("Row 1 is 2021-01-02.")
    findings = Findings()
    kept = np.delete(np.arange(N), np.s_[20:40])
    note_oddities(DATES[kept], ["A", "B"], CALM[kept], {}, is_compounded=False, findings=findings)
    assert findings.notes[0].startswith("Nothing is there between row 19, 2021-01-20, and row 20,")


def test_values_without_memory_are_told_though_they_are_above_zero() -> None:
    volumes = 1e6 * np.exp(0.4 * np.random.default_rng(0).standard_normal((N, 2)))
    assert any(note.startswith("The prices look shuffled, or are none") for note in notes(volumes))
    late = np.where(np.arange(N)[:, None] < 5, np.nan, volumes)
    assert not any("shuffled" in note for note in notes(late))


@pytest.mark.parametrize("factor", [2.0, 1 / 7, 1.5, 1 / 20])
def test_a_move_by_the_factor_of_a_split_is_told(factor: float) -> None:
    prices = CALM.copy()
    prices[20:, 1] *= factor
    assert "moves like those of share splits: B on 2021-01-21" in notes(prices)[0]
    assert "moves" not in notes(prices, is_compounded=True)[0]


def test_a_price_that_is_zero_to_the_end_may_be_a_total_loss() -> None:
    prices = CALM.copy()
    prices[40:, 1] = 0.0
    (problem,) = problems(prices)
    assert "`format: {missing: ['0']}` if it stands for no price. To the end, B is worth" in problem
    assert problem.endswith("the data also need `ended: {B: -1.0}`.")
    prices[-1, 1] = 7.0
    (problem,) = problems(prices)
    assert problem.endswith("if it stands for no price.")


def test_a_large_move_on_a_row_whose_factor_changes_is_told() -> None:
    prices, factors = CALM.copy(), np.ones((N, 2))
    prices[20:, 1] *= 0.58  # near no split
    assert "moves" not in notes(prices, cfacpr=factors)[0]
    factors[20:, 1] = 2.0
    assert "B on 2021-01-21" in notes(prices, cfacpr=factors)[0]


@pytest.mark.parametrize(("n_equal", "is_told"), [(9, False), (10, True)])
def test_ten_equal_prices_in_a_row_are_told(n_equal: int, is_told: bool) -> None:
    prices = CALM.copy()
    prices[5 : 5 + n_equal, 0] = 77.0
    assert (
        any("10 or more equal prices in a row: A from 2021-01-06" in n for n in notes(prices))
        == is_told
    )


def test_a_close_outside_of_low_and_high_is_told() -> None:
    low, high = CALM - 1, CALM + 1
    low[4, 1] = CALM[4, 1] + 0.5
    told = notes(CALM, Close=CALM, Low=low, High=high)
    assert told[0].startswith("closes outside of low and high: 1, first B on 2021-01-05")


def test_the_loss_at_the_end_of_an_asset_is_told_as_an_option() -> None:
    losses = np.full((N, 2), np.nan)
    losses[30, 1] = -0.36
    assert "returns at the end of assets, for the option ended: ended: {B: -0.36}." in notes(
        CALM, DLRET=losses
    )


def test_signs_of_bid_and_ask_means_are_dropped_when_told() -> None:
    values = CALM.copy()
    values[4, 1] *= -1
    assert "Say `format: {price_sign: absolute}`" in problems(values)[0]
    assert problems(values, price_sign="absolute") == []


def test_many_prices_with_a_sign_are_not_taken_for_returns() -> None:
    values = CALM * np.where(np.arange(2 * N).reshape(N, 2) % 7 < 2, -1, 1)
    assert "Say `format: {price_sign: absolute}`" in problems(values)[0]
    returns = 0.01 * np.random.default_rng(0).standard_normal((N, 2))
    assert "They look like returns." in problems(returns)[0]


def test_sentinels_and_losses_of_all_are_no_returns() -> None:
    returns = np.diff(np.log(CALM), axis=0, prepend=np.log(CALM[:1]))
    returns[3, 0] = -99.99
    assert (
        "-99.99 usually stand for a missing one" in problems(returns, values="percent_returns")[0]
    )
    returns[3, 0] = -1.0
    assert "must leave something of a price; got 1" in problems(returns, values="returns")[0]


def test_returns_in_percent_are_told_from_returns() -> None:
    percent = np.sin(np.arange(N * 2.0)).reshape(N, 2) / 1.5
    assert "Say `format: {values: percent_returns}`" in problems(percent, values="returns")[0]


@pytest.mark.parametrize("kind", ["returns", "log_returns", "relatives"])
def test_prices_are_no_returns(kind: str) -> None:
    told = problems(CALM * 1e4, values=kind)
    assert "Say `format: {values: prices}`" in told[-1]
    assert problems(CALM * 1e4, values="prices") == []


def test_prices_near_one_with_memory_are_no_relatives() -> None:
    rates = 1.1 * np.exp(0.001 * np.sin(np.arange(N * 2.0) / 9).reshape(N, 2).cumsum(axis=0))
    assert problems(rates) == []
    jumps = 1 + 0.01 * np.random.default_rng(0).standard_normal((N, 2))
    assert "Say `format: {values: relatives}` or `format: {values: prices}`" in problems(jumps)[0]
    assert problems(jumps, values="prices") == []
    assert problems(jumps + 0.2) == []
