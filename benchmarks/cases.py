"""The work that is timed: networks, windows and series, the same for every package and engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network on one series; every number that decides what an update costs."""

    what: str
    estimator: str = "PSANNRegressor"
    params: dict[str, Any] = field(default_factory=dict)
    n_rows: int = 4000
    n_features: int
    n_assets: int
    window: int
    batch_episodes: int
    updates_per_epoch: int
    reward: str = "portfolio_target_l1"
    """The published package has no other: log growth less the l1 change of the weights."""


_WAVE = {"first_layer_w0": 30.0, "hidden_w0": 1.0}
_M: dict[str, Any] = {
    "estimator": "WaveResNetRegressor",
    "params": {"hidden_layers": 4, "hidden_units": 64, **_WAVE},
    "n_features": 512,
    "n_assets": 8,
}
_EPISODES: dict[str, Any] = {
    "n_features": 100,
    "n_assets": 20,
    "window": 64,
    "batch_episodes": 128,
    "updates_per_epoch": 16,
    "reward": "portfolio",
}

CASES: dict[str, Case] = {
    "S": Case(
        what="dense 1x32, 8 inputs, 4 assets, window 24, 1 episode per update",
        params={"hidden_layers": 1, "hidden_units": 32},
        n_features=8,
        n_assets=4,
        window=24,
        batch_episodes=1,
        updates_per_epoch=256,
    ),
    "M": Case(
        what="WaveResNet 4x64, 512 inputs, 8 assets, window 48, 8 episodes per update",
        window=48,
        batch_episodes=8,
        updates_per_epoch=64,
        **_M,
    ),
    "M-320": Case(
        what="as M, but 32 windows of 64 on 320 rows: rows repeat within an update",
        n_rows=320,
        window=64,
        batch_episodes=32,
        updates_per_epoch=16,
        **_M,
    ),
    "M-1000": Case(
        what="as M, but 32 windows of 64 on 1000 rows",
        n_rows=1000,
        window=64,
        batch_episodes=32,
        updates_per_epoch=16,
        **_M,
    ),
    "L": Case(
        what="WaveResNet 8x256, 64 inputs, 8 assets, window 64, 32 episodes per update",
        estimator="WaveResNetRegressor",
        params={"hidden_layers": 8, "hidden_units": 256, **_WAVE},
        n_features=64,
        n_assets=8,
        window=64,
        batch_episodes=32,
        updates_per_epoch=4,
    ),
    "shared": Case(
        what="one tanh network 1x16 of 36 assets x 8 features, window 64, 32 episodes",
        estimator="AssetwiseRegressor",
        params={
            "hidden_layers": 1,
            "hidden_units": 16,
            "activation": "tanh",
            "layout": "asset_major",
        },
        n_features=36 * 8,
        n_assets=36,
        window=64,
        batch_episodes=32,
        updates_per_epoch=16,
        reward="portfolio",
    ),
    "episodes-tanh": Case(
        what="dense 64-64 tanh, 20 assets x 5 features, window 64, 128 episodes, 2000 rows",
        params={"hidden_layers": 2, "hidden_units": 64, "activation": "tanh"},
        n_rows=2000,
        **_EPISODES,
    ),
    "episodes-sine": Case(
        what="the same with sine units",
        params={"hidden_layers": 2, "hidden_units": 64, "activation": "psann"},
        n_rows=2000,
        **_EPISODES,
    ),
    "episodes-tanh-long": Case(
        what="dense 64-64 tanh on 40000 rows: hardly a row lies in two windows of an update",
        params={"hidden_layers": 2, "hidden_units": 64, "activation": "tanh"},
        n_rows=40_000,
        **_EPISODES,
    ),
    "episodes-sine-long": Case(
        what="the same with sine units",
        params={"hidden_layers": 2, "hidden_units": 64, "activation": "psann"},
        n_rows=40_000,
        **_EPISODES,
    ),
}

# Where the sweeps of growth.py begin; each moves one number.
CASES["growth"] = Case(
    what="dense 2x64, 8 assets x 5 features, window 64, 32 episodes, 20000 rows",
    params={"hidden_layers": 2, "hidden_units": 64},
    n_rows=20_000,
    n_features=40,
    n_assets=8,
    window=64,
    batch_episodes=32,
    updates_per_epoch=16,
    reward="portfolio",
)


def series(case: Case, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Features ``(N, F)``, their first M columns the prices, and those prices ``(N, M)``.

    The published package judges actions by the first columns of X, so that both see the same.
    """
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, 0.01, size=(case.n_rows, case.n_assets))
    prices = np.exp(np.cumsum(moves, axis=0))
    X = rng.normal(size=(case.n_rows, case.n_features)).astype(np.float32)
    X[:, : case.n_assets] = prices
    return X, X[:, : case.n_assets].astype(np.float64)
