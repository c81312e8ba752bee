from __future__ import annotations

import typing

import numpy as np
import pytest
import torch

from psann.hisso.constraints import transform_of
from psann.hisso.options import HISSOOptions, PrimaryTransform
from psann.hisso.transforms import TRANSFORMS, bounded

Z = torch.tensor([[0.0, 1.0, -2.0], [0.5, 0.5, 3.0]], dtype=torch.float64)


def test_every_transform_that_can_be_chosen_exists() -> None:
    assert set(TRANSFORMS) == set(typing.get_args(PrimaryTransform))


@pytest.mark.parametrize(
    ("name", "first_row"),
    [
        ("identity", [0.0, 1.0, -2.0]),
        ("softmax", [0.2594965, 0.7053845, 0.0351190]),
        ("tanh", [0.0, 0.7615942, -0.9640276]),
        ("sigmoid", [0.5, 0.7310586, 0.1192029]),
        ("bounded", [0.5, 0.7310586, 0.1192029]),
        ("softmax_cash", [0.2594965, 0.7053845]),
        ("long_short", [0.0, 0.4413448, -0.5586552]),
    ],
)
def test_values_by_hand(name: str, first_row: list[float]) -> None:
    actions = TRANSFORMS[name].function(Z)
    torch.testing.assert_close(
        actions[0], torch.tensor(first_row, dtype=torch.float64), atol=1e-7, rtol=0
    )


def test_weights_and_cash_make_up_the_whole_portfolio() -> None:
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    assert torch.allclose(TRANSFORMS["softmax"].function(z).sum(-1), torch.ones(50).double())
    cash = 1 - TRANSFORMS["softmax_cash"].function(z).sum(-1)
    assert torch.allclose(cash, torch.softmax(z, -1)[:, -1])
    assert (TRANSFORMS["long_short"].function(z).abs().sum(-1) <= 1 + 1e-12).all()
    small = torch.full((1, 4), 0.1, dtype=torch.float64)
    torch.testing.assert_close(TRANSFORMS["long_short"].function(small), torch.tanh(small))


def test_outputs_of_zero_have_no_opinion() -> None:
    zero = torch.zeros(1, 4)
    assert TRANSFORMS["softmax"].function(zero).tolist() == [[0.25] * 4]
    assert TRANSFORMS["softmax_cash"].function(zero).tolist() == [[0.25] * 3]
    for name in ("identity", "tanh", "long_short"):
        assert TRANSFORMS[name].function(zero).tolist() == [[0.0] * 4]


def test_cash_is_declared_where_weights_need_not_sum_to_one() -> None:
    assert {name for name, t in TRANSFORMS.items() if t.holds_cash} == {
        "tanh",
        "softmax_cash",
        "long_short",
    }
    assert {name: t.extra_outputs for name, t in TRANSFORMS.items() if t.extra_outputs} == {
        "softmax_cash": 1
    }


@pytest.mark.parametrize("name", TRANSFORMS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    z = Z.clone().requires_grad_()
    assert torch.autograd.gradcheck(TRANSFORMS[name].function, (z,))


MEMBERS = torch.tensor([[1, 0, 1], [1, -1, -2], [0, 0, -1]])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_only_members_get_weight_and_only_their_outputs_a_gradient(name: str) -> None:
    transform = TRANSFORMS[name]
    outputs = torch.linspace(-2.0, 3.0, 3 * (3 + transform.extra_outputs))
    z = outputs.view(3, -1).requires_grad_()
    actions = transform.function(z, MEMBERS)
    assert actions.shape == (3, 3)
    assert (actions[MEMBERS != 1] == 0).all()
    assert (actions[MEMBERS == 1] != 0).all()
    (slope,) = torch.autograd.grad((actions * torch.arange(1.0, 10.0).view(3, 3)).sum(), z)
    assert (slope[:, :3][MEMBERS != 1] == 0).all()
    assert slope.isfinite().all()


def test_softmax_over_members_is_fully_invested_where_there_is_one() -> None:
    z = torch.randn(3, 3, dtype=torch.float64)
    sums = TRANSFORMS["softmax"].function(z, MEMBERS).sum(-1)
    torch.testing.assert_close(sums, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_how_somebody_cannot_be_held_tells_a_policy_nothing(name: str) -> None:
    # Whether a missing price is a halt or an end shows only later.
    transform = TRANSFORMS[name]
    z = torch.randn(3, 3 + transform.extra_outputs)
    same = torch.where(MEMBERS == 1, 1, 0)
    assert torch.equal(transform.function(z, MEMBERS), transform.function(z, same))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.1, 0.3), (-7.3, 1e6), (1e-9, 2e-9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_output_however_hostile_leaves_the_bounds(
    low: float, high: float, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(0)
    hostile = [0.0, -0.0, 1e38, -1e38, 104.0, -104.0, 17.0, -17.0, *(30 * rng.normal(size=5000))]
    z = torch.tensor(hostile, dtype=dtype).requires_grad_()
    actions = bounded(z, low=low, high=high)
    bounds = torch.tensor([low, high], dtype=dtype)
    assert (actions >= bounds[0]).all() and (actions <= bounds[1]).all()
    (slope,) = torch.autograd.grad(actions.sum(), z)
    assert slope.isfinite().all() and (slope >= 0).all() and slope[0] == (high - low) / 4
    if (low, high) == (0.0, 1.0):
        assert torch.equal(actions, TRANSFORMS["sigmoid"].function(z))


def test_bounded_gradients_are_those_of_finite_differences() -> None:
    z = Z.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: bounded(z, low=-2.0, high=0.5), (z,))
    options = HISSOOptions(primary_transform="bounded", low=-2.0, high=0.5)
    expected = -2.0 + 2.5 * torch.sigmoid(Z)
    torch.testing.assert_close(transform_of(options).function(Z), expected)
