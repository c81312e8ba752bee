"""What the arrays of a metric must be; everything wrong with one is told at once."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from psann._inputs import finiteness_problems, numbers
from psann._labels import in_order_of, labels_of, order_problems, same_rows, telling_order
from psann._rates import other_rate
from psann._typing import Floats
from psann.errors import DataError

_COST = "`trans_cost`"


def float64_array(values: Any, name: str) -> Floats:
    """Whatever holds numbers, in float64; see `psann._inputs`."""
    return numbers(values, f"`{name}`").astype(np.float64, copy=False)


def together(**given: Any) -> list[Floats]:
    """Arrays of the same rows and assets, in the order of the first that names them.

    A vector `trans_cost` has a number for each asset, by its index where that has names.

    Raises
    ------
    DataError
        If frames among them have other rows or columns, or dates that are not in order.
    """
    arrays = {f"`{name}`": float64_array(value, name) for name, value in given.items()}
    if all(isinstance(value, np.ndarray) for value in given.values()):
        return list(arrays.values())  # nothing to go by but their order
    labels = {f"`{name}`": labels_of(value) for name, value in given.items()}
    is_vector = _COST in arrays and arrays[_COST].ndim == 1
    of_rows = {name: each for name, each in labels.items() if not (is_vector and name == _COST)}
    aligned = same_rows(arrays, of_rows)
    # The others have been put into the order of the first.
    if problems := order_problems(telling_order(of_rows)):
        raise DataError(problems)
    named = {name: each.columns for name, each in labels.items() if aligned[name].ndim == 2}
    if is_vector and (index := labels[_COST].rows) is not None:
        named[_COST] = tuple(str(name) for name in index.tolist())
    whose = next((name for name in named if named[name] is not None), None)
    for name, own in named.items():
        width = aligned[name].shape[-1]
        if whose is None or own is None or name == whose:
            continue
        if width == 1 and (name == _COST or width < aligned[whose].shape[-1]):
            continue  # one column for all assets has a name of its own
        array = np.atleast_2d(aligned[name])
        ordered = in_order_of(named[whose] or (), array, own, who=name, whose=whose)
        aligned[name] = ordered.reshape(aligned[name].shape)
    return list(aligned.values())


def warn_of_rate(periods_per_year: float, *given: object) -> None:
    """Warn where the dates of rows say that there are more or fewer a year than figures take."""
    rows = next((labels.rows for labels in map(labels_of, given) if labels.are_dates), None)
    if rows is None or number_problems(rate=periods_per_year) or periods_per_year <= 0:
        return  # refused by whoever makes the figures
    rate = other_rate(rows, periods_per_year)
    if rate is not None:
        warnings.warn(
            f"By their dates about {rate:g} rows are a year, while figures per year are made as if "
            f"{periods_per_year:g} were. Pass periods_per_year={rate:g}.",
            UserWarning,
            stacklevel=3,
        )


def number_problems(**settings: Any) -> list[str]:
    """Say which settings are no single number."""
    return [
        f"`{name}` must be a number; got {value!r}."
        for name, value in settings.items()
        if np.ndim(value) or np.asarray(value).dtype.kind not in "iuf"
    ]


def matrix_problems(values: Floats, name: str) -> list[str]:
    """Say what keeps an array from being one row per time and one column per asset."""
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 1:
        return [
            f"`{name}` must have shape (rows, assets) with at least 2 rows and 1 asset; "
            f"got {values.shape}. One asset is a single column: values.reshape(-1, 1)."
        ]
    return finiteness_problems(values, f"`{name}`")


def observations(values: Any, name: str) -> Floats:
    """Rows of one or several finite numbers in time, ``(n,)`` or ``(n, k)``, or a `DataError`."""
    series = float64_array(values, name)
    problems = order_problems({f"`{name}`": labels_of(values)})
    problems += (
        finiteness_problems(series, f"`{name}`")
        if series.ndim in (1, 2) and len(series) > 0
        else [f"`{name}` must have shape (n,) or (n, k) with n of at least 1; got {series.shape}."]
    )
    if problems:
        raise DataError(problems)
    return series


def series_of(values: Any, name: str) -> Floats:
    """Finite numbers in time, ``(n,)``, or a `DataError`."""
    shape = float64_array(values, name).shape
    if len(shape) != 1:
        raise DataError(f"`{name}` must have shape (n,); got {shape}.")
    return observations(values, name)
