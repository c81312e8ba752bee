"""A broker's book, order by order: shares, money, fees. It shares no line with the package.

Rules where assets come, halt and end:

- Targets are parts of the *free* wealth: all but what halted positions are worth.
- Where halted positions are worth more than the account, nothing is free: all else is sold.
- On a row on which an asset is halted its shares are neither bought nor sold.
- On the row on which an asset has ended, its shares are money at that row's price, without a fee.
- Whoever leaves a universe with a price has the target 0, and is sold for the usual fee.
- An order that comes late is executed as far as it still can be: what it asks for somebody who is
  no member any more stays money.
"""

from __future__ import annotations

import numpy as np


def simulate(
    actions,
    prices,
    *,
    trans_cost=0.0,
    initial="invested",
    cost="drift",
    halted=None,
    ended=None,
    cash_rate=0.0,
    borrow_rate=0.0,
    delay=0,
    members=None,
    max_turnover=None,
):
    """Wealth after each row, shape (T,), of an account that follows the target weights.

    `trans_cost` is a number, one for each asset, or one for each on each row. `cash_rate` is what
    money earns, or costs where it is owed, from one row to the next; `borrow_rate` what shares cost
    that are sold short: numbers, or one for each row.

    What the targets leave over stays as money; without cash the rows have to sum to 1, or to 0
    where there is nobody to hold. `halted` and `ended` are shape (T, M), as of a panel of prices.
    The order of a row is executed `delay` rows later, for those who are `members` (T, M) then;
    before the first of them there is money only. Where the orders of a row would trade more than
    `max_turnover` of the account, each is filled in part, all in the same part.
    """
    tariff = np.broadcast_to(trans_cost, np.shape(prices)).tolist()
    earns, owes = (np.broadcast_to(r, len(prices)).tolist() for r in (cash_rate, borrow_rate))
    targets = _orders_by_row(actions, delay, members)
    quotes = [[float(price) for price in row] for row in prices]
    nobody = [[False] * len(quotes[0])] * len(quotes)
    stuck = nobody if halted is None else [[bool(cell) for cell in row] for row in halted]
    gone = nobody if ended is None else [[bool(cell) for cell in row] for row in ended]
    first = targets[delay] if initial == "invested" else [0.0] * len(targets[delay])
    shares = [weight / quote for weight, quote in zip(first, quotes[delay], strict=True)]
    money = 1.0 - sum(first)
    wealth = [1.0] * (delay + 1)
    for row in range(delay, len(quotes) - 1):
        costs = tariff[row]
        shares, money = _settle(shares, money, quotes[row], gone[row])
        worth = money + _value(shares, quotes[row])
        orders = {"drift": _fee_from_all, "exact": _fee_from_orders, "target_l1": _no_fee}[cost]
        target = targets[row]
        if max_turnover is not None:
            target = _filled_in_part(shares, quotes[row], worth, target, stuck[row], max_turnover)
        shares, money = orders(shares, quotes[row], worth, target, costs, stuck[row])
        lent = sum(max(0.0, -s) * p for s, p in zip(shares, quotes[row], strict=True))
        money = money * (1 + earns[row]) - owes[row] * lent
        if cost == "target_l1":
            held = [s * price / worth for s, price in zip(shares, quotes[row], strict=True)]
            fee = _fee_of_move(
                held,
                shares,
                money,
                targets[row + 1],
                quotes[row + 1],
                stuck[row + 1],
                gone[row + 1],
                tariff[row + 1],
            )
            if row == delay and initial == "cash":
                fee += sum(k * abs(weight) for k, weight in zip(costs, held, strict=True))
            # Booked as a debt; it shrinks every position alike when it is settled.
            debt = fee * worth
            after = money + _value(shares, quotes[row + 1])
            shares = [held * (1 - debt / after) for held in shares]
            money *= 1 - debt / after
        wealth.append(money + _value(shares, quotes[row + 1]))
    return np.array(wealth)


def _orders_by_row(actions, delay, members):
    """What is to be held on each row, by orders that are on their way so many rows."""
    in_time, on_the_way = [], []
    for row, order in enumerate(actions):
        on_the_way.append([float(weight) for weight in order])
        due = on_the_way.pop(0) if len(on_the_way) > delay else [0.0] * len(order)
        can = [True] * len(due) if members is None else members[row]
        in_time.append([weight if ok else 0.0 for weight, ok in zip(due, can, strict=True)])
    return in_time


def _filled_in_part(shares, quote, worth, target, stuck, limit):
    """Targets of the free wealth that are reached by trading no more than so much of all wealth."""
    wanted, _ = _no_fee(shares, quote, worth, target, None, stuck)
    ordered = sum(abs(w - s) * p for w, s, p in zip(wanted, shares, quote, strict=True))
    part = 1.0 if ordered <= limit * worth else limit * worth / ordered
    free = max(0.0, worth - _value_of(shares, quote, stuck))
    filled = [s + part * (w - s) for s, w in zip(shares, wanted, strict=True)]
    return [
        0.0 if halt or free == 0 else f * p / free
        for f, p, halt in zip(filled, quote, stuck, strict=True)
    ]


def _settle(shares, money, quote, gone):
    """Pay out what has ended."""
    paid = sum(s * price for s, price, over in zip(shares, quote, gone, strict=True) if over)
    return [0.0 if over else s for s, over in zip(shares, gone, strict=True)], money + paid


def _no_fee(shares, quote, worth, target, costs, stuck):
    free = max(0.0, worth - _value_of(shares, quote, stuck))
    wanted = [
        held if halt else weight * free / price
        for held, weight, price, halt in zip(shares, target, quote, stuck, strict=True)
    ]
    return wanted, worth - _value(wanted, quote)


def _fee_from_all(shares, quote, worth, target, costs, stuck):
    """Trade to the target first, then every position and the money pay their part of the fee."""
    wanted, money = _no_fee(shares, quote, worth, target, costs, stuck)
    orders = list(zip(costs, wanted, shares, quote, strict=True))
    bought = sum(k * max(0.0, w - s) * p for k, w, s, p in orders)
    sold = sum(k * max(0.0, s - w) * p for k, w, s, p in orders)
    kept = 1 - (bought + sold) / worth
    return [held * kept for held in wanted], money * kept


def _fee_from_orders(shares, quote, worth, target, costs, stuck):
    """Find by bisection the free wealth whose orders leave exactly that after their fees."""
    held = [0.0 if halt else s * p for s, p, halt in zip(shares, quote, stuck, strict=True)]
    locked = _value_of(shares, quote, stuck)
    part = [0.0 if halt else weight for weight, halt in zip(target, stuck, strict=True)]
    orders = list(zip(costs, part, held, strict=True))
    low, high = 0.0, max(0.0, worth - locked)
    for _ in range(60):
        middle = (low + high) / 2
        spent = middle
        for k, weight, h in orders:
            spent += k * abs(weight * middle - h)
        low, high = (middle, high) if spent < worth - locked else (low, middle)
    wanted, _ = _no_fee(shares, quote, low + locked, target, costs, stuck)
    after = [0.0 if halt else s * p for s, p, halt in zip(wanted, quote, stuck, strict=True)]
    fee = sum(k * abs(w - h) for k, w, h in zip(costs, after, held, strict=True))
    return wanted, worth - fee - _value(wanted, quote)


def _fee_of_move(held, shares, money, target, quote, stuck, gone, costs):
    """Cost of the way from the weights held now to those of the next row, of whom can trade there.

    What the next row pays out has left the book before its orders are written.
    """
    after, paid = _settle(shares, money, quote, gone)
    worth = paid + _value(after, quote)
    free = max(0.0, 1 - _value_of(after, quote, stuck) / worth) if worth > 0 else 0.0
    return sum(
        k * abs(weight * free - before)
        for k, weight, before, halt, over in zip(costs, target, held, stuck, gone, strict=True)
        if not halt and not over
    )


def _value_of(shares, quote, chosen):
    return sum(s * p for s, p, is_one in zip(shares, quote, chosen, strict=True) if is_one)


def _value(shares, quote):
    return sum(held * price for held, price in zip(shares, quote, strict=True))
