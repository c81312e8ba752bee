"""From network outputs to actions.

Where `active (..., M)` says who can be held (codes of `psann.holdings`), the actions of all others
are exactly 0, and so are the gradients of their outputs. Rows without members are all in cash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from psann.holdings import members, of_members

# So far below every other output, of 1e30 too, that the exponential is exactly 0.
_FAR = 1e38


@dataclass(frozen=True)
class Transform:
    """A function on the last axis, and what it means for the portfolio.

    `holds_cash`: the remainder ``1 - sum(a)`` is cash. `extra_outputs`: outputs that the network
    has beyond the actions. `ignores_shift`: a number added to all outputs changes no action.
    `is_long_only`: no action is negative, and they sum to 1 at most.
    """

    function: Callable[..., Tensor]
    holds_cash: bool = False
    extra_outputs: int = 0
    ignores_shift: bool = False
    is_long_only: bool = False


def identity(z: Tensor, active: Tensor | None = None) -> Tensor:
    """Actions are the outputs: ``a = z``."""
    return z if active is None else of_members(z, active)


def softmax(z: Tensor, active: Tensor | None = None) -> Tensor:
    """Long only and fully invested: ``a_i = exp(z_i) / sum_j exp(z_j)``, over members."""
    if active is None:
        return torch.softmax(z, dim=-1)
    member = members(active, like=z)
    # All of a row without members are as far below, so that nothing is undefined; it is emptied.
    return torch.softmax(torch.add(z, member - 1, alpha=_FAR), dim=-1) * member


def tanh(z: Tensor, active: Tensor | None = None) -> Tensor:
    """Free sign, each in (-1, 1): ``a = tanh(z)``."""
    return identity(torch.tanh(z), active)


def softmax_cash(z: Tensor, active: Tensor | None = None) -> Tensor:
    """The first M of a softmax over M + 1 outputs; the last share is cash."""
    if active is not None:
        is_open = torch.nn.functional.pad(members(active, like=z), (0, 1), value=1.0)
        z = torch.add(z, is_open - 1, alpha=_FAR)
    return torch.softmax(z, dim=-1)[..., :-1]


def long_short(z: Tensor, active: Tensor | None = None) -> Tensor:
    """Free sign with at most unit gross exposure: ``tanh(z) / max(1, sum_i |tanh(z_i)|)``."""
    a = tanh(z, active)
    return a / a.abs().sum(dim=-1, keepdim=True).clamp_min(1.0)


def sigmoid(z: Tensor, active: Tensor | None = None) -> Tensor:
    """Each in [0, 1]: ``a = 1 / (1 + exp(-z))``."""
    return identity(torch.sigmoid(z), active)


def bounded(
    z: Tensor, active: Tensor | None = None, *, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Each in [low, high]: ``a = low + (high - low) sigmoid(z)``, the middle at 0.

    Rounded never beyond its bounds.
    """
    return identity((low + (high - low) * torch.sigmoid(z)).clamp(low, high), active)


TRANSFORMS: dict[str, Transform] = {
    "bounded": Transform(bounded),
    "identity": Transform(identity),
    "long_short": Transform(long_short, holds_cash=True),
    "sigmoid": Transform(sigmoid),
    "softmax": Transform(softmax, ignores_shift=True, is_long_only=True),
    "softmax_cash": Transform(
        softmax_cash, holds_cash=True, extra_outputs=1, ignores_shift=True, is_long_only=True
    ),
    "tanh": Transform(tanh, holds_cash=True),
}
