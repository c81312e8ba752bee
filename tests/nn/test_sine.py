"""The sine unit: values by hand, gradients, options; and the weights that it is fed with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from psann.nn.sine import (
    SineOptions,
    SineParam,
    activation,
    first_frequencies,
    initialised_linear,
    weight_bound,
)

# hisso.md, section 6: z = [.5, -1, 2] with the default initial values.
Z = torch.tensor([[0.5, -1.0, 2.0]])
CHECK_VALUES = {
    "abs": [0.456044, -0.761395, 0.744469],
    "relu": [0.456044, -0.841471, 0.744469],
    "none": [0.479426, -0.841471, 0.909297],
}
MODES = sorted(CHECK_VALUES)


def unit(features: int = 3, **options: Any) -> SineParam:
    return SineParam(features, SineOptions.model_validate(options))


@pytest.mark.parametrize("mode", MODES)
def test_the_unit_has_the_published_check_values(mode: str) -> None:
    torch.testing.assert_close(
        unit(damping_mode=mode)(Z).detach(), torch.tensor([CHECK_VALUES[mode]]), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("mode", MODES)
def test_initial_values_are_those_of_the_formula(mode: str) -> None:
    z = torch.linspace(-3, 3, 9)[:, None].expand(9, 3)
    damping = {} if mode == "none" else {"damping": 0.3}
    got = unit(amplitude=2.0, frequency=1.5, damping_mode=mode, **damping)(z).detach()
    distance = {"abs": z.abs(), "relu": z.clamp_min(0), "none": 0 * z}[mode]
    torch.testing.assert_close(got, 2.0 * torch.exp(-0.3 * distance) * torch.sin(1.5 * z))


@pytest.mark.parametrize("value", [1e-4, 0.1, 1.0, 30.0, 1000.0])
def test_initial_values_survive_the_inverse_softplus(value: float) -> None:
    built = unit(1, amplitude=value, frequency=value, damping=value)
    amplitude = nn.functional.softplus(built.amplitude).item()
    assert amplitude == pytest.approx(value, rel=1e-5)
    assert nn.functional.softplus(built.damping).item() == pytest.approx(value, rel=1e-5)
    assert nn.functional.softplus(built.frequency).item() + 1e-6 == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(("mode", "count"), [("abs", 15), ("relu", 15), ("none", 10)])
def test_every_feature_has_parameters_of_its_own(mode: str, count: int) -> None:
    built = unit(5, damping_mode=mode)
    assert sum(p.numel() for p in built.parameters()) == count
    first = torch.ones(1, 5)
    with torch.no_grad():
        before = built(first)
        built.amplitude[2] += 1.0
        moved = built(first) != before
    assert moved.tolist() == [[False, False, True, False, False]]


@pytest.mark.parametrize("mode", MODES)
def test_gradients_agree_with_finite_differences(mode: str) -> None:
    built = unit(damping_mode=mode, bounds={"frequency": [0.5, 2.0]}).double()
    rng = np.random.default_rng(0)
    z = torch.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    names = [name for name, _ in built.named_parameters()]
    raws = tuple(
        (p.detach() + torch.from_numpy(0.1 * rng.normal(size=3))).requires_grad_()
        for p in built.parameters()
    )

    def call(z: torch.Tensor, *raws: torch.Tensor) -> torch.Tensor:
        tensors = dict(zip(names, raws, strict=True))
        out: torch.Tensor = functional_call(built, tensors, (z,))
        return out

    assert torch.autograd.gradcheck(call, (z, *raws))


@pytest.mark.parametrize("learnable", [(), ("frequency",), ("amplitude", "damping")])
def test_only_what_is_learnable_is_a_parameter(learnable: tuple[str, ...]) -> None:
    built = unit(learnable=learnable)
    assert {name for name, _ in built.named_parameters()} == set(learnable)
    names = {"amplitude", "frequency", "damping"}
    assert {name for name, _ in built.named_buffers()} == names - set(learnable)
    torch.testing.assert_close(built(Z).detach(), unit()(Z).detach())


def test_bounds_clip_what_has_wandered_beyond_them() -> None:
    built = unit(1, damping_mode="none", bounds={"amplitude": (0.5, 2.0), "frequency": (0.9, 1.1)})
    z = torch.tensor([[0.7]])
    for raw, amplitude, frequency in ((100.0, 2.0, 1.1), (-100.0, 0.5, 0.9)):
        with torch.no_grad():
            built.amplitude.fill_(raw)
            built.frequency.fill_(raw)
            assert built(z).item() == pytest.approx(amplitude * math.sin(frequency * 0.7))


def test_the_frequency_never_vanishes() -> None:
    built = unit(1, damping_mode="none")
    with torch.no_grad():
        built.frequency.fill_(-1e4)
        assert built(torch.tensor([[1.0]])).item() == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amplitude": 0}, "amplitude\n.*greater than 0"),
        ({"amplitude": math.nan}, "amplitude\n"),
        ({"amplitude": 1e39}, "amplitude\n.*less than or equal to 1000000"),
        ({"frequency": 1e-7}, "frequency\\.number\n.*greater than 0.000001"),
        ({"damping": -1}, "damping\n.*greater than 0"),
        ({"damping_mode": "exp"}, "'abs', 'relu' or 'none'"),
        ({"learnable": ["phase"]}, "'amplitude', 'frequency' or 'damping'"),
        ({"learnable": "amplitude"}, "valid tuple"),
        ({"colour": 1}, "colour\n.*not permitted"),
        ({"bounds": {"amplitude": [2, 3]}}, r"0 <= low < its initial value 1 < high; got \[2, 3\]"),
        ({"bounds": {"amplitude": [1, 3]}}, r"got \[1, 3\]"),
        ({"bounds": {"damping": [-1, 3]}}, r"its initial value 0.1 < high; got \[-1, 3\]"),
        ({"bounds": {"amplitude": [0.5]}}, "bounds.amplitude"),
        ({"bounds": {"phase": [0, 3]}}, "bounds.phase"),
        ({"bounds": 3}, "bounds\n"),
        ({"learnable": ["damping"], "bounds": {"amplitude": [0, 3]}}, "bounds of amplitude have"),
        ({"damping_mode": "none", "damping": 0.1}, "damping has no effect with damping_mode none"),
        ({"damping_mode": "none", "bounds": {"damping": [0, 1]}}, "bounds of damping have no"),
        ({"damping_mode": "none", "learnable": ["damping"]}, "damping cannot learn with"),
    ],
)
def test_an_option_that_is_wrong_or_idle_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unit(**options)


def test_all_problems_of_the_options_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"damping has no effect.*; bounds of frequency must"):
        unit(damping_mode="none", damping=1, bounds={"frequency": [5, 6]})


# --- activations by name


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("psann", SineParam), ("tanh", nn.Tanh), ("relu", nn.ReLU)],
)
def test_an_activation_is_found_by_its_name(kind: str, expected: type) -> None:
    assert isinstance(activation(kind, 3), expected)


def test_parameters_reach_the_sine_unit_and_are_refused_by_the_others() -> None:
    built = activation("psann", 3, {"damping_mode": "none"})
    torch.testing.assert_close(built(Z).detach(), torch.sin(Z), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="apply to activation='psann'; got activation='tanh'"):
        activation("tanh", 3, {"amplitude": 2.0})


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="must be psann, tanh or relu; got 'gelu'"):
        activation("gelu", 3)


# --- initial weights


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"w0": 30.0, "kind": "psann", "is_first": True}, 1 / 50),
        ({"w0": 1.0, "kind": "psann", "is_first": True}, 1 / 50),
        ({"w0": 30.0, "kind": "psann"}, math.sqrt(6 / 50) / 30),
        ({"w0": 1.0, "kind": "psann"}, math.sqrt(6 / 50)),
        ({"w0": 30.0, "kind": "tanh", "is_first": True}, 1 / math.sqrt(50)),
        ({"w0": 30.0, "kind": "relu"}, 1 / math.sqrt(50)),
    ],
)
def test_weight_bounds_are_those_of_siren_for_sines(arguments: dict, expected: float) -> None:
    assert weight_bound(50, **arguments) == pytest.approx(expected)


def test_initial_weights_fill_the_interval_evenly() -> None:
    layer = initialised_linear(50, 400, bound=0.3, rng=np.random.default_rng(0))
    weights = layer.weight.detach()
    assert weights.shape == (400, 50)
    assert weights.dtype == torch.float32
    assert 0.299 < weights.max() <= 0.3
    assert -0.3 <= weights.min() < -0.299
    assert weights.var().item() == pytest.approx(0.3**2 / 3, rel=0.05)
    limit = 1 / math.sqrt(50)
    assert 0.97 * limit < layer.bias.max() <= limit
    assert -limit <= layer.bias.min() < -0.97 * limit


def test_initial_weights_depend_on_the_generator_alone() -> None:
    before = torch.get_rng_state()
    torch.manual_seed(1)
    first = initialised_linear(4, 3, bound=1.0, rng=np.random.default_rng(0))
    torch.manual_seed(2)
    second = initialised_linear(4, 3, bound=1.0, rng=np.random.default_rng(0))
    other = initialised_linear(4, 3, bound=1.0, rng=np.random.default_rng(1))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
    assert not torch.equal(first.weight, other.weight)
    torch.set_rng_state(before)
    initialised_linear(4, 3, bound=1.0, rng=np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_a_layer_has_a_shape_but_no_memory() -> None:
    layer = initialised_linear(10**6, 10**6, bound=1.0, rng=None, bias=False)
    assert layer.weight.is_meta
    assert layer.weight.shape == (10**6, 10**6)
    assert layer.bias is None


def test_frequencies_spread_from_slow_to_what_the_rows_can_tell() -> None:
    # 300 rows on a line: 60 at most; in the plane, pi / 2 * sqrt(300).
    assert first_frequencies(3, n_rows=300, n_in=1) == (pytest.approx((1, 60**0.5, 60)), (1.0,))
    fastest = math.pi / 2 * math.sqrt(300)
    assert first_frequencies(2, n_rows=300, n_in=2)[0] == pytest.approx((1.0, fastest))
    assert first_frequencies(1, n_rows=300, n_in=1)[0] == (1.0,)


def test_units_begin_nearly_linear_with_fewer_than_five_rows_along_each_axis() -> None:
    # 5^5 = 3125.
    assert first_frequencies(2, n_rows=3126, n_in=5)[0] == pytest.approx((1.0, 7.8545), abs=1e-3)
    assert first_frequencies(2, n_rows=3124, n_in=5) == ((0.5,), (0.5,))


def test_the_ratio_of_neighbours_is_the_same_everywhere() -> None:
    values = np.array(first_frequencies(64, n_rows=1000, n_in=2)[0])
    np.testing.assert_allclose(values[1:] / values[:-1], values[1] / values[0])


def test_a_list_gives_each_unit_its_frequency() -> None:
    built = unit(3, frequency=[0.5, 2.0, 40.0])
    values = nn.functional.softplus(built.frequency) + 1e-6
    torch.testing.assert_close(values.detach(), torch.tensor([0.5, 2.0, 40.0]))
    with pytest.raises(ValueError, match="frequency must be one number, or a list of 4"):
        unit(4, frequency=[0.5, 2.0, 40.0])
    with pytest.raises(ValueError, match=r"initial value 0\.5, 9 < high"):
        SineOptions(frequency=(0.5, 9.0), bounds={"frequency": (0.1, 5.0)})
    with pytest.raises(ValueError, match=r"greater than 0\.000001"):
        SineOptions(frequency=(0.5, 0.0))
