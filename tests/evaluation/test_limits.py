"""Allocations beyond a limit are found, with the row; rounding is none."""

from __future__ import annotations

import numpy as np

from psann.evaluation.limits import limit_problems
from psann.hisso.options import HISSOOptions

WEIGHTS = np.array([[0.3, -0.2, 0.1], [0.4, -0.4, 0.1], [0.5, 0.1, 0.0]], dtype=np.float32)


def problems(**limits: float) -> list[str]:
    return limit_problems(WEIGHTS, HISSOOptions(primary_transform="long_short", **limits))


def test_allocations_within_their_limits_have_no_problem() -> None:
    assert problems() == []
    assert problems(max_weight=0.5, gross_limit=0.9, net_limit=0.6) == []


def test_each_limit_names_the_first_row_that_is_beyond_it() -> None:
    assert problems(max_weight=0.35) == ["has 0.4 in row 1 where hisso.max_weight is 0.35"]
    assert problems(gross_limit=0.8) == ["has 0.9 in row 1 where hisso.gross_limit is 0.8"]
    assert problems(max_weight=0.4, net_limit=0.15) == [
        "has 0.5 in row 2 where hisso.max_weight is 0.4",
        "has 0.2 in row 0 where hisso.net_limit is 0.15",
    ]
