"""Files of weights are written whole, with their provenance, and come back to the bit."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acting_runs import ActingRuns
from psann.errors import FileFormatError, UsageError
from psann.run.acting.weights import Weights
from psann.run.acting.weights_file import (
    check_weights_output,
    csv_bytes,
    read_weights,
    write_weights,
)


@pytest.fixture(scope="module")
def weights(acting_runs: ActingRuns) -> Weights:
    return acting_runs.policy("prices").act()


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_a_file_comes_back_to_the_bit(suffix: str, weights: Weights, tmp_path: Path) -> None:
    path = write_weights(weights, tmp_path / f"w{suffix}")
    found = read_weights(path)
    assert np.array_equal(found.values, weights.values)
    assert (found.labels, found.assets) == (tuple(weights.labels), weights.assets)
    assert found.provenance == weights.provenance
    assert found.is_whole


def test_csv_and_parquet_are_what_pandas_reads(weights: Weights, tmp_path: Path) -> None:
    text = pd.read_csv(io.BytesIO(csv_bytes(weights)), comment="#", index_col=0, dtype=str)
    assert text.index.tolist() == weights.labels
    assert text.columns.tolist() == list(weights.assets)
    assert np.array_equal(text.to_numpy().astype(float), weights.values)
    binary = pd.read_parquet(write_weights(weights, tmp_path / "w.parquet")).set_index("date")
    assert np.array_equal(binary.to_numpy(), weights.values)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_weight_that_was_changed_shows(suffix: str, weights: Weights, tmp_path: Path) -> None:
    path = write_weights(weights, tmp_path / f"w{suffix}")
    text, value = path.read_text(), repr(float(weights.values[3, 1]))
    assert text.count(value) == 1
    path.write_text(text.replace(value, "0.5"))
    assert not read_weights(path).is_whole


@pytest.mark.parametrize(
    "text",
    [
        "",
        "date,A\n2020-01-02,1\n",
        "# psann: {}\ndate,A\n2020-01-02,1\n",
        "# psann: {broken\ndate,A\n2020-01-02,1\n",
    ],
)
def test_a_file_without_provenance_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"must be a file of weights .* Write it again"):
        read_weights(path)


def test_rows_of_another_width_and_odd_cells_are_refused(weights: Weights, tmp_path: Path) -> None:
    path = write_weights(weights, tmp_path / "w.csv")
    whole = path.read_text()
    for change in ("2020-01-02,1\n", "2020-01-02,1,2,x\n"):
        path.write_text(whole + change)
        with pytest.raises(FileFormatError, match="must be a file of weights"):
            read_weights(path)
    content = json.loads(write_weights(weights, tmp_path / "w.json").read_text())
    del content["rows"]
    (tmp_path / "w.json").write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match="it has other keys"):
        read_weights(tmp_path / "w.json")


def test_a_place_where_nothing_may_be_written_is_refused_at_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(UsageError, match=r"must end in .csv, .json, .parquet, or be -"):
        check_weights_output(tmp_path / "w.xlsx", run)
    with pytest.raises(UsageError, match="is a directory"):
        check_weights_output(tmp_path / "d.csv", run)
    with pytest.raises(UsageError, match="must lie outside of"):
        check_weights_output(run / "w.csv", run)
    check_weights_output(tmp_path / "w.csv", run)
