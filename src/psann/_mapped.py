"""Arrays that may be larger than memory: recognised, walked through in blocks, kept on disk."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from psann._typing import Array, Bools

# Small beside any machine's memory, large beside the cost of a NumPy call.
_BLOCK_BYTES = 16 * 2**20


def is_mapped(array: Array) -> bool:
    """Whether an array's numbers are those of a file, paged in when they are read."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, mmap.mmap)


def row_blocks(array: Array) -> list[slice]:
    """Even slices of at most about 16 MiB that cover the rows of an array, mapped or not.

    Examples
    --------
    >>> row_blocks(np.zeros((3, 2**20)))
    [slice(0, 1, None), slice(1, 3, None)]
    """
    n_rows = len(array)
    if array.nbytes <= _BLOCK_BYTES:  # most that a run looks at
        return [slice(0, n_rows)]
    n_blocks = max(1, min(n_rows, math.ceil(array.nbytes / _BLOCK_BYTES)))
    edges = [n_rows * k // n_blocks for k in range(n_blocks + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def count_where(array: Array, condition: Callable[[Array], Bools]) -> tuple[int, tuple[int, ...]]:
    """How many values meet a condition, and the index of the first; block by block.

    Parameters
    ----------
    array : ndarray
        At least one dimension.
    condition : callable
        From some rows of it to a mask of their shape.

    Returns
    -------
    count : int
    first : tuple of int
        Empty if there is none.
    """
    count, first = 0, ()
    for block in row_blocks(array):
        mask = condition(array[block])
        n_found = int(np.count_nonzero(mask))
        if n_found and not count:
            row, *rest = (int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))
            first = (block.start + row, *rest)
        count += n_found
    return count, first


def memory_bytes() -> int:
    """Memory of this machine, or of the container if that is less."""
    total: int = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Writable array in a file without a name, gone when the last reference to it goes.

    The file lies where temporary files do (the environment variable TMPDIR says where); a folder
    that is itself in memory would defeat the purpose.
    """
    with tempfile.TemporaryFile(prefix="psann-") as file:
        mapped: Array = np.memmap(file, dtype=dtype, mode="w+", shape=shape)
    return mapped
