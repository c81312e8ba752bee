"""What estimators are given of the rows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psann._typing import Array
from psann.hisso.rewards import reward_of
from psann.run.config.model import RunConfig


def estimator_rows(arrays: Mapping[str, Array], config: RunConfig) -> dict[str, Any]:
    """Arguments of `fit` and `evaluate_reward` that are rows; None for what there is not.

    Parameters
    ----------
    arrays : mapping
        As `DataSplits.split` gives them, those of `config.reward_inputs` among them.
    """
    rows: dict[str, Any] = {
        kind: arrays.get(kind) for kind in ("X", "y", "prices", "context", "active")
    }
    hisso = config.hisso
    if hisso.enabled and hisso.n_actions is not None and hisso.warm_start is None:
        # Of y, which other actions may have nothing to do with, only one reward reads.
        rows["y"] = rows["y"] if reward_of(hisso).needs_targets else None
    named = {name: arrays[name] for name in config.reward_inputs if name in arrays}
    return rows | {"reward_inputs": named}
