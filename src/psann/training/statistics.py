"""What updates tell of themselves: collected on the device, read once per launch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psann._typing import Bools, Floats


class Report(NamedTuple):
    """Statistics of one update, or of some, on the device; of a group ``(S, ...)``.

    The numbers are the loss, the norm of the gradient, whether the update was accepted, and
    whether the loss is finite.
    """

    numbers: Tensor  # (4,) or (updates, 4)
    values: Tensor  # (B,) or (updates, B)


@dataclass(frozen=True, kw_only=True)
class LaunchStatistics:
    """What a launch left, on the host: one entry per update."""

    loss: Floats  # (K,)
    grad_norm: Floats  # (K,)
    is_accepted: Bools  # (K,)
    is_loss_finite: Bools  # (K,)
    values: Floats  # those of all updates, one after the other
    n_values: NDArray[np.int64]  # (K,)


def read_reports(reports: Sequence[Report], *, n_slots: int) -> list[LaunchStatistics]:
    """Statistics of every slot on the host, by one transfer each of numbers and values."""
    numbers = torch.cat([r.numbers.reshape(-1, n_slots, 4) for r in reports])  # (K, S, 4)
    sizes = [r.values.shape[-1] for r in reports]
    n_values = np.repeat(
        sizes, [r.values.numel() // n_slots // size for r, size in zip(reports, sizes, strict=True)]
    )
    # One slot needs no other order, and updates of one size are put in order at once.
    values = torch.cat([r.values.reshape(-1) for r in reports])
    tables, flat = numbers.double().cpu().numpy(), values.double().cpu().numpy()
    by_slot, first = [], 0
    for size, updates in itertools.groupby(n_values.tolist()):
        last = first + n_slots * size * len(list(updates))
        each = flat[first:last].reshape(-1, n_slots, size).swapaxes(0, 1)  # (S, updates, B)
        by_slot.append(each.reshape(n_slots, -1))
        first = last
    values_of_slots = np.concatenate(by_slot, axis=1)
    return [
        LaunchStatistics(
            loss=tables[:, slot, 0],
            grad_norm=tables[:, slot, 1],
            is_accepted=tables[:, slot, 2] > 0,
            is_loss_finite=tables[:, slot, 3] > 0,
            values=values_of_slots[slot],
            n_values=n_values,
        )
        for slot in range(n_slots)
    ]
