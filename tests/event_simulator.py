"""A broker's book, order by order: shares, money, fees. It shares no line with the package."""

from __future__ import annotations

import numpy as np


def simulate(actions, prices, *, trans_cost=0.0, initial="invested", cost="drift"):
    """Wealth after each row, shape (T,), of an account that follows the target weights.

    What the targets leave over stays as money; without cash the rows have to sum to 1.
    """
    targets = [[float(weight) for weight in row] for row in actions]
    quotes = [[float(price) for price in row] for row in prices]
    first = targets[0] if initial == "invested" else [0.0] * len(targets[0])
    shares = [weight / quote for weight, quote in zip(first, quotes[0], strict=True)]
    money = 1.0 - sum(first)
    wealth = [1.0]
    for row in range(len(quotes) - 1):
        worth = money + _value(shares, quotes[row])
        orders = {"drift": _fee_from_all, "exact": _fee_from_orders, "target_l1": _no_fee}[cost]
        shares, money = orders(shares, quotes[row], worth, targets[row], trans_cost)
        if cost == "target_l1":
            moved = _distance(targets[row + 1], targets[row])
            if row == 0 and initial == "cash":
                moved += _distance(targets[0], [0.0] * len(targets[0]))
            # Booked as a debt; it shrinks every position alike when it is settled.
            debt = trans_cost * moved * worth
            after = money + _value(shares, quotes[row + 1])
            shares = [held * (1 - debt / after) for held in shares]
            money *= 1 - debt / after
        wealth.append(money + _value(shares, quotes[row + 1]))
    return np.array(wealth)


def _no_fee(shares, quote, worth, target, trans_cost):
    wanted = [weight * worth / price for weight, price in zip(target, quote, strict=True)]
    return wanted, worth - _value(wanted, quote)


def _fee_from_all(shares, quote, worth, target, trans_cost):
    """Trade to the target first, then every position and the money pay their part of the fee."""
    wanted, money = _no_fee(shares, quote, worth, target, trans_cost)
    bought = sum(max(0.0, w - s) * p for w, s, p in zip(wanted, shares, quote, strict=True))
    sold = sum(max(0.0, s - w) * p for w, s, p in zip(wanted, shares, quote, strict=True))
    kept = 1 - trans_cost * (bought + sold) / worth
    return [held * kept for held in wanted], money * kept


def _fee_from_orders(shares, quote, worth, target, trans_cost):
    """Find by bisection the account value whose orders leave exactly that value after fees."""
    held = [s * p for s, p in zip(shares, quote, strict=True)]
    low, high = 0.0, worth
    for _ in range(60):
        middle = (low + high) / 2
        fee = trans_cost * _distance([weight * middle for weight in target], held)
        low, high = (middle, high) if middle + fee < worth else (low, middle)
    return _no_fee(shares, quote, low, target, trans_cost)


def _value(shares, quote):
    return sum(held * price for held, price in zip(shares, quote, strict=True))


def _distance(left, right):
    return sum(abs(a - b) for a, b in zip(left, right, strict=True))
