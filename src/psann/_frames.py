"""Data sets whose arrays are frames: their names and times are used, and then they are arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from psann._inputs import array_of, times
from psann._labels import Labels, in_order_of, labels_of, same_rows
from psann._typing import Array
from psann.errors import DataError

SPLITS = ("train", "val", "test")
ASSET_NAMES, FEATURE_NAMES = "asset_names", "feature_names"
BENCHMARK_NAME = "benchmark_name"

WITH_ROWS = ("X", "prices", "y", "context", "active", "benchmark", "time")

Split = Callable[[str], tuple[str, str] | None]


def frames_as_arrays(
    given: Mapping[str, object], split_of: Split
) -> tuple[dict[str, object], list[str]]:
    """Make arrays of frames: columns in one order in all splits, rows in one order in each.

    Parameters
    ----------
    given : mapping of str to array-like
        Arrays by key; those that are no frames stay as they are.
    split_of : callable
        Kind (`X y prices context time`) and split that a key names, or None.

    Returns
    -------
    arrays : dict
        The same keys, and what frames tell besides: `asset_names` of the columns of prices, and
        `time_*` of the dates of rows.
    problems : list of str
        One for everything that does not fit together.
    """
    labels = {key: labels_of(value) for key, value in given.items()}
    labels = {key: each for key, each in labels.items() if not each.are_none}
    if not labels:
        return dict(given), []
    arrays, problems = dict(given), []
    for key in labels:
        try:
            arrays[key] = array_of(given[key], key)
        except DataError as error:
            problems.append(str(error))
    if problems:
        return arrays, problems
    roles = {key: role for key in labels if (role := split_of(key)) is not None}
    for kind in ("X", "context"):
        keys = [key for key in roles if roles[key][0] == kind]
        problems += _align_columns(arrays, labels, keys)
        names = next((labels[key].columns for key in keys), None)
        if kind == "X" and names is not None:
            arrays.setdefault(FEATURE_NAMES, np.array(names, dtype=np.str_))
    problems += _align_assets(arrays, labels, roles)
    for split in dict.fromkeys(split for _, split in roles.values()):
        more = [key for key, role in roles.items() if role[1] == split]
        problems += _align_rows(arrays, labels, split, more)
    return arrays, problems


def _align_columns(
    arrays: dict[str, Any],
    labels: Mapping[str, Labels],
    keys: list[str],
    *,
    names: tuple[str, ...] | None = None,
    whose: str = "",
) -> list[str]:
    problems = []
    for key in keys:
        columns = labels[key].columns
        if columns is None or arrays[key].ndim != 2:
            continue
        if names is None:
            names, whose = columns, key
        try:
            arrays[key] = in_order_of(names, arrays[key], columns, who=key, whose=whose)
        except DataError as error:
            problems.append(str(error))
    return problems


def _align_assets(
    arrays: dict[str, Any], labels: Mapping[str, Labels], roles: Mapping[str, tuple[str, str]]
) -> list[str]:
    """Prices and targets in the order of `asset_names`, or of the first prices that are named."""
    keys = [key for kind in ("prices", "y", "active") for key in roles if roles[key][0] == kind]
    # The name of a single target is its own, and no asset's.
    keys = [k for k in keys if roles[k][0] != "y" or len(labels[k].columns or ()) != 1]
    if ASSET_NAMES in arrays:
        names = tuple(str(name) for name in array_of(arrays[ASSET_NAMES], ASSET_NAMES).flat)
        return _align_columns(arrays, labels, keys, names=names, whose=ASSET_NAMES)
    named = [key for key in keys if labels[key].columns is not None and arrays[key].ndim == 2]
    problems = _align_columns(arrays, labels, keys)
    if named and not problems:
        arrays[ASSET_NAMES] = np.array(labels[named[0]].columns, dtype=np.str_)
    return problems


def _align_rows(
    arrays: dict[str, Any], labels: Mapping[str, Labels], split: str, more: Sequence[str]
) -> list[str]:
    """Rows of a split in the order of X; of dates, `time_*` where that is not given."""
    time, known = f"time_{split}", dict(labels)
    if time in arrays:
        try:
            known[time] = Labels(rows=times(arrays[time], time))
        except DataError as error:
            return [str(error)]
        arrays[time] = known[time].rows
    keys = dict.fromkeys((*(f"{kind}_{split}" for kind in WITH_ROWS), *more))
    rows: dict[str, Array] = {key: arrays[key] for key in keys if key in known and key in arrays}
    try:
        arrays.update(same_rows(rows, known))
    except DataError as error:
        return [str(error)]
    dated = next((known[key].rows for key in rows if known[key].are_dates), None)
    if time not in arrays and dated is not None:
        arrays[time] = dated
    return []
