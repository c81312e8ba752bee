"""The gradient of a loss, or the word that there is none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gradients(loss: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Gradient in each of the leaves, in its shape; zero in those that it does not depend on.

    Parameters
    ----------
    loss : torch.Tensor
        ``()``, or ``(S,)`` of a group of seeds, for no seed's loss knows another's.
    leaves : sequence of torch.Tensor
        What the loss was computed from.

    Raises
    ------
    ValueError
        If the loss depends on none of them.
    """
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if loss.requires_grad:
        found = _go_back(loss.sum() if loss.dim() else loss, leaves)
    if all(gradient is None for gradient in found):
        raise ValueError(
            "the loss does not depend on the network's outputs, so there is nothing to "
            "learn: a reward must be computed from its actions with differentiable torch "
            "operations (no .detach(), .item() or NumPy)."
        )
    return [
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(leaves, found, strict=True)
    ]


def _go_back(loss: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor | None]:
    try:
        return torch.autograd.grad(loss, leaves, allow_unused=True)
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        raise ValueError(
            "the loss must leave what its gradient needs as it is; a reward, loss or network has "
            "changed it in place. Write x = x + 1 there instead of x += 1 or x[...] = 1."
        ) from error
