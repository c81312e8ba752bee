"""The optimisers are those of torch.optim, step by step, clipping and decay included."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from draws import normal
from psann.training.optimizer import Optimizer, OptimizerState
from thinning import thinned

N = 12
LR = 0.05
# Half of the weights decay.
DECAYED = torch.arange(N) % 2 == 0
THEIRS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": lambda groups, **options: torch.optim.SGD(groups, momentum=0.9, **options),
}
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


def loss(weights: Tensor) -> Tensor:
    """A valley with a steep side: gradients of very different sizes."""
    scale = torch.logspace(-2, 1.5, N, dtype=weights.dtype)
    return (scale * weights.square()).sum() + torch.sin(3 * weights).sum()


def ours(name: Any, decay: float, clip: float | None, dtype: torch.dtype, k: int) -> list[Tensor]:
    rule = Optimizer(name=name, weight_decay=decay, clip_norm=clip)
    weights = normal(N, dtype=dtype)
    state, path = OptimizerState.fresh(weights), []
    for _ in range(k):
        leaf = weights.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf), leaf)
        norm = torch.linalg.vector_norm(gradient)
        weights, state = rule.step(
            weights, gradient, state, lr=LR, norm=norm, decayed=DECAYED.to(dtype)
        )
        path.append(weights)
    assert float(state.steps) == k
    return path


def theirs(name: str, decay: float, clip: float | None, dtype: torch.dtype, k: int) -> list[Tensor]:
    first = normal(N, dtype=dtype)
    parts = [torch.nn.Parameter(first[DECAYED]), torch.nn.Parameter(first[~DECAYED])]
    groups = [
        {"params": [parts[0]], "weight_decay": decay},
        {"params": [parts[1]], "weight_decay": 0.0},
    ]
    optimizer = THEIRS[name](groups, lr=LR)
    path = []
    for _ in range(k):
        optimizer.zero_grad()
        weights = torch.empty(N, dtype=dtype)
        weights[DECAYED], weights[~DECAYED] = parts
        loss(weights).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parts, clip)
        optimizer.step()
        now = torch.empty(N, dtype=dtype)
        now[DECAYED], now[~DECAYED] = (part.detach() for part in parts)
        path.append(now)
    return path


@pytest.mark.parametrize(
    ("name", "decay", "clip", "dtype"),
    thinned(product(sorted(THEIRS), [0.0, 0.3], [None, 1.0, 1e6], TOLERANCE), every=5),
)
def test_every_step_is_that_of_torch_optim(
    name: str, decay: float, clip: float | None, dtype: torch.dtype
) -> None:
    arguments = (name, decay, clip, dtype, 30)
    tolerance = TOLERANCE[dtype]
    for step, (mine, other) in enumerate(zip(ours(*arguments), theirs(*arguments), strict=True)):
        # Rounding grows with the steps; the first is held to the tolerance itself.
        bound = tolerance * (1 + step)
        torch.testing.assert_close(mine, other, atol=bound, rtol=bound)


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_arguments_are_not_moved(name: Any) -> None:
    weights, gradient = normal(N), normal(N, seed=1)
    state = OptimizerState.fresh(weights)
    Optimizer(name=name, weight_decay=0.1, clip_norm=0.1).step(
        weights,
        gradient,
        state,
        lr=LR,
        norm=torch.linalg.vector_norm(gradient),
        decayed=torch.ones(N),
    )
    assert torch.equal(weights, normal(N))
    assert torch.equal(gradient, normal(N, seed=1))
    assert not torch.stack([*state[:2]]).count_nonzero()
    assert float(state.steps) == 0


def test_a_first_step_of_adam_is_the_learning_rate_against_the_sign() -> None:
    gradient = torch.tensor([0.1, -5.0, 200.0])
    weights, _ = Optimizer(name="adam").step(
        torch.zeros(3),
        gradient,
        OptimizerState.fresh(torch.zeros(3)),
        lr=0.1,
        norm=gradient.norm(),
        decayed=torch.ones(3),
    )
    torch.testing.assert_close(weights, torch.tensor([-0.1, 0.1, -0.1]), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("norm", "expected"), [(0.5, 0.5), (2.0, 1.0), (1e9, 1.0)])
def test_a_gradient_is_clipped_by_its_global_norm(norm: float, expected: float) -> None:
    gradient = normal(N)
    gradient *= norm / gradient.norm()
    weights, _ = Optimizer(name="sgd", clip_norm=1.0).step(
        torch.zeros(N),
        gradient,
        OptimizerState.fresh(torch.zeros(N)),
        lr=1.0,
        norm=gradient.norm(),
        decayed=torch.ones(N),
    )
    assert float(weights.norm()) == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(weights / weights.norm(), -gradient / gradient.norm())
