"""What a policy holds itself, as one more input: how far a trade would be from here.

Letters: ``N`` rows, ``M`` assets, ``K`` features of each. The held weights of a row are those of
the decision before, as prices left them: ``h_t = a_{t-1} x_{t-1} / g_{t-1}``, whatever the delay of
execution. Each row then follows from the one before; in training it does so by memory, a table
``(N, M)`` of what was held on each row when it was last in an episode, through which no gradient
flows.

References
----------
Jiang, Xu, Liang, "A deep reinforcement learning framework for the financial portfolio management
problem" (2017), section 5.3 (portfolio-vector memory), https://arxiv.org/abs/1706.10059
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from psann._inputs import numbers
from psann._labels import in_order_of, labels_of
from psann._typing import Floats
from psann.hisso.transforms import Transform
from psann.holdings import Carry

_NOTHING_ELSE = Carry()


def beside(x: Tensor, held: Tensor) -> Tensor:
    """Rows ``(rows, M (K + 1))`` of features ``(rows, M K)`` and of held weights ``(rows, M)``.

    A weight ``h`` is seen as ``asinh(M h)``: in units of 1/M, whose size is that of the other
    features, and by its logarithm where it is large, in which the score of a softmax is linear.
    """
    n_assets = held.shape[-1]
    features = x.unflatten(-1, (n_assets, -1))  # (rows, M, K)
    seen = torch.asinh(n_assets * held.to(x.dtype))
    return torch.cat((features, seen[..., None]), -1).flatten(-2)


def drifted(actions: Tensor, moves: Tensor) -> Tensor:
    """What prices leave of decisions ``(..., M)``, by the relatives to the next row."""
    held: Tensor = _NOTHING_ELSE.drifted(actions, moves)
    return held


def first_memory(prices: Tensor, transform: Transform) -> Tensor:
    """What a policy without an opinion holds on each row, ``(N, M)`` in float32."""
    outputs = prices.new_zeros((1, prices.shape[1] + transform.extra_outputs), dtype=torch.float32)
    return transform.function(outputs).expand(len(prices), -1).clone()


@torch.no_grad()
def remembered(memory: Tensor, rows: Tensor, actions: Tensor, moves: Tensor) -> Tensor:
    """The memory ``(N, M)`` after episodes that decided `actions` on some rows.

    Parameters
    ----------
    memory : torch.Tensor
        ``(N, M)``.
    rows : torch.Tensor
        ``(B, T)``. A row that lies in several episodes has the same action in all of them.
    actions : torch.Tensor
        ``(B, T, M)``.
    moves : torch.Tensor
        ``(N - 1, M)``, relatives from each row to the next.
    """
    before, later = rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1)
    held = drifted(actions[:, :-1].flatten(0, 1), moves.index_select(0, before))
    place = later[:, None].expand(-1, memory.shape[1])
    return memory.scatter(0, place, held.to(memory.dtype))


def prices_seen(prices: Floats | None, *, shape: tuple[int, int]) -> Tensor:
    """Prices ``(N, M)`` from which what is held follows; a single row can do without.

    Raises
    ------
    ValueError
        If there are none.
    """
    if prices is None and shape[0] > 1:
        raise ValueError(
            "prices must be given with X: this policy sees what it holds (hisso.held_weights), "
            "which follows from them."
        )
    return torch.from_numpy(np.ones(shape) if prices is None else prices)


def weights_before(held: ArrayLike, n_assets: int, names: Sequence[str] | None) -> Tensor:
    """Weights ``(M,)`` that a user says are held before the first row.

    Parameters
    ----------
    held : array-like of shape (M,)
        A series whose index has the names of the assets is put in their order.
    n_assets : int
        M.
    names : sequence of str or None
        Of the assets, where something tells them.

    Raises
    ------
    ValueError
        If they are not one finite number for each asset.
    """
    weights = np.array(numbers(held, "held"), dtype=np.float64, order="C")
    if weights.shape != (n_assets,) or not np.isfinite(weights).all():
        raise ValueError(
            f"held must be the finite weight of each of the {n_assets} assets before the first "
            f"row; got shape {weights.shape}."
        )
    own = labels_of(held).rows
    if names is not None and own is not None:
        told = [str(name) for name in own.tolist()]
        weights = in_order_of(names, weights[None], told, who="held", whose="prices")[0]
    return torch.from_numpy(weights)


@torch.no_grad()
def decided_in_turn(
    outputs_of: Callable[[Tensor], Tensor],
    X: Tensor,
    prices: Tensor,
    transform: Transform,
    *,
    held: Tensor | None = None,
) -> Tensor:
    """Actions ``(N, M)`` in float64, each row after the one before.

    Parameters
    ----------
    outputs_of : callable
        From one row ``(1, M (K + 1))`` to outputs.
    X : torch.Tensor
        ``(N, M K)``.
    prices : torch.Tensor
        ``(N, M)``, positive; those of the last row tell nothing.
    transform : Transform
        From outputs to actions.
    held : torch.Tensor, optional
        ``(M,)``, weights before the first row; None for cash.
    """
    moves = (prices[1:] / prices[:-1]).double()
    now = torch.zeros_like(moves[0]) if held is None else held.to(moves)
    decided = []
    for row in range(len(X)):
        outputs = outputs_of(beside(X[row : row + 1], now[None])).double()
        decided.append(transform.function(outputs)[0])
        if row < len(moves):
            now = drifted(decided[-1], moves[row])
    return torch.stack(decided)
