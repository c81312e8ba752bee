"""The state of a layer: its recursion by hand, and that a forward pass only proposes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from draws import normal
from psann.nn.dense import DenseNetwork
from psann.nn.state import (
    FeatureState,
    StateOptions,
    initial_states,
    take_staged_states,
)
from psann.nn.units import UnitOptions

# hisso.md, section 6.
Y = torch.tensor([[2.0, 0.5], [2.0, 1.5], [2.0, 1.0]])
CHECK_OPTIONS = StateOptions(rho=0.5, max_abs=10.0)
CHECK_STATE = [1.488850, 0.996680]


def test_the_next_state_has_the_published_check_value() -> None:
    layer = FeatureState(2, CHECK_OPTIONS)
    assert torch.equal(layer(Y), Y)
    torch.testing.assert_close(layer.staged, torch.tensor(CHECK_STATE), atol=1e-6, rtol=0)


def test_two_steps_are_those_computed_by_hand() -> None:
    layer = FeatureState(1, StateOptions(rho=0.9, beta=2.0, init=0.5, max_abs=3.0))
    state = 0.5
    for y in ([[1.0], [-3.0]], [[4.0], [0.0]]):
        out = layer(torch.tensor(y))
        torch.testing.assert_close(out, torch.tensor(y) * state)
        activity = sum(abs(state * row[0]) for row in y) / 2
        state = 3.0 * math.tanh((0.9 * state + 0.1 * 2.0 * activity) / 3.0)
        assert layer.staged.item() == pytest.approx(state)
        layer.load_state_dict({"state": layer.staged})


def test_the_mean_is_over_all_axes_but_the_features() -> None:
    flat, deep = FeatureState(2, CHECK_OPTIONS), FeatureState(2, CHECK_OPTIONS)
    y = normal(4, 3, 2)
    flat(y.reshape(12, 2))
    deep(y)
    torch.testing.assert_close(flat.staged, deep.staged)


def test_a_forward_pass_proposes_and_does_not_commit() -> None:
    layer = FeatureState(2, CHECK_OPTIONS)
    first = layer(Y)
    assert torch.equal(layer(Y), first)
    assert torch.equal(layer.state, torch.ones(2))


def test_no_gradient_flows_through_the_state() -> None:
    layer = FeatureState(2, CHECK_OPTIONS)
    y = Y.clone().requires_grad_()
    layer(y).sum().backward()
    assert torch.equal(y.grad, torch.ones(3, 2))
    assert not layer.staged.requires_grad


def test_the_state_stays_inside_its_limits() -> None:
    layer = FeatureState(1, StateOptions(rho=0.0, max_abs=2.0))
    layer(torch.full((1, 1), 1e6))
    assert layer.staged.item() == pytest.approx(2.0)


def test_states_are_named_like_the_buffers_of_the_network() -> None:
    units = UnitOptions(state=StateOptions(init=0.5))
    network = DenseNetwork(
        4, 3, hidden_layers=2, hidden_units=8, w0=1.0, units=units, rng=np.random.default_rng(0)
    )
    names = {name for name, _ in network.named_buffers()}
    assert take_staged_states(network) == {}
    network(normal(5, 4))
    staged = take_staged_states(network)
    assert set(staged) == set(initial_states(network)) == names
    assert not take_staged_states(network), "taken once"
    assert all(torch.equal(s, torch.full((8,), 0.5)) for s in initial_states(network).values())
    assert not any(torch.equal(s, torch.full((8,), 0.5)) for s in staged.values())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"rho": 1.5}, "rho\n"),
        ({"rho": -0.1}, "rho\n"),
        ({"beta": -1}, "beta\n"),
        ({"max_abs": 0}, "max_abs\n"),
        ({"init": 0}, r"init must not be 0.*got 0"),
        ({"init": 5}, r"must lie inside .* \(-5, 5\); got 5"),
        ({"init": math.nan}, "init\n"),
        ({"detach": False}, "detach\n"),
        ({"decay": 0.5}, "decay\n.*not permitted"),
    ],
)
def test_options_out_of_range_are_refused(state: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StateOptions.model_validate(state)


def test_options_have_the_defaults_of_the_design() -> None:
    assert StateOptions() == StateOptions(rho=0.95, beta=1.0, init=1.0, max_abs=5.0)
