"""Small runs of every kind whose policies act, each made once in a session."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from configs import merged
from made_panels import holey
from made_tables import prices, wide
from psann import load_policy
from psann.datasets import make_smoke_market
from psann.run.acting.policy import Policy
from psann.scripts.hisso_log_run import main

ASSETS = ["AAA", "BBB", "CCC"]
NOW = datetime(2022, 3, 1, 12, tzinfo=UTC)
# Of each of the 320 rows of prices: costs, and what cash earns.
SPREAD, RATE = np.linspace(0.0, 0.004, 320).round(6), np.linspace(0.01, 0.05, 320).round(6)
_BASE: dict[str, Any] = {
    "estimator": {
        "target": "psann.PSANNRegressor",
        "params": {"hidden_layers": 1, "hidden_units": 6},
    },
    "hisso": {
        "window": 8,
        "batch_episodes": 4,
        "updates_per_epoch": 2,
        "transition_penalty": 0.001,
    },
    # By training reward, so that what is kept has learnt something whatever validation says.
    "training": {"epochs": 4, "lr": 0.05, "monitor": "reward"},
    "evaluation": {"trans_cost": 0.001, "portfolio_prices_key": "prices_test"},
    "seed": 3,
    "device": "cpu",
}
_PRICES = {"prices": "prices.csv"}
_LOADER = {
    "loader": "psann.datasets.make_smoke_market",
    "kwargs": {"rows": 160, "assets": 3, "seed": 5, "strength": 0.6},
}
_ASSETWISE = {"target": "psann.AssetwiseRegressor", "params": {"layout": "feature_major"}}
_WAVE = {
    "target": "psann.WaveResNetRegressor",
    "params": {"hidden_layers": 2, "hidden_units": 6, "w0_warmup_epochs": 2},
}
KINDS: dict[str, dict[str, Any]] = {
    "prices": {"data": _PRICES},
    "features": {
        "data": {**_PRICES, "features": ["moves", {"volatility": {"rows": 5}}, "calendar"]},
        "hisso": {"primary_transform": "softmax_cash"},
    },
    "trailing": {"data": {**_PRICES, "features": [{"moves": {"rows": [1], "scale": "trailing"}}]}},
    "holes": {
        "data": {"prices": "holes.csv", "ended": {"default": -0.3}, "features": ["moves", "rank"]}
    },
    "own": {"data": {**_PRICES, "features": ["user_features.reversal"]}},
    "assetwise": {"data": _PRICES, "estimator": _ASSETWISE},
    "sees_held": {
        "data": {**_PRICES, "features": "assetwise"},
        "estimator": {"target": "psann.AssetwiseRegressor", "params": {}},
        "hisso": {"held_weights": True, "delay": 1},
    },
    "row_costs": {
        "data": {"prices": "beside.csv", "arrays": ["spread", "rate"]},
        "hisso": {"primary_transform": "softmax_cash"},
        "evaluation": {"trans_cost": "spread", "cash_rate": "rate"},
    },
    "long_short": {"data": _PRICES, "hisso": {"primary_transform": "long_short"}},
    "late": {
        "data": _PRICES,
        "hisso": {"delay": 1, "max_weight": 0.4},
        "training": {"epochs": 8},
        "evaluation": {"trans_cost": 0.002},
    },
    "seeds": {"data": _PRICES, "training": {"seeds": 2}},
    "folds": {"data": _PRICES, "evaluation": {"walk_forward": {"folds": 2}}},
    "loader": {"data": _LOADER},
    "wave": {"data": _LOADER, "estimator": _WAVE},
    "stateful": {
        "data": _LOADER,
        "estimator": {"params": {"stateful": True, "state_reset": "epoch", "scaler": "standard"}},
    },
    "npz": {"data": {"npz": "arrays.npz"}, "estimator": {"params": {"scaler": "minmax"}}},
    "targets": {"data": _LOADER, "hisso": {"enabled": False}, "training": {"monitor": "auto"}},
}


class ActingRuns:
    """Runs by name, below one folder, made when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prices = wide(folder / "prices.csv", prices(320, 3, seed=4), ASSETS)
        beside = np.column_stack([prices(320, 3, seed=4), SPREAD, RATE])
        self.beside = wide(folder / "beside.csv", beside, [*ASSETS, "spread", "rate"])
        self.holes = wide(folder / "holes.csv", holey(320, 4), [*ASSETS, "DDD"])
        np.savez(folder / "arrays.npz", **make_smoke_market(160, assets=3, seed=6, strength=0.6))

    def __call__(self, kind: str) -> Path:
        """Return the directory of a run."""
        run = self.folder / kind
        if not run.exists():
            config = self.folder / f"{kind}.yaml"
            config.write_text(yaml.safe_dump(merged(_BASE, KINDS[kind])))
            arguments = ["--config", str(config), "--output-dir", str(self.folder)]
            # What it says belongs to no test's output: whichever asks first makes the run.
            with redirect_stdout(io.StringIO()):
                assert main([*arguments, "--run-name", kind, "--quiet"]) == 0
        return run

    @cache  # noqa: B019 (lives as long as the session)
    def policy(self, kind: str) -> Policy:
        """Return the policy of a run, read once."""
        return load_policy(self(kind))

    def table(self) -> pd.DataFrame:
        """Return the prices of most runs as a frame."""
        return pd.read_csv(self.prices, index_col=0, parse_dates=True)

    def allocations(self, kind: str) -> np.ndarray:
        """Return what the run itself judged on the test rows."""
        with np.load(self(kind) / "evaluation.npz") as arrays:
            return arrays["allocations"].astype(np.float64)
