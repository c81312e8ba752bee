"""The score of an estimator is what scikit-learn's tools choose by: the reward of a policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from psann import PSANNRegressor, WaveResNetRegressor

N = 120
draws = np.random.default_rng(1)
X = draws.standard_normal((N, 3))
# The first feature tells which of two assets does better.
MOVES = 0.02 * np.stack([X[:, 0], -X[:, 0]], axis=1)
PRICES = np.exp(np.concatenate([np.zeros((1, 2)), MOVES[:-1]]).cumsum(axis=0))
HISSO = {"window": 8, "batch_episodes": 8}


def quick(**params: Any) -> PSANNRegressor:
    return PSANNRegressor(
        hidden_layers=1, hidden_units=4, random_state=0, **{"epochs": 3, **params}
    )


def policy(**params: Any) -> PSANNRegressor:
    return quick(**params).fit(X, prices=PRICES, hisso=HISSO)


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def routed(estimator: PSANNRegressor) -> PSANNRegressor:
    return estimator.set_fit_request(prices=True, hisso=True).set_score_request(prices=True)


def test_the_score_of_a_policy_is_its_reward_in_frames_and_arrays() -> None:
    model = policy()
    reward = model.evaluate_reward(X, PRICES)
    assert model.score(X, prices=PRICES) == reward
    assert model.score(X, MOVES, prices=pd.DataFrame(PRICES)) == reward  # y plays no part


def test_the_score_over_targets_is_the_determination() -> None:
    model, y = quick(), X @ [1.0, 2.0, 3.0]
    model.fit(X, y)
    assert model.score(X, y) == r2_score(y, model.predict(X))
    weights = np.arange(N)
    assert model.score(X, y, weights) == r2_score(y, model.predict(X), sample_weight=weights)
    wave = WaveResNetRegressor(hidden_units=4, epochs=1, random_state=0)
    wave.fit(X, y, context=X[:, :1])
    assert wave.score(X, y, context=X[:, :1]) == r2_score(y, wave.predict(X, context=X[:, :1]))


def test_targets_and_weights_are_scored_on_the_rows_that_their_dates_say() -> None:
    days = pd.date_range("2020-01-01", periods=N)
    rows = pd.DataFrame(X, index=days, columns=["a", "b", "c"])
    y, weights = pd.Series(X[:, 0], index=days), pd.Series(np.arange(N), index=days)
    model = quick().fit(rows, y)
    assert model.score(rows, y[::-1], weights[::-1]) == model.score(rows, y, weights)
    with pytest.raises(ValueError, match="y must have the rows of X"):
        model.score(rows, y.shift(1, freq="D"))


def test_a_reward_on_targets_is_scored_with_them() -> None:
    model = quick().fit(X, PRICES, hisso={**HISSO, "reward": "negative_mse"})
    assert model.score(X, PRICES) == model.evaluate_reward(X, y=PRICES)
    with pytest.raises(ValueError, match=r"negative_mse needs y. Give score\(X, y\)"):
        model.score(X)


def test_where_the_reward_cannot_be_computed_the_score_raises_with_the_cure() -> None:
    model = policy()
    with pytest.raises(ValueError, match=r"needs prices: score\(X, prices=prices\).*set_score_req"):
        model.score(X, PRICES)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        model.score(X, sample_weight=np.ones(N), prices=PRICES)
    on_targets = quick().fit(X, X[:, 0])
    for given in ({}, {"y": X[:, 0], "prices": PRICES}):
        with pytest.raises(ValueError, match=r"R2 and needs y: score\(X, y\)"):
            on_targets.score(X, **given)


def test_without_the_routing_that_the_message_names_a_search_says_how(routing: None) -> None:
    cv = TimeSeriesSplit(2)
    how: dict[str, Any] = {"cv": cv, "error_score": "raise"}
    given = {"prices": PRICES, "hisso": HISSO}
    blind = quick().set_fit_request(prices=True, hisso=True).set_score_request(prices=False)
    with pytest.raises(ValueError, match="which needs prices"):
        cross_val_score(blind, X, params=given, **how)
    # The cure of the message, word by word.
    scores = cross_val_score(routed(quick()), X, params=given, **how)
    rows = [*cv.split(X)]
    expected = [
        quick()
        .fit(X[train], prices=PRICES[train], hisso=HISSO)
        .evaluate_reward(X[test], PRICES[test])
        for train, test in rows
    ]
    assert scores == pytest.approx(expected)


def test_a_search_chooses_by_the_reward(routing: None) -> None:
    # What a rate of nearly nothing earns is nothing, and the other learns.
    search = GridSearchCV(routed(quick(epochs=8)), {"lr": [1e-9, 0.05]}, cv=TimeSeriesSplit(2))
    search.fit(X, prices=PRICES, hisso=HISSO)
    assert search.best_params_ == {"lr": 0.05}
    best = search.cv_results_["mean_test_score"]
    assert best[1] > best[0] and search.best_score_ == best[1] < 0.02
    assert search.score(X, prices=PRICES) == search.best_estimator_.evaluate_reward(X, PRICES)


def test_steps_before_a_policy_work_with_its_actions(routing: None) -> None:
    pipe = make_pipeline(StandardScaler(), routed(quick()))
    pipe.fit(X * 5 + 3, prices=PRICES, hisso=HISSO)
    scaled = pipe[:-1].transform(X * 5 + 3)
    actions = pipe[-1].predict_actions(scaled)
    assert actions.shape == PRICES.shape
    alone = quick().fit(StandardScaler().fit_transform(X * 5 + 3), prices=PRICES, hisso=HISSO)
    np.testing.assert_array_equal(actions, alone.predict_actions(scaled))
    assert pipe.score(X * 5 + 3, prices=PRICES) == alone.evaluate_reward(scaled, PRICES)


def test_the_score_of_a_policy_knows_who_can_be_held() -> None:
    active = np.ones((N, 2))
    active[40:80, 1] = 0
    model = quick().fit(X, prices=PRICES, active=active, hisso=HISSO)
    known = model.score(X, prices=PRICES, active=active)
    assert known == model.evaluate_reward(X, PRICES, active=active)
    assert known != model.score(X, prices=PRICES)
    with pytest.raises(ValueError, match="R2 and needs y"):
        quick().fit(X, X[:, 0]).score(X, X[:, 0], active=active)
