"""What a run writes down of how its prices became features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from made_tables import prices, wide
from psann.errors import FileFormatError
from psann.market import load_prices
from psann.market.recipe import Recipe, read_recipe


def _recipe(folder: Path, **options: object) -> tuple[Recipe, dict[str, np.ndarray]]:
    data = load_prices(wide(folder / "prices.csv", prices(300, 3)), **options)
    return read_recipe(str(data["recipe"]), who="recipe.json"), data


def test_scales_ranges_spans_and_level_are_those_of_the_data(tmp_path: Path) -> None:
    recipe, data = _recipe(tmp_path)
    moves = np.log(prices(300, 3)[1:] / prices(300, 3)[:-1])
    n_train = len(data["X_train"])
    # By hand: the one move of the first training row is the twentieth of the table.
    first = data["X_train"][0, 0] * recipe.scales[0]
    assert first == pytest.approx(moves[19, 0])
    assert recipe.lowest == data["X_train"].min(axis=0).tolist()
    assert recipe.highest == data["X_train"].max(axis=0).tolist()
    assert recipe.spans["val"] == tuple(str(day)[:10] for day in data["time_val"][[0, -1]])
    assert recipe.seen_until == data["time_val"][-1]
    assert recipe.level == data["prices_val"][-1].tolist()
    assert (recipe.history, n_train > 100) == (20, True)
    assert (recipe.spacing_s, recipe.widest_s) == (86400.0, 3 * 86400.0)
    assert recipe.mean_s == pytest.approx(86400 * 7 / 5, rel=0.01)
    assert recipe.names == data["feature_names"].tolist()
    assert not recipe.with_members


def test_first_and_last_date_are_no_part_of_how_to_read(tmp_path: Path) -> None:
    recipe, _ = _recipe(tmp_path, start="2021-04-01", end="2022-01-31", assets=["A1", "A0"])
    assert recipe.reading["date"] == "Date"
    assert not {"start", "end"} & set(recipe.reading)
    assert recipe.assets == ["A1", "A0"]


def test_features_that_look_far_back_say_so(tmp_path: Path) -> None:
    features = [{"moves": {"rows": [3], "scale": "trailing"}}, "calendar"]
    recipe, _ = _recipe(tmp_path, features=features)
    assert recipe.history == 3 + 250
    assert recipe.scales == [None, None]


def test_rows_of_which_a_function_of_one_s_own_says_nothing_count_as_its_history(
    tmp_path: Path,
) -> None:
    recipe, _ = _recipe(tmp_path, features=[{"user_features.reversal": {"rows": 7}}])
    assert recipe.history == 7


def test_a_universe_in_a_file_is_written_down_with_its_dates(tmp_path: Path) -> None:
    file = tmp_path / "universe.csv"
    file.write_text("asset,from,to\nA0,,\nA1,2021-03-01,2021-06-30\nA2,2019-01-01,2019-06-30\n")
    recipe, _ = _recipe(tmp_path, universe=str(file))
    assert recipe.universe == {
        "A0": [["", ""]],
        "A1": [["2021-03-01", "2021-06-30"]],
    }
    assert recipe.assets == ["A0", "A1"]  # the third was never a member
    assert recipe.with_members


def test_a_recipe_comes_back_to_the_bit(tmp_path: Path) -> None:
    recipe, data = _recipe(tmp_path)
    assert read_recipe(recipe.model_dump_json(), who="x") == recipe
    assert recipe.model_dump_json() == str(data["recipe"])


@pytest.mark.parametrize(
    "change",
    [
        {"scales": "none"},
        {"assets": []},
        {"names": ["one"]},
        {"more": 1},
        {"spans": {"train": ["2020-01-02", "soon"]}},
        {"spacing_s": 0},
    ],
)
def test_a_recipe_that_was_changed_is_refused_by_name(
    change: dict[str, object], tmp_path: Path
) -> None:
    recipe, _ = _recipe(tmp_path)
    content = {**json.loads(recipe.model_dump_json()), **change}
    with pytest.raises(FileFormatError, match=r"recipe.json must tell how .* Copy the run again"):
        read_recipe(json.dumps(content), who="recipe.json")


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(FileFormatError, match="must be strict JSON"):
        read_recipe(b'{"a": 1, "a": 2}', who="recipe.json")
