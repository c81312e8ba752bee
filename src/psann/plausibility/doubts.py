"""What is hard to believe of data that passed every check; told before training and with results.

`psann.plausibility` looks; here its findings become sentences that name the array. What cannot be
looked at, for want of times or prices or of memory, is said once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from psann._frames import ASSET_NAMES, FEATURE_NAMES, SPLITS
from psann._inputs import are_dates, show
from psann._mapped import is_mapped
from psann._typing import Array
from psann.holdings import MEMBER
from psann.plausibility.features import MIN_ROWS, feature_findings, next_move_findings
from psann.plausibility.finding import few_of_each
from psann.plausibility.prices import filled_findings, price_findings
from psann.plausibility.rows import gap_findings, overlap_findings, pace_findings, rate_findings

# Findings that no price makes by standing still, as it does where its asset comes or has ended.
_OF_MOVES = frozenset({"relatives", "shuffled", "split", "print", "swap"})
# Products of features, assets and rows up to which looking for what knows the future is cheap.
_MOST_PRODUCTS = 10**8


def find_doubts(arrays: Mapping[str, Array], *, periods_per_year: float | None = None) -> list[str]:
    """Say what is hard to believe, one sentence each, with the array, row and cure.

    Parameters
    ----------
    periods_per_year : float, optional
        Rows per year that figures are made with, to be held against times.
    """
    rows = _of_rows(arrays, periods_per_year)
    return [*_of_prices(arrays), *rows, *_of_features(arrays)]


def find_untested(arrays: Mapping[str, Array], *, is_portfolio: bool = True) -> str | None:
    """Say in one sentence what nobody can tell of these data, and why.

    Parameters
    ----------
    is_portfolio : bool
        Whether the next move of prices is what is to be earned.
    """
    splits = [split for split in SPLITS if f"X_{split}" in arrays]
    reasons = []
    if missing := [f"time_{s}" for s in splits if f"time_{s}" not in arrays]:
        reasons.append(f"whether rows are missing or out of order ({', '.join(missing)}: none)")
    if mapped := [key for key, array in arrays.items() if is_mapped(array)]:
        reasons.append(f"what lies on disk ({', '.join(mapped)})")
    elif "X_train" in arrays and not (is_portfolio and "prices_train" in arrays):
        reasons.append("whether features know what later rows bring")
    elif "X_train" in arrays and not _can_be_compared(arrays):
        reasons.append(f"whether features know the next move (fewer than {MIN_ROWS} rows, or many)")
    return f"Not tested: {'; '.join(reasons)}." if reasons else None


def _of_kind(kind: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a kind that are in memory, by key, training first."""
    found = {key: arrays[key] for split in SPLITS if (key := f"{kind}_{split}") in arrays}
    return {key: array for key, array in found.items() if not is_mapped(array)}


def _names(key: str, arrays: Mapping[str, Array], n_columns: int) -> list[str] | None:
    names = arrays.get(key)
    return None if names is None or names.shape != (n_columns,) else [str(n) for n in names]


def _of_prices(arrays: Mapping[str, Array]) -> Iterator[str]:
    """One sentence of all splits that it holds of."""
    told: dict[str, list[str]] = {}
    for key, prices in _of_kind("prices", arrays).items():
        time, active = (arrays.get(key.replace("prices", kind)) for kind in ("time", "active"))
        labels = _names(ASSET_NAMES, arrays, prices.shape[1])
        if active is None:
            found = price_findings(prices, labels=labels)
        else:
            path = _while_listed(prices, active)
            found = [f for f in price_findings(path, labels=labels) if f.name in _OF_MOVES]
            throughout = (np.asarray(active) == MEMBER).all(axis=0)
            found += filled_findings(np.where(throughout, prices, np.nan), labels=labels)
        for finding in few_of_each(found):
            message = finding.message
            if finding.row is not None and are_dates(time):
                message += f" Row {finding.row} is {show(time[finding.row])}."
            told.setdefault(message, []).append(key)
    yield from (f"{', '.join(keys)}: {message}" for message, keys in told.items())


def _while_listed(prices: Array, active: Array) -> Array:
    """Prices that stand still wherever their asset is not a member on both rows of a move."""
    is_member = np.asarray(active) == MEMBER
    logs = np.log(prices.astype(np.float64))
    logs[1:] = np.where(is_member[:-1] & is_member[1:], np.diff(logs, axis=0), 0.0)
    path: Array = np.exp(logs.cumsum(axis=0))
    return path


def _of_rows(arrays: Mapping[str, Array], per_year: float | None) -> Iterator[str]:
    """Rows in two splits, by their features, else by their prices; and rows that are in none."""
    features = {key: X.reshape(len(X), -1) for key, X in _of_kind("X", arrays).items()}
    found = overlap_findings(features, least=1) or overlap_findings(_of_kind("prices", arrays))
    yield from (finding.message for finding in found)
    for key, time in _of_kind("time", arrays).items():
        yield from (f"{key}: {finding.message}" for finding in gap_findings(time))
    times = [*_of_kind("time", arrays).values()]
    whole = np.concatenate(times) if len({time.dtype for time in times}) == 1 else np.array([])
    if (whole[1:] > whole[:-1]).all() and (paces := pace_findings(whole)):
        yield f"time: {paces[0].message}"
        return  # then no number of rows is a year
    if not _of_kind("prices", arrays):
        return  # then nothing is per year
    for key, time in _of_kind("time", arrays).items():
        if per_year and (found := rate_findings(time, periods_per_year=per_year)):
            yield f"{key}: {found[0].message}"
            return


def _can_be_compared(arrays: Mapping[str, Array]) -> bool:
    X, prices = arrays["X_train"], arrays["prices_train"]
    return len(prices) == len(X) >= MIN_ROWS and X.size * prices.shape[1] <= _MOST_PRODUCTS


def _of_features(arrays: Mapping[str, Array]) -> Iterator[str]:
    if "X_train" not in _of_kind("X", arrays):
        return
    X = arrays["X_train"].reshape(len(arrays["X_train"]), -1)
    labels = _names(FEATURE_NAMES, arrays, X.shape[1])
    findings = feature_findings(X, labels=labels)
    if _of_kind("active", arrays):  # who is listed later has no feature that changes before
        findings = [each for each in findings if each.name != "constant"]
    prices = _of_kind("prices", arrays).get("prices_train")
    if prices is not None and _can_be_compared(arrays):
        assets = _names(ASSET_NAMES, arrays, prices.shape[1])
        findings += next_move_findings(X, prices, labels=labels, assets=assets)
    yield from (f"X_train: {finding.message}" for finding in few_of_each(findings))
