"""Estimator files: what `psann._tensor_file` holds of an estimator, as plain values and tensors.

The description names the class, its constructor parameters, and what fitting found. Every name,
type, shape and size is checked before it is used, and `psann.estimators._saving` refuses a file
that is not byte for byte what it would write itself.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from psann._tensor_file import decode, encode
from psann.errors import FileFormatError
from psann.estimators._scaling import scaler_class

_SCALER_KEY = "scikit-learn scaler"
_KEYS = {"class", "fitted", "params"}
# Transformers whose fitted state is arrays and numbers; scikit-learn names them for us.
_SCALERS = ("MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler")


@dataclass(frozen=True, kw_only=True)
class EstimatorDocument:
    """What an estimator file says."""

    class_name: str
    params: dict[str, Any]
    fitted: dict[str, Any]
    tensors: dict[str, Tensor]


def document_bytes(document: EstimatorDocument) -> bytes:
    """The file of a document: the same document gives the same bytes."""
    description = {
        "class": document.class_name,
        "params": document.params,
        "fitted": document.fitted,
    }
    return encode(description, document.tensors)


def read_document(data: bytes, *, who: str) -> EstimatorDocument:
    """Read and verify a file.

    Parameters
    ----------
    data : bytes
        The whole file.
    who : str
        Name of the file, for messages.

    Raises
    ------
    FileFormatError
        If the file is not an estimator file, is damaged, or is of another version.
    """
    description, tensors = decode(data, who=who)
    if (
        set(description) != _KEYS
        or not isinstance(description["class"], str)
        or not isinstance(description["params"], dict)
        or not isinstance(description["fitted"], dict)
    ):
        raise FileFormatError(
            f"{who} must describe a class, its parameters and fitted values, and nothing else."
        )
    return EstimatorDocument(
        class_name=description["class"],
        params=description["params"],
        fitted=description["fitted"],
        tensors=tensors,
    )


def plain_value(value: Any, *, who: str) -> Any:
    """A parameter as JSON can hold it, and `parameter_value` can bring back.

    Raises
    ------
    FileFormatError
        If the value cannot be stored without running code on the way back.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    if isinstance(value, float | np.floating):
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, Mapping):
        return {str(key): plain_value(item, who=who) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        return [plain_value(item, who=who) for item in value]
    elif isinstance(value, BaseModel):
        return plain_value(value.model_dump(), who=who)
    elif _is_scaler(value):
        params = plain_value(value.get_params(), who=who)
        return {_SCALER_KEY: type(value).__name__, "params": params}
    elif inspect.isroutine(value) and "<" not in value.__qualname__:
        return f"{value.__module__}:{value.__qualname__}"
    raise FileFormatError(
        f"{who} cannot be saved: {value!r} is not a plain value. Use a number, text, list or "
        f"mapping, a function that can be imported, or one of {', '.join(_SCALERS)}."
    )


def parameter_value(plain: Any) -> Any:
    """The parameter that `plain_value` stored."""
    if isinstance(plain, dict) and _SCALER_KEY in plain:
        return _scaler(plain[_SCALER_KEY], plain["params"])
    return plain


def _scaler(name: str, params: Mapping[str, Any]) -> Any:
    if name not in _SCALERS:
        raise FileFormatError(f"the scaler {name!r} must be one of {', '.join(_SCALERS)}.")
    # JSON has no tuples, and feature_range and quantile_range must be one.
    tuples = {key: tuple(v) if isinstance(v, list) else v for key, v in params.items()}
    return scaler_class(name)(**tuples)


def _is_scaler(value: Any) -> bool:
    name = type(value).__name__
    return name in _SCALERS and type(value) is scaler_class(name)


def scaler_state(scaler: Any, *, prefix: str) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """A fitted scaler as plain values and tensors named ``prefix.attribute``.

    Raises
    ------
    FileFormatError
        If the scaler is not one whose state is arrays and numbers.
    """
    if scaler is None:
        return None, {}
    if not _is_scaler(scaler):
        raise FileFormatError(
            f"the {prefix} {type(scaler).__name__} cannot be saved without running code on the "
            f"way back. Use one of {', '.join(_SCALERS)}, or scale in a Pipeline."
        )
    numbers: dict[str, Any] = {}
    tensors = {}
    for name, value in sorted(vars(scaler).items()):
        if not name.endswith("_"):
            continue
        if isinstance(value, np.ndarray):
            tensors[f"{prefix}.{name}"] = torch.from_numpy(np.ascontiguousarray(value))
        else:
            numbers[name] = plain_value(value, who=f"{prefix}.{name}")
    params = plain_value(scaler.get_params(), who=prefix)
    return {"class": type(scaler).__name__, "params": params, "numbers": numbers}, tensors


def restored_scaler(
    plain: Mapping[str, Any] | None, tensors: Mapping[str, Tensor], *, prefix: str, n_columns: int
) -> Any:
    """The scaler that `scaler_state` described, for so many columns.

    Raises
    ------
    FileFormatError
        If it is not what fitting such a scaler would leave.
    """
    if plain is None:
        return None
    scaler = _scaler(plain["class"], plain["params"])
    # What one looks like that was fitted on so many columns.
    scaler.fit(np.zeros((2, n_columns)))
    description, arrays = scaler_state(scaler, prefix=prefix)
    assert description is not None
    numbers = plain["numbers"]
    given = {name: t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
    if (
        _outline(numbers, given) != _outline(description["numbers"], arrays)
        or numbers["n_features_in_"] != n_columns
    ):
        raise FileFormatError(f"the {prefix} is not a {plain['class']} of {n_columns} columns.")
    for name, value in numbers.items():
        # One that learns on asks its numbers for their shape.
        setattr(scaler, name, np.float64(value) if isinstance(value, float) else value)
    for name, tensor in given.items():
        setattr(scaler, name.removeprefix(f"{prefix}."), tensor.numpy())
    return scaler


def _outline(numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> dict[str, Any]:
    """Names, types and shapes; either width of floating point."""
    kinds: dict[str, Any] = {name: type(value) for name, value in numbers.items()}
    return kinds | {name: (tuple(t.shape), t.is_floating_point()) for name, t in arrays.items()}
