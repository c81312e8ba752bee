"""Strategies are called after what they are."""

from __future__ import annotations

import inspect
from typing import Any

from psann import baselines
from psann.run.reading.strategies import STRATEGIES


def default(rule: Any, name: str) -> float:
    return float(inspect.signature(rule).parameters[name].default)


def test_names_hold_the_defaults_of_their_rules() -> None:
    assert STRATEGIES["eg"] == f"EG {default(baselines.eg, 'learning_rate'):g}"
    assert STRATEGIES["pamr"] == f"PAMR {default(baselines.pamr, 'threshold'):g}"
    assert STRATEGIES["olmar"] == "OLMAR-1"


def test_no_two_strategies_have_one_name() -> None:
    assert len(set(STRATEGIES.values())) == len(STRATEGIES)
