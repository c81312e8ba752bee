"""What a user's own module may hold: rewards, context extractors and losses, good and bad."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from psann.battery import savings


def mean_first(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    return actions[..., 0].mean(-1)


def scaled(
    actions: Tensor, context: Tensor, *, transition_penalty: float, scale: float = 1.0
) -> Tensor:
    return scale * (actions * context).sum(-1).mean(-1)


def told(
    actions: Tensor, context: Tensor, *, transition_penalty: float, initial: str, cash: bool
) -> Tensor:
    value = 1.0 * (initial == "cash") + 2.0 * cash
    return actions.sum((-2, -1)) * 0.0 + value


def anything(*args: Any, **kwargs: Any) -> Tensor:
    return args[0][..., 0].mean(-1)


def per_step(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    return actions[..., 0]


def a_float(actions: Tensor, context: Tensor, *, transition_penalty: float) -> float:
    return float(actions.mean())


def detached(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    return actions.detach().mean((-2, -1))


def writing(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    context -= 1.0
    return (actions * context).mean((-2, -1))


def drawing(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    return actions.mean((-2, -1)) + torch.rand(len(actions))


def drawing_alike(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return actions.mean((-2, -1)) + torch.rand(len(actions), generator=draws)


class Counted:
    """A reward that grows from call to call."""

    step, n_calls = 1, 0

    def __call__(self, actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
        self.n_calls += 1
        return actions.mean((-2, -1)) + self.step * self.n_calls


def counting(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    return (actions * context).mean((-2, -1)).long()


def turns_nan(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    return torch.log(actions[..., 0] - 1.0).mean(-1)


def left_out(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    """A number everywhere, with no gradient: 0 times that of the root of what is below 0."""
    return torch.where(actions > 2.0, (actions - 2.0).sqrt(), actions).mean((-2, -1))


def kept_away(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    above = (actions - 2.0).clamp(min=1e-6).sqrt()
    return torch.where(actions > 2.0, above, actions).mean((-2, -1))


def without_penalty(actions: Tensor, context: Tensor) -> Tensor:
    return actions.mean((-2, -1))


def exponential(windows: Tensor) -> Tensor:
    return torch.exp(0.01 * windows)


def first_column(windows: Tensor) -> Tensor:
    return torch.exp(0.01 * windows[..., :1])


def quartic(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets) ** 4


def nothing(outputs: Tensor, targets: Tensor) -> None:
    return None


def whole(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().long()


def shifting(outputs: Tensor, targets: Tensor) -> Tensor:
    targets -= 1.0
    return (outputs - targets).square()


def noisy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square() * torch.rand(1)


def averaged(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


def nan_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square() * float("nan")


def unlucky(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss that is not finite for a batch with a large first target."""
    error = (outputs - targets).square()
    return torch.where(targets[:1, :1] > 0.5, error * float("nan"), error)


class Spread:
    """A reward that is an object."""

    def __call__(self, actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
        return actions.std(-1).mean(-1)


def deaf(actions: Tensor, *, price: Tensor, demand: Tensor, transition_penalty: float) -> Tensor:
    """A reward that no action changes."""
    return (0.0 * actions + price - demand).mean((-2, -1))


def meter(actions: Tensor, *, price: Tensor, demand: Tensor, transition_penalty: float) -> Tensor:
    """A reward of psann's by a name of the user's."""
    return savings(actions, price=price, demand=demand, transition_penalty=transition_penalty)
