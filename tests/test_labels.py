"""Names and times that come with frames: compared, aligned where certain, never dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from psann import PSANNRegressor
from psann._labels import Named, labels_of, order_problems
from psann.baselines import best_asset
from psann.errors import DataError
from psann.evaluation.comparison import growth_difference
from psann.evaluation.judgement import Terms, judge_baselines, judge_policy
from psann.metrics import portfolio_metrics

N = 24
DAYS = pd.date_range("2020-01-01", periods=N)
draws = np.random.default_rng(0)
X = pd.DataFrame(draws.standard_normal((N, 2)), index=DAYS, columns=["slow", "fast"])
PRICES = pd.DataFrame(np.exp(0.1 * draws.standard_normal((N, 2))), index=DAYS, columns=["A", "B"])
HISSO = {"window": 4, "batch_episodes": 4}


def quick(**params: Any) -> PSANNRegressor:
    return PSANNRegressor(hidden_layers=1, hidden_units=3, epochs=2, random_state=0, **params)


def fitted() -> PSANNRegressor:
    return quick().fit(X, prices=PRICES, hisso=HISSO)


def test_a_plain_array_and_a_count_say_nothing() -> None:
    for silent in (X.to_numpy(), [[1.0]], pd.DataFrame([[1.0, 2.0]]), pd.Series([1.0])):
        assert labels_of(silent) == labels_of([1.0])
    assert labels_of(X.iloc[:, :1]).columns == ("slow",) and labels_of(X["slow"]).columns == (
        "slow",
    )
    assert labels_of(Named(np.ones((2, 2)), ["A", "B"])).columns == ("A", "B")


def test_dates_of_any_kind_are_the_same_dates_and_a_part_of_a_count_says_where_it_is() -> None:
    texts, objects = X.set_axis(DAYS.strftime("%Y-%m-%d")), X.set_axis(DAYS.date)
    zoned = X.tz_localize("America/New_York")
    for other in (texts, objects, zoned):
        assert_array_equal(labels_of(other).rows, DAYS.to_numpy())
    assert_array_equal(labels_of(X.reset_index()[3:5]).rows, [3, 4])
    two = X.set_axis(pd.MultiIndex.from_product([["a", "b"], range(N // 2)]))
    assert labels_of(two).rows[0] == "('a', 0)"


def test_columns_and_rows_in_another_order_are_aligned() -> None:
    model = fitted()
    assert model.asset_names_ == ("A", "B")
    mixed = PRICES[["B", "A"]].iloc[::-1]
    assert model.evaluate_reward(X, mixed) == model.evaluate_reward(X, PRICES)
    values = [
        quick()
        .fit(
            X[:12],
            prices=PRICES[:12],
            validation_data={"X": X[12:], "prices": prices},
            hisso=HISSO,
        )
        .best_value_
        for prices in (mixed[:12], PRICES[12:])
    ]
    assert values[0] == values[1]
    assert quick().fit(X, prices=mixed, hisso=HISSO).asset_names_ == ("B", "A")
    figures = portfolio_metrics(PRICES * 0 + 0.5, mixed)
    assert figures == portfolio_metrics(PRICES.to_numpy() * 0 + 0.5, PRICES.to_numpy())
    weights = PRICES / PRICES.sum(axis=1).to_numpy()[:, None]
    both = [judge_policy(weights, each, terms=Terms()).judgement.net for each in (mixed, PRICES)]
    assert_array_equal(*both)


def test_other_columns_are_refused_with_both_sides_and_a_cure_that_works() -> None:
    model, other = fitted(), PRICES.rename(columns={"B": "C"})
    said = "must have the columns of fit: A, B; got A, C. Give both the same names, or plain arr"
    with pytest.raises(DataError, match=f"^prices {said}.*prices.to_numpy()"):
        model.evaluate_reward(X, other)
    assert model.evaluate_reward(X, other.to_numpy()) == model.evaluate_reward(X, PRICES)
    with pytest.raises(DataError, match=r"^validation prices must have the columns of fit"):
        later = {"X": X[12:], "prices": other[12:]}
        quick().fit(X[:12], prices=PRICES[:12], validation_data=later, hisso=HISSO)
    with pytest.raises(DataError, match=r"^y must have the columns of prices: A, B; got A, C"):
        quick().fit(X, other, prices=PRICES, hisso=HISSO)
    for call in (
        lambda: portfolio_metrics(PRICES * 0 + 0.5, other),
        lambda: best_asset(PRICES, fitted_on=other),
        lambda: judge_baselines(PRICES, terms=Terms(), earlier=[other]),
    ):
        with pytest.raises(DataError, match=r"must have the columns of `.*`: A, B; got A, C"):
            call()


def test_other_rows_are_refused_with_both_sides_and_a_cure_that_works() -> None:
    late = PRICES.iloc[1:]
    said = (
        r"prices must have the rows of X, 24 from 2020-01-01 to 2020-01-24; got 23 from 2020-01-02"
    )
    with pytest.raises(DataError, match=f"^{said}.*both: X.index.intersection"):
        quick().fit(X, prices=late, hisso=HISSO)
    both = X.index.intersection(late.index)
    quick().fit(X.loc[both], prices=late.loc[both], hisso=HISSO)
    with pytest.raises(DataError, match=r"both: prices.loc\[X.index\]"):
        quick().fit(X[1:], prices=PRICES, hisso=HISSO)
    quick().fit(X[1:], prices=PRICES.loc[X[1:].index], hisso=HISSO)
    # As long, but a day late: what no shape would tell.
    shifted = PRICES.set_axis(DAYS + pd.Timedelta("1D"))
    with pytest.raises(DataError, match=r"^prices must have the rows of X"):
        fitted().evaluate_reward(X, shifted)
    fitted().evaluate_reward(X, shifted.to_numpy())
    with pytest.raises(DataError, match=r"^`prices` must have the rows of `allocations`"):
        portfolio_metrics(PRICES * 0 + 0.5, shifted)
    wealth = pd.Series(np.linspace(1, 2, N), index=DAYS)
    with pytest.raises(DataError, match=r"^`other` must have the rows of `wealth`"):
        growth_difference(wealth, wealth.set_axis(shifted.index), periods_per_year=252)


def test_rows_with_dates_must_follow_each_other_where_there_are_episodes() -> None:
    backwards = X[::-1]
    with pytest.raises(DataError, match=r"^X must be in the order of time; row 1.*sort_index"):
        quick().fit(backwards, prices=PRICES, hisso=HISSO)
    quick().fit(backwards.sort_index(), prices=PRICES, hisso=HISSO)
    quick().fit(backwards, backwards["slow"])  # targets need no order
    validation = {"X": X[10:], "prices": PRICES[10:]}
    with pytest.raises(DataError, match=r"^validation X must begin after X ends, 2020-01-12"):
        quick().fit(X[:12], prices=PRICES[:12], validation_data=validation, hisso=HISSO)
    assert order_problems({"X": labels_of(X.to_numpy())}) == []


def test_names_of_assets_survive_saving(tmp_path: Any) -> None:
    model = fitted()
    model.save(tmp_path / "model")
    assert PSANNRegressor.load(tmp_path / "model").asset_names_ == ("A", "B")
    quick().fit(X.to_numpy(), PRICES["A"].to_numpy()).save(tmp_path / "plain")
    assert PSANNRegressor.load(tmp_path / "plain").asset_names_ is None
