"""Rows as they are read, turned into columns without holding them twice."""

from __future__ import annotations

import numpy as np

from psann._typing import Floats

# 48 MB: above what an allocator keeps for itself, so that a slab that is dropped is given back.
_SLAB_CELLS = 6_000_000


class Slabs:
    """Rows as they come, kept so that each column becomes one piece and little is held twice.

    Parameters
    ----------
    n_columns : int
    """

    def __init__(self, n_columns: int) -> None:
        self._n_columns = n_columns
        self._n_rows = max(1, _SLAB_CELLS // n_columns)
        self._slabs: list[Floats] = []
        self._used = self._n_rows  # of the last slab

    def add(self, rows: Floats) -> None:
        """Take some rows ``(k, n_columns)``."""
        while len(rows):
            if self._used == self._n_rows:
                self._slabs.append(np.empty((self._n_columns, self._n_rows)))
                self._used = 0
            part, rows = np.split(rows, [self._n_rows - self._used])
            self._slabs[-1][:, self._used : self._used + len(part)] = part.T
            self._used += len(part)

    def columns(self) -> Floats:
        """All of it, ``(n_columns, n)``; the slabs are given up."""
        n = len(self._slabs) * self._n_rows - (self._n_rows - self._used)
        values = np.empty((self._n_columns, max(0, n)))
        for first in range(0, n, self._n_rows):
            part = self._slabs.pop(0)[:, : n - first]
            values[:, first : first + part.shape[1]] = part
        return values
