"""What the seeds of a group draw for the updates of an epoch, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Rows of every update, and keys for noise and dropout."""

    indices: list[Sequence[Tensor]]  # S times K times (B,)
    keys: list[Tensor] | None  # S times (K, 2)

    @classmethod
    def of(
        cls,
        tables: Sequence[Sequence[NDArray[np.int64]]],
        keys: Sequence[Tensor] | None,
        *,
        device: torch.device,
    ) -> Draws:
        """Draws on a device, from the rows of each update of each seed and its keys."""
        # One copy to the device for all updates of all seeds.
        flat = torch.from_numpy(np.concatenate([rows for table in tables for rows in table]))
        parts = flat.to(device).split([len(rows) for table in tables for rows in table])
        n = len(tables[0])
        return cls(
            indices=[parts[s * n : (s + 1) * n] for s in range(len(tables))],
            keys=None if keys is None else [each.to(device) for each in keys],
        )

    def part(self, first: int, n_updates: int) -> Draws:
        """The draws of the updates from `first` on, at most so many."""
        updates = slice(first, first + n_updates)
        return Draws(
            indices=[each[updates] for each in self.indices],
            keys=None if self.keys is None else [each[updates] for each in self.keys],
        )
