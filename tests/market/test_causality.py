"""From the file to the action: what comes after a row changes nothing up to it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_panels import panel_of, walks
from made_tables import days, wide
from psann import PSANNRegressor
from psann.holdings import MEMBER
from psann.market import load_prices, splits

N, FIRST_VAL = 170, 90
KINDS: list[Any] = [
    "moves",
    {"moves": {"rows": [1, 7]}},
    {"moves": {"rows": [2], "scale": "trailing"}},
    {"volatility": {"rows": 3}},
    {"moving_average_gap": {"rows": 9}},
    {"rank": {"rows": 4}},
    {"market": {"rows": [1, 3]}},
    "calendar",
]
# A trailing scale looks back as the training scale does, further than any gap.
OWN_SCALE = [kind for kind in KINDS if "trailing" not in repr(kind)]


def holes(seed: int) -> np.ndarray:
    """A market with a halt in the training rows, so that the table has holes whatever comes."""
    draws = np.random.default_rng(seed)
    prices = walks(N, 4, seed).round(3)
    prices[30:33, 1] = np.nan
    prices[: int(draws.integers(0, 60)), 2] = np.nan
    for row in draws.integers(40, N - 8, 4):
        prices[row : row + draws.integers(1, 5), draws.integers(1, 4)] = np.nan
    return prices


def futures(prices: np.ndarray, row: int, seed: int) -> np.ndarray:
    """The same up to a row; then other prices, halts, ends and a listing that never ends."""
    draws = np.random.default_rng(seed + 1)
    other = prices.copy()
    later = other[row + 1 :]
    later[:] = np.where(np.isfinite(later), later, 40.0) * np.exp(
        0.3 * draws.standard_normal(later.shape)
    ).round(3)
    later[draws.random(later.shape) < 0.1] = np.nan
    if draws.random() < 0.7:
        later[:, 3] = np.nan  # D ends on the row, or never was on these
    later[:, 0] = np.where(np.isfinite(later[:, 0]), later[:, 0], 50.0)
    return other


def arrays(folder: Path, prices: np.ndarray, features: list[Any], **options: Any) -> dict[str, Any]:
    path = wide(folder / "prices.csv", prices, list("ABCD"))
    stamps = [str(day) for day in days(N)]
    return load_prices(
        path,
        split={"val": stamps[FIRST_VAL], "test": stamps[130]},
        features=features,
        ended={"default": -1.0},
        rows=0.01,
        **options,
    )


@cache
def policy(n_features: int, n_assets: int) -> PSANNRegressor:
    """A network with weights of its own, whatever it learnt."""
    draws = np.random.default_rng(0)
    prices = np.exp(0.1 * draws.standard_normal((40, n_assets)).cumsum(0))
    return PSANNRegressor(hidden_units=4, epochs=1, random_state=1, engine="eager").fit(
        draws.standard_normal((40, n_features)),
        prices=prices,
        hisso={"window": 10, "batch_episodes": 2, "updates_per_epoch": 1},
    )


def seen(data: dict[str, Any], name: str, dates: np.ndarray) -> tuple[np.ndarray, ...]:
    """Features, members and actions of a split on the rows of such dates."""
    at = np.isin(data[f"time_{name}"], dates)
    X, active = data[f"X_{name}"], data[f"active_{name}"]
    actions = policy(X.shape[1], active.shape[1]).predict_actions(X, active=active)
    return X[at], (active == MEMBER)[at], actions[at]


@given(
    seed=st.integers(0, 999),
    row=st.integers(FIRST_VAL, N - 3),
    features=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique_by=repr),
    gap=st.integers(0, 5),
)
@settings(max_examples=12, deadline=None)
def test_what_comes_after_a_row_changes_nothing_up_to_it(
    tmp_path_factory: pytest.TempPathFactory, seed: int, row: int, features: list[Any], gap: int
) -> None:
    folder = tmp_path_factory.mktemp("causal")
    prices = holes(seed)
    one = arrays(folder, prices, features, gap=gap)
    two = arrays(folder, futures(prices, row, seed), features, gap=gap)
    stamp = np.datetime64(days(N)[row], "us")
    for name in ("train", "val", "test"):
        known = one[f"time_{name}"][one[f"time_{name}"] <= stamp]
        for ours, theirs in zip(seen(one, name, known), seen(two, name, known), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@given(
    seed=st.integers(0, 999),
    features=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique_by=repr),
)
@settings(max_examples=8, deadline=None)
def test_scales_come_from_training_rows_only(seed: int, features: list[Any]) -> None:
    prices = holes(seed)
    wild = futures(prices, FIRST_VAL - 1, seed)
    cut = {"val": str(days(N)[FIRST_VAL]), "test": str(days(N)[130])}
    one, two = (
        splits(panel_of(each), features=features, **cut)["X_train"] for each in (prices, wild)
    )
    np.testing.assert_array_equal(one, two)


@given(
    seed=st.integers(0, 999),
    features=st.lists(st.sampled_from(OWN_SCALE), min_size=1, max_size=3, unique_by=repr),
)
@settings(max_examples=8, deadline=None)
def test_a_gap_of_the_longest_feature_keeps_training_prices_out_of_later_features(
    seed: int, features: list[Any]
) -> None:
    prices = walks(N, 3, seed)
    cut = {"val": str(days(N)[FIRST_VAL]), "test": str(days(N)[140]), "gap": "features"}
    panel = panel_of(prices)
    one = splits(panel, features=features, **cut)
    last = int(np.searchsorted(panel.dates, one["time_train"][-1]))
    # Training prices at another level and in another order, but with moves of the same size, so
    # that only what looks back at them would differ, not the scale.
    other = prices.copy()
    other[: last + 1] *= 7.0
    two = splits(panel_of(other), features=features, **cut)
    for name in ("val", "test"):
        np.testing.assert_allclose(one[f"X_{name}"], two[f"X_{name}"], rtol=1e-9, atol=1e-9)
