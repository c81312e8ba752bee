from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from planted import fit_hisso, planted, quick
from psann import AssetwiseRegressor, PSANNRegressor, WaveResNetRegressor
from psann.accounting import net_growth

ROWS = planted(120)
X, PRICES = ROWS["X"], ROWS["prices"]
Y = X[:, :2]


def test_predictions_have_the_shape_of_the_targets() -> None:
    assert quick().fit(X, Y[:, 0]).predict(X).shape == (120,)
    assert quick().fit(X, Y[:, :1]).predict(X).shape == (120, 1)
    assert quick().fit(X, Y).predict(X).shape == (120, 2)
    assert fit_hisso(quick()).predict(X).shape == (120, 3)


def test_predictions_are_in_the_units_of_the_targets() -> None:
    settings = {"epochs": 20, "lr": 4e-2, "scaler": "standard"}
    plain = quick(**settings, target_scaler="standard").fit(X, Y)
    moved = quick(**settings, target_scaler="standard").fit(X, 100.0 + 50.0 * Y)
    np.testing.assert_allclose(moved.predict(X), 100.0 + 50.0 * plain.predict(X), atol=1e-3)
    assert plain.score(X, Y) > 0.9


def test_a_row_is_predicted_the_same_in_whatever_company() -> None:
    model = quick().fit(X, Y)
    together = model.predict(X)
    order = np.random.default_rng(0).permutation(120)
    np.testing.assert_allclose(model.predict(X[order]), together[order], rtol=0, atol=1e-14)
    alone = np.vstack([model.predict(row[None]) for row in X[:5]])
    np.testing.assert_allclose(alone, together[:5], rtol=0, atol=1e-14)


def test_many_rows_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = quick(WaveResNetRegressor).fit(X, Y, context=X[:, :1])
    whole = model.predict(X, context=X[:, :1])
    monkeypatch.setattr("psann.nn.passes._CPU_BYTES", 64 * 8 * 8)
    calls = []
    model.network_.register_forward_hook(lambda *given: calls.append(given))
    many = np.tile(X, (3, 1))
    got = model.predict(many, context=many[:, :1])
    assert len(calls) == 5
    np.testing.assert_allclose(got, np.tile(whole, (3, 1)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("transform", ["softmax", "softmax_cash", "tanh", "long_short"])
def test_weights_are_finite_and_in_range_or_there_are_none(transform: str) -> None:
    model = quick()
    prices = np.exp(np.cumsum(np.full((len(X), 2), 0.01), axis=0))
    model.fit(X, prices=prices, hisso={"window": 4, "primary_transform": transform})
    for scale in (1.0, 1e6, 1e30):  # far beyond anything seen in training
        actions = model.predict_actions(X * scale)
        assert np.isfinite(actions).all() and (np.abs(actions) <= 1).all()
        if transform != "tanh":
            assert (np.abs(actions).sum(axis=1) <= 1 + 1e-12).all()
        if transform.startswith("softmax"):
            assert (actions >= 0).all()
    with torch.no_grad():
        model.network_.head.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"outputs are not finite for \d+ of \d+ rows, the first"):
        model.predict_actions(X)


def test_what_is_set_after_fit_counts_from_the_next_fit_on() -> None:
    images, rows = X[:24].reshape(12, 2, 3), X[:24]
    dense = quick().fit(images, rows[:12, 0])
    told = dense.predict(images)
    assert (dense.set_params(data_format="channels_last").predict(images) == told).all()
    assert (dense.fit(images, rows[:12, 0]).predict(images) != told).any()
    assets = quick(AssetwiseRegressor, layout="asset_major").fit(rows, rows[:, :1].repeat(3, 1))
    told = assets.predict(rows)
    assert (assets.set_params(layout="feature_major").predict(rows) == told).all()


def test_rows_without_the_names_of_fit_are_told_of() -> None:
    model = quick().fit(pd.DataFrame(X, columns=["a", "b", "c"]), Y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)


def test_actions_are_the_transformed_outputs() -> None:
    model = fit_hisso(quick(monitor="train_loss"))
    outputs = np.exp(model.predict(X))
    np.testing.assert_allclose(
        model.predict_actions(X), outputs / outputs.sum(1, keepdims=True), atol=1e-12
    )
    cash = fit_hisso(quick(), {"primary_transform": "softmax_cash"}).predict_actions(X)
    assert cash.shape == (120, 3) and (cash.sum(1) < 1).all()


def test_predicting_changes_nothing_and_nobody_elses_array() -> None:
    model = fit_hisso(quick(scaler="standard"))
    given = X.copy()
    before = model.to_bytes()
    for array in (given, given.astype(np.float32)):
        array.flags.writeable = False
        model.predict(array)
        model.predict_actions(array)
        model.evaluate_reward(array, PRICES)
    assert model.to_bytes() == before
    np.testing.assert_array_equal(given, X)


@pytest.mark.parametrize("method", ["predict", "predict_actions", "evaluate_reward"])
def test_nothing_can_be_asked_before_fit(method: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(quick(), method)(X)


def test_an_estimator_of_targets_has_no_actions() -> None:
    for hisso in (None, {"enabled": False}):
        model = quick().fit(X, Y, hisso=hisso)
        with pytest.raises(ValueError, match="was trained on targets and has no actions"):
            model.predict_actions(X)
        with pytest.raises(ValueError, match="was trained on targets"):
            model.evaluate_reward(X, PRICES)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (X[:, :2], "has 2 features, but PSANNRegressor is expecting 3"),
        (X.reshape(60, 2, 3), r"must have the shape \(3,\) of those in fit; got \(2, 3\)"),
        (X * np.nan, "NaN"),
        (X[:0], "0 sample"),
    ],
)
def test_rows_unlike_those_of_fit_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick().fit(X, Y).predict(rows)


def test_images_of_another_shape_are_refused() -> None:
    model = quick().fit(X.reshape(60, 2, 3), Y[:60])
    assert model.predict(X.reshape(60, 2, 3)).shape == (60, 2)
    with pytest.raises(ValueError, match=r"must have the shape \(2, 3\) of those in fit; got \(3"):
        model.predict(X.reshape(60, 3, 2))
    with pytest.raises(ValueError, match=r"got \(6,\)"):
        model.predict(X.reshape(60, 6))
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(X[:0].reshape(0, 2, 3))


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (None, "must have the 1 columns of that in fit; got 0"),
        (X[:, :2], "must have the 1 columns of that in fit; got 2"),
        (X[:5, :1], "context must have the 120 rows of X; got 5"),
        (X[:, :1] * np.inf, "context must be finite"),
        ([["a"]] * 120, "context must hold numbers"),
    ],
)
def test_a_context_unlike_that_of_fit_is_refused(context: Any, message: str) -> None:
    model = quick(WaveResNetRegressor).fit(X, Y, context=X[:, 0])
    assert model.predict(X, context=X[:, 0]).shape == (120, 2)
    with pytest.raises(ValueError, match=message):
        model.predict(X, context=context)


def test_a_context_that_fit_did_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="must have the 0 columns of that in fit; got 1"):
        quick(WaveResNetRegressor).fit(X, Y).predict(X, context=X[:, :1])


# ---------------------------------------------------------------- losses and rewards


@pytest.mark.parametrize(
    ("loss", "function"),
    [
        ("mse", lambda e: e**2),
        ("mae", np.abs),
        ("huber", lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5)),
        ("log_cosh", lambda e: np.log(np.cosh(e))),
        ("user_rewards:quartic", lambda e: e**4),
    ],
)
def test_the_loss_is_the_mean_over_rows_and_outputs(loss: str, function: Any) -> None:
    model = quick(loss=loss).fit(X, Y)
    expected = function(model.predict(X) - Y).mean()
    assert model.evaluate_loss(X, Y) == pytest.approx(expected, rel=1e-5)


def test_the_loss_reproduces_that_of_the_validation_pass() -> None:
    model = quick(target_scaler="standard").fit(X, 3 + Y, validation_data=(X[:50], 3 + Y[:50]))
    assert model.evaluate_loss(X[:50], 3 + Y[:50]) == pytest.approx(model.best_value_, rel=1e-5)


def test_the_loss_needs_targets_of_the_same_width() -> None:
    model = quick().fit(X, Y)
    with pytest.raises(ValueError, match="y must have 2 columns, one per output; got 1"):
        model.evaluate_loss(X, Y[:, :1])
    with pytest.raises(ValueError, match="requires y"):
        model.evaluate_loss(X, None)


def test_the_reward_is_that_of_the_actions_at_the_cost_asked_for() -> None:
    model = fit_hisso(quick(monitor="train_loss"), {"transition_penalty": 0.01})
    growth = net_growth(model.predict_actions(X), PRICES, initial="invested")
    for cost in (0.0, 0.005):
        expected = (np.log(growth.gross) - cost * growth.traded).mean()
        judged = model.evaluate_reward(
            X, PRICES, evaluation={"trans_cost": cost, "initial": "invested"}
        )
        assert judged == pytest.approx(expected, abs=1e-12)


def test_the_cost_and_first_holdings_of_fit_are_the_default() -> None:
    model = fit_hisso(
        quick(), {"transition_penalty": 0.01}, evaluation={"trans_cost": 0.02, "initial": "cash"}
    )
    asked = model.evaluate_reward(X, PRICES, evaluation={"trans_cost": 0.02, "initial": "cash"})
    assert model.evaluate_reward(X, PRICES) == asked
    assert asked < model.evaluate_reward(X, PRICES, evaluation={"trans_cost": 0.01})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prices": PRICES[:60]}, "prices must have the 120 rows of X; got 60"),
        ({"prices": PRICES[:, :2]}, "prices must have 3 columns, one per output; got 2"),
        ({"prices": PRICES[:, :1]}, "prices must have 3 columns, one per output; got 1"),
        ({"prices": -PRICES}, "prices must be greater than 0"),
        ({"prices": None}, r"hisso\.reward must say what to maximise"),
        ({"prices": PRICES[:1], "X": X[:1]}, "reward portfolio needs at least 2 rows; got 1"),
        ({"prices": PRICES, "evaluation": {"cost": 1}}, r"evaluation\.cost is no known key"),
        ({"prices": PRICES, "y": Y}, "prices must have one column per column of y, 2; got 3"),
    ],
)
def test_a_reward_that_cannot_be_computed_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_hisso(quick()).evaluate_reward(**{"X": X, **arguments})


def test_a_reward_by_targets_takes_them_as_y() -> None:
    model = fit_hisso(
        quick(), {"reward": "negative_mse", "primary_transform": "identity"}, y=X,
        validation_data=None,
    )  # fmt: skip
    expected = -((model.predict_actions(X) - X) ** 2).mean()
    assert model.evaluate_reward(X, y=X) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="judges actions by y, which is missing"):
        model.evaluate_reward(X, PRICES)


def test_episodes_of_a_span_are_those_of_training_one_after_the_other() -> None:
    data = planted(50, seed=2)
    model = PSANNRegressor(hidden_layers=1, hidden_units=4, epochs=2, random_state=0)
    model.fit(**planted(60), hisso={"window": 12, "transition_penalty": 0.01})
    rewards = model.evaluate_episodes(data["X"], data["prices"])
    assert rewards.shape == (5,)  # rows 0, 12, 24, 36 and, to the end, 38
    actions = model.predict_actions(data["X"])
    for reward, first in zip(rewards, (0, 12, 24, 36, 38), strict=True):
        part = slice(first, first + 12)
        growth = net_growth(actions[part], data["prices"][part], initial="invested")
        expected = (np.log(growth.gross) - 0.01 * growth.traded).mean()
        assert reward == pytest.approx(expected, abs=1e-12)


def test_a_span_shorter_than_an_episode_has_none() -> None:
    model = PSANNRegressor(hidden_layers=1, hidden_units=4, epochs=1, random_state=0)
    model.fit(**planted(60), hisso={"window": 12})
    short = planted(8)
    with pytest.raises(ValueError, match=r"hisso.window = 12 rows; X has 8"):
        model.evaluate_episodes(short["X"], short["prices"])


def _straight(model: PSANNRegressor) -> Any:
    """Outputs of a copy of the network, without anything that is kept of it."""
    network = copy.deepcopy(model.network_).double()
    with torch.no_grad():
        return network(torch.from_numpy(X.astype(np.float32)).double()).numpy()


def test_predictions_follow_the_network_through_every_way_of_learning(tmp_path: Path) -> None:
    model = quick().fit(X, Y)
    size = len(pickle.dumps(model))
    seen = [model.predict(X)]
    assert len(pickle.dumps(model)) == size
    for learn in (lambda: model.partial_fit(X, Y), lambda: model.set_params(lr=0.5).fit(X, Y)):
        learn()
        seen.append(model.predict(X))
        np.testing.assert_allclose(seen[-1], _straight(model), rtol=0, atol=1e-14)
        assert not np.array_equal(seen[-1], seen[-2])
    model.save(tmp_path / "model.psann")
    loaded = PSANNRegressor.load(tmp_path / "model.psann")
    for other in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict(X), seen[-1])
        other.network_.head.bias.data.add_(1.0)
        np.testing.assert_allclose(other.predict(X), _straight(other), rtol=0, atol=1e-14)
    assert np.array_equal(model.predict(X), seen[-1])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("activation", ["psann", "tanh"])
def test_a_row_is_predicted_alike_alone_among_few_and_among_many(
    activation: str, threads: int
) -> None:
    model = quick(activation=activation, hidden_units=64, threads=threads).fit(X, Y)
    many = np.random.default_rng(3).normal(size=(3000, X.shape[1]))  # too many for one pass
    expected = model.predict(many)
    np.testing.assert_allclose(model.predict(many[:400]), expected[:400], rtol=0, atol=1e-14)
    alone = np.vstack([model.predict(row[None]) for row in many[:20]])
    np.testing.assert_allclose(alone, expected[:20], rtol=0, atol=1e-14)


def test_threads_that_predict_at_once_get_what_one_gets() -> None:
    model = fit_hisso(quick())
    expected = model.predict(X), model.predict_actions(X)

    def work(_: int) -> bool:
        got = [(model.predict(X), model.predict_actions(X)) for _ in range(20)]
        return all(
            np.array_equal(a, b) for each in got for a, b in zip(each, expected, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
