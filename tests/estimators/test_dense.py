from __future__ import annotations

import numpy as np
import pytest
import torch

from planted import planted, quick
from psann import PSANNRegressor
from psann.nn.dense import DenseNetwork
from psann.nn.network import NetworkShape

X = planted(60)["X"]
X4 = np.column_stack([X, X[:, 0] ** 2])


def test_the_network_is_the_dense_one_of_the_parameters() -> None:
    model = quick(hidden_units=32).fit(X4, X)
    assert isinstance(model.network_, DenseNetwork)
    assert sum(p.numel() for p in model.network_.parameters()) == 355
    assert len(quick(hidden_layers=3).fit(X, X).network_.linears) == 3


def test_predictions_are_those_of_the_formula() -> None:
    model = quick(activation="tanh", w0=2.0).fit(X, X)
    tensors = {name: t.double().numpy() for name, t in model.network_.state_dict().items()}
    hidden = np.tanh(
        2.0 * (X.astype(np.float32) @ tensors["linears.0.weight"].T + tensors["linears.0.bias"])
    )
    expected = hidden @ tensors["head.weight"].T + tensors["head.bias"]
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-12)


def test_sine_units_reach_the_network() -> None:
    model = quick(activation_params={"learnable": ["frequency"], "damping_mode": "none"}).fit(X, X)
    names = [name for name, _ in model.network_.named_parameters()]
    assert [name for name in names if "frequency" in name]
    assert not [name for name in names if "amplitude" in name or "damping" in name]


def test_only_stateful_networks_have_states() -> None:
    def states(**params: object) -> list[str]:
        return [n for n in quick(**params).fit(X, X).network_.state_dict() if n.endswith("state")]

    assert states() == []
    assert len(states(stateful=True, hidden_layers=2)) == 2


def test_the_first_weights_depend_on_the_seed_alone() -> None:
    def first(seed: int) -> torch.Tensor:
        network = PSANNRegressor()._build_network(
            NetworkShape(n_in=3, n_out=2), np.random.default_rng(seed)
        )
        return torch.cat([p.detach().reshape(-1) for p in network.parameters()])

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


def test_a_context_is_refused() -> None:
    with pytest.raises(ValueError, match="PSANNRegressor takes no context"):
        quick().fit(X, X, context=X[:, :1])
