"""Later prices are read as those of the run were, and what does not go with them is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from made_tables import days, prices, wide
from psann.errors import DataError
from psann.market import load_prices
from psann.market.newer_rows import newer_rows
from psann.market.recipe import Recipe, read_recipe

NAMES = ["AAA", "BBB", "CCC"]
VALUES = prices(400, 3, seed=2)
TABLE = pd.DataFrame(VALUES, index=pd.DatetimeIndex(days(400), name="Date"), columns=NAMES)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return load_prices(wide(tmp_path_factory.mktemp("newer") / "p.csv", VALUES, NAMES))


@pytest.fixture(scope="module")
def recipe(loaded: dict[str, np.ndarray]) -> Recipe:
    return read_recipe(str(loaded["recipe"]), who="recipe.json")


def test_rows_are_those_of_the_test_split(
    recipe: Recipe, loaded: dict[str, np.ndarray], tmp_path: Path
) -> None:
    for source in (wide(tmp_path / "p.csv", VALUES, NAMES), TABLE, TABLE.reset_index()):
        found = newer_rows(source, recipe)
        assert np.abs(found.X - loaded["X_test"]).max() < 1e-12
        assert (found.dates == loaded["time_test"]).all()
        assert np.array_equal(found.quotes, loaded["prices_test"])
        assert (found.active, found.warnings) == (None, ())


def test_parquet_is_read_by_the_recipe_of_a_text(recipe: Recipe, tmp_path: Path) -> None:
    TABLE.reset_index().to_parquet(tmp_path / "p.parquet")
    assert np.array_equal(newer_rows(tmp_path / "p.parquet", recipe).X, newer_rows(TABLE, recipe).X)


def test_rows_of_validation_are_those_of_its_split(
    recipe: Recipe, loaded: dict[str, np.ndarray]
) -> None:
    found = newer_rows(TABLE, recipe, validation=True)
    assert np.abs(found.X - loaded["X_val"]).max() < 1e-12


def test_options_of_the_user_take_the_place_of_the_recipe_s(recipe: Recipe, tmp_path: Path) -> None:
    file = wide(tmp_path / "p.csv", VALUES, NAMES, date="Tag", form="%d/%m/%Y", sep=";")
    with pytest.raises(DataError):
        newer_rows(file, recipe)
    reading = {"date": "Tag", "format": {"sep": ";", "date": "%d/%m/%Y"}}
    assert np.array_equal(newer_rows(file, recipe, reading=reading).X, newer_rows(TABLE, recipe).X)


def test_an_ambiguous_date_is_read_as_in_training(tmp_path: Path) -> None:
    file = wide(tmp_path / "p.csv", VALUES, NAMES, form="%d/%m/%Y")
    data = load_prices(file)
    recipe = read_recipe(str(data["recipe"]), who="x")
    # Of the first twelve days of a month nobody could tell.
    short = wide(tmp_path / "q.csv", VALUES, NAMES, form="%d/%m/%Y")
    found = newer_rows(short, recipe)
    assert (found.dates == data["time_test"]).all()


def test_prices_at_another_level_are_refused_unless_accepted(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"scale of the run's; .* is 100 times .*--accept level"):
        newer_rows(TABLE * 100, recipe)
    assert len(newer_rows(TABLE * 100, recipe, accept=["level"]).X)


def test_an_asset_at_another_level_than_in_training_is_doubted_unless_accepted(
    recipe: Recipe,
) -> None:
    date = str(recipe.seen_until)[:10]
    then, other = TABLE.loc[date, ["AAA", "CCC"]]
    split = TABLE.assign(AAA=TABLE["AAA"] / 2)
    (doubt,) = newer_rows(split, recipe).warnings
    assert doubt.startswith(
        f"on {date}: AAA costs {then / 2:.6g}, where the run read {then:.6g}. Adjusted anew"
    )
    assert newer_rows(split, recipe, accept=["level"]).warnings == ()
    assert "AAA costs" in newer_rows(TABLE / 2, recipe).warnings[0]
    dividends = TABLE.assign(AAA=TABLE["AAA"] * 0.9)
    assert newer_rows(dividends, recipe).warnings == ()
    (doubt,) = newer_rows(TABLE.rename(columns={"AAA": "CCC", "CCC": "AAA"}), recipe).warnings
    assert f"AAA costs {other:.6g}, where the run read {then:.6g}, and {other:.6g} of CCC" in doubt
    assert f"CCC costs {then:.6g}, where the run read {other:.6g}, and {then:.6g} of AAA" in doubt


@pytest.mark.parametrize(
    ("n_later", "ratio", "is_told"), [(1, 0.5, True), (1, 1, False), (60, 0.8, False)]
)
def test_a_table_that_begins_later_is_held_against_what_moves_explain(
    recipe: Recipe, n_later: int, ratio: float, is_told: bool
) -> None:
    later = TABLE[TABLE.index > recipe.seen_until][n_later - 1 :].copy()
    later["AAA"] *= ratio
    since = later.index[recipe.history].to_datetime64().astype("datetime64[us]")
    warnings = newer_rows(later, recipe, since=since).warnings
    assert [each.partition(":")[0] for each in warnings] == (
        [f"on {later.index[0].date()}, beside {str(recipe.seen_until)[:10]} in training"] * is_told
    )
    with pytest.raises(DataError, match=r"is 47\.3 times"):  # a table that begins later
        newer_rows(TABLE.iloc[-60:] * 50, recipe)


def test_rows_at_other_distances_are_refused_unless_accepted(recipe: Recipe) -> None:
    weekly = TABLE.copy()
    weekly.index = pd.DatetimeIndex(TABLE.index[0] + pd.to_timedelta(7 * np.arange(400), "D"))
    with pytest.raises(DataError, match=r"as far apart as in training, 1 day; these are 7 days"):
        newer_rows(weekly, recipe)
    assert len(newer_rows(weekly, recipe, accept=["spacing"]).X)


def test_a_gap_among_the_rows_that_features_look_at_is_refused(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"no gap wider than 6 days.* there are 1[0-9] days"):
        newer_rows(pd.concat([TABLE.iloc[:-20], TABLE.iloc[-12:]]), recipe)
    early = pd.concat([TABLE.iloc[:40], TABLE.iloc[60:]])
    assert len(newer_rows(early, recipe).X)


def test_a_missing_asset_and_a_missing_price_are_refused_by_name(recipe: Recipe) -> None:
    with pytest.raises(DataError, match="assets must be in the table; got 'BBB'"):
        newer_rows(TABLE.drop(columns="BBB"), recipe)
    with pytest.raises(DataError, match=r"BBB have none.* Add prices under this name"):
        newer_rows(TABLE.assign(BBB=np.nan), recipe)
    holey = TABLE.copy()
    holey.loc[holey.index[-1], "CCC"] = np.nan
    with pytest.raises(DataError, match=r"CCC must have a price on .*the policy knows no row"):
        newer_rows(holey, recipe)


def test_too_few_rows_for_the_longest_feature_are_refused_with_their_number(
    recipe: Recipe,
) -> None:
    with pytest.raises(DataError, match=r"must have 20 rows before the first .* got 9 before"):
        newer_rows(TABLE.iloc[-10:], recipe)
    assert len(newer_rows(TABLE.iloc[-21:], recipe).X) == 1
    told = newer_rows(TABLE.iloc[-30:], recipe, since=np.datetime64(TABLE.index[-25], "us"))
    assert len(told.X) == 10
    assert "lack their history" in told.warnings[0]


def test_who_has_gone_is_given_no_weight_where_holes_were_known(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[250:, 2] = np.nan
    file = wide(tmp_path / "p.csv", values, NAMES)
    data = load_prices(file, ended={"default": -0.5})
    recipe = read_recipe(str(data["recipe"]), who="x")
    newest = pd.DataFrame(values[-60:, :2], index=TABLE.index[-60:], columns=NAMES[:2])
    found = newer_rows(newest, recipe)
    assert found.active is not None
    assert found.active[-1].tolist() == [True, True, False]
    assert np.abs(found.X - data["X_test"][-len(found.X) :]).max() < 1e-12
    assert any("CCC" in note for note in found.notes)


def test_assets_of_another_market_and_unknown_doubts_are_refused(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[:30, 2] = np.nan
    data = load_prices(wide(tmp_path / "p.csv", values, NAMES))
    recipe = read_recipe(str(data["recipe"]), who="x")
    with pytest.raises(DataError, match="must be of the assets of the run, AAA, BBB, CCC; got X"):
        newer_rows(TABLE.set_axis(["X", "Y", "Z"], axis=1), recipe)
    with pytest.raises(DataError, match="accept must be of level, spacing; got 'all'"):
        newer_rows(TABLE, recipe, accept=["all"])
