"""What all bodies share: shapes, rows by themselves, decay exceptions; one battery over all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from draws import normal
from psann.nn.dense import DenseNetwork
from psann.nn.network import Network
from psann.nn.residual import ResidualNetwork
from psann.nn.sine import SineParam
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from psann.nn.wave_resnet import WaveOptions, WaveResNet

Rng = np.random.Generator | None


def dense(rng: Rng, units: UnitOptions) -> Network:
    return DenseNetwork(4, 3, hidden_layers=2, hidden_units=8, w0=1.5, units=units, rng=rng)


def residual(rng: Rng, units: UnitOptions) -> Network:
    return ResidualNetwork(
        4,
        3,
        hidden_layers=2,
        hidden_units=8,
        w0=1.5,
        residual_alpha_init=0.1,
        units=units,
        rng=rng,
    )


def wave(rng: Rng, units: UnitOptions, **options: Any) -> Network:
    wave_options = WaveOptions(hidden_layers=2, hidden_units=8, units=units, **options)
    return WaveResNet(4, 3, options=wave_options, rng=rng)


def wave_rms(rng: Rng, units: UnitOptions) -> Network:
    return wave(rng, units, norm="rms")


def wave_weight(rng: Rng, units: UnitOptions) -> Network:
    return wave(rng, units, norm="weight")


BODIES = [dense, residual, wave, wave_rms, wave_weight]
Body = Callable[..., Network]


@pytest.fixture(params=BODIES, ids=lambda body: body.__name__)
def body(request: pytest.FixtureRequest) -> Body:
    made: Body = request.param
    return made


def built(body: Body, seed: int = 0, **units: Any) -> Network:
    return body(np.random.default_rng(seed), UnitOptions(**units))


def test_outputs_have_one_row_per_input_row(body: Body) -> None:
    network = built(body)
    assert network(normal(7, 4)).shape == (7, 3)
    assert isinstance(network.head, nn.Linear)
    assert network.head.out_features == 3


def test_every_row_is_mapped_by_itself(body: Body) -> None:
    network = built(body)
    x = normal(7, 4)
    with torch.no_grad():
        alone = torch.cat([network(row[None]) for row in x])
        torch.testing.assert_close(network(x), alone)


@pytest.mark.parametrize("kind", ["psann", "tanh", "relu"])
def test_every_parameter_has_a_gradient(body: Body, kind: str) -> None:
    network = built(body, kind=kind)
    network(normal(64, 4)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.count_nonzero(), name


def test_weights_depend_on_the_generator_alone(body: Body) -> None:
    before = torch.get_rng_state()
    first, again, other = built(body), built(body), built(body, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert not torch.equal(first.head.weight, other.head.weight)


def test_without_a_generator_a_body_has_the_same_shapes_but_no_memory(body: Body) -> None:
    with torch.device("meta"):
        empty = body(None, UnitOptions(state=StateOptions()) if body is dense else UnitOptions())
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    for name, parameter in built(body).named_parameters():
        assert dict(empty.named_parameters())[name].shape == parameter.shape


def test_weight_decay_never_touches_sine_shapes_and_nothing_else(body: Body) -> None:
    network = built(body)
    shapes = {
        name
        for name, _ in network.named_parameters()
        if name.rpartition(".")[2] in ("amplitude", "frequency", "damping")
    }
    assert len(shapes) == 3 * sum(isinstance(m, SineParam) for m in network.modules())
    assert len(shapes) >= 6
    assert network.undecayed_parameters() == shapes
    assert built(body, kind="tanh").undecayed_parameters() == set()


def test_a_shape_that_does_not_learn_is_no_parameter_to_name(body: Body) -> None:
    network = built(body, params={"learnable": ["frequency"]})
    assert {name.rpartition(".")[2] for name in network.undecayed_parameters()} == {"frequency"}


def test_the_epoch_changes_nothing_without_a_warm_up(body: Body) -> None:
    network = built(body)
    x = normal(5, 4)
    with torch.no_grad():
        first = network(x)
        network.set_epoch(17)
        assert torch.equal(network(x), first)


def test_a_body_without_a_forward_pass_says_so() -> None:
    class Unfinished(Network):
        pass

    with pytest.raises(TypeError, match="Unfinished must define forward"):
        Unfinished()(torch.ones(1, 1))


def test_the_width_of_a_network_is_that_of_its_widest_layer_or_end() -> None:
    def width(n_in: int, n_out: int, **options: Any) -> int:
        settings = {"hidden_layers": 1, "hidden_units": 8, **options}
        return WaveResNet(
            n_in, n_out, options=WaveOptions(**settings), rng=np.random.default_rng(0)
        ).width

    assert [width(4, 3), width(40, 3), width(4, 30)] == [8, 40, 30]
    assert width(4, 3, n_context=2) == 16  # gains and shifts of every unit
