"""What the seeds of a group draw for the updates of an epoch, on the device."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Rows of every update of every seed, and keys for noise and dropout."""

    stacks: list[Tensor]
    """Updates of the same size, one after the other: ``(K_i, S, B_i)``, K of them in all."""
    keys: Tensor | None  # (K, S, 2)

    @classmethod
    def of(
        cls,
        tables: Sequence[Sequence[NDArray[np.int64]] | NDArray[np.int64]],
        keys: Sequence[Tensor] | None,
        *,
        device: torch.device,
    ) -> Draws:
        """Draws on a device, from the rows of each update of each seed and its keys."""
        stacks, first = [], 0
        for _, alike in itertools.groupby(map(len, tables[0])):
            last = first + len(list(alike))
            each = [np.asarray(table[first:last]) for table in tables]
            stacks.append(torch.from_numpy(np.stack(each, axis=1)).to(device))
            first = last
        together = None if keys is None else torch.stack(list(keys), dim=1).to(device)
        return cls(stacks=stacks, keys=together)

    @property
    def n_updates(self) -> int:
        """Updates K of each seed."""
        return sum(map(len, self.stacks))

    def part(self, first: int, n_updates: int) -> Draws:
        """The draws of the updates from `first` on, at most so many."""
        keys = None if self.keys is None else self.keys[first : first + n_updates]
        stacks = []
        for stack in self.stacks:
            part = stack[max(first, 0) : max(first + n_updates, 0)]
            first -= len(stack)
            if len(part):
                stacks.append(part)
        return Draws(stacks=stacks, keys=keys)

    def filled(self, n_slots: int) -> Draws:
        """So many seeds: what is beyond those there are draws as the first."""
        n_seeds = self.stacks[0].shape[1]
        if n_slots == n_seeds:
            return self
        slots = torch.arange(n_slots, device=self.stacks[0].device)
        slots[n_seeds:] = 0
        keys = None if self.keys is None else self.keys.index_select(1, slots)
        stacks = [stack.index_select(1, slots) for stack in self.stacks]
        return Draws(stacks=stacks, keys=keys)

    def of_seed(self, s: int) -> tuple[list[Tensor], Tensor | None]:
        """Stacks ``(K_i, B_i)`` and keys ``(K, 2)`` of one seed."""
        keys = None if self.keys is None else self.keys[:, s]
        return [stack[:, s] for stack in self.stacks], keys

    def of_update(self, k: int, s: int) -> tuple[Tensor, Tensor | None]:
        """Rows ``(B,)`` and key ``(2,)`` of one update of one seed."""
        (stack,) = self.part(k, 1).stacks
        return stack[0, s], None if self.keys is None else self.keys[k, s]
