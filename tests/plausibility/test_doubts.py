"""Data that are hard to believe are told of by array, and believable ones are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from psann._typing import Array
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


def test_filled_rows_are_told_of_assets_that_are_there_throughout() -> None:
    data = market()
    prices = data["prices_train"][np.arange(len(data["prices_train"])) // 2 * 2]
    active = np.ones(prices.shape, dtype=np.int8)
    active[:50, 0] = 0  # listed later, and no price before
    (doubt,) = find_doubts({**data, "prices_train": prices, "active_train": active})
    assert "rows no price moves, first on row 1" in doubt


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


def test_what_is_wrong_everywhere_is_told_in_a_sentence() -> None:
    data = market(asset_names=np.array([f"A{k}" for k in range(18)]))
    for key in ("prices_train", "prices_val", "prices_test"):
        data[key] = np.ones((len(data[key]), 18))
    (doubt,) = (each for each in find_doubts(data) if "never move" in each)
    assert doubt == (
        "prices_train, prices_val, prices_test: The prices of assets 0 ('A0'), 1 ('A1'), 2 ('A2'), "
        "3 ('A3'), 4 ('A4') and 13 more never move. Leave them out, or declare cash."
    )
    data["X_train"] = np.ones_like(data["X_train"])
    still = [each for each in find_doubts(data) if "never change" in each]
    assert len(still) == 1 and still[0].startswith("X_train: Features 0, 1, 2, 3, 4 and ")


def test_of_one_kind_five_are_told_and_the_others_counted() -> None:
    data = market()
    data["prices_train"][np.arange(40, 280, 30), 1] *= 3  # wrong prints
    *first, last = [each for each in find_doubts(data) if "print" in each]
    assert len(first) == 4 and last.endswith("There are 3 more like it.")


def test_prices_of_members_are_doubted_and_what_comes_and_ends_is_not() -> None:
    data = market()
    for split in ("train", "val", "test"):
        data[f"active_{split}"] = np.ones(data[f"prices_{split}"].shape, dtype=np.int8)
    prices, active = data["prices_train"], data["active_train"]
    active[:100, 1], prices[:100, 1] = 0, 1.0  # listed on row 100, at another price
    active[200:, 0], prices[200:, 0] = -2, prices[199, 0] * 0.01  # ended with a loss
    assert find_doubts(data) == []
    prices[250, 1] *= 1.7
    prices[150:, 2] /= 3
    wrong_print, split = find_doubts(data)
    assert "row 250 is 1.7" in wrong_print and "row 150, near 1/3" in split


def test_a_rate_that_the_times_deny_is_doubted_once_and_only_where_there_are_prices() -> None:
    data = market()
    for split in ("train", "val", "test"):
        first = {"train": 0, "val": 1000, "test": 2000}[split]
        days = np.arange(first, first + len(data[f"X_{split}"])).astype("datetime64[W]")
        data[f"time_{split}"] = days
    (doubt,) = find_doubts(data, periods_per_year=252)
    assert doubt.startswith("time_train: By their times about 52.2 rows are a year")
    assert find_doubts(data, periods_per_year=52) == find_doubts(data) == []
    without = {key: array for key, array in data.items() if not key.startswith("prices")}
    assert find_doubts(without, periods_per_year=252) == []


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
        "none); whether features know what later rows bring."
    )


@pytest.mark.parametrize("n_rows", [2, 5, 29])
def test_few_rows_say_nothing(n_rows: int) -> None:
    data = {key: array[:n_rows] for key, array in market().items()}
    assert [doubt for doubt in find_doubts(data) if "X_train" in doubt] == []


def spoilt(key: str, change: Any) -> dict[str, Array]:
    data = market()
    return {**data, key: change(data[key].copy())}


def stale(prices: Array) -> Array:
    prices[100:120, 1] = prices[100, 1]
    return prices


def split(prices: Array) -> Array:
    prices[150:, 1] /= 3.0
    return prices


def without_column(data: dict[str, Array], key: str, column: int) -> dict[str, Array]:
    kind = key.partition("_")[0]
    return {k: np.delete(a, column, 1) if k.startswith(f"{kind}_") else a for k, a in data.items()}


def wrong_print(prices: Array) -> Array:
    prices[150, 1] *= 1.7
    return prices


def in_hundredths(prices: Array) -> Array:
    prices[150:, 1] *= 100
    return prices


def weekly(prices: Array) -> Array:
    """Closes of the first asset, each on all four rows of which it is the last."""
    last = np.minimum(np.arange(len(prices)) // 4 * 4 + 3, len(prices) - 1)
    return prices[last, :1]


def put_in(rows: Array, column: int, factor: float) -> Array:
    rows[:, column] = rows[:, column] * factor
    return rows


def next_moves() -> Array:
    return np.vstack([np.diff(np.log(market()["prices_train"]), axis=0), np.zeros((1, 3))])


# The word of the message, the data that it is of, and what it says to do.
CURES: dict[str, tuple[dict[str, Array], Any]] = {
    "growth factors": (
        spoilt("prices_train", lambda p: p / np.vstack([p[:1], p[:-1]])),
        lambda d: {**d, "prices_train": np.cumprod(d["prices_train"], axis=0)},
    ),
    "shuffled": (
        spoilt("prices_train", lambda p: 50 * p[np.random.default_rng(0).permutation(len(p))]),
        lambda d: {**d, "prices_train": market()["prices_train"]},
    ),
    "never moves": (
        spoilt("prices_train", lambda p: np.hstack([p, np.ones((len(p), 1))])),
        lambda d: {**d, "prices_train": d["prices_train"][:, :-1]},
    ),
    "never move.": (
        spoilt("prices_train", lambda p: np.hstack([p, np.ones((len(p), 2))])),
        lambda d: {**d, "prices_train": d["prices_train"][:, :-2]},
    ),
    "are those of asset": (
        spoilt("prices_train", lambda p: np.hstack([p, 7 * p[:, :1]])),
        lambda d: {**d, "prices_train": d["prices_train"][:, :-1]},
    ),
    "stands still": (
        spoilt("prices_train", stale),
        lambda d: {
            k: np.delete(a, np.s_[100:120], 0) if "_train" in k else a for k, a in d.items()
        },
    ),
    "a wrong print": (
        spoilt("prices_train", wrong_print),
        lambda d: {**d, "prices_train": d["prices_train"][[*range(150), 149, *range(151, 300)]]},
    ),
    "change places": (
        spoilt("prices_train", lambda p: np.vstack([p[:150], p[150:, [2, 1, 0]]])),
        lambda d: {
            **d,
            "prices_train": np.vstack(
                [d["prices_train"][:150], d["prices_train"][150:, [2, 1, 0]]]
            ),
        },
    ),
    "another unit": (
        spoilt("prices_train", in_hundredths),
        lambda d: {
            **d,
            "prices_train": np.vstack(
                [d["prices_train"][:150] * [1, 100, 1], d["prices_train"][150:]]
            ),
        },
    ),
    "a split that was not adjusted": (
        spoilt("prices_train", split),
        lambda d: {
            **d,
            "prices_train": np.vstack(
                [d["prices_train"][:150] / [1, 3, 1], d["prices_train"][150:]]
            ),
        },
    ),
    "never changes": (
        spoilt("X_train", lambda X: put_in(X, 0, 0.0)),
        lambda d: without_column(d, "X_train", 0),
    ),
    "never change.": (
        spoilt("X_train", lambda X: put_in(put_in(X, 0, 0.0), 1, 0.0)),
        lambda d: without_column(without_column(d, "X_train", 0), "X_train", 0),
    ),
    "it will drown them": (
        spoilt("X_train", lambda X: put_in(X, 0, 1e6)),
        lambda d: {**d, "X_train": StandardScaler().fit_transform(d["X_train"])},
    ),
    "overlap": (
        spoilt("X_val", lambda X: np.vstack([market()["X_train"][-5:], X[5:]])),
        lambda d: {k: a[5:] if k.endswith("_val") else a for k, a in d.items()},
    ),
    "Leave out the rows on which nobody trades": (
        spoilt("prices_train", lambda p: p[np.arange(len(p)) // 6 * 6]),
        lambda d: {k: a[::6] if k.endswith("_train") else a for k, a in d.items()},
    ),
    "Nothing is there": (
        spoilt("time_train", lambda t: np.where(np.arange(len(t)) < 40, t - 200, t)),
        lambda d: {k: a[40:] if k.endswith("_train") else a for k, a in d.items()},
    ),
    "Keep rows of one frequency": (
        spoilt("time_train", lambda t: np.where(np.arange(len(t)) < 150, 30 * t - 29 * t[150], t)),
        lambda d: {k: a[150:] if k.endswith("_train") else a for k, a in d.items()},
    ),
    "that has only begun": (
        spoilt("X_train", lambda X: np.hstack([X, weekly(market()["prices_train"])])),
        lambda d: {
            **d,
            "X_train": np.hstack([d["X_train"][:, :-1], np.roll(d["X_train"][:, -1:], 3, axis=0)]),
        },
    ),
    "the very next move": (
        spoilt("X_train", lambda X: np.hstack([X, next_moves()])),
        lambda d: (
            {**d, "X_train": np.hstack([d["X_train"][1:, :-3], d["X_train"][:-1, -3:]])}
            | {k: d[k][1:] for k in ("prices_train", "y_train", "time_train")}
        ),
    ),
}


@pytest.mark.parametrize("word", CURES)
def test_what_a_doubt_says_to_do_ends_it(word: str) -> None:
    data, cure = CURES[word]
    assert any(word in doubt for doubt in find_doubts(data))
    assert [doubt for doubt in find_doubts(cure(data)) if word in doubt] == []
