"""How a network is run: so many rows at a time, and with other tensors than its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

# Of a temporary: what a core's cache holds, and what keeps a card busy.
_CPU_BYTES, _GPU_BYTES = 2**20, 2**26
# Matrix products go by tiles of rows. In whole tiles, and more than one, a row has the same bits
# whatever lies around it; a few rows by themselves go through other code.
_TILE_ROWS = 64


def row_passes(n_rows: int, *, row_bytes: int, device: torch.device) -> list[slice]:
    """Slices that cover some rows, small enough that what a layer leaves is still at hand.

    All but the last have a multiple of 64 rows, and the last has at least as many unless it is
    alone, so that a row's result is that of one pass over all of them.

    Parameters
    ----------
    n_rows : int
        At least 1.
    row_bytes : int
        Of one row at its widest.
    device : torch.device
        Where the passes run; threads of the CPU have as much each.

    Returns
    -------
    list of slice
        One after the other.
    """
    budget = _GPU_BYTES if device.type == "cuda" else _CPU_BYTES * torch.get_num_threads()
    size = max(1, budget // (row_bytes * _TILE_ROWS)) * _TILE_ROWS
    edges = [*range(0, max(1, n_rows - _TILE_ROWS + 1), size), n_rows]
    return [slice(start, stop) for start, stop in pairwise(edges)]


@contextlib.contextmanager
def bound(network: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a network compute with other parameters and buffers inside the block, by their names.

    What `torch.func.functional_call` does for each call, done once for many. Parameters are found
    at once, instead of by `Module.__getattr__`.
    """
    held: list[tuple[dict[str, Any], str, Any]] = []
    at_hand: list[tuple[dict[str, Any], str]] = []
    try:
        for path, tensor in tensors.items():
            place, _, name = path.rpartition(".")
            module = network.get_submodule(place)
            own: dict[str, Any] = module._buffers if name in module._buffers else module._parameters
            held.append((own, name, own[name]))
            own[name] = tensor
            if own is module._parameters:
                vars(module)[name] = tensor
                at_hand.append((vars(module), name))
        yield
    finally:
        for own, name, parameter in held:
            own[name] = parameter
        for own, name in at_hand:
            own.pop(name, None)
