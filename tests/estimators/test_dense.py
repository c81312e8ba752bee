from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from planted import planted, quick
from psann import PSANNRegressor
from psann.nn.dense import DenseNetwork
from psann.nn.network import NetworkShape
from psann.nn.sine import SineParam

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


def _frequencies(model: PSANNRegressor) -> list[np.ndarray]:
    """What each hidden layer has now."""
    units = [m for m in model.network_.modules() if isinstance(m, SineParam)]
    return [np.log1p(np.exp(u.frequency.detach().double().numpy())) + 1e-6 for u in units]


# A rate of next to nothing, so that what is seen is what training began with.
def _begun(X: np.ndarray, y: np.ndarray, *, given: dict | None = None, **params) -> list:
    fit = {} if given is None else given
    still = {"lr": 1e-12, "epochs": 1, "hidden_layers": 2}
    return _frequencies(quick(**{**still, **params}).fit(X, y, **fit))


def test_a_fit_on_targets_begins_with_the_frequencies_that_suit_its_rows() -> None:
    line = np.linspace(-1, 1, 60)[:, None]
    first, second = _begun(line, line)
    np.testing.assert_allclose(first, np.geomspace(1.0, 60.0, 8), rtol=1e-5)
    np.testing.assert_allclose(second, 1.0, rtol=1e-5)
    for layer in _begun(X, X):  # 60 rows of 3 features: fewer than 5 along each axis
        np.testing.assert_allclose(layer, 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    "params",
    [
        {"w0": 2.0},
        {"activation_params": {"frequency": 1.0}},
        {"activation_params": {"bounds": {"frequency": [0.5, 2.0]}}},
        {"stateful": True},
    ],
)
def test_who_says_otherwise_is_heard(params: dict) -> None:
    for layer in _begun(X, X, **params):
        np.testing.assert_allclose(layer, 1.0, rtol=1e-5)


def test_a_policy_begins_with_the_frequency_1() -> None:
    prices = planted(60)["prices"]
    for layer in _begun(X, X, given={"prices": prices, "hisso": {"window": 8, "supervised": True}}):
        np.testing.assert_allclose(layer, 1.0, rtol=1e-5)


def test_a_list_of_frequencies_is_the_first_layers() -> None:
    listed = [0.5, 1, 2, 3, 5, 8, 13, 21]
    first, second = _begun(X, X, activation_params={"frequency": listed})
    np.testing.assert_allclose(first, listed, rtol=1e-5)
    np.testing.assert_allclose(second, 1.0, rtol=1e-5)
    with pytest.raises(ValueError, match="frequency must be one number, or a list of 8"):
        quick(activation_params={"frequency": listed[1:]}).fit(X, X)


def test_a_saved_estimator_keeps_its_frequencies(tmp_path: Path) -> None:
    for params in ({}, {"activation_params": {"frequency": [1.0] * 7 + [9.0]}}):
        model = quick(**params).fit(X, X)
        model.save(tmp_path / "model.safetensors")
        loaded = PSANNRegressor.load(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        np.testing.assert_array_equal(_frequencies(loaded)[0], _frequencies(model)[0])


def test_the_default_learns_fast_and_slow_waves_without_being_told() -> None:
    rng = np.random.default_rng(0)
    line = np.sort(rng.uniform(-1, 1, 300))[:, None]
    y = np.sin(30 * line[:, 0]) + 0.5 * np.sin(75 * line[:, 0])
    default = quick(hidden_units=64, epochs=30, lr=1e-2).fit(line[::2], y[::2])
    told = quick(hidden_units=64, epochs=30, lr=1e-2, activation_params={"frequency": 1.0})
    assert default.score(line[1::2], y[1::2]) > 0.8
    assert told.fit(line[::2], y[::2]).score(line[1::2], y[1::2]) < 0.3
