"""One optimiser update, and launches of several: the only place where weights move.

All weights live in one flat vector, so that an update costs one gradient, one norm and one
optimiser step whatever the number of layers. An update is a function: it takes a `Carry` of
tensors and returns the next one, and decides on the device whether to accept it. Nothing is
read back to the host before the launch is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from psann.nn.network import Network
from psann.nn.state import initial_states, staged_states
from psann.training.optimizer import Optimizer, OptimizerState
from psann.training.precision import GROWTH_INTERVAL, INITIAL_SCALE, Precision

StateReset = Literal["batch", "epoch", "none"]
# (inputs, context, dropout key) -> outputs
Forward = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]

# A launch should end within about 0.1 s, so that a signal is answered soon: assumed cost of an
# update is this overhead plus its multiply-adds at this rate (a slow core).
_LAUNCH_S, _OVERHEAD_S, _MULTIPLY_ADDS_PER_S = 0.1, 1e-3, 2e9


class Objective(Protocol):
    """What a phase minimises, for one batch of indices into its series."""

    def __call__(
        self, forward: Forward, index: Tensor, key: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``()`` and one value per index ``(B,)``, from start rows or rows ``(B,)``."""

    def place_of_nonfinite(self, forward: Forward, index: Tensor, key: Tensor | None) -> str:
        """Where the first number that is not finite comes from."""


@dataclass(frozen=True)
class WeightLayout:
    """Where each parameter lies in the flat vector."""

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, network: Network) -> WeightLayout:
        """Layout of a network's trainable parameters, in their own order."""
        items = list(network.named_parameters())
        return cls(
            names=tuple(name for name, _ in items),
            shapes=tuple(p.shape for _, p in items),
            sizes=tuple(p.numel() for _, p in items),
        )

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """One vector ``(P,)`` from parameters by name."""
        return torch.cat([tensors[name].detach().reshape(-1) for name in self.names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters by name, as views of the vector."""
        parts = flat.split(self.sizes)
        return {
            # A vector needs no view, and most parameters are vectors.
            name: part if len(shape) == 1 else part.view(shape)
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }


@dataclass(frozen=True, kw_only=True)
class Carry:
    """What an update reads and replaces. Every value is a tensor on the device."""

    weights: Tensor  # (P,)
    optimizer: OptimizerState
    buffers: dict[str, Tensor]
    scale: Tensor  # () gradient scale of float16, else 1
    good_streak: Tensor  # () accepted updates since the scale last moved
    is_frozen: Tensor  # () bool: an update of this launch diverged


@dataclass(frozen=True, kw_only=True)
class LaunchStatistics:
    """What a launch left, on the host: one entry per update."""

    loss: NDArray[np.float64]  # (K,)
    grad_norm: NDArray[np.float64]  # (K,)
    is_accepted: NDArray[np.bool_]  # (K,)
    is_loss_finite: NDArray[np.bool_]  # (K,)
    values: list[NDArray[np.float64]]  # K times (B,)


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
        self.layout = WeightLayout.of(network)
        self.optimizer = optimizer
        self.precision = precision
        self.state_reset = state_reset
        self.stop_on_nonfinite = stop_on_nonfinite
        self.epoch_offset = epoch_offset
        self.device = device
        self.initial_states = initial_states(network)
        self.set_epoch(0)

    @property
    def n_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(self.layout.sizes)

    def set_epoch(self, epoch: int) -> None:
        """Bring the network's warm-ups and the decay mask to an epoch."""
        self.network.set_epoch(self.epoch_offset + epoch)
        exempt = self.network.undecayed_parameters()
        is_decayed = np.array([name not in exempt for name in self.layout.names])
        self.decayed = torch.from_numpy(np.repeat(is_decayed, self.layout.sizes)).float()
        self.decayed = self.decayed.to(self.device)

    @contextlib.contextmanager
    def weight_decay_of(self, weight_decay: float) -> Iterator[None]:
        """Another decay inside the block: a warm start may have its own."""
        own = self.optimizer
        self.optimizer = replace(own, weight_decay=weight_decay)
        try:
            yield
        finally:
            self.optimizer = own

    def initial_carry(self) -> Carry:
        """Fresh optimiser around the network's own weights and buffers."""
        weights = self.layout.flatten(dict(self.network.named_parameters()))
        return self.restarted(
            weights, {name: b.detach().clone() for name, b in self.network.named_buffers()}
        )

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
        tensors = {**self.layout.unflatten(weights), **buffers}

        def call(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
            outputs: Tensor = functional_call(
                self.network, tensors, (x, context, key), tie_weights=False
            )
            return outputs

        return call

    def reset_states(self, carry: Carry) -> Carry:
        """Let stateful layers forget."""
        return replace(carry, buffers={**carry.buffers, **self.initial_states})

    def updates_per_launch(self, rows_per_update: int) -> int:
        """Updates in a launch of about 0.1 s; a function of the shapes alone."""
        work = 3 * self.n_parameters * rows_per_update / _MULTIPLY_ADDS_PER_S
        return max(1, int(_LAUNCH_S / (_OVERHEAD_S + work)))

    def launch(
        self,
        carry: Carry,
        objective: Objective,
        *,
        indices: Sequence[Tensor],
        keys: Tensor | None,
        lr: float,
    ) -> tuple[Carry, LaunchStatistics]:
        """Run one update per entry of `indices`, then read the statistics.

        Parameters
        ----------
        carry : Carry
            Where to start.
        objective : Objective
            What to minimise.
        indices : sequence of torch.Tensor
            One tensor ``(B,)`` of int64 per update, on the device.
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
        carry = replace(carry, is_frozen=torch.zeros_like(carry.is_frozen))
        numbers, values = [], []
        for k, index in enumerate(indices):
            key = None if keys is None else keys[k]
            carry, row, value = self._update(carry, objective, index, key, lr)
            numbers.append(row)
            values.append(value)
        table = torch.stack(numbers).double().cpu().numpy()  # (K, 4)
        host = torch.cat(values).double().cpu().numpy()
        return carry, LaunchStatistics(
            loss=table[:, 0],
            grad_norm=table[:, 1],
            is_accepted=table[:, 2] > 0,
            is_loss_finite=table[:, 3] > 0,
            values=np.split(host, np.cumsum([len(v) for v in values])[:-1]),
        )

    def launch_group(
        self,
        carries: Sequence[Carry],
        objective: Objective,
        *,
        indices: Sequence[Sequence[Tensor]],
        keys: Sequence[Tensor] | None,
        lr: float,
    ) -> list[tuple[Carry, LaunchStatistics]]:
        """Launch the same number of updates for each of several seeds, on one set of data.

        Here one seed runs after the other, so that each is bit for bit as if it were alone.

        Parameters
        ----------
        carries : sequence of Carry
            Where each seed starts, S of them.
        objective, lr
            As for `launch`, the same for all.
        indices : sequence of sequence of torch.Tensor
            S times what `launch` takes; all seeds have the same shapes.
        keys : sequence of torch.Tensor or None
            S times int64 ``(K, 2)``; None draws nothing.

        Returns
        -------
        list of (Carry, LaunchStatistics)
            One pair per seed, in their order.

        Raises
        ------
        ValueError
            If the loss does not depend on the network's outputs.
        """
        return [
            self.launch(
                carry,
                objective,
                indices=indices[s],
                keys=None if keys is None else keys[s],
                lr=lr,
            )
            for s, carry in enumerate(carries)
        ]

    def _update(
        self, carry: Carry, objective: Objective, index: Tensor, key: Tensor | None, lr: float
    ) -> tuple[Carry, Tensor, Tensor]:
        """One update: gradient, clip, finiteness, step; the statistics stay on the device."""
        buffers = carry.buffers
        if self.state_reset == "batch":
            buffers = {**buffers, **self.initial_states}
        weights = carry.weights.detach().requires_grad_()
        with self.precision.autocast():
            loss, values = objective(self.forward(weights, buffers), index, key)
        loss = loss.float()
        gradient, norm = self._gradient(loss, weights, carry.scale)
        is_loss_finite = loss.detach().isfinite()
        is_finite = is_loss_finite & norm.isfinite()
        is_accepted = is_finite & ~carry.is_frozen
        weights, optimizer = self.optimizer.step(
            carry.weights, gradient, carry.optimizer, lr=lr, norm=norm, decayed=self.decayed
        )
        if self.initial_states:
            buffers = {**buffers, **staged_states(self.network)}
        moved = replace(carry, weights=weights, optimizer=optimizer, buffers=buffers)
        following = _choose(is_accepted, moved, carry)
        following = self._after_verdict(following, is_accepted, is_loss_finite, is_finite)
        row = torch.stack([loss.detach(), norm, is_accepted.float(), is_loss_finite.float()])
        return following, row, values.detach()

    def _gradient(self, loss: Tensor, weights: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Unscaled gradient ``(P,)`` and its norm."""
        if loss.requires_grad:
            (loss * scale if self.precision.is_scaled else loss).backward()
        gradient = weights.grad
        if gradient is None:
            raise ValueError(
                "the loss does not depend on the network's outputs, so there is nothing to "
                "learn: a reward must be computed from its actions with differentiable torch "
                "operations (no .detach(), .item() or NumPy)."
            )
        if self.precision.is_scaled:
            gradient = gradient / scale
        return gradient, torch.linalg.vector_norm(gradient)

    def _after_verdict(
        self, carry: Carry, is_accepted: Tensor, is_loss_finite: Tensor, is_finite: Tensor
    ) -> Carry:
        """Gradient scale and the latch after an update was accepted or refused."""
        # With scaled gradients an overflow is the search for a scale; a bad loss never is.
        is_sound = is_loss_finite if self.precision.is_scaled else is_finite
        if self.stop_on_nonfinite:
            carry = replace(carry, is_frozen=carry.is_frozen | ~is_sound)
        if not self.precision.is_scaled:
            return carry
        good = torch.where(is_accepted, carry.good_streak + 1.0, 0.0)
        has_grown = good >= GROWTH_INTERVAL
        has_overflowed = is_loss_finite & ~is_finite
        factor = torch.where(has_grown, 2.0, torch.where(has_overflowed, 0.5, 1.0))
        return replace(
            carry, scale=carry.scale * factor, good_streak=torch.where(has_grown, 0.0, good)
        )


def _choose(condition: Tensor, new: Carry, old: Carry) -> Carry:
    """The new carry where the condition holds, else the old one; no host decides."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return a if a is b else torch.where(condition, a, b)

    return replace(
        new,
        weights=pick(new.weights, old.weights),
        optimizer=OptimizerState(*map(pick, new.optimizer, old.optimizer)),
        buffers={name: pick(new.buffers[name], value) for name, value in old.buffers.items()},
    )
