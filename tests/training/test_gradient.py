"""The gradient as one vector: autograd's own, laid end to end."""

from __future__ import annotations

import pytest
import torch

from psann.training.gradient import flat_gradient


def test_gradients_of_several_leaves_follow_one_another_and_one_keeps_its_shape() -> None:
    a, b = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor(3.0, requires_grad=True)
    unused = torch.ones(2, requires_grad=True)
    # a b summed: the gradient in a is b, in b the sum of a.
    assert flat_gradient((a * b).sum(), [a, unused, b]).tolist() == [3.0, 3.0, 0.0, 0.0, 3.0]
    assert flat_gradient((a * b).sum(), [a]).tolist() == [[3.0, 3.0]]
    # Losses of a group are summed, and nothing is left of the gradients before.
    assert flat_gradient((a * b)[0], [a]).tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_loss_of_something_else_is_refused(requires_grad: bool) -> None:
    leaves = [torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)]
    with pytest.raises(ValueError, match="does not depend on the network's outputs"):
        flat_gradient(torch.ones((), requires_grad=requires_grad) * 2, leaves)
