"""Data sets whose arrays are frames give their names and times, and become arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from psann._frames import frames_as_arrays
from psann.run.data.requirements import split_of

DAYS = pd.date_range("2020-01-01", periods=4)
X = pd.DataFrame(np.arange(8.0).reshape(4, 2), index=DAYS, columns=["slow", "fast"])
PRICES = pd.DataFrame(1 + np.arange(8.0).reshape(4, 2), index=DAYS, columns=["A", "B"])


def test_plain_arrays_stay_as_they_are() -> None:
    given = {"X_train": X.to_numpy(), "asset_names": ["A"]}
    assert frames_as_arrays(given, split_of) == (given, [])


def test_names_and_times_become_arrays_of_their_own() -> None:
    arrays, problems = frames_as_arrays({"X_train": X, "prices_train": PRICES[::-1]}, split_of)
    assert problems == []
    assert arrays["asset_names"].tolist() == ["A", "B"]
    assert arrays["feature_names"].tolist() == ["slow", "fast"]
    np.testing.assert_array_equal(arrays["time_train"], DAYS)
    np.testing.assert_array_equal(arrays["prices_train"], PRICES)


def test_times_that_are_given_must_be_those_of_the_index() -> None:
    given = {"X_val": X, "time_val": [f"2020-01-0{k}" for k in (1, 2, 3, 5)]}
    _, (problem,) = frames_as_arrays(given, split_of)
    assert problem.startswith("time_val must have the rows of X_val, 4 from 2020-01-01 to 2020-01-")
    _, problems = frames_as_arrays(given | {"time_val": DAYS.strftime("%Y-%m-%d")}, split_of)
    assert problems == []


def test_everything_that_does_not_fit_is_told_at_once() -> None:
    given = {
        "X_train": X,
        "X_test": X.rename(columns={"slow": "other"}),
        "y_train": PRICES.set_axis(["A", "C"], axis=1),
        "prices_train": PRICES,
        "context_train": pd.DataFrame({"c": ["a", "b", "c", "d"]}),
    }
    _, problems = frames_as_arrays(given, split_of)
    assert [problem.partition(" must")[0] for problem in problems] == ["X_test", "y_train"]
    single = pd.Series(np.ones(4), index=DAYS, name="target")
    _, problems = frames_as_arrays({"y_train": single, "prices_train": PRICES}, split_of)
    assert problems == []  # the name of a single target is no asset's
