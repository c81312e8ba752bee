"""Rows that a user gives to a policy which did not read prices itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acting_runs import ActingRuns
from psann.errors import DataError
from psann.run.acting.features import given_rows


def test_an_archive_of_x_is_taken_with_its_dates_and_prices(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    policy = acting_runs.policy("npz")
    X, prices = np.random.default_rng(0).standard_normal((5, 6)), np.full((5, 3), 2.0)
    time = np.arange("2021-01-04", "2021-01-09", dtype="datetime64[D]")
    np.savez(tmp_path / "new.npz", X=X, time=time, prices=prices)
    weights = policy.act(tmp_path / "new.npz")
    assert weights.labels == [str(day) for day in time]
    assert np.array_equal(weights.quotes, prices)
    assert np.allclose(weights.values, policy.predict_actions(X))
    later = policy.act(tmp_path / "new.npz", since="2021-01-07")
    assert later.labels == weights.labels[3:]
    with pytest.raises(DataError, match=r"must have a row from 2021-02-01 on; the last is 2021-01"):
        policy.act(tmp_path / "new.npz", since="2021-02-01")


def test_of_the_archive_of_a_run_the_last_split_is_taken(acting_runs: ActingRuns) -> None:
    config = acting_runs.policy("npz").config
    with np.load(acting_runs.folder / "arrays.npz") as arrays:
        assert np.array_equal(given_rows(None, config).X, arrays["X_test"])


def test_the_loader_is_called_again_for_its_newest_rows(acting_runs: ActingRuns) -> None:
    config = acting_runs.policy("loader").config
    again, same = given_rows(None, config), given_rows(None, config)
    assert again.sha256 == same.sha256
    assert len(again.X) == len(acting_runs.allocations("loader"))


def test_an_archive_without_rows_or_of_unequal_lengths_is_refused(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    config = acting_runs.policy("npz").config
    np.savez(tmp_path / "odd.npz", Y=np.zeros(3))
    with pytest.raises(DataError, match=r"must have rows of features as X, or X_test; it has Y"):
        given_rows(tmp_path / "odd.npz", config)
    np.savez(tmp_path / "odd.npz", X=np.zeros((3, 6)), time=np.arange(2.0))
    with pytest.raises(DataError, match="time must have 3 rows, as X has; got 2"):
        given_rows(tmp_path / "odd.npz", config)


def test_other_assets_and_missing_features_are_refused(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    policy = acting_runs.policy("npz")
    np.savez(tmp_path / "new.npz", X=np.zeros((2, 6)), asset_names=np.array(["X", "Y", "Z"]))
    with pytest.raises(DataError, match="asset_names must be those of the run"):
        policy.act(tmp_path / "new.npz")
    np.savez(tmp_path / "new.npz", X=np.zeros((2, 5)))
    with pytest.raises(ValueError, match="5"):
        policy.act(tmp_path / "new.npz")
