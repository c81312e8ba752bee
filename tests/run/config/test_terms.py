"""On what terms a run trades."""

from __future__ import annotations

from pathlib import Path

from configs import SAMPLE, loaded
from psann.run.config.terms import terms_of


def test_cost_holdings_and_rows_per_year_are_those_of_the_evaluation(tmp_path: Path) -> None:
    terms = terms_of(loaded(tmp_path, SAMPLE.replace("per_year: 252", "per_year: 12")), {})
    assert (terms.trans_cost, terms.initial) == (0.001, "cash")
    assert (terms.periods_per_year, terms.delay) == (12, 0)


def test_a_cost_that_is_not_given_is_that_of_training(tmp_path: Path) -> None:
    text = SAMPLE.replace("  trans_cost: 0.001\n", "").replace(
        "transition_penalty: 0.001", "transition_penalty: 0.004"
    )
    assert terms_of(loaded(tmp_path, text), {}).trans_cost == 0.004
