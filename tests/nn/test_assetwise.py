"""The body that is the same for every asset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from psann.nn.assetwise import AssetwiseNetwork
from psann.nn.network import NetworkShape
from psann.nn.units import UnitOptions

M, K = 5, 3


def network(
    hidden_layers: int = 2, pooling: Any = "none", *, kind: str = "tanh", **shape: Any
) -> AssetwiseNetwork:
    """A network whose head has been drawn, so that it says something."""
    made = AssetwiseNetwork(
        NetworkShape(n_in=M * K, n_out=M + shape.get("n_extra", 0), **shape),
        hidden_layers=hidden_layers,
        hidden_units=4,
        w0=1.5,
        pooling=pooling,
        units=UnitOptions(kind=kind),
        rng=np.random.default_rng(0),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return made


X = torch.from_numpy(np.random.default_rng(1).normal(size=(7, M, K))).float()


@pytest.mark.parametrize("n_extra", [0, 1])
@pytest.mark.parametrize("pooling", ["none", "mean"])
@pytest.mark.parametrize("hidden_layers", [0, 1, 2])
def test_permuting_the_assets_permutes_the_scores_and_leaves_that_of_cash(
    hidden_layers: int, pooling: str, n_extra: int
) -> None:
    body = network(hidden_layers, pooling, kind="psann", n_extra=n_extra)
    order = torch.tensor([3, 0, 4, 1, 2])
    scores, permuted = body(X.flatten(1)), body(X[:, order].flatten(1))
    assert scores.shape == (7, M + n_extra)
    torch.testing.assert_close(permuted[:, :M], scores[:, order])
    torch.testing.assert_close(permuted[:, M:], scores[:, M:])


def test_without_pooling_the_score_of_an_asset_depends_on_no_other() -> None:
    body = network()
    torch.testing.assert_close(body(X[:, 1:3].flatten(1)), body(X.flatten(1))[:, 1:3])


def test_scores_are_the_formula_of_the_layers() -> None:
    body = network(1, "mean")
    state = body.state_dict()
    mean = X.mean(dim=1, keepdim=True)
    own = X @ state["linears.0.weight"].T + state["linears.0.bias"]
    h = torch.tanh(1.5 * own + 1.5 * mean @ state["means.0.weight"].T)
    expected = h @ state["head.score.weight"][0] + state["head.score.bias"]
    expected = expected + h.mean(dim=1) @ state["head.mean.weight"].T
    torch.testing.assert_close(body(X.flatten(1)), expected)


def test_a_linear_score_that_softmax_reads_has_a_weight_for_each_feature_and_nothing_else() -> None:
    body = network(0, ignores_shift=True)
    assert [tuple(p.shape) for p in body.parameters()] == [(1, K)]


def test_the_score_of_cash_keeps_its_bias() -> None:
    body = network(0, n_extra=1, ignores_shift=True)
    assert sorted(name for name, _ in body.named_parameters()) == [
        "head.cash.bias",
        "head.cash.weight",
        "head.score.weight",
    ]


def test_the_head_begins_at_zero() -> None:
    shape = NetworkShape(n_in=M * K, n_out=M)
    options: Any = {"hidden_layers": 1, "hidden_units": 4, "w0": 1.0, "pooling": "mean"}
    units = UnitOptions(kind="relu")
    body = AssetwiseNetwork(shape, units=units, rng=np.random.default_rng(0), **options)
    assert not body(X.flatten(1)).any()


def test_every_weight_counts_once_for_each_asset() -> None:
    body = network(2)
    assert body.n_products == M * sum(p.numel() for p in body.parameters())
    assert body.width == M * 4


def test_pooling_that_cannot_be_seen_is_refused() -> None:
    with pytest.raises(ValueError, match="softmax does not see"):
        network(0, "mean", ignores_shift=True)


def test_features_that_are_no_multiple_of_the_assets_are_refused() -> None:
    with pytest.raises(ValueError, match="X has 7 features, which is no multiple of 2 assets"):
        AssetwiseNetwork(
            NetworkShape(n_in=7, n_out=2),
            hidden_layers=0,
            hidden_units=1,
            w0=1.0,
            pooling="none",
            units=UnitOptions(),
            rng=None,
        )
