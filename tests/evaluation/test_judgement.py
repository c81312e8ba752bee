"""Figures and curves of allocations, from actions and prices alone."""

from __future__ import annotations

import numpy as np
import pytest

from psann.evaluation.judgement import Terms, evaluation_series, judge, judge_baselines
from psann.metrics import equity_curve, portfolio_metrics

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
    late = judge(ACTIONS, PRICES, terms=TERMS, delay=1)
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
    with pytest.warns(RuntimeWarning, match="lost at step 0"):
        judgement = judge(-np.ones((4, 1)), prices, terms=Terms(), cash=True)
    assert judgement.net.tolist() == judgement.gross.tolist() == [1, 0, 0, 0]


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
