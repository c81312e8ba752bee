"""Tables of features that somebody else computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psann.errors import DataError
from psann.market.feature_table import read_features


def test_dates_names_and_numbers_are_read(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("date,a,b\n2020-01-02,1.5,-2\n2020-01-03,0.25,1e-3\n")
    found = read_features(file)
    assert found.names == ("a", "b")
    assert found.X.tolist() == [[1.5, -2.0], [0.25, 0.001]]
    assert found.dates.astype(str).tolist()[0].startswith("2020-01-02")
    frame = pd.read_csv(file, index_col=0, parse_dates=True)
    assert np.array_equal(read_features(frame).X, found.X)
    frame.reset_index().to_parquet(tmp_path / "f.parquet")
    assert np.array_equal(read_features(tmp_path / "f.parquet").X, found.X)


def test_a_table_without_dates_is_numbers_only(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("a,b\n1.5,-2\n0.25,1\n")
    found = read_features(file)
    assert (found.names, found.dates) == (("a", "b"), None)


def test_what_is_no_number_and_dates_that_go_back_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("date,a,b\n2020-01-03,1.5,x\n2020-01-02,0.25,y\n")
    with pytest.raises(DataError) as error:
        read_features(file)
    assert len(error.value.problems) == 2
    assert "the feature 'b' must be numbers in every row" in error.value.problems[0]
    assert "dates must increase" in error.value.problems[1]


def test_a_folder_of_several_tables_is_not_read_in_part(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("date,f\n2020-01-01,1\n2020-01-02,2\n")
    with pytest.raises(
        DataError, match=r"one table of features; .* holds a\.csv, b\.csv\. Name on"
    ):
        read_features(tmp_path)
    (tmp_path / "b.csv").unlink()
    assert read_features(tmp_path).X.tolist() == [[1.0], [2.0]]
