"""A small market that rewards extreme weights, and policies fitted on it within limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from psann import PSANNRegressor


def rows_of_market(*, rows: int = 200, n_assets: int = 4, seed: int = 1) -> dict[str, Any]:
    """Features that foretell the next move of each asset almost exactly."""
    draw = np.random.default_rng(seed)
    moves = 0.02 * draw.standard_normal((rows, n_assets))
    features = moves / 0.02 + 0.1 * draw.standard_normal((rows, n_assets))
    prices = np.cumprod(np.concatenate([np.ones((1, n_assets)), 1 + moves[:-1]]), axis=0)
    return {"X": features, "prices": prices}


def fitted(
    hisso: dict[str, Any],
    *,
    rows: dict[str, Any] | None = None,
    evaluation: dict[str, Any] | None = None,
    **params: Any,
) -> Any:
    """A policy after a few epochs of steep learning."""
    rows = rows_of_market() if rows is None else rows
    settings = {"hidden_layers": 1, "hidden_units": 8, "epochs": 4, "lr": 0.05, "random_state": 0}
    model = PSANNRegressor(**{**settings, **params})
    options = {"window": 16, "batch_episodes": 8, "transition_penalty": 0.001, **hisso}
    first = {key: array[:150] for key, array in rows.items()}
    later = {key: array[150:] for key, array in rows.items()}
    return model.fit(**first, validation_data=later, hisso=options, evaluation=evaluation)
