"""Frames of pandas, Parquet and Feather files, and what a missing library says."""

from __future__ import annotations

import datetime
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow
import pytest

from made_tables import days, prices, wide
from psann.errors import DataError
from psann.market import align, read_prices, splits

VALUES = prices(30, 3)
INDEX = pd.DatetimeIndex(days(30), name="Date")
FRAME = pd.DataFrame(VALUES, index=INDEX, columns=list("XYZ"))
LONG = FRAME.rename_axis("ticker", axis=1).stack().rename("close")
ZONED = FRAME.tz_localize("America/New_York")

FRAMES = {
    "index of dates": FRAME,
    "column of dates": FRAME.reset_index(),
    "dates as texts": FRAME.set_axis(FRAME.index.strftime("%Y-%m-%d")),
    "dates of datetime": FRAME.set_axis([day.date() for day in INDEX]),
    "zoned midnights": ZONED,
    "two levels of rows": LONG.to_frame(),
    "long": LONG.reset_index(),
    "two levels of columns": pd.concat({"Close": FRAME, "Volume": FRAME * 2}, axis=1),
    "decimals": FRAME.map(lambda x: Decimal(str(x))),
    "backwards": FRAME[::-1],
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_frame_is_read_as_it_is(frame: pd.DataFrame) -> None:
    table = read_prices(frame)
    assert table.assets == ("X", "Y", "Z")
    np.testing.assert_array_equal(table.prices, VALUES)
    np.testing.assert_array_equal(table.dates, INDEX.to_numpy())


def test_a_frame_of_polars_kind_needs_no_index() -> None:
    class Series:
        def __init__(self, values: object) -> None:
            self.values = np.asarray(values)

        def to_numpy(self) -> np.ndarray:
            return self.values

    class Frame(dict[str, Series]):
        shape = (30, 2)

        @property
        def columns(self) -> list[str]:
            return list(self)

        def __len__(self) -> int:
            return 30

        def to_numpy(self) -> None:
            raise AssertionError("the columns are taken one by one")

    frame = Frame(when=Series(INDEX.to_numpy()), X=Series(VALUES[:, 0]))
    np.testing.assert_array_equal(read_prices(frame).prices[:, 0], VALUES[:, 0])


def test_holes_of_every_kind_are_holes() -> None:
    frame = FRAME.astype(object)
    frame.iloc[3, 0], frame.iloc[4, 1], frame.iloc[5, 2] = None, pd.NA, float("nan")
    assert np.argwhere(np.isnan(read_prices(frame).prices)).tolist() == [[3, 0], [4, 1], [5, 2]]


@pytest.mark.parametrize("name", [None, np.nan])
def test_a_column_without_a_name_is_no_asset(name: object) -> None:
    with pytest.raises(DataError, match="must name every column; column 3 has values but no name"):
        read_prices(FRAME.set_axis(pd.Index(["X", name, "Z"], dtype=object), axis=1))


def test_the_digest_of_a_frame_is_of_its_content() -> None:
    same, other = FRAME.copy(), FRAME.copy()
    other.iloc[0, 0] += 0.01
    digests = [read_prices(frame).sha256 for frame in (FRAME, same, other)]
    assert digests[0] == digests[1] != digests[2]


def test_frames_obey_the_same_options() -> None:
    table = read_prices(
        FRAME, assets=["Z"], start=datetime.date(2021, 3, 3), format={"values": "prices"}
    )
    np.testing.assert_array_equal(table.prices[:, 0], VALUES[2:, 2])
    odd = FRAME.astype(object)
    odd.iloc[2, 0] = "abc"
    with pytest.raises(
        DataError, match=r"the frame, row 2, column 'X': a price must be a number; got 'abc'"
    ):
        read_prices(odd)
    with pytest.raises(DataError, match=r"must have rows and columns; got shape \(0, "):
        read_prices(FRAME.iloc[:0])


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "bare.parquet"])
@pytest.mark.parametrize("frame", [FRAME, ZONED, LONG.reset_index()], ids=["wide", "zoned", "long"])
def test_parquet_and_feather_are_read_with_and_without_the_marks_of_pandas(
    frame: pd.DataFrame, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name == "t.feather":
        frame.to_feather(path)
    elif name == "bare.parquet":
        table = pyarrow.Table.from_pandas(frame).replace_schema_metadata(None)
        pyarrow.parquet.write_table(table, path)
    else:
        frame.to_parquet(path)
    table = read_prices(path)
    np.testing.assert_array_equal(table.prices, VALUES)
    np.testing.assert_array_equal(table.dates, INDEX.to_numpy())


@pytest.mark.parametrize(
    ("key", "value"), [("sep", ";"), ("skip_rows", 1), ("max_rows", 5), ("columns", ["a"])]
)
def test_what_is_said_of_texts_is_refused_of_frames_and_binary_files(
    key: str, value: object, tmp_path: Path
) -> None:
    FRAME.to_parquet(tmp_path / "t.parquet")
    for source in (FRAME, tmp_path / "t.parquet"):
        with pytest.raises(DataError, match=rf"format\.{key} is for texts; .* Leave out {key}\."):
            read_prices(source, format={key: value})


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    FRAME.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="must be a whole Parquet or Feather file"):
        read_prices(path)


def test_without_pyarrow_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    FRAME.to_parquet(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        DataError, match=r'not installed\. Install it with: pip install "psann\[tables\]"'
    ):
        read_prices(path)


def test_reading_a_text_imports_neither_pandas_nor_pyarrow_nor_torch(tmp_path: Path) -> None:
    path = wide(tmp_path / "t.csv", VALUES)
    code = (
        "import sys; import psann.market;"
        "heavy = {'torch', 'pandas', 'pyarrow', 'yaml', 'pydantic', 'matplotlib'};"
        "assert not heavy & set(sys.modules);"
        f"psann.market.read_prices({str(path)!r}); print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_a_frame_of_polars_becomes_the_rows_that_one_of_pandas_does() -> None:
    values, on = prices(60, 2), days(60)
    values[30, 1] = np.nan
    columns = {"A": values[:, 0], "B": values[:, 1]}
    frames = (
        pl.DataFrame({"date": on, **columns}),
        pd.DataFrame(columns, index=pd.DatetimeIndex(on, name="date")),
    )
    ours, theirs = (splits(align(read_prices(frame)), val=0.2, test=0.2) for frame in frames)
    np.testing.assert_array_equal(ours["prices_test"][-1], values[-1])
    assert (ours["active_train"] < 1).any()
    for kind in ("X", "prices", "active"):
        for split in ("train", "val", "test"):
            np.testing.assert_array_equal(ours[f"{kind}_{split}"], theirs[f"{kind}_{split}"])
