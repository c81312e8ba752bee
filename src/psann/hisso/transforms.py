"""From network outputs to actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transform:
    """A function on the last axis, and what it means for the portfolio.

    `holds_cash`: the remainder ``1 - sum(a)`` is cash. `extra_outputs`: outputs that the network
    has beyond the actions. `ignores_shift`: a number added to all outputs changes no action.
    """

    function: Callable[[Tensor], Tensor]
    holds_cash: bool = False
    extra_outputs: int = 0
    ignores_shift: bool = False


def identity(z: Tensor) -> Tensor:
    """Actions are the outputs: ``a = z``."""
    return z


def softmax(z: Tensor) -> Tensor:
    """Long only and fully invested: ``a_i = exp(z_i) / sum_j exp(z_j)``."""
    return torch.softmax(z, dim=-1)


def tanh(z: Tensor) -> Tensor:
    """Free sign, each in (-1, 1): ``a = tanh(z)``."""
    return torch.tanh(z)


def softmax_cash(z: Tensor) -> Tensor:
    """The first M of a softmax over M + 1 outputs; the last share is cash."""
    return torch.softmax(z, dim=-1)[..., :-1]


def long_short(z: Tensor) -> Tensor:
    """Free sign with at most unit gross exposure: ``tanh(z) / max(1, sum_i |tanh(z_i)|)``."""
    a = torch.tanh(z)
    return a / a.abs().sum(dim=-1, keepdim=True).clamp_min(1.0)


TRANSFORMS: dict[str, Transform] = {
    "identity": Transform(identity),
    "long_short": Transform(long_short, holds_cash=True),
    "softmax": Transform(softmax, ignores_shift=True),
    "softmax_cash": Transform(softmax_cash, holds_cash=True, extra_outputs=1, ignores_shift=True),
    "tanh": Transform(tanh, holds_cash=True),
}
