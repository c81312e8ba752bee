"""Scalers of inputs and targets, and rows as they leave them."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from psann._inputs import numbers, place_text
from psann._mapped import count_where, is_mapped, row_blocks, scratch_array
from psann._typing import AnyFloats
from psann.errors import DataError

SCALERS = {"minmax": "MinMaxScaler", "standard": "StandardScaler"}
"""Names, and the classes of sklearn.preprocessing, whose import only those who scale pay."""


_LIKE = 1e-3
"""Of the range of targets: how near they must come back."""


def fitted_scaler(scaler: Any, array: AnyFloats | None, weight: AnyFloats | None = None) -> Any:
    """A new scaler of this kind that has seen the array; None without one of the two.

    Weights of the rows ``(N,)`` go to a scaler whose `fit` takes `sample_weight`.
    """
    if scaler is None or array is None:
        return None
    transformer = scaler_class(SCALERS[scaler])() if isinstance(scaler, str) else clone(scaler)
    if len(row_blocks(array)) == 1 or not hasattr(transformer, "partial_fit"):
        return transformer.fit(array, **_weight_for(transformer, weight, slice(None)))
    # Also where all rows are in memory, so that it makes no difference where they are.
    return taught_scaler(transformer, array, weight)


def taught_scaler(scaler: Any, array: AnyFloats | None, weight: AnyFloats | None = None) -> Any:
    """A copy of a scaler that has seen these rows too, by its `partial_fit`."""
    if scaler is None or array is None:
        return scaler
    taught = copy.deepcopy(scaler)
    for block in row_blocks(array):
        taught.partial_fit(array[block], **_weight_for(taught, weight, block))
    return taught


def _weight_for(scaler: Any, weight: AnyFloats | None, block: slice) -> dict[str, AnyFloats]:
    knows = weight is not None and has_fit_parameter(scaler, "sample_weight")
    return {"sample_weight": weight[block]} if knows and weight is not None else {}


def scaler_class(name: str) -> Any:
    """A class of sklearn.preprocessing, imported only here: that takes most of a second."""
    import sklearn.preprocessing

    return getattr(sklearn.preprocessing, name)


def scale_rows(X: AnyFloats, scaler: Any) -> NDArray[np.float32]:
    """Scaled rows in float32; those of a file stay in it, or go to a scratch file."""
    if not is_mapped(X):
        return writable_float32(X if scaler is None else transformed(X, scaler, who="scaler"))
    is_usable = X.dtype == np.float32 and X.flags.c_contiguous and X.flags.aligned
    if scaler is None and is_usable:
        return X
    scaled: NDArray[np.float32] | None = None
    for block in row_blocks(X):
        rows = X[block] if scaler is None else transformed(X[block], scaler, who="scaler")
        if scaled is None:
            scaled = scratch_array((len(X), rows.shape[1]), np.float32)
        scaled[block] = rows
    assert scaled is not None
    return scaled


def transformed(array: AnyFloats, scaler: Any, *, who: str, inverse: bool = False) -> AnyFloats:
    """What a scaler makes of finite numbers, which must be finite numbers too.

    Parameters
    ----------
    who : str
        ``scaler`` or ``target_scaler``, for messages.
    inverse : bool
        Take scaled numbers back.

    Raises
    ------
    DataError
        If it gives NaN, infinity, or a number beyond float32, or others rows or columns.
    """
    step = "inverse_transform" if inverse else "transform"
    result = numbers(getattr(scaler, step)(array), f"{who} {type(scaler).__name__}")
    called = f"{who}: {type(scaler).__name__}.{step}"
    if result.shape != array.shape:
        raise DataError(
            f"{called} must give as many rows and columns as it is given, {array.shape}; got "
            f"{result.shape}. Put what changes their number before the estimator, in a Pipeline."
        )
    n_bad, first = count_where(result, lambda rows: ~(np.abs(rows) <= np.finfo(np.float32).max))
    if n_bad:
        given = array[first] if result.shape == array.shape else array[first[0]]
        raise DataError(
            f"{called} must give finite numbers that float32 can hold; got {n_bad} of "
            f"{result.size} that are none, first at {place_text(first)}: {result[first]:g} of "
            f"{given}. Its own steps must be defined there: give rows within its range, or "
            "another scaler."
        )
    return result


def check_inverse(y: AnyFloats, scaler: Any) -> None:
    """Warn if a fitted scaler of targets does not take back what it does to them."""
    back = transformed(
        transformed(y, scaler, who="target_scaler"), scaler, who="target_scaler", inverse=True
    )
    apart = np.abs(back - y).max(axis=0)
    if (apart > _LIKE * (np.ptp(y, axis=0) + np.abs(y).max(axis=0))).any():
        warnings.warn(
            f"target_scaler: {type(scaler).__name__}.inverse_transform does not undo transform on "
            f"y (it is {apart.max():g} apart): what is predicted will not be in the units of y.",
            UserWarning,
            stacklevel=2,
        )


def writable_float32(array: AnyFloats) -> NDArray[np.float32]:
    """The array itself where it is float32 in one piece, else a copy that is."""
    # torch shares memory with NumPy and warns where it must not write.
    return np.require(array, np.float32, ["C", "W"])
