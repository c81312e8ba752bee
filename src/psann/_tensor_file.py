"""A safetensors file that describes itself: tensors, one JSON description, one digest; never code.

The metadata hold one key, `psann`: a JSON object with the format version, whatever the caller
describes, and the SHA-256 of the whole file as it is without that digest. The digest finds damage;
against malice nothing is believed: names, types and sizes are checked before they are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from psann._digest import sha256_of
from psann._strict_json import parse_strict
from psann.errors import FileFormatError

FORMAT_VERSION = 1
MAX_FILE_BYTES = 4 * 2**30
# A description of 10 000 features and 1 000 layers fits ten times over.
_MAX_HEADER_BYTES = 4 * 2**20
_METADATA_KEY = "psann"
_DTYPES = ("F32", "F64", "I64", "U8")


def encode(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The file of a description and its tensors: the same content gives the same bytes.

    Parameters
    ----------
    description : mapping
        JSON values; the keys ``format_version`` and ``sha256`` are added.
    tensors : mapping of str to torch.Tensor
        float32, float64, int64 or uint8.
    """
    # Copies, because safetensors refuses tensors that share memory: the best weights may be those
    # of this moment.
    on_host = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    content = {**description, "format_version": FORMAT_VERSION}
    digest = sha256_of(_file(content, on_host))
    return _file({**content, "sha256": digest}, on_host)


def _file(description: Mapping[str, Any], tensors: dict[str, Tensor]) -> bytes:
    text = json.dumps(description, sort_keys=True, allow_nan=False, separators=(",", ":"))
    data: bytes = safetensors.torch.save(tensors, metadata={_METADATA_KEY: text})
    return data


def decode(data: bytes, *, who: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read and verify a file.

    Parameters
    ----------
    data : bytes
        The whole file.
    who : str
        Name of the file, for messages.

    Returns
    -------
    description : dict
        As it was given to `encode`.
    tensors : dict of str to torch.Tensor
        On the CPU, all numbers finite.

    Raises
    ------
    FileFormatError
        If the file is damaged, of another version, or not by `encode`.
    """
    description = _checked_description(data, who)
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FileFormatError(f"{who} is not a valid safetensors file: {error}.") from error
    digest = description.pop("sha256", None)
    if sha256_of(_file(description, tensors)) != digest:
        raise FileFormatError(f"{who} is damaged: its digest does not match its content.")
    if _file({**description, "sha256": digest}, tensors) != data:
        raise FileFormatError(f"{who} is damaged: it is not laid out as psann writes it.")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise FileFormatError(f"{who}: tensor {name} holds numbers that are not finite.")
    del description["format_version"]
    return description, tensors


def _checked_description(data: bytes, who: str) -> dict[str, Any]:
    """The description, once header and tensor types are what `encode` writes."""
    n_header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or n_header_bytes > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise FileFormatError(f"{who} is no file of psann's, or is cut short.")
    header = _json_mapping(data[8 : 8 + n_header_bytes], who)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {_METADATA_KEY}:
        raise FileFormatError(f"{who} has no description by psann.")
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.get("dtype") not in _DTYPES:
            raise FileFormatError(f"{who}: tensor {name} must be of {', '.join(_DTYPES)}.")
    description = _json_mapping(metadata[_METADATA_KEY], who)
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise FileFormatError(
            f"{who} has format version {version!r}; this psann reads {FORMAT_VERSION}."
        )
    return description


def _json_mapping(text: object, who: str) -> dict[str, Any]:
    if not isinstance(text, str | bytes):
        raise FileFormatError(f"{who} has a description that is no text.")
    try:
        return parse_strict(text)
    except ValueError as error:
        raise FileFormatError(
            f"{who} has a description that is not strict JSON: {error}."
        ) from error
