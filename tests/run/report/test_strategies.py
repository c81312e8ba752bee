"""Lines can be told apart, in colour and in grey."""

from __future__ import annotations

from made_runs import STRATEGIES as DRAWN
from psann.run.reading.strategies import strategy_name
from psann.run.report.strategies import run_look, strategy_look


def test_no_two_strategies_look_alike() -> None:
    looks = {(look.colour, look.dashes) for look in map(strategy_look, DRAWN)}
    assert len(looks) == len(DRAWN)


def test_strategies_of_one_colour_or_none_differ_in_style() -> None:
    in_grey = [strategy_look(name) for name in DRAWN]
    alike = [look for look in in_grey if look.dashes == "-"]
    assert len({look.width for look in alike}) == len(alike)


def test_runs_can_be_told_apart() -> None:
    looks = [run_look(place) for place in range(32)]
    assert len({(look.colour, look.dashes) for look in looks}) == 32


def test_unknown_strategy_has_a_name_and_a_look() -> None:
    assert strategy_name("my_rule") == "my rule"
    assert strategy_look("my_rule") not in map(strategy_look, DRAWN)
