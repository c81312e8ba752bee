"""The tables that flow are read-only."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from made_tables import prices, wide
from psann.market import read_prices


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
