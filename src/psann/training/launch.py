"""A launch as a function of carries: any device, and several seeds at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from psann.training.carry import Carry, carry_of, copied, tensors_of
from psann.training.recorded import Recorded, Recordings, recorded
from psann.training.statistics import Report


def launch(
    update: Callable[[Carry, Tensor, Tensor | None, float | Tensor], tuple[Carry, Report]],
    carry: Carry,
    stacks: Sequence[Tensor],
    keys: Tensor | None,
    *,
    lr: float,
    kind: Hashable,
    recordings: Recordings,
) -> tuple[Carry, list[Report]]:
    """Updates one after the other, of which nothing is read back.

    Parameters
    ----------
    update : callable
        The next carry and a report, from a carry, an index, its key and a learning rate.
    carry : Carry
        Where to start; left as it is.
    stacks, keys, lr
        As for `psann.training.engine.EagerEngine.launch`.
    kind : hashable
        What is the same in updates that do the same.
    recordings : Recordings
        Of updates, by their kind and shapes.

    Returns
    -------
    carry : Carry
        Where the launch ended.
    reports : list of Report
        One per update.
    """
    n_carried = len(tensors_of(carry))
    rate = torch.tensor(lr, dtype=torch.float64)

    def afresh(*tensors: Tensor) -> list[Tensor]:
        carried, (rate, index, *key) = tensors[:n_carried], tensors[n_carried:]
        after, report = update(carry_of(carried, like=carry), index, key[0] if key else None, rate)
        return [*tensors_of(after), *report]

    indices = [index for stack in stacks for index in stack.unbind()]
    drawn = [[index] if keys is None else [index, keys[k]] for k, index in enumerate(indices)]
    first = [*tensors_of(carry), rate, *drawn[0]]

    def record(within: AbstractContextManager[object]) -> Recorded | None:
        index, *key = drawn[0]
        another = [*first[: n_carried + 1], index * 0, *(each.flip(-1) for each in key)]
        return recorded(afresh, first, another, within=within)

    again = recordings.get((kind, tuple(each.shape for each in first)), record)
    reports = []
    for index, *key in drawn:
        if again is None or index.shape != indices[0].shape:
            carry, report = update(carry, index, key[0] if key else None, lr)
        else:
            *carried, numbers, values = again(*tensors_of(carry), rate, index, *key)
            carry, report = carry_of(carried, like=carry), Report(numbers.clone(), values.clone())
        reports.append(report)
    return (carry if again is None else copied(carry)), reports
