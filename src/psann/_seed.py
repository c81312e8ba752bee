"""Counter-based randomness: draws are functions of (seed, stream, epoch, update), not of history.

NumPy's Philox draws tables on the host (episode starts, shuffles, initial weights). Noise and
dropout are hashed on the device from integer keys, so that every engine sees the same numbers
and a resumed run needs no generator state.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_MASK_32 = 0xFFFFFFFF
# Odd multipliers below 2**31: a product with a 32-bit word stays inside a signed 64-bit integer.
_MULTIPLIERS = (0x21F0AAAD, 0x7FEB352D, 0x31848BAB)


def stream_generator(seed: int, stream: str, *, epoch: int = 0) -> np.random.Generator:
    """Generator of one named stream at one epoch.

    Parameters
    ----------
    seed : int
        Seed of the run, at least 0.
    stream : str
        What the draws are for, for example ``"hisso.starts"``; streams are independent.
    epoch : int
        Epoch of the phase; each has its own counter range.

    Returns
    -------
    numpy.random.Generator
        Philox generator that depends on nothing but the arguments.

    References
    ----------
    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
    https://doi.org/10.1145/2063384.2063405
    """
    digest = hashlib.blake2b(stream.encode(), digest_size=8).digest()
    key = np.array([seed % 2**64, int.from_bytes(digest, "little")], dtype=np.uint64)
    counter = np.array([0, 0, epoch, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def update_keys(seed: int, stream: str, *, epoch: int, n_updates: int) -> Tensor:
    """One pair of 32-bit keys per update of an epoch, for `hashed_uniform`.

    Returns
    -------
    torch.Tensor
        int64, shape ``(n_updates, 2)``, values in ``[0, 2**32)``.
    """
    draws = stream_generator(seed, stream, epoch=epoch).integers(0, 2**32, size=(n_updates, 2))
    return torch.from_numpy(draws.astype(np.int64))


def layer_key(key: Tensor, layer: int) -> Tensor:
    """Key of one layer's draws, derived from the update's key.

    Parameters
    ----------
    key : torch.Tensor
        int64, shape ``(2,)``.
    layer : int
        Number of the layer, at least 0.

    Returns
    -------
    torch.Tensor
        int64, shape ``(2,)``, values in ``[0, 2**32)``.
    """
    return _mix(key ^ (layer + 1))


def hashed_uniform(key: Tensor, shape: Sequence[int]) -> Tensor:
    """Uniform numbers in (0, 1), each a hash of its position and the key.

    Parameters
    ----------
    key : torch.Tensor
        int64, shape ``(2,)``, values in ``[0, 2**32)``; its device is the result's.
    shape : sequence of int
        Shape of the result, at most 2**32 elements.

    Returns
    -------
    torch.Tensor
        float32, multiples of ``2**-23`` plus ``2**-24``: 0 and 1 never occur.
    """
    # Mixed, because raw keys that differ in low bits would only permute each other's numbers.
    first, second = _mix(key)
    counter = torch.arange(math.prod(shape), device=key.device, dtype=torch.int64)
    word = _mix(_mix(counter ^ first) ^ second)
    # 23 bits and a half are all that float32 holds: with one bit more, the top rounds to 1.
    return (((word >> 9).to(torch.float32) + 0.5) * 2.0**-23).reshape(tuple(shape))


def hashed_normal(key: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers by the Box-Muller transform of `hashed_uniform`.

    ``z = sqrt(-2 ln u) cos(2 pi v)``.

    Parameters
    ----------
    key : torch.Tensor
        int64, shape ``(2,)``.
    shape : sequence of int
        Shape of the result.

    Returns
    -------
    torch.Tensor
        float32.
    """
    u, v = hashed_uniform(key, (2, *shape))
    return torch.sqrt(-2.0 * torch.log(u)) * torch.cos((2.0 * math.pi) * v)


def _mix(word: Tensor) -> Tensor:
    """Bijective mixing of 32-bit words held in int64 (xor-shift-multiply, three rounds)."""
    for shift, multiplier in zip((16, 15, 15), _MULTIPLIERS, strict=True):
        word = ((word ^ (word >> shift)) * multiplier) & _MASK_32
    return word ^ (word >> 14)
