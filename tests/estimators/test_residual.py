from __future__ import annotations

import numpy as np
import pytest

from planted import fit_hisso, planted, quick
from psann import ResPSANNRegressor
from psann.nn.network import NetworkShape
from psann.nn.residual import ResidualNetwork

X = planted(60)["X"]
X4 = np.column_stack([X, X[:, 0] ** 2])


def test_the_network_is_the_residual_one_of_the_parameters() -> None:
    model = quick(ResPSANNRegressor).fit(X4, X)
    assert isinstance(model.network_, ResidualNetwork)
    assert sum(p.numel() for p in model.network_.parameters()) == 276
    assert len(quick(ResPSANNRegressor, hidden_layers=3).fit(X, X).network_.blocks) == 3


@pytest.mark.parametrize("alpha", [0.1, 0.0, -0.5])
def test_each_block_begins_with_the_given_alpha(alpha: float) -> None:
    model = ResPSANNRegressor(hidden_layers=3, residual_alpha_init=alpha)
    network = model._build_network(NetworkShape(n_in=3, n_out=2), np.random.default_rng(0))
    assert [block.alpha.item() for block in network.blocks] == pytest.approx([alpha] * 3)


def test_it_can_be_stateful() -> None:
    network = quick(ResPSANNRegressor, stateful=True, hidden_layers=2).fit(X, X).network_
    assert len([name for name in network.state_dict() if name.endswith("state")]) == 2


def test_it_learns_a_policy() -> None:
    model = fit_hisso(quick(ResPSANNRegressor, epochs=8, lr=2e-2), {"updates_per_epoch": 8})
    assert model.best_epoch_ > 0
    uniform = fit_hisso(quick(ResPSANNRegressor, epochs=1, lr=1e-9)).best_value_
    assert model.best_value_ > uniform + 0.01


def test_a_context_is_refused() -> None:
    with pytest.raises(ValueError, match="ResPSANNRegressor takes no context"):
        quick(ResPSANNRegressor).fit(X, X, context=X[:, :1])
