"""Losses by hand, against closed forms, and at the edges of float32."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from psann.losses import LOSSES, log_cosh

ERRORS = [-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]
BY_HAND = {
    "mse": [9.0, 1.0, 0.25, 0.0, 0.25, 1.0, 9.0],
    "mae": [3.0, 1.0, 0.5, 0.0, 0.5, 1.0, 3.0],
    "huber": [2.5, 0.5, 0.125, 0.0, 0.125, 0.5, 2.5],
    "log_cosh": [math.log(math.cosh(e)) for e in ERRORS],
}
TARGETS = torch.tensor([10.0, -2.0, 0.0, 1.0, 3.0, 0.5, -7.0], dtype=torch.float64)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_has_the_values_computed_by_hand(name: str) -> None:
    outputs = TARGETS + torch.tensor(ERRORS, dtype=torch.float64)
    got = LOSSES[name](outputs, TARGETS)
    torch.testing.assert_close(got, torch.tensor(BY_HAND[name], dtype=torch.float64))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_elementwise_zero_at_the_target_and_even_in_the_error(name: str) -> None:
    targets = torch.arange(6.0).reshape(2, 3)
    error = torch.tensor([[0.1, -0.2, 2.0], [5.0, -0.7, 0.0]])
    loss = LOSSES[name]
    assert loss(targets, targets).count_nonzero() == 0
    assert loss(targets + error, targets).shape == (2, 3)
    torch.testing.assert_close(loss(error, 0 * error), loss(-error, 0 * error))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_agree_with_finite_differences(name: str) -> None:
    # Away from the kinks of mae (0) and huber (1).
    errors = torch.tensor([-4.0, -0.9, -0.01, 0.02, 0.9, 4.0], dtype=torch.float64)

    def total(outputs: Tensor) -> Tensor:
        return LOSSES[name](outputs, torch.zeros_like(outputs)).sum()

    assert torch.autograd.gradcheck(total, errors.requires_grad_())


def test_log_cosh_neither_overflows_nor_loses_small_errors_in_float32() -> None:
    errors = torch.tensor([1e30, -1e5, 1e-3, -1e-4, 0.0], requires_grad=True)
    loss = log_cosh(errors, torch.zeros(5))
    loss.sum().backward()
    expected = torch.tensor([1e30, 1e5 - math.log(2), 5e-7, 5e-9, 0.0])
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-3, atol=0)
    gradient = torch.tensor([1.0, -1.0, 1e-3, -1e-4, 0.0])
    torch.testing.assert_close(errors.grad, gradient, rtol=1e-3, atol=0)
