"""A launch where all lies at the host: the same updates, bit for bit, by fewer operations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from psann.nn.network import Network
from psann.nn.passes import bound
from psann.training.carry import Carry, WeightLayout, joined
from psann.training.gradient import gradients
from psann.training.optimizer import OptimizerState
from psann.training.statistics import Report

Moved = tuple[Tensor, OptimizerState, Tensor, Tensor]
"""Weights and state after a step, norm of the gradient, largest of the weights."""


def launch_at_host(
    carry: Carry,
    judge: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]],
    step: Callable[[Carry, Tensor, tuple[Tensor, Tensor]], Moved],
    *,
    factors: Callable[[Tensor], tuple[Tensor, Tensor]],
    network: Network,
    stacks: Sequence[Tensor],
    keys: Tensor | None,
    stops: bool,
) -> tuple[Carry, list[Report]]:
    """Updates one after the other, judged by the host, which waits for nothing.

    Buffers are bound once, and parameters to views of one vector.

    Parameters
    ----------
    carry : Carry
        Where to start; left as it is.
    judge : callable
        Loss and values of an index and its key, by the network.
    step : callable
        Where a gradient leads from a carry, by the factors of that step.
    factors : callable
        As `psann.training.optimizer.Optimizer.factors`, of the numbers of steps.
    network : Network
        Bound during the launch.
    stacks, keys
        As for `psann.training.engine.EagerEngine.launch`.
    stops : bool
        Whether the rest is frozen after a refused update.

    Returns
    -------
    carry : Carry
        Where the launch ended.
    reports : list of Report
        One per stack.
    """
    carry = carry._replace(weights=carry.weights.clone())
    named = WeightLayout.of(network).leaves(carry.weights)
    leaves = list(named.values())
    drawn: Any = itertools.repeat(None) if keys is None else iter(keys)
    is_frozen = bool(carry.is_frozen)
    # Of as many steps as there may be: those that are refused do not count.
    ahead = carry.optimizer.steps + torch.arange(1, sum(map(len, stacks)) + 1)
    of_next = zip(*map(Tensor.unbind, factors(ahead)), strict=True)
    of_step = next(of_next)
    reports = []
    with bound(network, {**named, **carry.buffers}):
        for stack in stacks:
            numbers, values = [], []
            for index, key in zip(stack, drawn, strict=False):
                loss, of_index = judge(index, key)
                loss = loss.to(carry.weights.dtype)
                gradient = joined(gradients(loss, leaves))
                with torch.no_grad():
                    weights, optimizer, norm, largest = step(carry, gradient, of_step)
                told = loss.item(), norm.item()
                is_accepted = all(map(math.isfinite, (*told, largest.item()))) and not is_frozen
                if is_accepted:
                    carry.weights.copy_(weights)
                    carry = carry._replace(optimizer=optimizer)
                    of_step = next(of_next, of_step)
                is_frozen |= stops and not is_accepted
                numbers.append((*told, is_accepted, math.isfinite(told[0])))
                values.append(of_index.detach())
            reports.append(Report(carry.weights.new_tensor(numbers), torch.stack(values)))
    return carry._replace(is_frozen=torch.tensor(is_frozen)), reports
