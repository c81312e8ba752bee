"""The dense body: sizes, initial weights, and the factor in front of each sine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from draws import normal
from psann.nn.dense import DenseNetwork
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions


def dense(n_in: int = 4, n_out: int = 3, **options: Any) -> DenseNetwork:
    settings = {"hidden_layers": 1, "hidden_units": 32, "w0": 1.0, "units": UnitOptions()}
    return DenseNetwork(n_in, n_out, **{**settings, **options}, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("layers", "expected"), [(1, 355), (2, 355 + 32 * 32 + 32 + 3 * 32)])
def test_the_number_of_parameters_is_the_published_one(layers: int, expected: int) -> None:
    assert sum(p.numel() for p in dense(hidden_layers=layers).parameters()) == expected


def test_outputs_are_those_of_the_formula() -> None:
    network = dense(hidden_layers=2, w0=5.0, units=UnitOptions(kind="tanh"))
    first, second = network.linears
    x = normal(6, 4)
    h = torch.tanh(5.0 * (x @ first.weight.T + first.bias))
    h = torch.tanh(5.0 * (h @ second.weight.T + second.bias))
    torch.testing.assert_close(network(x), h @ network.head.weight.T + network.head.bias)


def test_w0_multiplies_the_pre_activations_of_sines() -> None:
    network = dense(w0=30.0, units=UnitOptions(params={"damping_mode": "none"}))
    x = normal(6, 4)
    h = torch.sin(30.0 * network.linears[0](x))
    torch.testing.assert_close(network(x), network.head(h), atol=1e-4, rtol=0)


@pytest.mark.parametrize("w0", [1.0, 30.0])
def test_initial_weights_are_sirens(w0: float) -> None:
    network = dense(n_in=16, n_out=64, hidden_layers=2, hidden_units=64, w0=w0)
    first, second = network.linears
    for layer, bound in (
        (first, 1 / 16),
        (second, math.sqrt(6 / 64) / w0),
        (network.head, math.sqrt(6 / 64) / w0),
    ):
        assert 0.98 * bound < layer.weight.abs().max() <= bound


@pytest.mark.parametrize("w0", [1.0, 30.0])
def test_the_signal_keeps_its_size_through_many_sine_layers(w0: float) -> None:
    # Without the factor in the forward pass, w0 = 30 would shrink it thirtyfold per layer.
    units = UnitOptions(params={"damping_mode": "none"})
    network = dense(n_in=8, hidden_layers=8, hidden_units=128, w0=w0, units=units)
    h = torch.rand(256, 8) * 2 - 1
    sizes = []
    with torch.no_grad():
        for linear, unit in zip(network.linears, network.activations, strict=True):
            h = unit(w0 * linear(h))
            sizes.append(float(h.std()))
    assert sizes[-1] > 0.5 * sizes[0]


def test_hidden_layers_remember_where_there_is_a_state() -> None:
    network = dense(hidden_layers=2, units=UnitOptions(state=StateOptions(init=2.0)))
    assert {name for name, _ in network.named_buffers()} == {
        "activations.0.1.state",
        "activations.1.1.state",
    }
    plain = dense(hidden_layers=2)
    x = normal(6, 4)
    h = 2.0 * plain.activations[0](plain.linears[0](x))
    h = 2.0 * plain.activations[1](plain.linears[1](h))
    torch.testing.assert_close(network(x), plain.head(h))
