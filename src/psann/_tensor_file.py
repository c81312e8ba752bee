"""A safetensors file that describes itself: tensors, one JSON description, one digest; never code.

The metadata hold one key, `psann`: a JSON object with the format version, whatever the caller
describes, and the SHA-256 of the whole file as it is without that digest. The digest finds damage;
against malice nothing is believed: names, types and sizes are checked before they are used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from psann._digest import new_digest
from psann._published import CHECKPOINT_ANSWER, is_checkpoint_of_torch
from psann._strict_json import parse_strict
from psann._typing import Array
from psann.errors import FileFormatError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
MAX_FILE_BYTES = 4 * 2**30
# A description of 10 000 features and 1 000 layers fits ten times over.
_MAX_HEADER_BYTES = 4 * 2**20
_MAX_DIMENSIONS = 64  # as many as torch can
_METADATA_KEY = "psann"
# In the order in which safetensors writes tensors of them, those of one type by name.
_DTYPES = {"I64": "<i8", "F64": "<f8", "F32": "<f4", "U8": "|u1"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
Kinds = Mapping[str, tuple[str, list[int]]]
"""Type and shape of each tensor, in the order of the file."""


def encode(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The file of a description and its tensors: the same content gives the same bytes.

    Parameters
    ----------
    description : mapping
        JSON values; the keys ``format_version`` and ``sha256`` are added.
    tensors : mapping of str to torch.Tensor
        float32, float64, int64 or uint8.
    """
    arrays = {name: _little_endian(tensor) for name, tensor in tensors.items()}
    kinds = _in_order((name, _NAMES[a.dtype], list(a.shape)) for name, a in arrays.items())
    contents = [arrays[name].reshape(-1).view(np.uint8).data for name in kinds]
    content = {**description, "format_version": FORMAT_VERSION}
    digest = _digest(_header(content, kinds), *contents)
    return b"".join([_header({**content, "sha256": digest}, kinds), *contents])


def _little_endian(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().contiguous().numpy()
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _in_order(kinds: Iterable[tuple[str, str, list[int]]]) -> Kinds:
    places = {dtype: place for place, dtype in enumerate(_DTYPES)}
    ordered = sorted(kinds, key=lambda each: (places[each[1]], each[0]))
    return {name: (dtype, shape) for name, dtype, shape in ordered}


def _header(description: Mapping[str, Any], kinds: Kinds) -> bytes:
    """What stands before the numbers, as safetensors writes it.

    References
    ----------
    https://huggingface.co/docs/safetensors, "Format"
    """
    text = json.dumps(description, sort_keys=True, allow_nan=False, separators=(",", ":"))
    entries: dict[str, object] = {"__metadata__": {_METADATA_KEY: text}}
    stop = 0
    for name, (dtype, shape) in kinds.items():
        start, stop = stop, stop + math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}
    header = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    data = header.encode("utf-8", "surrogatepass")  # what a stranger wrote is refused, not raised
    data += b" " * (-len(data) % 8)
    return len(data).to_bytes(8, "little") + data


def _digest(*pieces: bytes | memoryview) -> str:
    digest = new_digest()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def decode(data: bytes, *, who: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read and verify a file, as `decode_arrays` does, into tensors on the CPU."""
    import torch

    description, arrays = decode_arrays(data, who=who)
    return description, {name: torch.from_numpy(array) for name, array in arrays.items()}


def decode_arrays(data: bytes, *, who: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read and verify a file; torch, which takes seconds to import, is not needed.

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
    arrays : dict of str to ndarray
        All numbers finite.

    Raises
    ------
    FileFormatError
        If the file is damaged, of another version, or not by `encode`.
    """
    whole, kinds, n_header_bytes = _parts(data, who)
    description = {key: value for key, value in whole.items() if key != "sha256"}
    content = memoryview(data)[n_header_bytes:]
    if _digest(_header(description, kinds), content) != whole.get("sha256"):
        raise FileFormatError(f"{who} is damaged: its digest does not match its content.")
    if _header(whole, kinds) != data[:n_header_bytes]:
        raise FileFormatError(f"{who} is damaged: it is not laid out as psann writes it.")
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FileFormatError(f"{who} is not a valid safetensors file: {error}.") from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise FileFormatError(f"{who}: tensor {name} holds numbers that are not finite.")
    del description["format_version"]
    return description, arrays


def _parts(data: bytes, who: str) -> tuple[dict[str, Any], Kinds, int]:
    """Description, tensors and size of a header that is one of psann's."""
    if is_checkpoint_of_torch(data):
        raise FileFormatError(f"{who} {CHECKPOINT_ANSWER}.")
    n_header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or n_header_bytes > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise FileFormatError(f"{who} is no file of psann's, or is cut short.")
    header = _json_mapping(data[8 : 8 + n_header_bytes], who)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {_METADATA_KEY}:
        raise FileFormatError(f"{who} has no description by psann.")
    kinds = _in_order((name, *_kind(name, entry, who)) for name, entry in header.items())
    description = _json_mapping(metadata[_METADATA_KEY], who)
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise FileFormatError(
            f"{who} has format version {version!r}; this psann reads {FORMAT_VERSION}."
        )
    return description, kinds, 8 + n_header_bytes


def _kind(name: str, entry: object, who: str) -> tuple[str, list[int]]:
    dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (0, 0)
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise FileFormatError(f"{who}: tensor {name} must be of {', '.join(_DTYPES)}.")
    # A product of more sides could take for ever.
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS:
        raise FileFormatError(f"{who}: tensor {name} must have {_MAX_DIMENSIONS} sides at most.")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise FileFormatError(f"{who}: the sides of tensor {name} must be whole numbers.")
    return dtype, shape


def _json_mapping(text: object, who: str) -> dict[str, Any]:
    if not isinstance(text, str | bytes):
        raise FileFormatError(f"{who} has a description that is no text.")
    try:
        return parse_strict(text)
    except ValueError as error:
        raise FileFormatError(
            f"{who} has a description that is not strict JSON: {error}."
        ) from error
