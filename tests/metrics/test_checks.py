"""What is taken for an array of numbers, and what is told of one that is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from psann.errors import DataError
from psann.metrics.checks import float64_array, matrix_problems, observations, series_of


def test_tensors_with_a_gradient_and_of_half_precision_become_float64() -> None:
    tensor = torch.tensor([0.5, 0.25], dtype=torch.bfloat16, requires_grad=True)
    array = float64_array(tensor, "prices")
    assert array.dtype == np.float64
    assert array.tolist() == [0.5, 0.25]


def test_the_first_value_that_is_not_finite_is_named_with_the_number_of_them() -> None:
    values = np.array([[1.0, 2.0], [math.nan, math.inf]])
    assert matrix_problems(values, "prices") == [
        "`prices` must be finite; got 1 missing (NaN) and 1 infinite of 4 values, first at row 1, "
        "column 0. Drop those rows or fill them with what was known at the time."
    ]
    assert matrix_problems(values[:1].repeat(2, 0), "prices") == []


def test_observations_may_have_columns_and_a_series_has_none() -> None:
    assert observations([[1, 2]], "rows").shape == (1, 2)
    with pytest.raises(DataError, match=r"`rows` must have shape \(n,\); got \(1, 2\)"):
        series_of([[1, 2]], "rows")
    with pytest.raises(DataError, match=r"`rows` must have shape \(n,\) or \(n, k\)"):
        observations([], "rows")
