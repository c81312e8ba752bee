"""Names and times that come with frames: compared, aligned where certain, never dropped."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from psann import PSANNRegressor, WaveResNetRegressor
from psann._labels import Named, labels_of, order_problems
from psann.baselines import BASELINES, bcrp, best_asset
from psann.covariance import COVARIANCE_RULES
from psann.errors import DataError
from psann.evaluation.comparison import growth_difference
from psann.evaluation.judgement import Terms, growth_at_ends, judge, judge_baselines, judge_policy
from psann.metrics import confidence_sequence, max_drawdown, portfolio_metrics

N = 24
DAYS = pd.date_range("2020-01-01", periods=N)
draws = np.random.default_rng(0)
X = pd.DataFrame(draws.standard_normal((N, 2)), index=DAYS, columns=["slow", "fast"])
PRICES = pd.DataFrame(np.exp(0.1 * draws.standard_normal((N, 2))), index=DAYS, columns=["A", "B"])
BEFORE, LATER = (PRICES.shift(rows, freq="D") for rows in (-N, N))
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


# Who can be held on which row: B comes late and ends, A is there throughout.
HELD = pd.DataFrame({"A": 1, "B": 1}, index=DAYS)
HELD.loc[DAYS[:5], "B"], HELD.loc[DAYS[-4:], "B"] = 0, -2
MIXED = HELD[["B", "A"]].iloc[::-1]
WEIGHTS = PRICES.div(PRICES.sum(axis=1), axis=0)


def told_of_membership(active: Any) -> dict[str, Any]:
    """What every door says of prices, actions and who can be held."""
    judged = judge_policy(WEIGHTS, PRICES, terms=Terms(), active=active)
    others = judge_baselines(PRICES, terms=Terms(), earlier=[BEFORE], active=active)
    alone = {"active": active}
    rules = {name: rule(PRICES, **alone) for name, rule in BASELINES.items()}
    earlier = active.shift(-N, freq="D") if isinstance(active, pd.DataFrame) else active
    before = {"earlier": [BEFORE], "earlier_active": [earlier], "window": 20, "every": 4}
    rules |= {name: rule(PRICES, **alone, **before) for name, rule in COVARIANCE_RULES.items()}
    past = {"fitted_on": PRICES, **alone}
    model = quick().fit(X, prices=PRICES, active=active, hisso=HISSO)
    return {
        "figures": list(portfolio_metrics(WEIGHTS, PRICES, active=active).values()),
        "wealth": judged.judgement.net,
        "late": judge(WEIGHTS, PRICES, terms=Terms(delay=2), active=active).net,
        "ends": list(growth_at_ends(WEIGHTS, PRICES, terms=Terms(), active=active)["-1"].values()),
        **{f"judged {name}": each.net for name, each in others.items()},
        **rules,
        "best": best_asset(PRICES, **past),
        "bcrp": bcrp(PRICES, **past),
        "policy": model.predict_actions(X, active=active),
        "reward": model.evaluate_reward(X, PRICES, active=active),
    }


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_who_can_be_held_is_taken_by_name_and_date_at_every_door() -> None:
    plain, mixed = told_of_membership(HELD.to_numpy()), told_of_membership(MIXED)
    for door, value in plain.items():
        assert_array_equal(mixed[door], value, err_msg=door)
    wrong = told_of_membership(MIXED.to_numpy())
    assert [door for door in plain if np.array_equal(plain[door], wrong[door], True)] == []


def test_who_can_be_held_of_other_assets_or_shape_is_refused_at_every_door() -> None:
    other = HELD.rename(columns={"B": "C"})
    doors: list[Any] = [
        lambda active: portfolio_metrics(WEIGHTS, PRICES, active=active),
        lambda active: judge_policy(WEIGHTS, PRICES, terms=Terms(), active=active),
        lambda active: judge_baselines(PRICES, terms=Terms(), active=active),
        lambda active: growth_at_ends(WEIGHTS, PRICES, terms=Terms(), active=active),
        *(
            partial(lambda rule, active: rule(PRICES, active=active), rule)
            for rule in (*BASELINES.values(), *COVARIANCE_RULES.values())
        ),
        lambda active: best_asset(PRICES, fitted_on=PRICES, active=active),
    ]
    for door in doors:
        with pytest.raises(DataError, match=r"`active` must have the columns of .*A, B; got A, C"):
            door(other)
        with pytest.raises(DataError, match=r"`active` must be of the shape .*\(2, 24, 2\)"):
            door(np.stack([HELD, HELD]))
        with pytest.raises(DataError, match=r"`active` must say of each asset 1 .*; got 7"):
            door(7 * HELD)


def test_actions_to_be_judged_in_place_of_the_policy_s_own_are_taken_by_name() -> None:
    model = fitted()
    mixed = WEIGHTS[["B", "A"]].iloc[::-1]
    known = model.evaluate_reward(X, PRICES, actions=WEIGHTS)
    assert known == model.evaluate_reward(X, PRICES, actions=WEIGHTS.to_numpy())
    assert known == model.evaluate_reward(X, PRICES, actions=mixed)
    with pytest.raises(DataError, match="actions must have the columns of fit: A, B; got A, C"):
        model.evaluate_reward(X, PRICES, actions=WEIGHTS.rename(columns={"B": "C"}))


def test_one_column_of_prices_may_be_called_anything() -> None:
    index = PRICES[["A"]].rename(columns={"A": "close"})
    plain = judge_policy(WEIGHTS.to_numpy(), index.to_numpy(), terms=Terms()).judgement.net
    assert_array_equal(judge_policy(WEIGHTS, index, terms=Terms()).judgement.net, plain)


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
        lambda: judge_baselines(LATER, terms=Terms(), earlier=[other]),
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


def test_time_that_runs_backwards_is_refused_at_every_door_with_a_cure_that_works() -> None:
    weights, prices = WEIGHTS[::-1], PRICES[::-1]
    doors: list[Any] = [
        lambda weights, prices: portfolio_metrics(weights, prices),
        lambda weights, prices: judge_policy(weights, prices, terms=Terms()),
        *(partial(lambda rule, _, prices: rule(prices), rule) for rule in BASELINES.values()),
        lambda _, past: best_asset(PRICES, fitted_on=past),
        lambda _, past: judge_baselines(LATER, terms=Terms(), earlier=[past]),
    ]
    for door in doors:
        with pytest.raises(DataError, match=r"must be in the order of time; row 1, 2020-01-23, co"):
            door(weights, prices)
        door(weights.sort_index(), prices.sort_index())
    wealth = pd.Series(np.linspace(1, 2, N), index=DAYS)[::-1]
    with pytest.raises(DataError, match=r"`wealth` must be in the order of time"):
        growth_difference(wealth, wealth, periods_per_year=252)
    with pytest.raises(DataError, match=r"^`wealth` must be in the order of time; row 1"):
        max_drawdown(wealth)
    with pytest.raises(DataError, match=r"^`steps` must be in the order of time; row 1"):
        confidence_sequence(wealth)


def test_rows_whose_numbers_fall_are_refused_with_cures_that_work() -> None:
    features, prices = (frame.set_axis(np.arange(N)) for frame in (X, PRICES))
    later = {"X": features, "prices": prices}  # a file of their own counts from 0 again
    quick().fit(features, prices=prices, validation_data=later, hisso=HISSO)
    for order in (np.arange(N)[::-1], np.roll(np.arange(N), 3), draws.permutation(N)):
        x, p = features.iloc[order], prices.iloc[order]
        doors: list[Any] = [
            lambda x, p: quick().fit(x, prices=p, hisso=HISSO),
            lambda _, p: quick().fit(X.to_numpy(), prices=p, hisso=HISSO),
            lambda _, p: portfolio_metrics(p * 0 + 0.5, p),
            lambda _, p: BASELINES["uniform"](p),
        ]
        for door in doors:
            with pytest.raises(DataError, match=r"must be in the order of time; row \d+, \d+, co"):
                door(x, p)
            door(x.sort_index(), p.sort_index())
            door(x.to_numpy(), p.to_numpy())
        quick().fit(x, x["slow"])  # targets need no order


def test_texts_that_are_no_dates_and_missing_dates_are_refused_beside_dates() -> None:
    american = PRICES.set_axis(DAYS.strftime("%m/%d/%Y"))
    with pytest.raises(
        DataError, match=r"^prices .*; got 24 from 01/01/2020 to .* Make dates of b"
    ):
        quick().fit(X, prices=american, hisso=HISSO)
    quick().fit(X, prices=american.set_axis(pd.to_datetime(american.index)), hisso=HISSO)
    holed = DAYS.where(np.arange(N) != 3)
    with pytest.raises(DataError, match=r"^X must be in .*; row 3, NaT, comes after 2020-01-03"):
        quick().fit(X.set_axis(holed), prices=PRICES.set_axis(holed), hisso=HISSO)


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


def test_what_has_dates_says_the_order_of_rows_that_have_none_where_there_are_episodes() -> None:
    model, plain, backwards = fitted(), X.to_numpy(), PRICES[::-1]
    with pytest.raises(DataError, match=r"^prices must be in the order of time; row 1"):
        quick().fit(plain, prices=backwards, hisso=HISSO)
    with pytest.raises(DataError, match=r"^validation prices must be in the order of time; row 1"):
        later = {"X": plain, "prices": backwards}
        quick().fit(plain, prices=PRICES.to_numpy(), validation_data=later, hisso=HISSO)
    for asked in (model.evaluate_reward, model.evaluate_episodes):
        with pytest.raises(DataError, match=r"^X must be in the order of time; row 1"):
            asked(X[::-1], backwards)
        with pytest.raises(DataError, match=r"^prices must be in the order of time; row 1"):
            asked(plain, backwards)
    assert len(model.predict_actions(X[::-1])) == N  # each row by itself


COST = pd.Series([0.01, 0.0], index=["A", "B"])
RATE = pd.Series(np.linspace(0.0, 4.0, N), index=DAYS)


def test_costs_rates_and_benchmarks_are_taken_by_name_and_date() -> None:
    weights, plain = WEIGHTS * 0.5, {"trans_cost": [0.01, 0.0], "cash_rate": RATE.to_numpy()}
    wanted = portfolio_metrics(weights, PRICES, cash=True, **plain)
    rows = pd.DataFrame([COST] * N, index=DAYS)
    for cost in (COST, COST[::-1], rows[["B", "A"]][::-1]):
        mixed = {"trans_cost": cost, "cash_rate": RATE[::-1]}
        assert portfolio_metrics(weights, PRICES, cash=True, **mixed) == wanted
        assert judge(weights, PRICES, cash=True, terms=Terms(**mixed)).figures == wanted
        late = [Terms(**each, delay=1) for each in (mixed, plain)]
        found = [judge_baselines(PRICES, terms=terms)["eg"].figures for terms in late]
        assert found[0] == found[1]
    for bad in ({"trans_cost": COST.rename({"B": "C"})}, {"cash_rate": RATE.shift(1, freq="D")}):
        with pytest.raises(DataError, match=f"`{next(iter(bad))}` must have the (columns|rows)"):
            portfolio_metrics(weights, PRICES, cash=True, **bad)
    with pytest.raises(DataError, match=r"^`trans_cost` must be in the order of time"):
        portfolio_metrics(weights.to_numpy(), PRICES.to_numpy(), cash=True, trans_cost=rows[::-1])
    spread = pd.DataFrame({"spread": np.full(N, 0.01)}, index=DAYS)
    for each in (PRICES, PRICES[["A"]]):
        flat = each * 0 + 1 / each.shape[1]
        alike = [judge(flat, each, terms=Terms(trans_cost=cost)).net for cost in (spread, 0.01)]
        assert_array_equal(*alike)
    benchmark = PRICES["A"].rename("index")
    ours, mixed = (
        judge_baselines(PRICES, terms=Terms(), benchmark=each)["benchmark"].figures
        for each in (benchmark, benchmark.to_frame()[::-1])
    )
    assert ours == mixed
    with pytest.raises(DataError, match=r"`benchmark` must have the rows of `prices`"):
        judge_baselines(PRICES, terms=Terms(), benchmark=benchmark.shift(1, freq="D"))


def test_what_a_reward_is_given_of_each_asset_is_put_in_their_order() -> None:
    spread = pd.DataFrame([[0.0, 0.1]] * N, index=DAYS, columns=["A", "B"])
    hisso = {**HISSO, "transition_penalty": "spread"}
    model = quick().fit(X, prices=PRICES, reward_inputs={"spread": spread}, hisso=hisso)
    mixed, swapped = spread[["B", "A"]][::-1], spread.to_numpy()[:, ::-1]
    told, same, other = (
        model.evaluate_reward(X, PRICES, reward_inputs={"spread": each})
        for each in (spread, mixed, swapped)
    )
    assert told == same != other
    for key in ("hisso", "evaluation"):
        name = "trans_cost" if key == "evaluation" else "transition_penalty"
        given = {"hisso": HISSO, key: {**(HISSO if key == "hisso" else {}), name: COST[::-1]}}
        with pytest.raises(ValueError, match=f"^{key}.{name} must .* the order of the assets; got"):
            quick().fit(X, prices=PRICES, **given)


def test_a_context_is_put_in_the_order_of_that_in_fit(tmp_path: Any) -> None:
    context = pd.DataFrame(draws.standard_normal((N, 2)), index=DAYS, columns=["u", "v"])
    mixed, y = context[["v", "u"]], X.to_numpy()
    model = WaveResNetRegressor(hidden_units=3, epochs=2, random_state=0)
    later = {"X": X[12:], "y": y[12:], "context": mixed[12:]}
    model.fit(X[:12], y[:12], context=context[:12], validation_data=later)
    plain = {**later, "context": context[12:].to_numpy()}
    again = clone(model).fit(X[:12], y[:12], context=context[:12], validation_data=plain)
    assert again.best_value_ == model.best_value_
    model.save(tmp_path / "model")
    for each in (model, WaveResNetRegressor.load(tmp_path / "model")):
        assert_array_equal(each.predict(X, context=mixed), model.predict(X, context=context))
        with pytest.raises(DataError, match=r"^context must have the columns of fit: u, v; got u"):
            each.predict(X, context=context.rename(columns={"v": "w"}))


@pytest.mark.parametrize("span", [PRICES, LATER])
def test_earlier_spans_that_are_not_earlier_are_refused(span: Any) -> None:
    for rule in (partial(judge_baselines, terms=Terms()), COVARIANCE_RULES["risk_parity"]):
        with pytest.raises(DataError, match=r"^`prices` must begin after `earlier\[0\]` ends"):
            rule(PRICES, earlier=[span])
        with pytest.raises(DataError, match=r"^`earlier` must be a list .*; got DataFrame\."):
            rule(PRICES, earlier=BEFORE)
    with pytest.raises(DataError, match=r"^`earlier` must have prices \(rows, 2\) of each span"):
        judge_baselines(PRICES, terms=Terms(), earlier=list(BEFORE.to_numpy()))


def test_names_of_assets_survive_saving(tmp_path: Any) -> None:
    model = fitted()
    model.save(tmp_path / "model")
    assert PSANNRegressor.load(tmp_path / "model").asset_names_ == ("A", "B")
    quick().fit(X.to_numpy(), PRICES["A"].to_numpy()).save(tmp_path / "plain")
    assert PSANNRegressor.load(tmp_path / "plain").asset_names_ is None
