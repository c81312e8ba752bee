"""What the arrays of a metric must be; everything wrong with one is told at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann.errors import DataError

Floats = NDArray[np.float64]


def float64_array(values: Any, name: str) -> Floats:
    """An array or tensor in float64, also from a device or with a gradient."""
    if not isinstance(values, np.ndarray) and hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"`{name}` must be an array of numbers; got {error}.") from error


def matrix_problems(values: Floats, name: str) -> list[str]:
    """Say what keeps an array from being one row per time and one column per asset."""
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 1:
        return [
            f"`{name}` must have shape (rows, assets) with at least 2 rows and 1 asset; "
            f"got {values.shape}. One asset is a single column: values.reshape(-1, 1)."
        ]
    return finiteness_problems(values, name)


def finiteness_problems(values: Floats, name: str) -> list[str]:
    """Say which value is the first that is not finite, and how many there are."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return []
    first = tuple(int(place) for place in np.argwhere(bad)[0])
    return [
        f"`{name}` must be finite; got {values[first]} at index {first} "
        f"and {int(bad.sum())} such values in all."
    ]


def observations(values: Any, name: str) -> Floats:
    """Rows of one or several finite numbers, ``(n,)`` or ``(n, k)``, or a `DataError`."""
    series = float64_array(values, name)
    problems = (
        finiteness_problems(series, name)
        if series.ndim in (1, 2) and len(series) > 0
        else [f"`{name}` must have shape (n,) or (n, k) with n of at least 1; got {series.shape}."]
    )
    if problems:
        raise DataError(problems)
    return series


def series_of(values: Any, name: str) -> Floats:
    """Finite numbers in time, ``(n,)``, or a `DataError`."""
    series = float64_array(values, name)
    if series.ndim != 1:
        raise DataError(f"`{name}` must have shape (n,); got {series.shape}.")
    return observations(series, name)
