"""The gradient of a loss, or the word that there is none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Variable


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
    found = [leaf.grad for leaf in leaves]
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


def _go_back(loss: Tensor) -> None:
    try:
        _backward()(loss)
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        raise ValueError(
            "the loss must leave what its gradient needs as it is; a reward, loss or network has "
            "changed it in place. Write x = x + 1 there instead of x += 1 or x[...] = 1."
        ) from error


@functools.cache
def _backward() -> Callable[[Tensor], object]:
    """`Tensor.backward`, without the Python around torch's engine where it can be spared.

    That is a fifteenth of an update of a small network.
    """

    def at_once(loss: Tensor) -> None:
        whole: dict[str, Any] = {"allow_unreachable": True, "accumulate_grad": True}
        engine: Any = Variable._execution_engine
        engine.run_backward((loss,), (torch.ones_like(loss),), False, False, (), **whole)

    try:
        at_once(torch.zeros((), requires_grad=True))
    except (AttributeError, TypeError):  # it is torch's own, and may change
        return torch.Tensor.backward
    return at_once
