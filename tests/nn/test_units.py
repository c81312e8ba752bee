"""What stands behind a linear map: nonlinearity, state, and the factor before them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from draws import normal
from psann.nn.sine import SineParam
from psann.nn.state import FeatureState, StateOptions
from psann.nn.units import UnitOptions, pre_activation


def test_units_are_sines_without_memory_by_default() -> None:
    units = UnitOptions()
    assert isinstance(units.activation(3), SineParam)
    x = normal(2, 3)
    assert torch.equal(units.memory(3)(x), x)
    assert not list(units.memory(3).buffers())


def test_units_take_another_kind_and_parameters() -> None:
    assert isinstance(UnitOptions(kind="tanh").activation(3), nn.Tanh)
    assert UnitOptions(params={"learnable": ["damping"]}).activation(3).options.trained == (
        "damping",
    )


def test_a_state_makes_the_memory() -> None:
    memory = UnitOptions(state=StateOptions(init=2.0)).memory(3)
    assert isinstance(memory, FeatureState)
    assert torch.equal(memory(torch.ones(1, 3)), torch.full((1, 3), 2.0))


@pytest.mark.parametrize("w0", [1.0, 30.0])
def test_w0_multiplies_the_whole_pre_activation(w0: float) -> None:
    linear = nn.Linear(2, 1)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0]]))
        linear.bias.fill_(0.5)
    z = pre_activation(linear, torch.tensor([[3.0, -1.0]]), w0)
    assert z.item() == pytest.approx(w0 * 1.5)
