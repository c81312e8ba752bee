"""From what is held to what a policy asks for: trades, their cost, and whole lots of shares."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from psann._typing import Floats
from psann.accounting import share_kept
from psann.errors import DataError, UsageError, counted
from psann.holdings import Carry
from psann.run.acting.holdings_file import Held
from psann.run.acting.weights import Weights

# Part of the wealth that lots may leave in cash without a word.
_MUCH = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Trades:
    """What to buy (positive) and to sell, at the prices of the newest row."""

    label: str
    """Date of the newest row."""
    decided: str
    """Date of the row on which the target was decided."""
    delay: int
    """Rows after that at which it is executed; above 0 that is the row after the newest one."""
    assets: tuple[str, ...]
    prices: Floats
    """Shape (M,); NaN where there is none, and nothing is traded."""
    held: Floats
    """Weights before trading, shape (M,)."""
    target: Floats
    """Weights after trading, of the wealth after fees, shape (M,)."""
    trade: Floats
    """Traded weights, of the wealth before trading, shape (M,)."""
    cost: float
    """Share of the wealth that fees take."""
    capital: float | None = None
    """Wealth before trading; None where nobody said, and the rest is not known."""
    shares_held: Floats | None = None
    shares_after: Floats | None = None
    """Whole lots, shape (M,)."""
    money: Floats | None = None
    """Price of what is bought, shape (M,)."""
    fees: float | None = None
    cash_left: float | None = None
    """Money after trades and fees."""


def trades_of(
    weights: Weights,
    held: Held,
    *,
    trans_cost: float | Sequence[float] | Floats,
    capital: float | None,
    lot: float,
    max_turnover: float | None = None,
) -> Trades:
    """Trades from what is held to the weights that are due.

    They are those of the newest row without a delay; with one, those executed on the row after it.

    With wealth 1, held weights ``d`` and target weights ``a``, fees leave the share ``m`` with
    ``m = 1 - k |m a - d|_1``. Shares are rounded towards zero to whole lots, so that no position
    is larger than asked for; where nothing is sold short, cash left over is never below 0.

    Parameters
    ----------
    weights : Weights
        With prices on its newest row.
    held : Held
        What the account holds before.
    trans_cost : float or sequence of float
        ``k``, cost per unit of traded weight, of all assets or of each.
    capital : float, optional
        Wealth in money, cash included; of shares with their cash it is known without.
    lot : float
        Shares that can be traded at least, more than 0.
    max_turnover : float, optional
        Largest traded weight; where the way to the targets is longer, all trades shrink alike.

    Returns
    -------
    Trades

    Raises
    ------
    UsageError, DataError
        If prices are needed and not known, or more is held than there is.
    """
    before, wealth = weights_held(held, weights, capital)
    place = _due(weights)
    target = weights.values[place]
    prices = np.full(len(target), np.nan) if weights.quotes is None else weights.quotes[-1]
    is_locked = np.zeros(len(target), bool) if weights.quotes is None else ~np.isfinite(prices)
    # What has no price today can be neither bought nor sold; targets are of all the rest.
    locked = np.where(is_locked, before, 0.0)
    target = locked + (1.0 - locked.sum()) * np.where(is_locked, 0.0, target)
    if max_turnover is not None:
        target = Carry(max_turnover=max_turnover).traded(target, before)
    rates = trans_cost if isinstance(trans_cost, float | int) else np.array(trans_cost, np.float64)
    kept = float(share_kept(target[None], before[None], rates)[0])
    after = kept * target
    after[is_locked] = before[is_locked]
    trade = after - before
    in_weights = Trades(
        label=weights.labels[-1],
        decided=weights.labels[place],
        delay=weights.provenance.delay,
        assets=weights.assets,
        prices=prices,
        held=before,
        target=target,
        trade=trade,
        cost=float((rates * np.abs(trade)).sum()),
    )
    if wealth is None:
        return in_weights
    safe = np.where(is_locked, 1.0, prices)
    shares_held = held.amounts if held.kind == "shares" else before * wealth / safe
    lots = np.trunc(after * wealth / safe / lot * (1 + 1e-12))
    shares_after = np.where(is_locked, shares_held, lots * lot)
    money = np.where(is_locked, 0.0, (shares_after - shares_held) * safe)
    fees = float((rates * np.abs(money)).sum())
    cash = wealth - float((before * wealth).sum())
    return replace(
        in_weights,
        trade=money / wealth,
        cost=fees / wealth,
        capital=wealth,
        shares_held=shares_held,
        shares_after=shares_after,
        money=money,
        fees=fees,
        cash_left=cash - float(money.sum()) - fees,
    )


def _due(weights: Weights) -> int:
    """The row, from the end, that is executed now, or on the row after the newest one."""
    n_back = max(weights.provenance.delay, 1)
    if n_back > len(weights):
        raise UsageError(
            f"--held needs the weights that are executed next, decided {n_back} rows before; there "
            f"are {counted(len(weights), 'row')}. Give an earlier --since."
        )
    return -n_back


def weights_held(
    held: Held, weights: Weights, capital: float | None
) -> tuple[Floats, float | None]:
    """Weights before trading, at the newest prices, and the wealth where it is known.

    Raises
    ------
    UsageError, DataError
        As `trades_of`.
    """
    if weights.quotes is None and (held.kind == "shares" or capital is not None):
        raise UsageError(
            "shares and --capital need prices, and the data of this run have none. Give weights, "
            "or data with prices."
        )
    if held.kind == "weight":
        return held.amounts, capital
    assert weights.quotes is not None
    prices, assets = weights.quotes[-1], weights.assets
    blind = [
        name
        for name, amount, price in zip(assets, held.amounts, prices, strict=True)
        if amount and not np.isfinite(price)
    ]
    if blind:
        raise DataError(
            f"--held has shares of {', '.join(blind)}, which have no price on the newest row. Give "
            "prices of that row, or leave them out of what the policy manages."
        )
    values = np.where(held.amounts == 0, 0.0, held.amounts * prices)
    total = float(values.sum())
    if capital is not None and held.cash is not None:
        raise UsageError("--capital and a line cash in --held say the same. Leave one out.")
    wealth = capital if capital is not None else total + (held.cash or 0.0)
    if capital is None and (wealth <= 0 or (held.cash or 0.0) < 0):
        raise DataError(
            f"--held must be of some wealth, without debt; the shares are worth {total:,.2f}, cash "
            f"is {held.cash or 0.0:,.2f}. Give --capital, or a line cash of at least 0."
        )
    if wealth <= 0 or total > wealth * (1 + 1e-9):
        raise DataError(
            f"--capital must be all of the wealth, with what the shares are worth, {total:,.2f}; "
            f"got {wealth:,.2f}."
        )
    return values / wealth, wealth


def lines_of(trades: Trades) -> list[str]:
    """Lines of a table of trades for a terminal, and what they come to."""
    rows = rows_of(trades)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if trades.delay:
        lines.append(
            f"decided on {trades.decided}, to be executed {counted(trades.delay, 'row')} later, on "
            f"the one after {trades.label}; counted at the prices of {trades.label}"
        )
    traded = float(np.abs(trades.trade).sum())
    if trades.capital is None:
        return [*lines, f"traded weight {traded:.4f}, cost {trades.cost:.6f} of the wealth"]
    lines.append(
        f"capital {trades.capital:,.2f}, traded weight {traded:.4f}, fees {trades.fees:,.2f}, cash "
        f"left over {trades.cash_left:,.2f}"
    )
    if (missing := _lost_to_lots(trades)) > _MUCH:
        lines.append(
            f"whole lots leave {missing:.0%} of the capital in cash that the policy wants to hold "
            "in assets: it takes more capital, or smaller lots"
        )
    return lines


def _lost_to_lots(trades: Trades) -> float:
    """Part of the wealth that is asked for, and too little for a lot."""
    if trades.capital is None or trades.shares_after is None:
        return 0.0
    known = np.isfinite(trades.prices)
    got = np.abs(trades.shares_after[known] * trades.prices[known]).sum() / trades.capital
    return float(np.abs(trades.target[known]).sum() * (1.0 - trades.cost) - got)


def trades_csv(trades: Trades) -> bytes:
    """Write trades as CSV, one line for each asset."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(rows_of(trades))
    return text.getvalue().encode()


def rows_of(trades: Trades) -> list[list[str]]:
    """Header and lines of a table of trades; columns of money only where there is any."""
    has_money = trades.capital is not None
    rows = [["asset", "price", "held", "target", "trade"]]
    if has_money:
        rows[0] += ["shares_held", "shares_after", "shares_trade", "money"]
    for place, name in enumerate(trades.assets):
        price = trades.prices[place]
        row = [name, "" if np.isnan(price) else f"{price:.6g}"]
        row += [f"{part[place]:.6f}" for part in (trades.held, trades.target, trades.trade)]
        if trades.shares_held is not None and trades.shares_after is not None:
            before, after = trades.shares_held[place], trades.shares_after[place]
            row += [f"{before:.10g}", f"{after:.10g}", f"{after - before:.10g}"]
            assert trades.money is not None
            row.append(f"{trades.money[place]:.2f}")
        rows.append(row)
    return rows
