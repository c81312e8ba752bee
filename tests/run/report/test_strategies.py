"""Lines can be told apart, in colour and in grey."""

from __future__ import annotations

from made_runs import STRATEGIES as DRAWN
from psann.run.report.strategies import STRATEGIES, run_look, strategy_look, strategy_name


def test_no_two_strategies_look_alike() -> None:
    others = [name for name in DRAWN if name not in STRATEGIES]
    looks = [strategy_look(name, place) for place, name in enumerate([*STRATEGIES, *others])]
    own = [STRATEGIES[name][1] for name in STRATEGIES]
    looks = own + [strategy_look(name, place) for place, name in enumerate(others)]
    assert len(set(looks)) == len(DRAWN)


def test_lines_of_one_colour_differ_in_style() -> None:
    looks = [run_look(place) for place in range(32)]
    assert len({(look.colour, look.dashes) for look in looks}) == 32


def test_unknown_strategy_has_a_name() -> None:
    assert strategy_name("my_rule") == "my rule"
