"""A file of weights is held against its run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acting_runs import ActingRuns
from psann import load_policy
from psann.run.acting.verify_weights import _other_weights, verify_weights
from psann.run.acting.weights import weights_sha256
from psann.run.acting.weights_file import read_weights, write_weights


@pytest.fixture
def file(acting_runs: ActingRuns, tmp_path: Path) -> Path:
    return write_weights(load_policy(acting_runs("prices")).act(), tmp_path / "w.json")


def _changed(file: Path, **provenance: object) -> Path:
    content = json.loads(file.read_text())
    content["provenance"] |= provenance
    file.write_text(json.dumps(content))
    return file


def _errors(acting_runs: ActingRuns, file: Path, **options: object) -> list[str]:
    found = verify_weights(acting_runs("prices"), file, **options)
    return [finding.message for finding in found if finding.is_error]


def test_weights_of_the_run_have_no_error_and_are_computed_again(
    acting_runs: ActingRuns, file: Path
) -> None:
    assert verify_weights(acting_runs("prices"), file, data=acting_runs.prices) == []
    (note,) = verify_weights(acting_runs("prices"), file)
    assert not note.is_error
    assert "give --data for that" in note.message


def test_weights_of_another_run_or_policy_are_told(acting_runs: ActingRuns, file: Path) -> None:
    other = verify_weights(acting_runs("seeds"), file)
    assert {finding.message.split()[0] for finding in other if finding.is_error} == {
        "run_id",
        "policy_sha256",
    }
    (error,) = _errors(acting_runs, _changed(file, policy_sha256="0" * 64))
    assert error.startswith("policy_sha256 is '000")


def test_weights_that_were_changed_are_told(acting_runs: ActingRuns, file: Path) -> None:
    content = json.loads(file.read_text())
    content["weights"][0] = [0.5, 0.75, -0.25]
    file.write_text(json.dumps(content))
    errors = _errors(acting_runs, file)
    assert errors[0] == "its weights are not those that its provenance was written for"
    assert errors[1] == "has weights below 0, which softmax never gives"


def test_weights_that_were_changed_with_their_digest_are_computed_again(
    acting_runs: ActingRuns, file: Path
) -> None:
    content = json.loads(file.read_text())
    content["weights"][0] = [0.2, 0.3, 0.5]
    file.write_text(json.dumps(content))
    found = read_weights(file)
    _changed(file, weights_sha256=weights_sha256(found.labels, found.assets, found.values))
    assert _errors(acting_runs, file) == []
    (error,) = _errors(acting_runs, file, data=acting_runs.prices)
    assert error.startswith("differs from what the policy says by up to")


def test_other_data_and_other_rows_are_told(
    acting_runs: ActingRuns, file: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(acting_runs.prices, index_col=0)
    table.iloc[:-1].to_csv(tmp_path / "fewer.csv")
    (error,) = _errors(acting_runs, file, data=tmp_path / "fewer.csv")
    assert error == "was computed from other data than these"
    (error,) = _errors(acting_runs, file, data=tmp_path / "none.csv")
    assert error.startswith("cannot be computed again")
    (error,) = _errors(acting_runs, _changed(file, last_row="2022-05-19"))
    assert error == "its last row is not 2022-05-19"


def test_accepted_doubts_and_options_of_reading_are_repeated(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    table = pd.read_csv(acting_runs.prices, index_col=0) * 100
    table.index.name = "Tag"
    data = tmp_path / "cents.csv"
    table.to_csv(data)
    weights = load_policy(acting_runs("prices")).act(
        data, accept=["level"], reading={"date": "Tag"}
    )
    file = write_weights(weights, tmp_path / "w.csv")
    assert verify_weights(acting_runs("prices"), file, data=data) == []


def test_what_is_no_file_of_weights_is_told(acting_runs: ActingRuns, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("date,A\n")
    (error,) = _errors(acting_runs, tmp_path / "w.csv")
    assert "must be a file of weights" in error


def test_rows_that_were_asked_for_by_an_earlier_date_are_computed_again(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    with np.load(acting_runs.folder / "arrays.npz") as arrays:
        X = np.concatenate([arrays["X_val"], arrays["X_test"]])
    policy, data = load_policy(acting_runs("npz")), tmp_path / "f.csv"
    dates = pd.date_range("2022-01-01", periods=len(X), name="date")
    pd.DataFrame(X, index=dates).add_prefix("f").to_csv(data)
    object.__setattr__(policy.kept, "acts_from", np.datetime64("2022-02-01"))
    assert policy.act(data).labels[0] == "2022-02-01"
    weights = policy.act(data, since="2022-01-10")
    assert weights.labels[0] == "2022-01-10"
    file = read_weights(write_weights(weights, tmp_path / "w.csv"))
    assert _other_weights(file, policy, data) == []
    (error,) = _other_weights(replace(file, labels=("2020-01-01", *file.labels[1:])), policy, data)
    assert error == "has the row 2020-01-01, which these data do not give"
