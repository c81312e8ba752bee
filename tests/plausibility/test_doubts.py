"""Data that are hard to believe are told of by array, and believable ones are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from psann._npz import Array
from psann.datasets import make_smoke_market
from psann.plausibility.doubts import find_doubts, find_untested
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


def test_rows_of_features_in_two_splits_are_told_with_times_or_without() -> None:
    data = {key: array for key, array in market().items() if not key.startswith("time")}
    data["X_val"] = np.vstack([data["X_train"][-1:], data["X_val"][1:]])
    (doubt,) = find_doubts(data)
    assert doubt.startswith("X_train and X_val overlap: 1 row of X_val stands in X_train too")
    del data["prices_train"], data["prices_val"]
    assert find_doubts(data) == [doubt]
    for split in ("train", "val", "test"):  # rows that repeat by nature share nothing
        data[f"X_{split}"] = np.random.default_rng(0).integers(0, 2, (60, 2)).astype(float)
    assert find_doubts(data) == []


def test_a_constant_feature_is_doubted_by_its_name() -> None:
    data = market()
    X = np.hstack([data["X_train"], np.full((len(data["X_train"]), 1), 7.0)])
    names = np.array([f"f{k}" for k in range(X.shape[1])])
    (doubt,) = find_doubts({**data, "X_train": X, "feature_names": names})
    assert (
        doubt == f"X_train: Feature {len(names) - 1} ('{names[-1]}') never changes. Leave it out."
    )


def test_a_finding_at_a_row_tells_its_date_and_missing_stretches_are_doubted() -> None:
    data = market()
    n, prices = len(data["time_train"]), data["prices_train"].copy()
    prices[100:120, 1] = prices[100, 1]
    days = np.datetime64("2020-01-01", "us") + np.arange(n + 90) * np.timedelta64(1, "D")
    (stale,) = find_doubts({**data, "prices_train": prices, "time_train": days[:n]})
    assert stale.endswith("Row 100 is 2020-04-10.")
    (gap,) = find_doubts({**data, "time_train": np.delete(days, np.s_[200:290])})
    assert gap.startswith("time_train: Nothing is there between row 199, 2020-07-18, and row")
    assert "2020-10-17: 91 days, 91 usual steps" in gap
    assert find_doubts({**data, "time_train": days[:n]}) == []


def test_what_cannot_be_tested_is_said_in_one_line() -> None:
    data = market()
    assert find_untested(data) is None
    short = {key: array[:50] for key, array in data.items()}
    assert "fewer than 100 rows" in str(find_untested(short))
    bare = {key: array for key, array in data.items() if key.startswith("X_")}
    assert find_untested(bare) == (
        "Not tested: whether rows are missing or out of order (time_train, time_val, time_test: "
        "none); whether features know the next move (prices_train: none)."
    )


@pytest.mark.parametrize("n_rows", [2, 5, 29])
def test_few_rows_say_nothing(n_rows: int) -> None:
    data = {key: array[:n_rows] for key, array in market().items()}
    assert [doubt for doubt in find_doubts(data) if "X_train" in doubt] == []
