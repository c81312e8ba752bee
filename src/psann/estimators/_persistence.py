"""Estimator files: one safetensors file of tensors and plain values, with a digest; never code.

The metadata hold one key, `psann`: a JSON document with the format version, the class, its
constructor parameters, what fitting found, and the SHA-256 of the whole file as it is without
that digest. A file must be exactly what this module would write: anything else is refused.
"""

from __future__ import annotations

import hashlib
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
from torch import Tensor

from psann.errors import FileFormatError

FORMAT_VERSION = 1
MAX_FILE_BYTES = 4 * 2**30
_MAX_HEADER_BYTES = 16 * 2**20
_METADATA_KEY = "psann"
_DTYPES = (torch.float32, torch.float64, torch.int64)
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
    header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header_bytes > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise FileFormatError(f"{who} is not an estimator file of psann, or is cut short.")
    text = _metadata_text(data[8 : 8 + header_bytes], who)
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise FileFormatError(f"{who} is not a valid safetensors file: {error}.") from error
    meaning = _parse(text, who)
    digest = meaning.pop("sha256", None)
    if hashlib.sha256(_file(tensors, meaning)).hexdigest() != digest:
        raise FileFormatError(f"{who} is damaged: its digest does not match its content.")
    if _file(tensors, {**meaning, "sha256": digest}) != data:
        raise FileFormatError(f"{who} is damaged: it is not laid out as psann writes it.")
    return _document(meaning, tensors, who)


def _metadata_text(header: bytes, who: str) -> str:
    try:
        text = json.loads(header)["__metadata__"][_METADATA_KEY]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{who} is a file without psann's description.") from error
    if not isinstance(text, str):
        raise FileFormatError(f"{who} is a file without psann's description.")
    return text


def _parse(text: str, who: str) -> dict[str, Any]:
    try:
        meaning = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{who} has a description that is not JSON.") from error
    if not isinstance(meaning, dict):
        raise FileFormatError(f"{who} has a description that is not a mapping.")
    version = meaning.get("format_version")
    if version != FORMAT_VERSION:
        raise FileFormatError(
            f"{who} has format version {version!r}; this psann reads {FORMAT_VERSION}."
        )
    return meaning


def _document(
    meaning: Mapping[str, Any], tensors: dict[str, Tensor], who: str
) -> EstimatorDocument:
    name, params, fitted = meaning.get("class"), meaning.get("params"), meaning.get("fitted")
    if not (isinstance(name, str) and isinstance(params, dict) and isinstance(fitted, dict)):
        raise FileFormatError(f"{who} must name a class, parameters and fitted values.")
    for key, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise FileFormatError(f"{who}: tensor {key} has the dtype {tensor.dtype}.")
        if not tensor.isfinite().all():
            raise FileFormatError(f"{who}: tensor {key} holds numbers that are not finite.")
    return EstimatorDocument(class_name=name, params=params, fitted=fitted, tensors=tensors)


def plain_value(value: Any, *, who: str) -> Any:
    """A parameter as JSON can hold it, and `parameter_value` can bring back.

    Raises
    ------
    FileFormatError
        If the value cannot be stored without running code on the way back.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, Mapping):
        return {str(key): plain_value(item, who=who) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        return [plain_value(item, who=who) for item in value]
    elif hasattr(value, "model_dump"):
        return plain_value(value.model_dump(), who=who)
    elif type(value).__name__ in _SCALERS:
        params = plain_value(value.get_params(), who=who)
        return {"scikit-learn scaler": type(value).__name__, "params": params}
    elif callable(value) and "<" not in value.__qualname__:
        return f"{value.__module__}:{value.__qualname__}"
    raise FileFormatError(
        f"{who} cannot be saved: {value!r} is not a plain value. Use a number, text, list or "
        f"mapping, a function that can be imported, or one of {', '.join(_SCALERS)}."
    )


def parameter_value(plain: Any) -> Any:
    """The parameter that `plain_value` stored."""
    if isinstance(plain, dict) and "scikit-learn scaler" in plain:
        return _scaler_class(plain["scikit-learn scaler"])(**_scaler_params(plain["params"]))
    return plain


def _scaler_class(name: object) -> Any:
    if name not in _SCALERS:
        raise FileFormatError(f"the scaler {name!r} must be one of {', '.join(_SCALERS)}.")
    return getattr(sklearn.preprocessing, str(name))


def _scaler_params(params: Mapping[str, Any]) -> dict[str, Any]:
    # JSON has no tuples, and feature_range and quantile_range must be one.
    return {key: tuple(v) if isinstance(v, list) else v for key, v in params.items()}


def scaler_state(scaler: Any, *, prefix: str) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """A fitted scaler as plain values and tensors named ``prefix.attribute``.

    Raises
    ------
    FileFormatError
        If the scaler is not one whose state is arrays and numbers.
    """
    if scaler is None:
        return None, {}
    if type(scaler).__name__ not in _SCALERS:
        raise FileFormatError(
            f"the {prefix} {type(scaler).__name__} cannot be saved without running code on the "
            f"way back. Use one of {', '.join(_SCALERS)}, or scale in a Pipeline."
        )
    numbers: dict[str, Any] = {}
    tensors = {}
    for name, value in sorted(vars(scaler).items()):
        if not _is_fitted_name(name) or name == "feature_names_in_":
            continue
        if isinstance(value, np.ndarray):
            tensors[f"{prefix}.{name}"] = torch.from_numpy(np.ascontiguousarray(value))
        else:
            numbers[name] = plain_value(value, who=f"{prefix}.{name}")
    params = plain_value(scaler.get_params(), who=prefix)
    return {"class": type(scaler).__name__, "params": params, "numbers": numbers}, tensors


def restored_scaler(
    plain: Mapping[str, Any] | None, tensors: Mapping[str, Tensor], *, prefix: str
) -> Any:
    """The scaler that `scaler_state` described."""
    if plain is None:
        return None
    scaler = _scaler_class(plain["class"])(**_scaler_params(plain["params"]))
    state = dict(plain["numbers"])
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}."):
            state[name.removeprefix(f"{prefix}.")] = tensor.numpy()
    for name, value in state.items():
        if not _is_fitted_name(name):
            raise FileFormatError(f"the {prefix} has no fitted value {name!r}.")
        setattr(scaler, name, value)
    return scaler


def _is_fitted_name(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")
