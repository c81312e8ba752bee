"""What is hard to believe of data that passed every check; told before training and with results.

`psann.plausibility` looks; here its findings become sentences that name the array. What lies in a
file that is larger than memory is not looked at, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from psann._mapped import is_mapped
from psann._npz import Array
from psann.market.cutting import NAMES
from psann.plausibility.features import feature_findings, next_move_findings
from psann.plausibility.prices import price_findings
from psann.plausibility.rows import overlap_findings

# Products of features, assets and rows up to which looking for what knows the future is cheap.
_MOST_PRODUCTS = 10**8


def find_doubts(arrays: Mapping[str, Array]) -> list[str]:
    """Say what is hard to believe, one sentence each, with the array, row and cure."""
    if any(is_mapped(arrays[key]) for key in arrays):
        return []
    prices = {key: arrays[key] for split in NAMES if (key := f"prices_{split}") in arrays}
    names = arrays.get("asset_names")
    labels = None if names is None else [str(name) for name in names]
    # Where assets come, halt and end, their prices stand still by construction.
    is_whole = not any(f"active_{name}" in arrays for name in NAMES)
    return [
        *(_of_prices(prices, labels) if is_whole else ()),
        *(finding.message for finding in overlap_findings(prices)),
        *_of_features(arrays),
    ]


def _of_prices(prices: Mapping[str, Array], labels: list[str] | None) -> Iterator[str]:
    for key, array in prices.items():
        own = labels if labels is not None and len(labels) == array.shape[1] else None
        for finding in price_findings(array, labels=own):
            yield f"{key}: {finding.message}"


def _of_features(arrays: Mapping[str, Array]) -> Iterator[str]:
    if "X_train" not in arrays:
        return
    X = arrays["X_train"].reshape(len(arrays["X_train"]), -1)
    # A constant feature is told of by `oddities` already.
    findings = [each for each in feature_findings(X) if each.name != "constant"]
    prices = arrays.get("prices_train")
    if prices is not None and len(X) * X.shape[1] * prices.shape[1] <= _MOST_PRODUCTS:
        findings += next_move_findings(X, prices)
    yield from (f"X_train: {finding.message}" for finding in findings)
