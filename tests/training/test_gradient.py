"""Gradients are autograd's own, and a loss without any is told."""

from __future__ import annotations

import pytest
import torch

from psann.training.gradient import gradients


def test_each_leaf_has_its_gradient_and_nothing_is_left_of_the_one_before() -> None:
    a, b = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor(3.0, requires_grad=True)
    unused = torch.ones(2, requires_grad=True)
    # a b summed: the gradient in a is b, in b the sum of a.
    for _ in range(2):
        found = gradients((a * b).sum(), [a, unused, b])
        assert [g.tolist() for g in found] == [[[3.0, 3.0]], [0.0, 0.0], 3.0]
    # Losses of a group are summed.
    assert [g.tolist() for g in gradients((a * b)[0], [a])] == [[[3.0, 3.0]]]


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_loss_of_something_else_is_refused(requires_grad: bool) -> None:
    leaves = [torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)]
    with pytest.raises(ValueError, match="does not depend on the network's outputs"):
        gradients(torch.ones((), requires_grad=requires_grad) * 2, leaves)


def test_a_loss_whose_parts_were_changed_in_place_is_refused_in_words() -> None:
    leaf = torch.ones(2, requires_grad=True)
    value = leaf.exp()
    loss = (value * value).sum()
    value += 1.0
    with pytest.raises(ValueError, match=r"has changed it in place\. Write x = x"):
        gradients(loss, [leaf])
