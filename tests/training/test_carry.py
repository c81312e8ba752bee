from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from draws import normal
from psann.nn.network import Network
from psann.training.carry import (
    Carry,
    WeightLayout,
    choose,
    copied,
    over_seeds,
    stacked,
    unstacked,
)
from psann.training.optimizer import OptimizerState
from tiny_training import BODIES, same


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_flat_vector_holds_every_parameter_in_order(body: Callable[[], Network]) -> None:
    network = body()
    layout = WeightLayout.of(network)
    parameters = dict(network.named_parameters())
    flat = layout.flatten(parameters)
    assert flat.shape == (sum(p.numel() for p in network.parameters()),)
    assert not flat.requires_grad
    back = layout.unflatten(flat)
    assert list(back) == list(parameters)
    for name, tensor in back.items():
        assert torch.equal(tensor, parameters[name]), name
        assert tensor.shape == parameters[name].shape
        assert tensor.untyped_storage().data_ptr() == flat.untyped_storage().data_ptr()


def carry(seed: int) -> Carry:
    """Every tensor with values of its own."""
    weights, moment1, moment2, state = normal(4, 5, seed=seed)
    numbers = normal(3, seed=seed + 100)
    return Carry(
        weights=weights,
        optimizer=OptimizerState(moment1, moment2, numbers[0]),
        buffers={"act.state": state},
        scale=numbers[1],
        good_streak=numbers[2],
        is_frozen=torch.tensor(seed == 1),
    )


def test_a_group_has_its_seeds_as_first_axis_and_falls_apart_into_them() -> None:
    seeds = [carry(0), carry(1), carry(2)]
    group = stacked(seeds)
    assert group.weights.shape == (3, 5) and group.scale.tolist() == [c.scale for c in seeds]
    for ours, theirs in zip(unstacked(group), seeds, strict=True):
        assert same(ours, theirs)
        assert [ours.scale, ours.good_streak, ours.is_frozen] == [
            theirs.scale, theirs.good_streak, theirs.is_frozen
        ]  # fmt: skip
        assert same(copied(ours), theirs) and copied(ours).is_frozen == theirs.is_frozen


def test_a_copy_keeps_none_of_the_memory_of_its_group() -> None:
    of_one = unstacked(stacked([carry(0), carry(1), carry(2)]))[1]
    own = copied(of_one)
    tensors = [own.weights, *own.optimizer, *own.buffers.values(), *own[3:]]
    assert all(t.untyped_storage().nbytes() == t.numel() * t.itemsize for t in tensors)
    assert of_one.weights.untyped_storage().nbytes() == 3 * own.weights.untyped_storage().nbytes()


@pytest.mark.parametrize("is_accepted", [True, False])
def test_a_refused_carry_is_the_old_one_in_weights_optimiser_and_buffers(is_accepted: bool) -> None:
    new, old = carry(1), carry(2)
    chosen = choose(torch.tensor(is_accepted), new, old)
    assert same(chosen, new if is_accepted else old)
    assert chosen.scale is new.scale and chosen.is_frozen is new.is_frozen


def test_a_function_of_one_seed_is_lifted_to_all_and_none_stays_none() -> None:
    def scaled(x: Tensor, factor: Tensor, key: Tensor | None) -> Tensor:
        assert key is None and x.shape == (5,)
        return x * factor

    x, factors = normal(3, 5), normal(3, seed=1)
    assert torch.equal(over_seeds(scaled)(x, factors, None), x * factors[:, None])
