"""A launch where all lies at the host: the same updates, bit for bit, by fewer operations."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import _profiler_enabled  # type: ignore[attr-defined]

from psann.nn.network import Network
from psann.nn.passes import bound
from psann.training.carry import Carry, WeightLayout, copied, joined
from psann.training.gradient import gradients
from psann.training.optimizer import Optimizer, OptimizerState
from psann.training.recorded import Recording
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
    ) -> None:
        self.network, self._judge, self._step = network, judge, step
        self.lr = torch.zeros((), dtype=torch.float64)
        # Parameters are views of one vector.
        self.carry = carry._replace(weights=carry.weights.clone())
        self._named = WeightLayout.of(network).leaves(self.carry.weights)
        self._leaves = list(self._named.values())
        self._recorded: tuple[Drawn, Recording] | None = None

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
        is_alike = self._recorded is not None and drawn.rows.shape == self._recorded[0].rows.shape
        # A profiler is to see what an update is made of.
        return self._again(drawn) if is_alike and not _profiler_enabled() else self._afresh(drawn)

    def accept(self, outcome: Outcome) -> None:
        """Go on from where an update leads."""
        self._move(outcome.weights, OptimizerState(*outcome[5:]))

    def end(self, *, is_frozen: bool) -> Carry:
        """Where it has come, in memory that no later update touches."""
        carry = self.carry if self._recorded is None else copied(self.carry)
        return carry._replace(is_frozen=torch.tensor(is_frozen))

    def record(self, updates: Sequence[Drawn], *, within: AbstractContextManager[object]) -> bool:
        """Record what an update does, so that later ones need only do it again.

        Parameters
        ----------
        updates : sequence of Drawn
            Some of one size. The first is recorded, and all are compared, to the last bit.
        within : context manager
            Around what is recorded.

        Returns
        -------
        bool
            Whether it is: not where a recording fails, or gives other numbers.
        """
        weights, self.carry = self.carry.weights, copied(self.carry)
        self.carry = self.carry._replace(weights=weights)
        places = Drawn(*(each.clone() for each in updates[0].tensors))
        with self.at_hand():
            expected = [_bits(self._afresh(each)) for each in updates]
            try:
                with within:
                    self._recorded = places, Recording(lambda: self._afresh(places))
                if [_bits(self._again(each)) for each in updates] == expected:
                    return True
            except (LookupError, RuntimeError, TypeError, ValueError):
                pass
        self._recorded = None
        return False

    def _move(self, weights: Tensor, state: OptimizerState) -> None:
        self.carry.weights.copy_(weights)
        if self._recorded is None:
            self.carry = self.carry._replace(optimizer=state)
            return
        for own, moved in zip(self.carry.optimizer, state, strict=True):
            own.copy_(moved)

    def _afresh(self, drawn: Drawn) -> Outcome:
        loss, values = self._judge(drawn.rows, drawn.key)
        loss = loss.to(self.carry.weights.dtype)
        gradient = joined(gradients(loss, self._leaves))
        with torch.no_grad():
            factors = drawn.step_size, drawn.share
            weights, state, norm, largest = self._step(self.carry, gradient, factors, lr=self.lr)
        return Outcome(loss.detach(), values.detach(), norm, largest, weights, *state)

    def _again(self, drawn: Drawn) -> Outcome:
        assert self._recorded is not None
        places, recording = self._recorded
        for place, given in zip(places.tensors, drawn.tensors, strict=True):
            place.copy_(given)
        recording.run()
        return Outcome(*recording.outputs)


def _bits(outcome: Outcome) -> list[bytes]:
    return [each.numpy().tobytes() for each in outcome]


class AtHost:
    """Launches of a phase, whose updates are recorded in the first one if they are to be.

    Parameters
    ----------
    network : Network
        What is trained.
    step : callable
        As of a `HostUpdate`.
    """

    def __init__(self, network: Network, step: Callable[..., Moved]) -> None:
        self._network, self._step = network, step
        self._records = False
        self._recorded: dict[Hashable, HostUpdate] = {}

    def begin(self, *, records: bool) -> None:
        """Forget what was recorded, and record from now on or not."""
        self._records = records
        self._recorded.clear()

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
        traceable: AbstractContextManager[object],
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
        traceable : context manager
            Around what is recorded.

        Returns
        -------
        carry : Carry
            Where the launch ended.
        reports : list of Report
            One per stack.
        """
        # Of as many steps as there may be: those that are refused do not count.
        ahead = carry.optimizer.steps + torch.arange(1, sum(map(len, stacks)) + 1)
        steps, shares = optimizer.factors(ahead, lr)
        factors = list(zip(steps.unbind(), shares.unbind(), strict=True))
        first = Drawn(stacks[0][0], *factors[0], None if keys is None else keys[0])
        # What is recorded keeps the objective, and so its number.
        kind = (id(objective), optimizer, self._network.stage, first.rows.shape, keys is None)
        if (update := self._recorded.get(kind)) is None:

            def call(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
                outputs: Tensor = self._network(x, context, key)
                return outputs

            judge = functools.partial(objective, call)
            update = HostUpdate(self._network, judge, self._step, carry)
        update.begin(carry, lr=lr)
        if self._records and objective.is_ours and kind not in self._recorded:
            # Of others, or what a recording has of its own would not be seen.
            key = None if first.key is None else first.key.flip(0)
            another = Drawn(first.rows * 0, *factors[-1], key)
            self._records = update.record([first, another], within=traceable)
            self._recorded |= {kind: update} if self._records else {}
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
