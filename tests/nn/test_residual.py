"""The residual body: sizes, the formula of a block, and where its weights begin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from draws import normal
from psann.nn.residual import ResidualNetwork
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions


def residual(n_in: int = 4, n_out: int = 3, **options: Any) -> ResidualNetwork:
    settings = {
        "hidden_layers": 1,
        "hidden_units": 8,
        "w0": 1.0,
        "residual_alpha_init": 0.25,
        "units": UnitOptions(),
    }
    return ResidualNetwork(n_in, n_out, **{**settings, **options}, rng=np.random.default_rng(0))


def rms_norm(h: torch.Tensor) -> torch.Tensor:
    return h / (h.square().mean(-1, keepdim=True) + torch.finfo(h.dtype).eps).sqrt()


@pytest.mark.parametrize(("blocks", "expected"), [(1, 276), (3, 276 + 2 * 201)])
def test_the_number_of_parameters_is_the_published_one(blocks: int, expected: int) -> None:
    assert sum(p.numel() for p in residual(hidden_layers=blocks).parameters()) == expected


@pytest.mark.parametrize("w0", [1.0, 5.0])
def test_outputs_are_those_of_the_formula(w0: float) -> None:
    network = residual(hidden_layers=2, w0=w0, units=UnitOptions(kind="tanh"))
    x = normal(6, 4)
    h = network.stem(x)
    for block in network.blocks:
        inner = torch.tanh(w0 * block.fc1(rms_norm(h)))
        h = h + 0.25 * torch.tanh(w0 * block.fc2(inner))
    torch.testing.assert_close(network(x), network.head(rms_norm(h)))


def test_each_block_has_a_scalar_alpha_that_starts_where_it_is_told() -> None:
    network = residual(hidden_layers=3, residual_alpha_init=0.125)
    assert [block.alpha.shape for block in network.blocks] == [torch.Size([])] * 3
    assert {block.alpha.item() for block in network.blocks} == {0.125}


def test_blocks_with_an_alpha_of_zero_do_nothing() -> None:
    network = residual(hidden_layers=3, residual_alpha_init=0.0)
    x = normal(6, 4)
    assert torch.equal(network(x), network.head(network.norm(network.stem(x))))


@pytest.mark.parametrize("w0", [1.0, 30.0])
def test_initial_weights_are_sirens(w0: float) -> None:
    network = residual(n_in=16, n_out=64, hidden_units=64, w0=w0)
    block = network.blocks[0]
    hidden = math.sqrt(6 / 64) / w0
    for layer, bound in (
        (network.stem, 1 / 16),
        (block.fc1, hidden),
        (block.fc2, hidden),
        (network.head, hidden),
    ):
        assert 0.98 * bound < layer.weight.abs().max() <= bound


def test_blocks_remember_where_there_is_a_state() -> None:
    network = residual(hidden_layers=2, units=UnitOptions(state=StateOptions(init=3.0)))
    assert {name for name, _ in network.named_buffers()} == {
        "blocks.0.memory.state",
        "blocks.1.memory.state",
    }
    thrice = residual(hidden_layers=2, residual_alpha_init=0.75)
    x = normal(6, 4)
    torch.testing.assert_close(network(x), thrice(x))
