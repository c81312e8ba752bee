"""A launch where all lies at the host: the same updates, bit for bit, by fewer operations."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from psann.nn.network import Network
from psann.nn.passes import bound
from psann.training.carry import Carry, WeightLayout, copied, joined
from psann.training.gradient import gradients
from psann.training.optimizer import Optimizer, OptimizerState
from psann.training.recorded import Recorded, Recordings, recorded
from psann.training.statistics import Report
from psann.training.work import Objective

Moved = tuple[Tensor, OptimizerState, Tensor, Tensor]
"""Weights and state after a step, norm of the gradient, largest of the weights."""


class Drawn(NamedTuple):
    """What an update is given: rows, factors of the optimiser's step, and a key if it draws."""

    rows: Tensor  # (B,)
    step_size: Tensor  # ()
    share: Tensor  # ()
    key: Tensor | None = None  # (2,)

    @property
    def tensors(self) -> list[Tensor]:
        """Those that there are, in their order."""
        return [each for each in self if each is not None]


class Outcome(NamedTuple):
    """What an update comes to, before anybody has judged it."""

    loss: Tensor  # ()
    values: Tensor  # (B,)
    norm: Tensor  # () of the gradient
    largest: Tensor  # () of the weights after the step
    weights: Tensor  # (P,)
    moment1: Tensor  # (P,)
    moment2: Tensor  # (P,)
    steps: Tensor  # ()


class HostUpdate:
    """The updates of an objective, afresh or recorded.

    Parameters
    ----------
    network : Network
        What `judge` computes with, bound inside `at_hand`.
    judge : callable
        Loss and values of rows and a key, by the network.
    step : callable
        Where a gradient leads from a carry, by the factors of that step and a learning rate.
    carry : Carry
        Where to start; left as it is.
    """

    def __init__(
        self,
        network: Network,
        judge: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]],
        step: Callable[..., Moved],
        carry: Carry,
        *,
        lr: float,
    ) -> None:
        self.network, self._judge, self._step = network, judge, step
        self.lr = torch.tensor(lr, dtype=torch.float64)
        # Parameters are views of one vector.
        self.carry = carry._replace(weights=carry.weights.clone())
        self._named = WeightLayout.of(network).leaves(self.carry.weights)
        self._leaves = list(self._named.values())
        self._recorded: Recorded | None = None

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Let the network compute with what is moved."""
        with bound(self.network, {**self._named, **self.carry.buffers}):
            yield

    def begin(self, carry: Carry, *, lr: float) -> None:
        """Go on from another carry, at another rate."""
        self.lr.fill_(lr)
        self._move(carry.weights, carry.optimizer)
        if self._recorded is None:
            self.carry = carry._replace(weights=self.carry.weights)
        for name, buffer in self.carry.buffers.items():
            buffer.copy_(carry.buffers[name])

    def outcome(self, drawn: Drawn) -> Outcome:
        """What an update comes to; it may lie where that of the next will."""
        again = self._recorded
        if again is None or drawn.rows.shape != again.places[0].shape:
            return self._afresh(*drawn.tensors)
        return Outcome(*again(*drawn.tensors))

    def accept(self, outcome: Outcome) -> None:
        """Go on from where an update leads."""
        self._move(outcome.weights, OptimizerState(*outcome[5:]))

    def end(self, *, is_frozen: bool) -> Carry:
        """Where it has come, in memory that no later update touches."""
        carry = self.carry if self._recorded is None else copied(self.carry)
        return carry._replace(is_frozen=torch.tensor(is_frozen))

    def record(self, *updates: Drawn, within: AbstractContextManager[object]) -> bool:
        """Record what an update does, so that later ones need only do it again.

        Parameters
        ----------
        updates : Drawn
            As the examples of `psann.training.recorded.recorded`.
        within : context manager
            Around what is recorded.

        Returns
        -------
        bool
            Whether it is.
        """
        # In memory that stays: all but the weights was that of another carry.
        self.carry = copied(self.carry)._replace(weights=self.carry.weights)
        with self.at_hand():
            examples = [each.tensors for each in updates]
            self._recorded = recorded(self._afresh, *examples, within=within)
        return self._recorded is not None

    def _move(self, weights: Tensor, state: OptimizerState) -> None:
        self.carry.weights.copy_(weights)
        if self._recorded is None:
            self.carry = self.carry._replace(optimizer=state)
            return
        for own, moved in zip(self.carry.optimizer, state, strict=True):
            own.copy_(moved)

    def _afresh(self, *tensors: Tensor) -> Outcome:
        drawn = Drawn(*tensors)
        loss, values = self._judge(drawn.rows, drawn.key)
        loss = loss.to(self.carry.weights.dtype)
        gradient = joined(gradients(loss, self._leaves))
        with torch.no_grad():
            factors = drawn.step_size, drawn.share
            weights, state, norm, largest = self._step(self.carry, gradient, factors, lr=self.lr)
        return Outcome(loss.detach(), values.detach(), norm, largest, weights, *state)


class AtHost:
    """Launches where all lies at the host.

    Parameters
    ----------
    network : Network
        What is trained.
    step : callable
        As of a `HostUpdate`.
    """

    def __init__(self, network: Network, step: Callable[..., Moved]) -> None:
        self._network, self._step = network, step

    def launch(
        self,
        carry: Carry,
        objective: Objective,
        stacks: Sequence[Tensor],
        keys: Tensor | None,
        *,
        optimizer: Optimizer,
        lr: float,
        stops: bool,
        recordings: Recordings,
    ) -> tuple[Carry, list[Report]]:
        """Updates one after the other, judged by the host, which waits for nothing.

        Parameters
        ----------
        carry, objective, stacks, keys, lr
            As for `psann.training.engine.EagerEngine.launch`.
        optimizer : Optimizer
            Which moves the weights.
        stops : bool
            Whether the rest is frozen after a refused update.
        recordings : Recordings
            Of the updates of a phase.

        Returns
        -------
        carry : Carry
            Where the launch ended.
        reports : list of Report
            One per stack.
        """
        # Of as many steps as there may be: those that are refused do not count.
        ahead = carry.optimizer.steps + torch.arange(1, sum(map(len, stacks)) + 1)
        sizes, shares = optimizer.factors(ahead, lr)
        factors = list(zip(sizes.unbind(), shares.unbind(), strict=True))

        def new() -> HostUpdate:
            def call(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
                outputs: Tensor = self._network(x, context, key)
                return outputs

            judge = functools.partial(objective, call)
            return HostUpdate(self._network, judge, self._step, carry, lr=lr)

        def record(within: AbstractContextManager[object]) -> HostUpdate | None:
            update = new()
            another = Drawn(rows * 0, *factors[-1], None if key is None else key.flip(0))
            first = Drawn(rows, *factors[0], key)
            return update if update.record(first, another, within=within) else None

        rows, key = stacks[0][0], None if keys is None else keys[0]
        # Its method is equal to none of another objective, and keeps it.
        kind = objective.__call__, optimizer, self._network.stage, rows.shape, key is None
        update = recordings.get(kind, record) or new()
        update.begin(carry, lr=lr)
        return _launched(update, stacks, keys, factors, stops, bool(carry.is_frozen))


def _launched(
    update: HostUpdate,
    stacks: Sequence[Tensor],
    keys: Tensor | None,
    factors: Sequence[tuple[Tensor, Tensor]],
    stops: bool,
    is_frozen: bool,
) -> tuple[Carry, list[Report]]:
    drawn_keys: Any = itertools.repeat(None) if keys is None else iter(keys)
    n_accepted = 0
    reports = []
    with update.at_hand():
        for stack in stacks:
            numbers, values = [], []
            for index, key in zip(stack, drawn_keys, strict=False):
                outcome = update.outcome(Drawn(index, *factors[n_accepted], key))
                told = outcome.loss.item(), outcome.norm.item()
                is_finite = all(map(math.isfinite, (*told, outcome.largest.item())))
                is_accepted = is_finite and not is_frozen
                if is_accepted:
                    update.accept(outcome)
                    n_accepted += 1
                is_frozen |= stops and not is_accepted
                numbers.append((*told, is_accepted, math.isfinite(told[0])))
                values.append(outcome.values.clone())
            reports.append(Report(outcome.loss.new_tensor(numbers), torch.stack(values)))
    return update.end(is_frozen=is_frozen), reports
