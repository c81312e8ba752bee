"""What an update moves: all weights as one flat vector, and the rest of a seed's state.

A group of seeds is the same with the seeds as the first axis of every tensor; what is written for
one seed is lifted to the group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from psann.nn.network import Network
from psann.training.optimizer import OptimizerState

MEMORY = "memory of held weights"
"""Among the buffers of a carry, what is remembered of each row of the series: none of a network's
own, whose names have no blanks."""


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

    @property
    def names_of_head(self) -> tuple[str, ...]:
        """Parameters of the last layer, in which the outputs are linear."""
        return tuple(name for name in self.names if name.startswith("head."))

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """One vector ``(P,)`` from parameters by name."""
        return joined([tensors[name].detach() for name in self.names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters by name, as views of the vector."""
        parts = flat.split(self.sizes)
        return {
            # A vector needs no view, and most parameters are vectors.
            name: part if len(shape) == 1 else part.view(shape)
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def leaves(self, flat: Tensor) -> dict[str, Tensor]:
        """The same views, each with a gradient of its own."""
        return {name: v.detach().requires_grad_() for name, v in self.unflatten(flat).items()}


def joined(parts: Sequence[Tensor]) -> Tensor:
    """One vector ``(P,)`` of parts of any shape."""
    return torch.cat([part if part.ndim == 1 else part.reshape(-1) for part in parts])


class Carry(NamedTuple):
    """What an update reads and replaces. Every value is a tensor on the device.

    Of a group of seeds, every tensor has the seeds as its first axis.
    """

    weights: Tensor  # (P,)
    optimizer: OptimizerState
    buffers: dict[str, Tensor]
    scale: Tensor  # () gradient scale of float16, else 1
    good_streak: Tensor  # () accepted updates since the scale last moved
    is_frozen: Tensor  # () bool: an update of this launch diverged


def tensors_of(carry: Carry) -> list[Tensor]:
    """All of a carry, one after the other."""
    weights, optimizer, buffers, *rest = carry
    return [weights, *optimizer, *rest, *buffers.values()]


def carry_of(tensors: Sequence[Tensor], *, like: Carry) -> Carry:
    """A carry of these tensors, whose buffers have the names of another's."""
    weights, moment1, moment2, steps, scale, good_streak, is_frozen, *buffers = tensors
    return Carry(
        weights=weights,
        optimizer=OptimizerState(moment1, moment2, steps),
        buffers=dict(zip(like.buffers, buffers, strict=True)),
        scale=scale,
        good_streak=good_streak,
        is_frozen=is_frozen,
    )


def unlatched(carry: Carry) -> Carry:
    """A new launch forgets that an earlier one diverged."""
    return carry._replace(is_frozen=torch.zeros_like(carry.is_frozen))


def choose(condition: Tensor, new: Carry, old: Carry) -> Carry:
    """The new carry where the condition holds, else the old one; no host decides."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return a if a is b else torch.where(condition, a, b)

    return new._replace(
        weights=pick(new.weights, old.weights),
        optimizer=OptimizerState(*map(pick, new.optimizer, old.optimizer)),
        buffers={name: pick(new.buffers[name], value) for name, value in old.buffers.items()},
    )


def _mapped(change: Callable[..., Tensor], *carries: Carry) -> Carry:
    """The carry of what is made of the tensors of some, each with its likes."""
    return Carry(
        weights=change(*(c.weights for c in carries)),
        optimizer=OptimizerState(*map(change, *(c.optimizer for c in carries))),
        buffers={k: change(*(c.buffers[k] for c in carries)) for k in carries[0].buffers},
        scale=change(*(c.scale for c in carries)),
        good_streak=change(*(c.good_streak for c in carries)),
        is_frozen=change(*(c.is_frozen for c in carries)),
    )


def stacked(carries: Sequence[Carry]) -> Carry:
    """One carry of all seeds, each tensor ``(S, ...)``."""
    return _mapped(lambda *tensors: torch.stack(tensors), *carries)


def unstacked(group: Carry) -> list[Carry]:
    """The carry of each seed, which keeps the memory of all: see `copied`."""
    buffers = {name: tensor.unbind() for name, tensor in group.buffers.items()}
    numbers = zip(
        group.weights.unbind(),
        zip(*(tensor.unbind() for tensor in group.optimizer), strict=True),
        group.scale.unbind(),
        group.good_streak.unbind(),
        group.is_frozen.unbind(),
        strict=True,
    )
    return [
        Carry(
            weights=weights,
            optimizer=OptimizerState(*optimizer),
            buffers={name: each[s] for name, each in buffers.items()},
            scale=scale,
            good_streak=good_streak,
            is_frozen=is_frozen,
        )
        for s, (weights, optimizer, scale, good_streak, is_frozen) in enumerate(numbers)
    ]


def copied(carry: Carry) -> Carry:
    """The same in memory of its own: a seed that has stopped must not keep that of the others."""
    return _mapped(Tensor.clone, carry)


class Group(NamedTuple):
    """Seeds that train at the same time, between two launches."""

    each: list[Carry]
    stack: Carry | None
    """All of them as one, slots without a seed included; `each` are parts of it. None where every
    seed is updated by itself."""


class Lift(Protocol):
    """From a function of one seed to one of a group, or to itself."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The lifted function."""


def alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is, of one seed."""
    return function


def over_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of many seeds at once: every tensor has them as its first axis."""

    def lifted(*of_all: Any) -> Any:
        in_dims = tuple(None if argument is None else 0 for argument in of_all)
        return torch.vmap(function, in_dims=in_dims)(*of_all)

    return lifted
