"""On what terms a run trades and is judged, as its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from psann._typing import Array
from psann.accounting import simplest
from psann.evaluation.judgement import Terms
from psann.run.config.model import RunConfig


def terms_of(config: RunConfig, rows: Mapping[str, Array]) -> Terms:
    """On what terms a run judges allocations.

    Parameters
    ----------
    rows : mapping
        Arrays of the rows that are judged, those of `config.reward_inputs` among them.
    """
    cost = config.judging_cost
    return Terms(
        trans_cost=_rows_of(rows[cost]) if isinstance(cost, str) else cost,
        periods_per_year=config.evaluation.periods_per_year,
        initial=config.evaluation.initial,
        cash_rate=_rate_of(config.evaluation.cash_rate, rows),
        borrow_rate=_rate_of(config.evaluation.borrow_rate, rows),
        delay=config.hisso.delay,
        max_turnover=config.hisso.max_turnover,
    )


def _rate_of(rate: float | str, rows: Mapping[str, Array]) -> Any:
    return simplest(rows[rate].astype(np.float64).ravel()) if isinstance(rate, str) else rate


def _rows_of(cost: Array) -> Any:
    """Costs of each row ``(T, k)``, or what says the same in less."""
    return simplest(cost.astype(np.float64).reshape(len(cost), -1))
