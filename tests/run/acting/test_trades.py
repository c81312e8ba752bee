"""Trades, their cost, and whole lots."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psann._digest import sha256_of
from psann.errors import DataError, UsageError
from psann.run.acting.holdings_file import Held
from psann.run.acting.trades import Trades, lines_of, trades_csv, trades_of
from psann.run.acting.weights import Provenance, Weights

NOTHING = sha256_of(b"")


def _weights(target: list[float], prices: list[float] | None) -> Weights:
    provenance = Provenance(
        run_id="r",
        run_name="r",
        policy="best",
        policy_sha256=NOTHING,
        data_sha256=NOTHING,
        weights_sha256=NOTHING,
        last_row="2020-01-02",
        delay=0,
        cash=False,
        psann_version="0",
        accepted=[],
        reading={},
        warnings=[],
    )
    return Weights(
        rows=np.array(["2020-01-02"], dtype="datetime64[us]"),
        assets=tuple("ABCDEF"[: len(target)]),
        values=np.array([target]),
        quotes=None if prices is None else np.array([prices]),
        provenance=provenance,
    )


def _held(kind: str, amounts: list[float], cash: float | None = None) -> Held:
    return Held(kind=kind, amounts=np.array(amounts), cash=cash)  # type: ignore[arg-type]


def test_a_purchase_from_cash_by_hand() -> None:
    # 1,010 in cash at 1 %: 1,000 can be bought for a fee of 10.
    trades = trades_of(
        _weights([0.5, 0.5], [10.0, 25.0]),
        _held("shares", [0, 0], 1010.0),
        trans_cost=0.01,
        capital=None,
        lot=1.0,
    )
    assert trades.shares_after.tolist() == [50.0, 20.0]
    assert trades.money.tolist() == [500.0, 500.0]
    assert trades.fees == pytest.approx(10.0)
    assert trades.cash_left == pytest.approx(0.0, abs=1e-9)
    assert trades.capital == 1010.0


def test_lots_are_rounded_towards_zero_and_the_rest_is_cash() -> None:
    options = {"trans_cost": 0.0, "capital": 1000.0}
    weights = _weights([0.5, 0.5], [30.0, 7.0])
    trades = trades_of(weights, _held("weight", [0.0, 0.0]), lot=10.0, **options)
    assert trades.shares_after.tolist() == [10.0, 70.0]
    assert trades.cash_left == pytest.approx(1000 - 300 - 490)
    parts = trades_of(weights, _held("weight", [0.0, 0.0]), lot=0.001, **options)
    assert parts.shares_after.tolist() == pytest.approx([16.666, 71.428])


@pytest.mark.parametrize(("capital", "missing"), [(100.0, "70%"), (1e5, None)])
def test_lots_that_leave_much_of_the_wealth_in_cash_are_told(
    capital: float, missing: str | None
) -> None:
    weights = _weights([0.5, 0.5], [30.0, 700.0])
    trades = trades_of(
        weights, _held("weight", [0.0, 0.0]), trans_cost=0.0, capital=capital, lot=1.0
    )
    last = lines_of(trades)[-1]
    assert last.startswith(f"whole lots leave {missing} of the capital in cash") == bool(missing)


def test_no_more_is_traded_than_the_limit_of_the_run_allows() -> None:
    weights, options = _weights([0.2, 0.8], None), {"trans_cost": 0.0, "capital": None, "lot": 1.0}
    held = _held("weight", [0.8, 0.2])
    limited = trades_of(weights, held, max_turnover=0.3, **options)
    assert limited.trade.tolist() == pytest.approx([-0.15, 0.15])
    assert trades_of(weights, held, max_turnover=1.3, **options).trade.tolist() == pytest.approx(
        [-0.6, 0.6]
    )


def test_without_capital_trades_are_weights_and_their_cost() -> None:
    trades = trades_of(
        _weights([0.2, 0.8], None),
        _held("weight", [0.8, 0.2]),
        trans_cost=0.01,
        capital=None,
        lot=1.0,
    )
    # By iteration: what remains is what was there, less the fee for what is traded of it.
    kept = 1.0
    for _ in range(100):
        kept = 1 - 0.01 * (abs(kept * 0.2 - 0.8) + abs(kept * 0.8 - 0.2))
    assert trades.trade.tolist() == pytest.approx([kept * 0.2 - 0.8, kept * 0.8 - 0.2])
    assert trades.cost == pytest.approx(1 - kept)
    assert trades.capital is None
    assert "traded weight 1.19" in lines_of(trades)[-1]


def test_who_has_no_price_today_is_kept_and_the_rest_is_divided() -> None:
    trades = trades_of(
        _weights([0.5, 0.5, 0.0], [10.0, 20.0, float("nan")]),
        _held("weight", [0.0, 0.0, 0.4]),
        trans_cost=0.0,
        capital=1000.0,
        lot=1.0,
    )
    assert trades.target.tolist() == pytest.approx([0.3, 0.3, 0.4])
    assert trades.shares_after[:2].tolist() == [30.0, 15.0]
    assert trades.money[2] == 0.0
    assert trades.cash_left == pytest.approx(0.0)


@given(
    data=st.data(),
    n_assets=st.integers(1, 6),
    trans_cost=st.sampled_from([0.0, 0.001, 0.02, 0.3]),
    lot=st.sampled_from([0.01, 1.0, 100.0]),
)
def test_money_is_neither_made_nor_overdrawn(
    data: st.DataObject, n_assets: int, trans_cost: float, lot: float
) -> None:
    numbers = st.floats(0.0, 1.0)
    prices = np.array([data.draw(st.floats(0.5, 500.0)) for _ in range(n_assets)])
    target = np.array([data.draw(numbers) for _ in range(n_assets)])
    target /= max(target.sum(), 1.0)
    held = np.floor(np.array([data.draw(numbers) for _ in range(n_assets)]) * 1000)
    cash = data.draw(st.floats(1.0, 1e6))
    trades = trades_of(
        _weights(target.tolist(), prices.tolist()),
        _held("shares", held.tolist(), cash),
        trans_cost=trans_cost,
        capital=None,
        lot=lot,
    )
    wealth = float((held * prices).sum()) + cash
    after = float((trades.shares_after * prices).sum())
    assert after + trades.cash_left + trades.fees == pytest.approx(wealth)
    assert trades.cash_left >= -1e-9 * wealth
    lots = trades.shares_after / lot
    assert np.allclose(lots, np.round(lots))
    # No position is larger than asked for of what is left.
    assert (trades.shares_after * prices <= target * wealth * (1 + 1e-9)).all()


def test_what_cannot_be_worked_out_is_refused() -> None:
    weights = _weights([0.5, 0.5], None)
    with pytest.raises(UsageError, match="need prices, and the data of this run have none"):
        trades_of(weights, _held("shares", [1, 1]), trans_cost=0.0, capital=None, lot=1.0)
    weights = _weights([0.5, 0.5], [10.0, float("nan")])
    with pytest.raises(DataError, match="shares of B, which have no price"):
        trades_of(weights, _held("shares", [1, 1], 5.0), trans_cost=0.0, capital=None, lot=1.0)
    weights = _weights([0.5, 0.5], [10.0, 10.0])
    with pytest.raises(DataError, match=r"must be all of the wealth.* 200\.00; got 100\.00"):
        trades_of(weights, _held("shares", [10, 10]), trans_cost=0.0, capital=100.0, lot=1.0)
    for amounts, cash, told in (([0, 0], None, r"0\.00, cash is 0\.00"), ([1, 1], -5.0, r"-5\.00")):
        with pytest.raises(DataError, match=f"must be of some wealth, without debt; .*{told}"):
            trades_of(
                weights, _held("shares", amounts, cash), trans_cost=0.0, capital=None, lot=1.0
            )
    with pytest.raises(UsageError, match=r"say the same\. Leave one out"):
        trades_of(weights, _held("shares", [1, 1], 9.0), trans_cost=0.0, capital=100.0, lot=1.0)


def test_the_table_has_a_line_for_each_asset() -> None:
    trades: Trades = trades_of(
        _weights([0.5, 0.5], [10.0, 25.0]),
        _held("shares", [0, 4], 910.0),
        trans_cost=0.01,
        capital=None,
        lot=1.0,
    )
    rows = list(csv.DictReader(io.StringIO(trades_csv(trades).decode())))
    assert [row["asset"] for row in rows] == ["A", "B"]
    assert float(rows[1]["shares_trade"]) == trades.shares_after[1] - 4
    lines = lines_of(trades)
    assert lines[-1].startswith("capital 1,010.00, traded weight")
    assert "cash left over" in lines[-1]
