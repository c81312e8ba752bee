"""Data that are hard to believe are told of by array, and believable ones are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from psann._npz import Array
from psann.datasets import make_smoke_market
from psann.plausibility.doubts import find_doubts
from trials import finished, metrics_of, rows_of


def market(**changes: Array) -> dict[str, Array]:
    return {**make_smoke_market(600, assets=3, seed=1, strength=0.1), **changes}


def test_an_honest_market_raises_no_doubt() -> None:
    assert find_doubts(market()) == []


def test_growth_factors_given_as_prices_are_named_with_the_cure() -> None:
    prices = market()["prices_train"]
    (doubt,) = find_doubts(market(prices_train=prices[1:] / prices[:-1]))
    assert doubt.startswith("prices_train: The prices look like growth factors")
    assert "numpy.cumprod" in doubt


def test_an_asset_is_called_by_its_name() -> None:
    prices = market()["prices_train"].copy()
    prices[:, 2] = prices[:, 0]
    names = np.array(["AAA", "BBB", "CCC"])
    (doubt,) = find_doubts(market(prices_train=prices, asset_names=names))
    assert "'CCC'" in doubt
    assert "'AAA'" in doubt


def test_a_feature_of_the_row_after_is_suspected() -> None:
    data = market()
    later = np.vstack([np.diff(np.log(data["prices_train"]), axis=0), np.zeros((1, 3))])
    doubts = find_doubts({**data, "X_train": np.hstack([data["X_train"], later])})
    assert len(doubts) == 3
    assert all("the very next move" in doubt for doubt in doubts)


def test_prices_that_stand_in_two_splits_are_told() -> None:
    data = market()
    doubts = find_doubts({**data, "prices_test": data["prices_val"]})
    assert any("prices_val and prices_test are the same" in doubt for doubt in doubts)


def test_doubts_are_logged_before_training_and_kept_in_the_record(tmp_path: Path) -> None:
    paths = finished(
        tmp_path,
        "data={loader: psann.datasets.make_smoke_market, kwargs: "
        "{rows: 400, assets: 2, seed: 1, strength: 0.95}}",
    )
    doubts = metrics_of(paths)["doubts"]
    assert any("the very next move" in doubt for doubt in doubts)
    logged = [row["message"] for row in rows_of(paths, "data") if row["level"] == "WARNING"]
    assert [doubt for doubt in doubts if doubt not in logged] == []


@pytest.mark.parametrize("n_rows", [2, 5, 29])
def test_few_rows_say_nothing(n_rows: int) -> None:
    data = {key: array[:n_rows] for key, array in market().items()}
    assert [doubt for doubt in find_doubts(data) if "X_train" in doubt] == []
