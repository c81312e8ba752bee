"""One policy for every asset: layouts, other universes, scales, files, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from psann import AssetwiseRegressor
from psann.hisso.options import HISSOOptions

M, K, N = 4, 3, 240
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(N, M, K))
Y = np.sin(X[..., 0]) - 0.5 * X[..., 1]
RETURNS = 0.02 * GENERATOR.normal(size=(N, M))
# What moves next is foretold by the first feature, for every asset alike.
PRICES = np.exp(np.vstack([np.zeros(M), np.cumsum(RETURNS + 0.01 * X[..., 0], axis=0)[:-1]]))
HISSO: dict[str, Any] = {"window": 20, "batch_episodes": 4}


def shared(**params: Any) -> AssetwiseRegressor:
    return AssetwiseRegressor(**{"epochs": 20, "lr": 2e-2, "random_state": 0, **params})


def policy(**params: Any) -> AssetwiseRegressor:
    return shared(**params).fit(X, prices=PRICES, hisso=HISSO)


def test_a_shared_rule_is_learnt_and_holds_for_assets_that_were_never_seen() -> None:
    model = shared(hidden_layers=1, epochs=25, lr=5e-2).fit(X[:, :2], Y[:, :2])
    assert model.score(X[:, 2:], Y[:, 2:]) > 0.95


@pytest.mark.parametrize("layout", ["asset_major", "feature_major"])
def test_a_table_with_its_layout_is_the_array(layout: Any) -> None:
    array = X if layout == "asset_major" else X.swapaxes(1, 2)
    table = np.ascontiguousarray(array).reshape(N, -1)
    of_table = shared(layout=layout, scaler="standard", epochs=4).fit(table, Y)
    of_array = shared(scaler="standard", epochs=4).fit(X, Y)
    np.testing.assert_array_equal(of_table.predict(table), of_array.predict(X))


def test_a_table_without_a_layout_is_refused_with_the_cure_that_works() -> None:
    with pytest.raises(ValueError, match=r"shape \(n_samples, 4, 3\), or set layout="):
        shared().fit(X.reshape(N, -1), Y)
    shared(layout="asset_major").fit(X.reshape(N, -1), Y)


@pytest.mark.parametrize(
    ("rows", "y", "message"),
    [
        (X.reshape(N, M, K, 1), Y, r"\(n_samples, M, K\)"),
        (X.reshape(N, -1)[:, 1:], Y, "as many features for each of the 4 assets"),
        (X, Y[:, 1:], "an asset for each of the 3 columns"),
    ],
)
def test_rows_that_do_not_fit_the_assets_are_refused(rows: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shared(layout="asset_major").fit(rows, y)


def test_permuting_the_assets_permutes_the_actions() -> None:
    order = [2, 0, 3, 1]
    model = policy(hidden_layers=1, pooling="mean")
    np.testing.assert_allclose(
        model.predict_actions(X[:, order]), model.predict_actions(X)[:, order], atol=1e-12
    )


def test_a_policy_acts_on_more_and_fewer_assets_and_is_judged_there() -> None:
    model = policy()
    few = model.predict_actions(X[:, :2])
    many = model.predict_actions(np.concatenate([X, X], axis=1))
    assert (few.shape, many.shape) == ((N, 2), (N, 2 * M))
    np.testing.assert_allclose(few.sum(axis=1), 1.0)
    np.testing.assert_allclose(many[:, :M], model.predict_actions(X) / 2, atol=1e-12)
    assert np.isfinite(model.evaluate_reward(X[:, :2], PRICES[:, :2]))
    with pytest.raises(ValueError, match="prices must have 2 columns"):
        model.evaluate_reward(X[:, :2], PRICES)


def test_assets_of_other_names_are_judged_by_their_own_features() -> None:
    pd = pytest.importorskip("pandas")
    model = shared().fit(X, prices=pd.DataFrame(PRICES, columns=list("ABCD")), hisso=HISSO)
    others = pd.DataFrame(PRICES, columns=list("EFGH"))
    assert model.evaluate_reward(X, others) == model.evaluate_reward(X, PRICES)
    # Of the same names in another order the order is known.
    turned = pd.DataFrame(PRICES[:, ::-1], columns=list("DCBA"))
    assert model.evaluate_reward(X, turned) == model.evaluate_reward(X, PRICES)
    assert model.evaluate_reward(X[:, :2], others[["E", "F"]]) == model.evaluate_reward(
        X[:, :2], PRICES[:, :2]
    )


def test_training_goes_on_with_other_assets_from_the_weights_of_the_first() -> None:
    model = policy(warm_start=True)
    before = model.predict_actions(X[:, :3])
    model.set_params(epochs=1, lr=1e-12).fit(X[:, :3], prices=PRICES[:, :3], hisso=HISSO)
    assert (model.n_outputs_, model.n_features_in_, model.input_shape_) == (3, 9, (3, K))
    np.testing.assert_allclose(model.predict_actions(X[:, :3]), before, atol=1e-7)
    np.testing.assert_allclose(model.predict_actions(X).sum(axis=1), 1.0)
    with pytest.raises(ValueError, match="must have the shape"):
        model.fit(X[:, :, :2], prices=PRICES, hisso=HISSO)


def test_rows_of_other_features_are_refused_at_prediction() -> None:
    with pytest.raises(ValueError, match=r"must have the shape \(4, 3\)"):
        policy().predict(X[:, :, :2])


def test_scales_are_those_of_all_assets_together() -> None:
    model = shared(scaler="standard").fit(X, Y)
    np.testing.assert_allclose(model.scaler_.mean_, X.reshape(-1, K).mean(axis=0))
    assert model.predict(X[:, :1]).shape == (N, 1)


def test_the_first_policy_is_one_over_n_and_training_leaves_it() -> None:
    first = policy(epochs=1, lr=1e-12).predict_actions(X)
    np.testing.assert_allclose(first, 1 / M, atol=1e-9)
    trained = policy()
    assert trained.evaluate_reward(X, PRICES) > 0.004


def test_seeds_of_a_linear_score_agree() -> None:
    actions = [policy(random_state=seed).predict_actions(X) for seed in (0, 1)]
    np.testing.assert_allclose(actions[0], actions[1], atol=0.1)


@pytest.mark.parametrize("transform", ["softmax", "softmax_cash", "long_short", "tanh"])
def test_every_transform_trains_and_a_file_gives_the_policy_again(transform: Any) -> None:
    options = HISSOOptions(primary_transform=transform, **HISSO)
    model = shared(hidden_layers=1, pooling="mean", scaler="standard", epochs=3)
    model.fit(X, prices=PRICES, hisso=options)
    again = AssetwiseRegressor.from_bytes(model.to_bytes())
    for rows in (X, X[:, :2]):
        np.testing.assert_array_equal(again.predict_actions(rows), model.predict_actions(rows))


def test_what_a_shared_network_has_not_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="stateful"):
        AssetwiseRegressor(stateful=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="context"):
        shared().fit(X, prices=PRICES, context=np.ones((N, 2)), hisso=HISSO)


def test_mixed_precision_on_a_processor_is_float32_and_says_so() -> None:
    plain = shared(device="cpu").fit(X, prices=PRICES, hisso=HISSO)
    with pytest.warns(UserWarning, match="mixed_precision"):
        mixed = shared(device="cpu").fit(X, prices=PRICES, hisso={**HISSO, "mixed_precision": True})
    np.testing.assert_array_equal(mixed.predict_actions(X), plain.predict_actions(X))


@pytest.mark.slow
def test_compiled_updates_are_the_eager_ones() -> None:
    actions = {
        engine: policy(hidden_layers=1, pooling="mean", engine=engine).predict_actions(X)
        for engine in ("eager", "compiled")
    }
    np.testing.assert_allclose(actions["compiled"], actions["eager"], atol=1e-4)


def test_pooling_over_assets_that_cannot_be_held_is_refused_with_the_cure_that_works() -> None:
    active = np.ones((N, M))
    active[:50, 3] = 0
    how: dict[str, Any] = {"prices": PRICES, "active": active, "hisso": HISSO}
    with pytest.raises(ValueError, match="Write pooling='none'"):
        shared(hidden_layers=1, pooling="mean").fit(X, **how)
    cash = {**how, "hisso": {**HISSO, "primary_transform": "softmax_cash"}}
    with pytest.raises(ValueError, match="a primary_transform without cash"):
        shared(hidden_layers=1).fit(X, **cash)
    with pytest.raises(ValueError, match="active has assets that cannot be held"):
        policy(hidden_layers=1, pooling="mean").predict_actions(X, active=active)
    actions = shared(hidden_layers=1).fit(X, **how).predict_actions(X, active=active)
    assert not actions[:50, 3].any()
