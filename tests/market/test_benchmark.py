"""A column that is not traded: no asset, no feature, and on the same rows as the assets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_panels import walks
from made_tables import wide
from psann.errors import DataError
from psann.market import load_prices

PRICES = walks(200, 4).round(4)


def test_a_benchmark_is_beside_the_assets_and_changes_nothing_of_them(tmp_path: Path) -> None:
    whole = load_prices(wide(tmp_path / "p.csv", PRICES), benchmark="A1")
    others = load_prices(wide(tmp_path / "o.csv", PRICES), assets=["A0", "A2", "A3"])
    assert whole["asset_names"].tolist() == ["A0", "A2", "A3"]
    for name in ("X_train", "prices_test", "time_val", "y_val"):
        np.testing.assert_array_equal(whole[name], others[name])
    assert whole["benchmark_name"].tolist() == ["A1"]
    assert whole["benchmark_test"].shape == (len(whole["X_test"]), 1)
    np.testing.assert_array_equal(whole["benchmark_test"][:, 0], PRICES[-len(whole["X_test"]) :, 1])
    assert any("A1 is the benchmark" in note for note in whole["notes"])


def test_chosen_assets_need_not_repeat_it(tmp_path: Path) -> None:
    data = load_prices(wide(tmp_path / "p.csv", PRICES), assets=["A3", "A0"], benchmark="A2")
    assert data["asset_names"].tolist() == ["A3", "A0"]
    np.testing.assert_array_equal(data["benchmark_val"].shape, (len(data["X_val"]), 1))


def test_what_cannot_be_a_benchmark_is_refused(tmp_path: Path) -> None:
    path = wide(tmp_path / "p.csv", PRICES)
    with pytest.raises(DataError, match=r"one of the 4 columns of prices; got 'A9'"):
        load_prices(path, benchmark="A9")
    with pytest.raises(DataError, match="A0 is the only one"):
        load_prices(wide(tmp_path / "one.csv", PRICES[:, :1]), benchmark="A0")
    holes = PRICES.copy()
    holes[77, 1] = np.nan
    with pytest.raises(DataError, match=r"on every row of the assets; it has none on 1 of 200, "):
        load_prices(wide(tmp_path / "h.csv", holes), benchmark="A1")
