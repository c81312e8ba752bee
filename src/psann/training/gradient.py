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
    for leaf in leaves:
        leaf.grad = None
    if loss.requires_grad:
        _go_back(loss.sum() if loss.dim() else loss)
    if all(leaf.grad is None for leaf in leaves):
        raise ValueError(
            "the loss does not depend on the network's outputs, so there is nothing to "
            "learn: a reward must be computed from its actions with differentiable torch "
            "operations (no .detach(), .item() or NumPy)."
        )
    return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]


def _go_back(loss: Tensor) -> None:
    try:
        loss.backward()
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        raise ValueError(
            "the loss must leave what its gradient needs as it is; a reward, loss or network has "
            "changed it in place. Write x = x + 1 there instead of x += 1 or x[...] = 1."
        ) from error
