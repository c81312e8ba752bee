"""The tables that flow are read-only."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from made_tables import prices, wide
from psann.datasets import load_olps
from psann.errors import DataError
from psann.market import PriceTable, align, load_prices, read_prices, splits
from psann.market.drawing import draw


def test_a_session_shows_what_a_table_is_of_and_its_notes(tmp_path: Path) -> None:
    table = read_prices(wide(tmp_path / "t.csv", prices(700, 2)))
    of = "of 700 rows, 2021-03-01 to 2023-11-03, 2 assets: A0, A1>"
    for shown in (table, align(table)):
        first, *notes = repr(shown).splitlines()
        assert first == f"<{type(shown).__name__} {of}"
        assert notes == [f"- {note}" for note in shown.notes]
    nothing = PriceTable(**{**vars(table), "dates": table.dates[:0], "prices": table.prices[:0]})
    assert repr(nothing).startswith("<PriceTable of 0 rows, 2 assets: A0, A1>")


def test_a_step_that_was_left_out_is_told(tmp_path: Path) -> None:
    frame = pd.read_csv(wide(tmp_path / "t.csv", prices(40, 2)))
    with pytest.raises(DataError, match=r"^align must be given a PriceTable; got DataFrame\. Read"):
        align(frame)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"^draw must be given a PriceTable; got DataFrame\. Read"):
        draw(frame)  # type: ignore[arg-type]
    for early in (frame, read_prices(frame)):
        with pytest.raises(DataError, match=r"^splits must be given a Panel; got .*\. Align it"):
            splits(early, val=0.2, test=0.2)  # type: ignore[arg-type]
    splits(align(read_prices(frame)), val=0.2, test=0.2, features=[{"moves": {"rows": [1]}}])


@pytest.mark.parametrize("odd", [pd.Series([1.0]), np.ones(2), ["A0"], {"Z": "x"}, 3])
def test_options_of_another_kind_are_refused_by_name(odd: Any, tmp_path: Path) -> None:
    frame = pd.read_csv(wide(tmp_path / "t.csv", prices(40, 2)))
    shares = {"split": {"val": 0.2, "test": 0.2}, "features": [{"moves": {"rows": [1]}}]}
    for name in ("benchmark", "features", "ended", *(() if isinstance(odd, int) else ("gap",))):
        with pytest.raises(DataError, match=name):
            load_prices(frame, **{**shares, name: odd})
    for name in ("name", "features"):
        with pytest.raises(DataError, match=f"^{name} must be one of"):
            load_olps(**{"name": "djia", name: odd})


def test_a_table_of_prices_cannot_be_changed(tmp_path: Path) -> None:
    table = read_prices(wide(tmp_path / "t.csv", prices(5, 2)))
    with pytest.raises(ValueError, match="read-only"):
        table.prices[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        table.dates[0] = table.dates[1]
    with pytest.raises(TypeError):
        table.options["date"] = "x"  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        table.assets = ()  # type: ignore[misc]
