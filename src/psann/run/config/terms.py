"""On what terms a run trades and is judged, as its configuration says."""

from __future__ import annotations

from psann.evaluation.judgement import Terms
from psann.run.config.model import RunConfig


def judging_cost(config: RunConfig) -> float | list[float]:
    """Cost per unit traded in validation and test figures."""
    cost = config.evaluation.trans_cost
    return config.hisso.transition_penalty if cost is None else cost


def terms_of(config: RunConfig) -> Terms:
    """On what terms a run judges allocations."""
    return Terms(
        trans_cost=judging_cost(config),
        periods_per_year=config.evaluation.periods_per_year,
        initial=config.evaluation.initial,
        cash_rate=config.evaluation.cash_rate,
        borrow_rate=config.evaluation.borrow_rate,
        delay=config.hisso.delay,
        max_turnover=config.hisso.max_turnover,
    )
