"""Losses of supervised training, element by element, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error ``(o - y)^2``, shape of the inputs."""
    return (outputs - targets).square()


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Absolute error ``|o - y|``, shape of the inputs."""
    return (outputs - targets).abs()


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """Huber's loss with threshold 1: ``e^2 / 2`` if ``|e| <= 1``, else ``|e| - 1/2``.

    References
    ----------
    Huber 1964, https://doi.org/10.1214/aoms/1177703732
    """
    return torch.nn.functional.huber_loss(outputs, targets, reduction="none")


def log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    """``ln cosh(o - y)``, shape of the inputs; large errors do not overflow, small ones count."""
    size = (outputs - targets).abs()
    return size + torch.log1p(0.5 * torch.expm1(-2.0 * size))


LOSSES: dict[str, Loss] = {"huber": huber, "log_cosh": log_cosh, "mae": mae, "mse": mse}
