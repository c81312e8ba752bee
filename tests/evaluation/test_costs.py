"""Results at multiples of a cost are those of judging the same actions at that cost."""

from __future__ import annotations

import numpy as np
import pytest

from psann.evaluation.costs import figures_at_multiples
from psann.evaluation.judgement import Terms, judge, judge_policy


def market(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    prices = np.exp(np.cumsum(draw.normal(0, 0.02, (300, 4)), axis=0))
    return draw.dirichlet(np.ones(4), 300), prices


@pytest.mark.parametrize("initial", ["cash", "invested"])
def test_they_are_those_of_trading_again_at_that_cost(initial: str) -> None:
    actions, prices = market()
    terms = Terms(trans_cost=0.002, initial=initial)  # type: ignore[arg-type]
    verdict = judge_policy(actions, prices, terms=terms)
    assert list(verdict.at_cost) == [2, 3]
    for multiple, figures in verdict.at_cost.items():
        dear = Terms(trans_cost=0.002 * multiple, initial=initial)  # type: ignore[arg-type]
        again = judge(actions, prices, terms=dear).figures
        assert figures.keys() == again.keys()
        assert figures == pytest.approx(again, rel=1e-9, abs=1e-12, nan_ok=True)
    growth = [verdict.judgement.figures, *verdict.at_cost.values()]
    assert sorted((f["cum_return"] for f in growth), reverse=True) == [
        f["cum_return"] for f in growth
    ]


def test_they_are_those_of_trading_again_where_assets_come_halt_and_end() -> None:
    actions, prices = market(1)
    active = np.ones(prices.shape, dtype=np.int8)
    active[:40, 0], active[100:120, 1], active[200:, 2] = 0, -1, -2
    verdict = judge_policy(actions, prices, terms=Terms(trans_cost=0.003), active=active)
    again = judge(actions, prices, terms=Terms(trans_cost=0.009), active=active).figures
    assert verdict.at_cost[3] == pytest.approx(again, rel=1e-9, abs=1e-12, nan_ok=True)


def test_without_a_cost_or_a_wealth_there_is_nothing_to_multiply() -> None:
    actions, prices = market()
    assert judge_policy(actions, prices, terms=Terms()).at_cost == {}
    terms = {"has_costs": True, "periods_per_year": 252}
    assert figures_at_multiples(np.array([1, 0.5, 0.0]), np.array([1, 1, 1.0]), **terms) == {}


def test_a_multiple_that_would_take_everything_is_left_out() -> None:
    net, gross = np.array([1.0, 0.6, 0.6]), np.ones(3)
    found = figures_at_multiples(net, gross, has_costs=True, periods_per_year=2)
    assert list(found) == [2]
    assert found[2]["final_wealth"] == pytest.approx(0.2)
