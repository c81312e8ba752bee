"""From a table to the arrays of a run, in one call and by a config."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import yaml

from made_panels import walks
from made_tables import wide
from psann._imports import import_object
from psann.errors import DataError
from psann.holdings import MEMBER
from psann.market import align, load_prices, read_prices, splits

PRICES = walks(200, 3).round(4)
SHARES = {"val": 0.2, "test": 0.2}


def test_the_arrays_are_those_of_the_three_steps(tmp_path: Path) -> None:
    path = wide(tmp_path / "p.csv", PRICES)
    data = load_prices(str(path), split=SHARES, gap=2, assets=["A2", "A0"])
    steps = splits(align(read_prices(path, assets=["A2", "A0"])), val=0.2, test=0.2, gap=2)
    assert set(data) - {"notes", "recipe"} == set(steps)
    del data["notes"], data["recipe"]
    for key, array in data.items():
        np.testing.assert_array_equal(array, steps[key])
    assert data["asset_names"].tolist() == ["A2", "A0"]


def test_a_fifth_of_the_moves_each_is_the_default(tmp_path: Path) -> None:
    path = wide(tmp_path / "p.csv", PRICES)
    one, two = load_prices(path), load_prices(path, split=SHARES)
    assert [len(one[f"X_{name}"]) for name in ("val", "test")] == [40, 41]
    np.testing.assert_array_equal(one["X_test"], two["X_test"])


def test_every_option_is_named_in_the_signature_that_a_config_is_checked_against() -> None:
    names = list(inspect.signature(load_prices).parameters)
    assert names == [
        *("prices", "split", "gap", "features", "ended", "rows", "universe"),
        *("benchmark", "date", "asset", "price", "assets", "arrays", "start", "end", "format"),
    ]


def test_a_config_may_name_it_and_nothing_beside_it() -> None:
    assert import_object("psann.market.load_prices", who="data.loader") is load_prices
    for target in ("psann.market.loading.np.load", "psann.market.tables.hashlib.sha256"):
        with pytest.raises(DataError.__mro__[1], match=r"^data\.loader: "):
            import_object(target, who="data.loader")


def test_what_was_understood_is_told_with_the_dates_of_the_splits(tmp_path: Path) -> None:
    notes = load_prices(wide(tmp_path / "p.csv", PRICES[::-1]), split=SHARES)["notes"].tolist()
    assert "- rows per year: about 262." in notes
    assert "features 18: A0.move_1, A1.move_1, A2.move_1, A0.move_2, A1.move_2 and 13 more" in notes
    assert "test: 41 rows, 2021-10-08 to 2021-12-03" in notes


def test_holes_come_as_who_can_be_held_and_are_told(tmp_path: Path) -> None:
    prices = PRICES.copy()
    prices[:30, 1] = np.nan
    prices[150:, 2] = np.nan
    path = wide(tmp_path / "p.csv", prices)
    data = load_prices(path, split=SHARES, ended={"default": -0.3})
    notes = data["notes"].tolist()
    assert "test: 41 rows, 2021-10-08 to 2021-12-03, 2 to 2 members" in notes
    assert any(note.startswith("- ended, -30 % after the last price: A2 ") for note in notes)
    assert (data["active_test"][:, 2] != MEMBER).all()
    assert np.isfinite(data["prices_train"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dates": "Date"}, r"dates is not known; there are prices, .*Did you mean 'date'\?"),
        ({"split": 0.2}, "split must give val and test"),
        ({"split": {"val": 0.2}}, r"split must give val and test.*got \{'val': 0\.2\}"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load_prices(wide(tmp_path / "p.csv", PRICES), **{"split": SHARES, **options})  # type: ignore[arg-type]


def test_dates_of_a_yaml_file_are_dates(tmp_path: Path) -> None:
    split = yaml.safe_load("{val: 2021-08-02, test: 2021-10-01}")
    data = load_prices(wide(tmp_path / "p.csv", PRICES), split=split)
    assert data["time_val"][0] == np.datetime64("2021-08-02")
