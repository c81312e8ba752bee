from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from draws import normal
from psann.nn.host_pass import _half_sine
from psann.nn.network import Network
from psann.nn.settled import in_double
from psann.nn.sine import SineParam
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from tiny_training import N_IN, dense, residual, wave

UNITS: dict[str, dict[str, Any]] = {
    "tanh": {"units": UnitOptions(kind="tanh")},
    "relu": {"units": UnitOptions(kind="relu")},
    "damped": {},
    "no damping": {"units": UnitOptions(params={"damping_mode": "none"})},
    "one-sided damping": {"units": UnitOptions(params={"damping_mode": "relu", "damping": 2.0})},
    "bounds": {"units": UnitOptions(params={"bounds": {"frequency": (0.9, 1.1)}})},
    "other first units": {"first_units": UnitOptions(params={"frequency": 7.0})},
    "w0": {"w0": 30.0},
    "one layer": {"hidden_layers": 1},
}


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("n_rows", [1, 500])
def test_outputs_are_those_of_torch_in_double_up_to_rounding(units: str, n_rows: int) -> None:
    network = dense(**{"hidden_layers": 3, "hidden_units": 9} | UNITS[units])
    rng = np.random.default_rng(0)
    with torch.no_grad():  # no two units alike
        for parameter in network.parameters():
            parameter.add_(torch.from_numpy(rng.uniform(0.0, 0.3, parameter.shape)))
    rows = normal(n_rows, N_IN, seed=1).double()
    given = rows.clone()
    on_host = in_double(network).on_host
    assert on_host is not None
    with torch.no_grad():
        expected = copy.deepcopy(network).double()(rows).numpy()
    np.testing.assert_allclose(on_host(rows.numpy()), expected, rtol=0, atol=3e-13)
    assert torch.equal(rows, given)


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e3, 1e15])
def test_the_sine_by_a_tangent_is_the_sine(size: float) -> None:
    z = size * np.linspace(-1.0, 1.0, 5001)
    np.testing.assert_allclose(2 * _half_sine(z.copy()), np.sin(2 * z), rtol=0, atol=3e-16)


@pytest.mark.parametrize("has_avx512", [False, True])
def test_functions_of_few_and_of_many_are_one(
    has_avx512: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psann.nn.host_pass._HAS_AVX512", has_avx512)
    on_host = in_double(dense(hidden_units=64)).on_host
    rows = normal(40, N_IN).double().numpy()
    assert on_host is not None
    alone = np.vstack([on_host(row[None]) for row in rows])
    np.testing.assert_allclose(alone, on_host(rows), rtol=0, atol=1e-14)


class Twice(SineParam):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(z)


class Shifted(nn.Linear):
    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return super().forward(h) + 1.0


def _with_class(network: Network, path: str, cls: type[nn.Module]) -> Network:
    network.get_submodule(path).__class__ = cls
    return network


def _hooked(network: Network) -> Network:
    network.head.register_forward_hook(lambda *given: 2 * given[2])
    return network


def _without_bias(network: Network) -> Network:
    network.head.bias = None
    return network


OTHERS: dict[str, Callable[[], Network]] = {
    "residual": residual,
    "wave": wave,
    "stateful": lambda: dense(state=StateOptions(init=0.7)),
    "a unit of another kind": lambda: _with_class(dense(), "activations.0.0", Twice),
    "a map of another kind": lambda: _with_class(dense(), "linears.0", Shifted),
    "a head of another kind": lambda: _with_class(dense(), "head", Shifted),
    "a head without bias": lambda: _without_bias(dense()),
    "a hook": lambda: _hooked(dense()),
    "half precision": lambda: dense().bfloat16(),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_only_torch_knows_is_left_to_torch(other: str) -> None:
    assert in_double(OTHERS[other]()).on_host is None
