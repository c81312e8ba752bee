"""One optimiser update, and launches of several: the only place where weights move.

All weights live in one flat vector, so that an update costs one gradient, one norm and one
optimiser step whatever the number of layers. An update is a function: it takes a `Carry` of
tensors and returns the next one, and decides on the device whether to accept it. Nothing is
read back to the host before the launch is over, unless the host is where everything lies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from psann._numerics import FOREIGN
from psann.nn.network import Network
from psann.nn.passes import row_passes
from psann.nn.state import initial_states, take_staged_states
from psann.training.at_host import AtHost, Moved
from psann.training.carry import (
    MEMORY,
    Carry,
    Group,
    Lift,
    WeightLayout,
    alone,
    choose,
    over_seeds,
    stacked,
    unlatched,
    unstacked,
)
from psann.training.draws import Draws
from psann.training.gradient import gradients
from psann.training.history import Decision
from psann.training.launch import launch
from psann.training.optimizer import Optimizer, OptimizerState
from psann.training.precision import GROWTH_INTERVAL, INITIAL_SCALE, Precision
from psann.training.recorded import Recordings
from psann.training.statistics import LaunchStatistics, Report, read_reports
from psann.training.work import Forward, Objective, PhaseWork, can_record, work_s

StateReset = Literal["batch", "epoch", "none"]

# A launch should end within about 0.1 s, so that a signal is answered soon: assumed cost of an
# update is this overhead plus its multiply-adds, of which a core does several at once. What a
# launch costs by itself is a tenth of an update of 400 rows of 500 inputs, and shared by more.
_LAUNCH_S, _OVERHEAD_S, _AT_ONCE = 0.1, 1e-3, 4
# Of a network that uses each weight many times, seeds have nothing to share but the overhead of an
# operation: from so many numbers of one seed on they leave the cache to each other more cheaply.
_MOST_NUMBERS_TOGETHER = 100_000
# Updates ahead from which a phase records: it costs as much as some forty.
_RECORD_FROM = 200


class EagerEngine:
    """Runs updates one after the other, operation by operation: the reference for all others.

    Parameters
    ----------
    network : Network
        The body; its own parameters are only the first weights and are not moved.
    optimizer : Optimizer
        How a gradient moves the weights; sine parameters and waiting blocks never decay.
    precision : Precision
        Type of the forward pass.
    state_reset : {"batch", "epoch", "none"}
        When stateful layers forget.
    stop_on_nonfinite : bool
        Freeze the rest of a launch after a refused update, instead of going on.
    epoch_offset : int
        Epochs that the network's warm-ups have behind them, where training goes on.
    device : torch.device
        Where the tensors live.
    """

    name = "eager"

    def __init__(
        self,
        network: Network,
        *,
        optimizer: Optimizer,
        precision: Precision,
        state_reset: StateReset,
        stop_on_nonfinite: bool,
        epoch_offset: int,
        device: torch.device,
    ) -> None:
        self.network = network.to(device)
        self.at_risk = () if network.is_ours else FOREIGN
        """Settings that the network may change; losses and rewards of the user's are guarded."""
        self.layout = WeightLayout.of(network)
        self.optimizer = optimizer
        self.precision = precision
        self.state_reset = state_reset
        self.stop_on_nonfinite = stop_on_nonfinite
        self.epoch_offset = epoch_offset
        self.device = device
        self.initial_states = initial_states(network)
        self.decayed = torch.zeros(self.n_parameters, device=device)
        self._apart = False
        self._at_host = AtHost(network, self._moved)
        self._recordings = Recordings(self._traceable)
        self._rows = 0
        # What the network multiplies by in this epoch, where a program can read it.
        self._factors = {
            name: torch.zeros((), dtype=torch.float64, device=device)
            for name in network.epoch_factors
        }
        self.notes: list[Decision] = []
        self.tell: Callable[[Decision], object] = lambda decision: None
        """Takes what the user should know at once: notes, and what will be silent for long."""
        self.set_epoch(0)

    def begin(self, work: PhaseWork) -> None:
        """Prepare for a phase; what the user should know goes to `notes`."""
        self._rows = work.rows_per_update
        numbers = self._rows * self.network.width
        reuses_weights = self.network.n_products > 2 * self.n_parameters
        self._apart = reuses_weights and numbers > _MOST_NUMBERS_TOGETHER
        lasts = work.planned_updates - work.updates_done >= _RECORD_FROM
        self._recordings.begin(goes_on=lasts and self.device.type == "cpu")

    def end(self) -> None:
        """Let go of what only the phase needed, now: the collector may be long in coming."""
        self._recordings.begin(goes_on=False)

    @property
    def runs_as(self) -> str:
        """Engine that the latest updates ran on."""
        return self.name

    @property
    def n_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(self.layout.sizes)

    def set_epoch(self, epoch: int) -> None:
        """Bring the network's warm-ups and the decay mask to an epoch."""
        self.network.set_epoch(self.epoch_offset + epoch)
        exempt = self.network.undecayed_parameters()
        is_decayed = np.array([name not in exempt for name in self.layout.names])
        decayed = torch.from_numpy(np.repeat(is_decayed, self.layout.sizes))
        # In place: a program may read it where it lies.
        self.decayed.copy_(decayed)
        for name, factor in self._factors.items():
            factor.fill_(getattr(self.network, name))

    @contextlib.contextmanager
    def _traceable(self) -> Iterator[None]:
        """Let the network read its epoch's factors from tensors, not from numbers in the trace."""
        numbers = {name: getattr(self.network, name) for name in self._factors}
        vars(self.network).update(self._factors)
        try:
            yield
        finally:
            vars(self.network).update(numbers)

    @contextlib.contextmanager
    def weight_decay_of(self, weight_decay: float) -> Iterator[None]:
        """Another decay inside the block: a warm start may have its own."""
        own = self.optimizer
        self.optimizer = replace(own, weight_decay=weight_decay)
        try:
            yield
        finally:
            self.optimizer = own

    def restarted(self, weights: Tensor, buffers: dict[str, Tensor]) -> Carry:
        """Fresh optimiser around given weights and buffers: each phase begins so."""

        def number(value: float) -> Tensor:
            return torch.tensor(value, device=self.device)

        return Carry(
            weights=weights,
            optimizer=OptimizerState.fresh(weights),
            buffers=buffers,
            scale=number(INITIAL_SCALE if self.precision.is_scaled else 1.0),
            good_streak=number(0.0),
            is_frozen=torch.tensor(False, device=self.device),
        )

    def forward(self, weights: Tensor, buffers: Mapping[str, Tensor]) -> Forward:
        """The network as a function, with these weights and buffers."""
        own = {name: tensor for name, tensor in buffers.items() if name != MEMORY}
        tensors = {**self.layout.unflatten(weights), **own}

        def call(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
            outputs: Tensor = functional_call(
                self.network, tensors, (x, context, key), tie_weights=False
            )
            return outputs

        return call

    def span_forward(self, weights: Tensor, buffers: Mapping[str, Tensor]) -> Forward:
        """The network as a function of a whole span, whose rows go through it in parts."""
        forward = self.forward(weights, buffers)

        def in_parts(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
            row_bytes = x.itemsize * self.network.width
            with torch.no_grad():
                parts = [
                    forward(x[part], None if context is None else context[part], key)
                    for part in row_passes(len(x), row_bytes=row_bytes, device=x.device)
                ]
                return torch.cat(parts)

        return in_parts

    def reset_states(self, carry: Carry) -> Carry:
        """Let stateful layers forget."""
        return carry._replace(buffers={**carry.buffers, **self.initial_states})

    def updates_per_launch(self, rows_per_update: int, *, n_seeds: int = 1) -> int:
        """Updates in a launch of about 0.1 s; a function of the shapes alone.

        Parameters
        ----------
        rows_per_update : int
            Rows that go through the network of one seed.
        n_seeds : int
            Seeds that are updated together.
        """
        arithmetic_s = n_seeds * work_s(self.network.n_products, rows_per_update) / _AT_ONCE
        return max(1, int(_LAUNCH_S / (_OVERHEAD_S + arithmetic_s)))

    def group_slots(self, n_seeds: int) -> int:
        """Seeds that an update is run for, at least as many as there are."""
        return n_seeds

    def launch(
        self,
        carry: Carry,
        objective: Objective,
        stacks: Sequence[Tensor],
        keys: Tensor | None,
        *,
        lr: float,
    ) -> tuple[Carry, LaunchStatistics]:
        """Run the updates of all `stacks`, then read the statistics.

        Parameters
        ----------
        carry : Carry
            Where to start.
        objective : Objective
            What to minimise.
        stacks : sequence of torch.Tensor
            int64 ``(K_i, B_i)``: the rows of K updates in all, on the device.
        keys : torch.Tensor or None
            int64 ``(K, 2)``: noise and dropout keys; None draws nothing.
        lr : float
            Learning rate of every update.

        Returns
        -------
        carry : Carry
            Where the launch ended; updates that were refused left no trace in it.
        statistics : LaunchStatistics
            One entry per update.

        Raises
        ------
        ValueError
            If the loss does not depend on the network's outputs.
        """
        carry, reports = self._run(
            unlatched(carry), objective, stacks=stacks, keys=keys, lr=lr, lift=alone
        )
        return carry, read_reports(reports, n_slots=1)[0]

    def gathered(self, carries: Sequence[Carry]) -> Group:
        """The seeds of a group, each where its carry says, ready for `launch_group`.

        A group of one stays as it is, and so does each seed where a pass for all would be slower,
        a function of the shapes alone.
        """
        n = len(carries)
        if n == 1 or self._apart:
            return Group(list(carries), None)
        # Slots without a seed repeat the first, to no end.
        slots = [carries[s if s < n else 0] for s in range(self.group_slots(n))]
        stack = stacked(slots)
        return Group(unstacked(stack)[:n], stack)

    def launch_group(
        self, group: Group, objective: Objective, draws: Draws, *, lr: float
    ) -> tuple[Group, list[LaunchStatistics]]:
        """Launch the same number of updates for each of several seeds, on one set of data.

        The update is the same function, over stacked carries: one pass for all. A seed ends
        where it would end alone up to rounding, not bit for bit: products of many matrices at
        once sum in another order. Seeds that are not stacked are launched one after the other.

        Parameters
        ----------
        group : Group
            Where each seed starts: of `gathered`, or what an earlier launch returned.
        objective, lr
            As for `launch`, the same for all.
        draws : Draws
            Rows and keys of each update of each seed.

        Returns
        -------
        group : Group
            Where each seed ended.
        statistics : list of LaunchStatistics
            One per seed, in their order.

        Raises
        ------
        ValueError
            If the loss does not depend on the network's outputs.
        """
        n = len(group.each)
        if group.stack is None:
            launched = [
                self.launch(carry, objective, *draws.of_seed(s), lr=lr)
                for s, carry in enumerate(group.each)
            ]
            return Group([carry for carry, _ in launched], None), [told for _, told in launched]
        n_slots = len(group.stack.weights)
        filled = draws.filled(n_slots)
        stack, reports = self._run(
            unlatched(group.stack),
            objective,
            stacks=filled.stacks,
            keys=filled.keys,
            lr=lr,
            lift=over_seeds,
        )
        return Group(unstacked(stack)[:n], stack), read_reports(reports, n_slots=n_slots)[:n]

    def _run(
        self,
        carry: Carry,
        objective: Objective,
        *,
        stacks: Sequence[Tensor],
        keys: Tensor | None,
        lr: float,
        lift: Lift,
    ) -> tuple[Carry, list[Report]]:
        """Updates one after the other; on a device nothing is read back."""
        n_slots = 1 if carry.weights.ndim == 1 else len(carry.weights)
        can = objective.is_ours and can_record(self.network, self._rows, n_seeds=n_slots)
        recordings = self._recordings if can else Recordings()
        if lift is alone and self._is_at_host and MEMORY not in carry.buffers:
            return self._at_host.launch(
                carry,
                objective,
                stacks,
                keys,
                optimizer=self.optimizer,
                lr=lr,
                stops=self.stop_on_nonfinite,
                recordings=recordings,
            )

        def update(
            carry: Carry, index: Tensor, key: Tensor | None, lr: float | Tensor
        ) -> tuple[Carry, Report]:
            return self.update(carry, objective, index, key, lr=lr, lift=lift)

        # Its method is equal to none of another objective, and keeps it.
        kind = objective.__call__, self.optimizer, self.network.stage, lift
        return launch(update, carry, stacks, keys, lr=lr, kind=kind, recordings=recordings)

    @property
    def _is_at_host(self) -> bool:
        """Whether a verdict costs nothing to read, and weights are all that an update moves."""
        return (
            self.device.type == "cpu" and self.precision.dtype is None and not self.initial_states
        )

    def update(
        self,
        carry: Carry,
        objective: Objective,
        index: Tensor,
        key: Tensor | None,
        *,
        lr: float | Tensor,
        lift: Lift,
    ) -> tuple[Carry, Report]:
        """One update: gradient, clip, finiteness, step; the statistics stay on the device."""
        weights = carry.weights.detach().requires_grad_()

        def judge(
            weights: Tensor, buffers: dict[str, Tensor], index: Tensor, key: Tensor | None
        ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            return self._judge(objective, weights, buffers, index, key)

        def step(*of_one: Any) -> tuple[Carry, Report]:
            return self._step(*of_one, lr=lr)

        loss, values, buffers = lift(judge)(weights, carry.buffers, index, key)
        scaled = loss * carry.scale if self.precision.is_scaled else loss
        (gradient,) = gradients(scaled, [weights])
        outcome: tuple[Carry, Report] = lift(step)(
            carry, gradient, loss.detach(), values.detach(), buffers
        )
        return outcome

    def _judge(
        self,
        objective: Objective,
        weights: Tensor,
        buffers: dict[str, Tensor],
        index: Tensor,
        key: Tensor | None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Loss, values and next buffers of one forward pass."""
        if self.state_reset == "batch":
            buffers = {**buffers, **self.initial_states}
        with self.precision.autocast():
            forward = self.forward(weights, buffers)
            if (memory := buffers.get(MEMORY)) is None:
                loss, values = objective(forward, index, key)
            else:
                own: Any = objective  # episodes, the only ones that have a memory
                loss, values, memory = own.remembering(forward, index, key, memory)
                buffers = {**buffers, MEMORY: memory}
        if self.initial_states:
            buffers = {**buffers, **take_staged_states(self.network)}
        return loss.to(weights.dtype), values, buffers

    def _step(
        self,
        carry: Carry,
        gradient: Tensor,
        loss: Tensor,
        values: Tensor,
        buffers: dict[str, Tensor],
        *,
        lr: float | Tensor,
    ) -> tuple[Carry, Report]:
        """The next carry, where the gradient is finite and nothing has stopped the launch."""
        if self.precision.is_scaled:
            gradient = gradient / carry.scale
        weights, optimizer, norm, largest = self._moved(carry, gradient, lr=lr)
        is_finite = torch.stack([loss, norm, largest]).isfinite()
        is_loss_finite, is_gradient_finite, are_weights_finite = is_finite.unbind()
        is_sound = is_loss_finite & (are_weights_finite | ~is_gradient_finite)
        is_accepted = is_sound & is_gradient_finite & ~carry.is_frozen
        moved = carry._replace(weights=weights, optimizer=optimizer, buffers=buffers)
        following = choose(is_accepted, moved, carry)
        following = self._after_verdict(following, is_accepted, is_sound, is_gradient_finite)
        numbers = torch.stack([loss, norm, is_accepted, is_loss_finite])
        return following, Report(numbers, values)

    def _moved(
        self,
        carry: Carry,
        gradient: Tensor,
        factors: tuple[Tensor, Tensor] | None = None,
        *,
        lr: float | Tensor,
    ) -> Moved:
        """Weights and state after a step, the gradient's norm, and the largest of the weights.

        A learning rate can take finite weights out of range by a finite gradient. The largest
        stands for all of them: three numbers with the loss are looked at in one go.
        """
        norm = torch.linalg.vector_norm(gradient)
        weights, optimizer = self.optimizer.step(
            carry.weights,
            gradient,
            carry.optimizer,
            lr=lr,
            norm=norm,
            decayed=self.decayed,
            factors=factors,
        )
        return weights, optimizer, norm, torch.linalg.vector_norm(weights, ord=torch.inf)

    def _after_verdict(
        self, carry: Carry, is_accepted: Tensor, is_sound: Tensor, is_gradient_finite: Tensor
    ) -> Carry:
        """Gradient scale and the latch after an update was accepted or refused."""
        # With scaled gradients an overflow is the search for a scale; a bad loss or step never is.
        is_final = ~is_sound if self.precision.is_scaled else ~(is_sound & is_gradient_finite)
        if self.stop_on_nonfinite:
            carry = carry._replace(is_frozen=carry.is_frozen | is_final)
        if not self.precision.is_scaled:
            return carry
        good = torch.where(is_accepted, carry.good_streak + 1.0, 0.0)
        has_grown = good >= GROWTH_INTERVAL
        has_overflowed = is_sound & ~is_gradient_finite
        factor = torch.where(has_grown, 2.0, torch.where(has_overflowed, 0.5, 1.0))
        return carry._replace(
            scale=carry.scale * factor, good_streak=torch.where(has_grown, 0.0, good)
        )
