from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from draws import normal
from psann.nn.network import Network
from psann.nn.settled import in_double
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from tiny_training import N_IN, dense, residual, wave

X = normal(5, N_IN).double()
KINDS: dict[str, UnitOptions] = {
    "tanh": UnitOptions(kind="tanh"),
    "relu": UnitOptions(kind="relu"),
    "no damping": UnitOptions(params={"damping_mode": "none"}),
    "one-sided damping": UnitOptions(params={"damping_mode": "relu"}),
    "bounds": UnitOptions(params={"bounds": {"frequency": (0.9, 1.1)}}),
}
BODIES: dict[str, Callable[[], Network]] = {
    "dense": dense,
    "w0": lambda: dense(w0=3.0),
    "stateful": lambda: dense(state=StateOptions(init=0.7)),
    "residual": residual,
    "rms": lambda: wave(norm="rms"),
    "weight norm": lambda: wave(norm="weight"),
    **{name: lambda units=units: wave(units=units) for name, units in KINDS.items()},  # type: ignore[misc]
}


def outputs(network: Network) -> Tensor:
    with torch.no_grad():
        return in_double(network).module(X)  # type: ignore[no-any-return]


def of_a_copy(network: Network) -> Tensor:
    """The same by torch's own means."""
    with torch.no_grad():
        return copy.deepcopy(network).double()(X)  # type: ignore[no-any-return]


@pytest.mark.parametrize("body", BODIES)
def test_the_bits_are_those_of_the_network_in_double_and_the_network_stays(body: str) -> None:
    network = BODIES[body]()
    tensors = [*network.parameters(), *network.buffers()]
    given, staged = X.clone(), [getattr(m, "staged", None) for m in network.modules()]
    got, again = outputs(network), outputs(network)
    assert got.dtype == torch.float64 and not got.requires_grad and torch.equal(X, given)
    assert torch.equal(got, of_a_copy(network)) and torch.equal(again, got)
    now = [*network.parameters(), *network.buffers()]
    assert all(a is b and b.dtype == torch.float32 for a, b in zip(tensors, now, strict=True))
    assert [getattr(m, "staged", None) for m in network.modules()] == staged


def test_a_context_is_passed_on() -> None:
    network, context = wave(n_context=2), normal(5, 2, seed=1).double()
    with torch.no_grad():
        got = in_double(network).module(X, context)
        assert torch.equal(got, copy.deepcopy(network).double()(X, context))


def test_it_is_prepared_once_while_nothing_changes() -> None:
    network = wave(norm="weight")
    assert in_double(network) is in_double(network)
    assert in_double(copy.deepcopy(network)) is not in_double(network)


def _replaced_weight(network: Any) -> None:
    network.head.weight = nn.Parameter(2 * network.head.weight.detach())


def _turned_weight(network: Any) -> None:
    network.linears[1].weight.data = network.linears[1].weight.data.t()


def _written_memory(network: Any) -> None:
    network.head.bias.detach().numpy()[0] = 3.0


def _loaded(network: Any) -> None:
    network.load_state_dict({k: 1.5 * t for k, t in network.state_dict().items()})


def _replaced_module(network: Any) -> None:
    network.activations[0] = nn.Tanh()


def _hooked(network: Any) -> None:
    network.head.register_forward_hook(lambda *given: 2 * given[2])


CHANGES: dict[str, Callable[[Any], object]] = {
    "an optimiser": lambda network: torch.no_grad()(network.head.weight.mul_)(2.0),
    "data": lambda network: network.head.weight.data.mul_(2.0),
    "the shape of a unit": lambda network: network.activations[0][0].frequency.data.add_(1.0),
    "a state": lambda network: network.activations[0][1].state.mul_(2.0),
    "memory": _written_memory,
    "a file": _loaded,
    "a parameter": _replaced_weight,
    "strides alone": _turned_weight,
    "an attribute": lambda network: setattr(network, "w0", 2.0),
    "a module": _replaced_module,
    "a hook": _hooked,
    "a hook of a unit": lambda network: network.activations[0][0].register_forward_hook(
        lambda *given: 2 * given[2]
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_network_changes_the_outputs_however_it_is_done(change: str) -> None:
    network = dense(state=StateOptions(init=0.7), hidden_layers=2)
    before = outputs(network)
    CHANGES[change](network)
    after = outputs(network)
    assert not torch.equal(after, before) and torch.equal(after, of_a_copy(network))


def test_an_epoch_changes_the_outputs() -> None:
    network = wave(w0_warmup_epochs=4, progressive_depth_initial=1, progressive_depth_interval=1)
    for epoch in (1, 2, 5):
        network.set_epoch(epoch)
        assert torch.equal(outputs(network), of_a_copy(network))


def test_a_subclass_of_a_unit_computes_what_it_says() -> None:
    network = dense()

    class Twice(type(network.activations[0][0])):  # type: ignore[misc]
        def forward(self, z: Tensor) -> Tensor:
            return 2 * super().forward(z)  # type: ignore[no-any-return]

    network.activations[0][0].__class__ = Twice
    assert torch.equal(outputs(network), of_a_copy(network))


def _answer(holder: Network, *_: Any) -> None:
    assert holder.w0  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_hooked", [False, True])
def test_nothing_is_kept_of_a_network_that_is_gone_nor_written_with_it(is_hooked: bool) -> None:
    network = dense()
    if is_hooked:
        network.head.register_forward_hook(partial(_answer, network))
    else:
        size = len(pickle.dumps(network))
        outputs(network)
        assert len(pickle.dumps(network)) == size
    outputs(network)
    seen = weakref.ref(network)
    del network
    gc.collect()
    assert seen() is None


def test_many_threads_get_the_same_and_leave_the_network_as_it_was() -> None:
    network = wave(norm="weight")
    expected = of_a_copy(network)

    def work(_: int) -> bool:
        return all(torch.equal(outputs(network), expected) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_a_network_in_half_precision_is_prepared_each_time() -> None:
    network = dense().bfloat16()
    assert torch.equal(outputs(network), of_a_copy(network))
    network.head.weight.data.mul_(2.0)
    assert torch.equal(outputs(network), of_a_copy(network))
    assert np.isfinite(outputs(network).numpy()).all()
