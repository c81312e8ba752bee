"""The account of a sequence of allocations: everything about it checked, then what it came to."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from psann._typing import Floats
from psann.accounting import CostModel, Initial, NetGrowth, carry_of, net_growth, simplest
from psann.errors import DataError
from psann.holdings import Carry, code_problems, is_limited, of_members
from psann.metrics.checks import matrix_problems, number_problems, together

_INITIALS, _COST_MODELS = get_args(Initial), get_args(CostModel)
# Softmax in float32 over a thousand assets stays well inside.
_SUM_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a sequence of allocations came to, and what its figures are told by."""

    targets: Floats
    """Of members, shape (T, M)."""
    growth: NetGrowth
    periods_per_year: float
    cash_rate: float | Floats
    """Per year, as of `portfolio_metrics`."""


def account_of(  # noqa: PLR0913
    allocations: Any,
    prices: Any,
    *,
    trans_cost: float | Sequence[float] | Floats,
    initial: Initial,
    cash: bool,
    active: Any,
    cost: CostModel = "drift",
    periods_per_year: float = 1.0,
    cash_rate: float | Floats = 0.0,
    borrow_rate: float | Floats = 0.0,
    max_turnover: float | None = None,
) -> Account:
    """Check everything at once, warn, and do the accounts; as `portfolio_metrics`."""
    terms: dict[str, Any] = {
        "trans_cost": trans_cost,
        "cash_rate": cash_rate,
        "borrow_rate": borrow_rate,
    }
    given = {"allocations": allocations, "prices": prices}
    given |= {} if active is None else {"active": active}
    given |= {who: rate for who, rate in terms.items() if np.ndim(rate)}
    arrays = dict(zip(given, together(**given), strict=True))
    targets, quotes, codes = arrays["allocations"], arrays["prices"], arrays.get("active")
    terms |= {who: arrays[who] for who in terms if who in arrays}
    carry, of_cash = _carry_of_rows(
        targets, periods_per_year, rates=terms, max_turnover=max_turnover
    )
    rates = terms["trans_cost"] if np.ndim(trans_cost) else float(terms["trans_cost"])
    problems = _array_problems(targets, quotes, codes, rates)
    problems += setting_problems(rates, periods_per_year, initial=initial, cost=cost)
    if carry is not None and carry.max_turnover is not None:
        problems += _turnover_problems(carry.max_turnover, cost)
    if problems:
        raise DataError(problems)
    if not cash and codes is None and not is_limited(carry):
        _warn_of_sums(targets)
    growth = net_growth(
        targets,
        quotes,
        trans_cost=simplest(rates) if np.ndim(rates) > 1 else rates,
        initial=initial,
        cost=cost,
        cash=cash,
        active=codes,
        carry=carry,
    )
    if growth.ruined_at is not None:
        warnings.warn(
            f"The wealth was lost at row {growth.ruined_at + 1}; the figures end there.",
            RuntimeWarning,
            stacklevel=3,
        )
    return Account(
        targets=targets if codes is None else of_members(targets, codes),
        growth=growth,
        periods_per_year=periods_per_year,
        cash_rate=of_cash,
    )


def _array_problems(
    targets: Floats, quotes: Floats, codes: Floats | None, rates: float | Floats
) -> list[str]:
    problems = matrix_problems(targets, "allocations") + matrix_problems(quotes, "prices")
    if not problems and targets.shape != quotes.shape:
        problems.append(
            f"`allocations` and `prices` must have the same shape; got {targets.shape} and "
            f"{quotes.shape}. Give one price per asset for every row of the allocations."
        )
    problems += _price_problems(quotes)
    if codes is not None:
        problems += code_problems(codes, who="`active`", shape=targets.shape)
    if isinstance(rates, np.ndarray) and rates.shape not in (targets.shape, targets.shape[1:]):
        problems.append(
            f"`trans_cost` must be one number, one for each of the {targets.shape[-1]} assets, or "
            f"one for each of them on each row; got shape {rates.shape}."
        )
    return problems


def rate_of_rows(rate: Any, who: str, targets: Floats) -> float | Floats:
    """A rate as a number, or as one for each row of the allocations."""
    if not np.ndim(rate) and math.isfinite(rate):
        return float(rate)
    if not targets.ndim:
        return 0.0  # they are refused by whoever reads them
    rates, n_rows = np.asarray(rate), len(targets)
    is_finite = bool(np.isfinite(rates).all())
    if rates.shape != (n_rows,) or not is_finite:
        got = f"shape {rates.shape}" if is_finite else "some that are not finite"
        raise DataError(
            f"`{who}` must be one finite number, or one for each of the {n_rows} rows; got {got}."
        )
    simple: float | Floats = simplest(rates)
    return simple


def _carry_of_rows(
    targets: Floats, periods_per_year: float, *, rates: dict[str, Any], max_turnover: float | None
) -> tuple[Carry | None, float | Floats]:
    """What holdings earn and cost, and may trade, from row to row; what cash earns per year."""
    settings = {who: rate for who, rate in rates.items() if not np.ndim(rate)}
    if max_turnover is not None:
        settings["max_turnover"] = max_turnover
    if problems := number_problems(periods_per_year=periods_per_year, **settings):
        raise DataError(problems)
    of_cash, of_shorts = (
        rate_of_rows(rates[who], who, targets) for who in ("cash_rate", "borrow_rate")
    )
    carry = carry_of(
        of_cash, of_shorts, periods_per_year=periods_per_year, max_turnover=max_turnover
    )
    return carry, of_cash


def _turnover_problems(limit: float, cost: CostModel) -> list[str]:
    problems = []
    if not 0 < limit < math.inf:
        problems.append(f"`max_turnover` must be above 0 and finite, or None; got {limit}.")
    if cost == "exact":
        problems.append(
            "`max_turnover` goes with the cost models drift and target_l1; the fees of exact "
            "change what is traded. Use drift."
        )
    return problems


def _worst_of(rates: float | Floats) -> Any:
    """A number as it is; of many those that cannot be, or the first of a table."""
    if np.ndim(rates) < 2:
        return rates
    table = np.asarray(rates)
    return table[~((table >= 0) & (table < 1))][0]


def setting_problems(
    trans_cost: float | Floats,
    periods_per_year: float,
    *,
    initial: str = "invested",
    cost: str = "drift",
) -> list[str]:
    """Say which settings of an account are out of range."""
    problems = []
    if not np.all((np.asarray(trans_cost) >= 0) & (np.asarray(trans_cost) < 1)):
        problems.append(
            f"`trans_cost` must be at least 0 and below 1; got {_worst_of(trans_cost)}. "
            "It is a share of the traded amount: 10 basis points are 0.001."
        )
    if not 0 < periods_per_year < math.inf:
        problems.append(f"`periods_per_year` must be positive and finite; got {periods_per_year}.")
    for name, value, choices in (("initial", initial, _INITIALS), ("cost", cost, _COST_MODELS)):
        if value not in choices:
            problems.append(f"`{name}` must be one of {', '.join(choices)}; got {value!r}.")
    return problems


def _price_problems(quotes: Floats) -> list[str]:
    bad = quotes <= 0
    if not bad.any():
        return []
    first = tuple(int(place) for place in np.argwhere(bad)[0])
    looks_like_returns = float(np.nanmax(abs(quotes))) < 1
    cure = (
        "These look like returns; make prices of them with numpy.cumprod(1 + returns, axis=0)."
        if looks_like_returns
        else "Drop assets without a price."
    )
    return [
        f"`prices` must be above 0; got {quotes[first]:g} at index {first} "
        f"and {int(bad.sum())} such values in all. {cure}"
    ]


def _warn_of_sums(targets: Floats) -> None:
    sums = targets.sum(-1)
    off = abs(sums - 1) > _SUM_TOLERANCE
    if off.any():
        row = int(off.argmax())
        warnings.warn(
            f"Rows of `allocations` must sum to 1 without cash; row {row} sums to {sums[row]:.6g} "
            f"and {int(off.sum())} of {len(sums)} rows are off. Pass cash=True if the rest is "
            "held in cash; otherwise it is taken as lost.",
            UserWarning,
            stacklevel=4,
        )
