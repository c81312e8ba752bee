"""Estimator files: one safetensors file of tensors and plain values, with a digest; never code.

The metadata hold one key, `psann`: a JSON document with the format version, the class, its
constructor parameters, what fitting found, and the SHA-256 of the whole file as it is without
that digest. The digest finds damage; against malice nothing is believed: every name, type, shape
and size is checked before it is used, and `psann.estimators._saving` refuses a file that is not
byte for byte what it would write itself.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import sklearn.preprocessing
import torch
from pydantic import BaseModel
from torch import Tensor

from psann.errors import FileFormatError

FORMAT_VERSION = 1
MAX_FILE_BYTES = 4 * 2**30
# A description of 10 000 features and 1 000 layers fits ten times over.
_MAX_HEADER_BYTES = 4 * 2**20
_METADATA_KEY = "psann"
_SCALER_KEY = "scikit-learn scaler"
_MEANING_KEYS = {"class", "fitted", "format_version", "params", "sha256"}
_DTYPES = ("F32", "F64", "I64")
# Transformers whose fitted state is arrays and numbers; scikit-learn names them for us.
_SCALERS = {
    cls.__name__: cls
    for cls in (
        sklearn.preprocessing.MaxAbsScaler,
        sklearn.preprocessing.MinMaxScaler,
        sklearn.preprocessing.RobustScaler,
        sklearn.preprocessing.StandardScaler,
    )
}


@dataclass(frozen=True, kw_only=True)
class EstimatorDocument:
    """What an estimator file says."""

    class_name: str
    params: dict[str, Any]
    fitted: dict[str, Any]
    tensors: dict[str, Tensor]


def document_bytes(document: EstimatorDocument) -> bytes:
    """The file of a document: the same document gives the same bytes."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in document.tensors.items()}
    meaning = {
        "format_version": FORMAT_VERSION,
        "class": document.class_name,
        "params": document.params,
        "fitted": document.fitted,
    }
    meaning["sha256"] = hashlib.sha256(_file(tensors, meaning)).hexdigest()
    return _file(tensors, meaning)


def _file(tensors: dict[str, Tensor], meaning: Mapping[str, Any]) -> bytes:
    text = json.dumps(meaning, sort_keys=True, allow_nan=False, separators=(",", ":"))
    data: bytes = safetensors.torch.save(tensors, metadata={_METADATA_KEY: text})
    return data


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
    n_header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or n_header_bytes > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise FileFormatError(f"{who} is not an estimator file of psann, or is cut short.")
    header = _json_mapping(data[8 : 8 + n_header_bytes], who)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {_METADATA_KEY}:
        raise FileFormatError(f"{who} has no description by psann.")
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.get("dtype") not in _DTYPES:
            raise FileFormatError(f"{who}: tensor {name} must be of {', '.join(_DTYPES)}.")
    meaning = _json_mapping(metadata[_METADATA_KEY], who)
    _check_meaning(meaning, who)
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FileFormatError(f"{who} is not a valid safetensors file: {error}.") from error
    digest = meaning.pop("sha256")
    if hashlib.sha256(_file(tensors, meaning)).hexdigest() != digest:
        raise FileFormatError(f"{who} is damaged: its digest does not match its content.")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise FileFormatError(f"{who}: tensor {name} holds numbers that are not finite.")
    return EstimatorDocument(
        class_name=meaning["class"],
        params=meaning["params"],
        fitted=meaning["fitted"],
        tensors=tensors,
    )


def _json_mapping(text: object, who: str) -> dict[str, Any]:
    """A JSON object without duplicate keys or numbers that are not finite."""
    if not isinstance(text, str | bytes):
        raise FileFormatError(f"{who} has a description that is no text.")
    try:
        mapping = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{who} has a description that is not strict JSON.") from error
    if not isinstance(mapping, dict):
        raise FileFormatError(f"{who} has a description that is not a mapping.")
    return mapping


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key occurs twice")
    return mapping


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def _check_meaning(meaning: Mapping[str, Any], who: str) -> None:
    version = meaning.get("format_version")
    if version != FORMAT_VERSION:
        raise FileFormatError(
            f"{who} has format version {version!r}; this psann reads {FORMAT_VERSION}."
        )
    if (
        set(meaning) != _MEANING_KEYS
        or not isinstance(meaning["class"], str)
        or not isinstance(meaning["params"], dict)
        or not isinstance(meaning["fitted"], dict)
    ):
        raise FileFormatError(
            f"{who} must describe a class, its parameters, fitted values and a digest, and "
            "nothing else."
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
    elif type(value) in _SCALERS.values():
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
    return _SCALERS[name](**tuples)


def scaler_state(scaler: Any, *, prefix: str) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """A fitted scaler as plain values and tensors named ``prefix.attribute``.

    Raises
    ------
    FileFormatError
        If the scaler is not one whose state is arrays and numbers.
    """
    if scaler is None:
        return None, {}
    if type(scaler) not in _SCALERS.values():
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
    plain: Mapping[str, Any] | None,
    tensors: Mapping[str, Tensor],
    *,
    prefix: str,
    n_columns: int,
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
        setattr(scaler, name, value)
    for name, tensor in given.items():
        setattr(scaler, name.removeprefix(f"{prefix}."), tensor.numpy())
    return scaler


def _outline(numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> dict[str, Any]:
    """Names, types and shapes; either width of floating point."""
    kinds: dict[str, Any] = {name: type(value) for name, value in numbers.items()}
    return kinds | {name: (tuple(t.shape), t.is_floating_point()) for name, t in arrays.items()}
