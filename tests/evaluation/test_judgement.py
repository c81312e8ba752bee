"""Figures and curves of allocations, from actions and prices alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from event_simulator import simulate
from psann.baselines import BASELINES, bcrp, best_asset
from psann.errors import DataError
from psann.evaluation.comparison import growth_difference
from psann.evaluation.judgement import (
    Terms,
    evaluation_series,
    growth_at_ends,
    judge,
    judge_baselines,
    judge_policy,
)
from psann.metrics import deflated_sharpe_ratio, equity_curve, portfolio_metrics

PRICES = np.array([[1.0, 1.0], [1.1, 0.9], [1.0, 1.2], [1.3, 1.1]])
ACTIONS = np.array([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8], [0.2, 0.8]])
TERMS = Terms(trans_cost=0.01, periods_per_year=252, initial="cash")


def test_curves_end_where_the_figures_say() -> None:
    judgement = judge(ACTIONS, PRICES, terms=TERMS)
    assert judgement.figures == portfolio_metrics(ACTIONS, PRICES, trans_cost=0.01, initial="cash")
    assert judgement.net.tolist() == pytest.approx([1, 0.99, 0.8919, 0.871779], abs=1e-6)
    assert judgement.net[-1] == 1 + judgement.figures["cum_return"]
    assert judgement.gross.tolist() == equity_curve(ACTIONS, PRICES).tolist()


def test_late_actions_wait_in_cash_and_are_judged_on_later_prices() -> None:
    late = judge(ACTIONS, PRICES, terms=replace(TERMS, delay=1))
    # Each action earns the move after its own; the last earns nothing.
    by_hand = judge(ACTIONS[:-1], PRICES[1:], terms=TERMS)
    assert late.figures == by_hand.figures
    assert late.net.tolist() == [1.0, *by_hand.net]
    assert late.gross.tolist() == [1.0, *by_hand.gross]


def test_one_column_of_prices_serves_every_action() -> None:
    single = judge(ACTIONS, PRICES[:, :1], terms=TERMS)
    assert single.figures == judge(ACTIONS, PRICES[:, [0, 0]], terms=TERMS).figures


def test_lost_wealth_stays_lost_in_both_curves() -> None:
    prices = np.array([[1.0], [3.0], [1.0], [2.0]])
    with pytest.warns(RuntimeWarning, match="lost at row 1"):
        judgement = judge(-np.ones((4, 1)), prices, terms=Terms(), cash=True)
    assert judgement.net.tolist() == judgement.gross.tolist() == [1, 0, 0, 0]


def test_the_row_of_the_ruin_is_told_also_of_delayed_actions() -> None:
    prices = np.array([[1.0], [1.1], [1.0], [3.5], [2.0]])
    with pytest.warns(RuntimeWarning, match="lost at row"):
        now, late = (
            judge(-np.ones((5, 1)), prices, terms=Terms(delay=delay), cash=True) for delay in (0, 1)
        )
    assert (now.ruined_at, late.ruined_at) == (3, 3)
    assert now.net[3] == 0 < now.net[2]
    assert judge(ACTIONS, PRICES, terms=TERMS).ruined_at is None


def test_baselines_trade_on_the_terms_of_the_policy() -> None:
    judged = judge_baselines(PRICES, terms=TERMS)["uniform"]
    expected = judge(np.full((4, 2), 0.5), PRICES, terms=TERMS)
    assert judged.figures == expected.figures
    assert judged.net.tolist() == expected.net.tolist()


def test_series_hold_every_strategy_in_order() -> None:
    judgements = {"policy": judge(ACTIONS, PRICES, terms=TERMS)}
    judgements |= judge_baselines(PRICES, terms=TERMS)
    series = evaluation_series(judgements, actions=ACTIONS, time=range(4), assets=["a", "bc"])
    assert series["names"].tolist() == list(judgements)
    assert series["net"].shape == series["gross"].shape == (len(judgements), 4)
    assert (series["gross"][:, -1] >= series["net"][:, -1]).all()
    assert series["allocations"].dtype == np.float32
    assert series["time"].tolist() == [0, 1, 2, 3]
    assert series["assets"].tolist() == ["a", "bc"]
    assert {"time", "assets"}.isdisjoint(evaluation_series(judgements, actions=ACTIONS))


def test_series_tell_who_could_be_held_only_where_somebody_could_not() -> None:
    judgements = {"policy": judge(ACTIONS, PRICES, terms=TERMS)}
    everybody = np.ones((4, 2), dtype=np.int8)
    assert "active" not in evaluation_series(judgements, actions=ACTIONS, active=everybody)
    changing = np.array([[1, 0], [1, 1], [1, 1], [1, 1]])
    told = evaluation_series(judgements, actions=ACTIONS, active=changing)["active"]
    assert (told.dtype, told.tolist()) == (np.int8, changing.tolist())


def market(rows: int = 60, assets: int = 4, seed: int = 0) -> np.ndarray:
    moves = 0.02 * np.random.default_rng(seed).standard_normal((rows, assets))
    return np.exp(np.cumsum(moves, axis=0))


def test_what_is_fitted_on_the_past_needs_one_and_counts_no_move_between_spans() -> None:
    prices, training, validation = market(), market(seed=1), market(seed=2)
    assert {"best_asset", "bcrp"}.isdisjoint(judge_baselines(prices, terms=TERMS))
    # Another scale of one span would be a jump if the border between spans counted.
    judged = judge_baselines(prices, terms=TERMS, earlier=(training, 1000 * validation))
    assert list(judged) == [
        *("uniform", "buy_and_hold", "best_asset", "bcrp"),
        *("inverse_volatility", "minimum_variance", "risk_parity"),
        *("eg", "pamr", "olmar", "bcrp_hindsight"),
    ]
    beside = judge_baselines(prices, terms=TERMS, benchmark=prices[:, 1])["benchmark"]
    alone = judge(np.ones((len(prices), 1)), prices[:, 1:2], terms=TERMS)
    assert beside.figures == pytest.approx(alone.figures, nan_ok=True)
    best = judge(best_asset(prices, fitted_on=training), prices, terms=TERMS)
    assert judged["best_asset"].figures == best.figures
    past = np.vstack([training, validation[1:] / validation[0] * training[-1]])
    expected = judge(bcrp(prices, fitted_on=past), prices, terms=TERMS)
    assert judged["bcrp"].net[-1] == pytest.approx(expected.net[-1], rel=1e-9)


def test_nothing_constant_grows_more_than_hindsight_before_costs() -> None:
    judged = judge_baselines(market(), terms=TERMS, earlier=(market(seed=1),))
    constant = ("uniform", "best_asset", "bcrp", "bcrp_hindsight")
    finals = {name: judged[name].gross[-1] for name in constant}
    assert max(finals.values()) == pytest.approx(finals["bcrp_hindsight"], rel=1e-9)
    assert len({round(value, 6) for value in finals.values()}) > 1


def test_a_baseline_that_loses_everything_is_no_warning_about_the_policy() -> None:
    # Half of what is traded is lost, so that trading everything twice is ruin.
    judged = judge_baselines(market(), terms=Terms(trans_cost=0.5))
    assert judged["pamr"].net[-1] == 0
    assert judged["pamr"].figures["cum_return"] == -1


def test_assets_that_are_one_column_raise_no_warning() -> None:
    single = np.broadcast_to(market(assets=1), (60, 36))
    judged = judge_baselines(single, terms=TERMS, earlier=(market(assets=1, seed=1),))
    finals = [judgement.gross[-1] for judgement in judged.values()]
    assert finals == pytest.approx([finals[0]] * len(finals), rel=1e-9)


def test_a_verdict_tells_the_difference_to_uniform_now_and_one_row_later() -> None:
    prices = market()
    actions = np.random.default_rng(5).dirichlet(np.ones(4), size=60)
    verdict = judge_policy(actions, prices, terms=TERMS, n_trials=7)
    uniform = judge_baselines(prices, terms=TERMS)["uniform"]
    expected = verdict.judgement.figures["annual_log_growth"]
    expected -= uniform.figures["annual_log_growth"]
    assert verdict.versus_uniform.growth == pytest.approx(expected, abs=1e-12)
    later = judge_baselines(prices[1:], terms=TERMS)["uniform"]
    assert verdict.delay_1 is not None
    assert verdict.versus_uniform_delay_1 is not None
    expected = verdict.delay_1.figures["annual_log_growth"] - later.figures["annual_log_growth"]
    assert verdict.versus_uniform_delay_1.growth == pytest.approx(expected, abs=1e-12)
    returns = verdict.judgement.net[1:] / verdict.judgement.net[:-1] - 1
    assert verdict.deflated_sharpe == deflated_sharpe_ratio(returns, n_trials=7)
    assert verdict.deflated_skill == verdict.versus_uniform.deflated_sharpe(7)
    uncounted = judge_policy(actions, prices, terms=TERMS)
    assert np.isnan([uncounted.deflated_sharpe, uncounted.deflated_skill]).all()
    ours, theirs = (
        growth_difference(
            *(judge(a, p, terms=TERMS).net for a in (actions[: len(p)], np.full_like(p, 0.25))),
            periods_per_year=TERMS.periods_per_year,
        )
        for p in (prices, prices[1:])
    )
    assert (verdict.versus_uniform, verdict.versus_uniform_delay_1) == (ours, theirs)


def test_the_uniform_policy_is_not_distinguishable_from_itself() -> None:
    actions = np.full((60, 4), np.float32(0.25) + np.float32(1e-8))
    assert not judge_policy(actions, market(), terms=TERMS).versus_uniform.is_distinguishable


def test_two_rows_leave_no_step_for_a_delay() -> None:
    verdict = judge_policy(ACTIONS[:2], PRICES[:2], terms=TERMS)
    assert verdict.delay_1 is None
    assert verdict.versus_uniform_delay_1 is None


def every_wealth(prices: np.ndarray, earlier: np.ndarray) -> dict[str, float]:
    judged = judge_baselines(prices, terms=TERMS, earlier=(earlier,))
    return {name: judgement.net[-1] for name, judgement in judged.items()}


def test_permuting_assets_or_scaling_prices_leaves_every_wealth_unchanged() -> None:
    prices, earlier = market(), market(seed=1)
    usual = every_wealth(prices, earlier)
    order = [2, 0, 3, 1]
    assert every_wealth(prices[:, order], earlier[:, order]) == pytest.approx(usual, rel=1e-7)
    scale = np.array([0.01, 3.0, 700.0, 1.0])
    assert every_wealth(scale * prices, 5 * scale * earlier) == pytest.approx(usual, rel=1e-7)


def test_rows_after_a_row_change_no_wealth_up_to_it_but_that_of_hindsight() -> None:
    prices = market()
    corrupted = prices.copy()
    corrupted[31:] *= np.random.default_rng(9).uniform(0.2, 5, (29, 4))
    one, other = (
        judge_baselines(p, terms=TERMS, earlier=(market(seed=1),)) for p in (prices, corrupted)
    )
    for name in one.keys() - {"bcrp_hindsight"}:
        assert one[name].net[:31].tolist() == other[name].net[:31].tolist(), name
    assert one["bcrp_hindsight"].net[:31].tolist() != other["bcrp_hindsight"].net[:31].tolist()


@pytest.mark.parametrize("initial", ["cash", "invested"])
def test_the_path_of_a_policy_equals_the_event_simulator(initial: str) -> None:
    prices = market(rows=6001, assets=5)
    actions = np.random.default_rng(4).dirichlet(np.full(5, 0.3), size=6001)
    terms = Terms(trans_cost=0.0012, initial=initial)  # type: ignore[arg-type]
    theirs = simulate(actions, prices, trans_cost=0.0012, initial=initial, cost="drift")
    np.testing.assert_allclose(judge(actions, prices, terms=terms).net, theirs, rtol=1e-10)


# ---------------------------------------------------------------- where assets come, halt and end

CODES = np.array([[1, 1], [1, 1], [1, -2], [1, 0]])


def test_a_policy_and_one_over_n_are_judged_on_who_can_be_held() -> None:
    verdict = judge_policy(ACTIONS, PRICES, terms=TERMS, active=CODES)
    theirs = simulate(
        np.where(CODES == 1, ACTIONS, 0.0),
        PRICES,
        trans_cost=0.01,
        initial="cash",
        ended=CODES == -2,
    )
    np.testing.assert_allclose(verdict.judgement.net, theirs)
    same = judge_policy(
        BASELINES["uniform"](PRICES, active=CODES), PRICES, terms=TERMS, active=CODES
    )
    assert same.versus_uniform.growth == 0.0
    assert same.versus_uniform_delay_1 is not None


def test_what_a_late_action_asks_for_somebody_who_is_gone_stays_in_cash() -> None:
    late = judge(np.array([[0.0, 1.0]] * 4), PRICES, terms=Terms(delay=2), active=CODES)
    assert late.net.tolist() == [1.0, 1.0, 1.0, 1.0]


def test_every_baseline_is_judged_on_the_same_membership() -> None:
    judged = judge_baselines(PRICES, terms=TERMS, earlier=[PRICES], active=CODES)
    for name, rule in BASELINES.items():
        own = judge(rule(PRICES, active=CODES), PRICES, terms=TERMS, active=CODES)
        assert judged[name].figures == pytest.approx(own.figures, nan_ok=True)


def test_growth_at_ends_is_that_of_prices_with_such_ends() -> None:
    assert growth_at_ends(ACTIONS, PRICES, terms=TERMS, active=np.ones((4, 2))) is None
    assert growth_at_ends(ACTIONS, PRICES, terms=TERMS, active=None) is None
    even = np.full((4, 2), 0.5)
    found = growth_at_ends(even, PRICES, terms=Terms(periods_per_year=3.0), active=CODES)
    assert found is not None
    # B ends after row 1 at the price of that row, or at nothing; then half of all is in A.
    first = 0.5 * (1.1 + 0.9)
    kept = {"0": 0.5 * (1 / 1.1 + 1), "-1": 0.5 / 1.1}
    for move, second in kept.items():
        assert found[move]["policy"] == pytest.approx(np.log(first * second * (0.5 + 0.65)))
        assert found[move]["uniform"] == pytest.approx(np.log(first * second * 1.3))


def test_a_policy_that_an_end_ruins_is_undefined_not_an_error() -> None:
    found = growth_at_ends(np.array([[0.0, 1.0]] * 4), PRICES, terms=Terms(), active=CODES)
    assert found is not None and found["-1"]["policy"] < -100


@pytest.mark.parametrize("delay", [-1, 2, 1.5])
def test_a_delay_that_leaves_no_move_is_refused_by_name(delay: float) -> None:
    with pytest.raises(DataError, match=f"`delay` must be .* the 3 rows of prices; got {delay}"):
        judge(np.ones((3, 1)), np.ones((3, 1)), terms=Terms(delay=delay))


@pytest.mark.parametrize("wrong", [None, 3.0, "x", np.ones(4), np.ones((4, 2, 1))])
def test_what_cannot_be_judged_is_refused_by_name(wrong: Any) -> None:
    for name in ("actions", "prices"):
        with pytest.raises(DataError, match=f"`{name}`"):
            judge(**{"actions": ACTIONS, "prices": PRICES, "terms": TERMS, name: wrong})
    with pytest.raises(DataError, match="`prices`"):
        judge_baselines(wrong, terms=TERMS)
    for delay in ("x", None, 1.5, 3):
        with pytest.raises(DataError, match="`delay` must be a whole number of rows"):
            judge_baselines(PRICES, terms=Terms(delay=delay))  # type: ignore[arg-type]


def test_a_benchmark_of_other_rows_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"`benchmark` must .* the 30 rows; got shape \(4,\)"):
        judge_baselines(np.ones((30, 2)), terms=Terms(), benchmark=np.ones(4))
