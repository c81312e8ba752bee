"""At most five lines, which can be told apart, in colour and in grey."""

from __future__ import annotations

import numpy as np

from made_runs import STRATEGIES
from psann.presentation.charts import LOOKS
from psann.run.directory.evaluation import Evaluation
from psann.run.report.strategies import best_rule, drawn_curves


def series(**ends: float) -> Evaluation:
    net = np.array([[1.0, end] for end in ends.values()])
    weights = np.ones((2, 1), dtype=np.float32)
    return Evaluation(
        names=tuple(ends), net=net, gross=net, allocations=weights, time=None, assets=None
    )


def test_of_all_strategies_five_are_drawn_and_no_two_look_alike() -> None:
    everything = series(**{name: 1.0 + place for place, name in enumerate(STRATEGIES)})
    curves = drawn_curves(everything, np.arange(2), {})
    assert [curve.label for curve in curves] == [
        *("policy", "policy, one row later", "1/N", "OLMAR-1", "benchmark"),
    ]
    looks = [curve.look for curve in curves]
    assert len({look.colour for look in looks}) == len(looks)
    in_grey = {(look.dashes, look.width) for look in looks}
    assert len(in_grey) == len(looks)


def test_rule_that_is_drawn_ended_best_of_those_that_could_be_followed() -> None:
    found = series(
        policy=9.0, policy_advance_1=9.0, uniform=5.0, eg=2.0, pamr=3.0, bcrp_hindsight=9
    )
    assert best_rule(found) == "pamr"
    assert best_rule(series(policy=1.0, uniform=2.0)) is None
    assert best_rule(series(policy=1.0, uniform=2.0, eg=2.0)) is None  # as of a single asset


def test_drawdown_is_of_the_policy_and_of_1_n_only() -> None:
    curves = drawn_curves(series(policy=2.0, uniform=1.0, eg=3.0, benchmark=1), np.arange(2), {})
    assert [curve.label for curve in curves if curve.is_main] == ["policy", "1/N"]


def test_seeds_are_the_range_of_their_mean_and_no_lines() -> None:
    ends = {"policy": 2.0, "seed_1": 1.0, "seed_1_delay_1": 9.0, "seed_2": 3.0, "ensemble": 2.5}
    (curve,) = drawn_curves(series(**ends), np.arange(2), {"policy": "mean"})
    assert curve.label == "mean"
    assert curve.among is not None
    low, high = curve.among
    assert (low.tolist(), high.tolist()) == ([1.0, 1.0], [1.0, 3.0])


def test_runs_of_a_comparison_can_be_told_apart() -> None:
    assert len({look.colour for look in LOOKS}) == len({look.dashes for look in LOOKS}) == 5
