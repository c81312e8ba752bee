"""What a portfolio earns and what it trades: one arithmetic for training, validation and metrics.

Letters: ``B`` episodes, ``T`` rows, ``M`` assets. Prices ``p (..., T, M)``, target weights
``a (..., T, M)`` decided at row ``t``, relatives ``x_t = p_{t+1} / p_t``. The last row earns
nothing, so ``T`` rows make ``T - 1`` steps.

The first three functions are written with operators that NumPy arrays and torch tensors share:
the same lines are differentiated in training and give the float64 figures of `psann.metrics`.
torch is imported only when a tensor comes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", NDArray[np.floating[Any]], "torch.Tensor")
Initial = Literal["cash", "invested"]


def relatives(prices: Array) -> Array:
    """Growth of each asset over each step, ``x_t = p_{t+1} / p_t``.

    Parameters
    ----------
    prices : array or tensor of shape (..., T, M)
        Prices, positive.

    Returns
    -------
    array or tensor of shape (..., T - 1, M)
    """
    return prices[..., 1:, :] / prices[..., :-1, :]


def weight_changes(actions: Array) -> Array:
    """Distance between successive targets, ``|a_{t+1} - a_t|_1``, whatever prices did between.

    Parameters
    ----------
    actions : array or tensor of shape (..., T, M)
        Target weights.

    Returns
    -------
    array or tensor of shape (..., T - 1)
    """
    return _l1(actions[..., 1:, :] - actions[..., :-1, :])


def growth_and_traded_weight(
    actions: Array, prices: Array, *, initial: Initial = "invested", cash: bool = False
) -> tuple[Array, Array]:
    """Gross growth and traded weight of each step, without a loop over time.

    ``g_t = a_t . x_t``, plus ``1 - sum(a_t)`` with cash; ``c_t = |a_t - d_t|_1`` with the weights
    that prices left behind, ``d_t = a_{t-1} * x_{t-1} / g_{t-1}``. There is no epsilon in the
    division: a portfolio that is worth nothing has no weights.

    Parameters
    ----------
    actions : array or tensor of shape (..., T, M)
        Target weights decided at each row; the last row is not used.
    prices : array or tensor of shape (..., T, M) or (..., T, 1)
        Prices; a single column stands for every asset.
    initial : {"invested", "cash"}
        Holdings before the first row: the first target, so ``c_0 = 0``, or all cash, so
        ``c_0 = |a_0|_1``.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash, which neither grows nor costs.

    Returns
    -------
    growth : array or tensor of shape (..., T - 1)
        Gross growth factor, 1 for no change.
    traded : array or tensor of shape (..., T - 1)
        Traded weight, 2 for a full switch between two assets.
    """
    held = actions[..., :-1, :]
    grown = held * relatives(prices)  # (..., T - 1, M)
    growth = grown.sum(-1)
    if cash:
        growth = growth + (1 - held.sum(-1))
    drifted = grown[..., :-1, :] / growth[..., :-1, None]  # d_1 ... d_{T-2}
    later = _l1(held[..., 1:, :] - drifted)
    namespace = _namespace(actions)
    nothing = namespace.zeros_like(growth[..., :1])
    first = _l1(held[..., :1, :]) if initial == "cash" else nothing
    return growth, namespace.concatenate((first, later), -1)


def _l1(weights: Array) -> Array:
    total: Array = abs(weights).sum(-1)
    return total


def _namespace(array: Array) -> Any:
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch
