"""What updates tell of themselves: collected on the device, read once per launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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

    loss: NDArray[np.float64]  # (K,)
    grad_norm: NDArray[np.float64]  # (K,)
    is_accepted: NDArray[np.bool_]  # (K,)
    is_loss_finite: NDArray[np.bool_]  # (K,)
    values: list[NDArray[np.float64]]  # K times (B,)


def read_reports(reports: Sequence[Report], *, n_slots: int) -> list[LaunchStatistics]:
    """Statistics of every slot on the host, by one transfer each of numbers and values."""
    numbers = torch.cat([r.numbers.reshape(-1, n_slots, 4) for r in reports])  # (K, S, 4)
    values = torch.cat([r.values.reshape(-1) for r in reports])
    tables, flat = numbers.double().cpu().numpy(), values.double().cpu().numpy()
    by_slot: list[list[NDArray[np.float64]]] = [[] for _ in range(n_slots)]
    ends = np.cumsum([r.values.numel() for r in reports])
    for report, part in zip(reports, np.split(flat, ends[:-1]), strict=True):
        each = part.reshape(-1, n_slots, report.values.shape[-1])  # (updates, S, B)
        for slot, taken in enumerate(by_slot):
            taken += list(each[:, slot])
    return [
        LaunchStatistics(
            loss=tables[:, slot, 0],
            grad_norm=tables[:, slot, 1],
            is_accepted=tables[:, slot, 2] > 0,
            is_loss_finite=tables[:, slot, 3] > 0,
            values=values_of_updates,
        )
        for slot, values_of_updates in enumerate(by_slot)
    ]
