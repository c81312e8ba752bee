"""The gradient of a loss as one flat vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def flat_gradient(loss: Tensor, leaves: Sequence[Tensor]) -> Tensor:
    """Gradient in all leaves, one after the other, or in the only one, in its shape.

    Parameters
    ----------
    loss : torch.Tensor
        ``()``, or ``(S,)`` of a group of seeds, for no seed's loss knows another's.
    leaves : sequence of torch.Tensor
        What the loss was computed from.

    Raises
    ------
    ValueError
        If the loss does not depend on them.
    """
    for leaf in leaves:
        leaf.grad = None
    if loss.requires_grad:
        (loss.sum() if loss.dim() else loss).backward()
    if all(leaf.grad is None for leaf in leaves):
        raise ValueError(
            "the loss does not depend on the network's outputs, so there is nothing to "
            "learn: a reward must be computed from its actions with differentiable torch "
            "operations (no .detach(), .item() or NumPy)."
        )
    parts = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    return parts[0] if len(parts) == 1 else torch.cat([part.reshape(-1) for part in parts])
