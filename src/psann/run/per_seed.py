"""Several seeds of one run in one `metrics.json`: each by itself, mean and spread over them.

A single seed has no list of its own, no spread and no ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from psann.training.history import EpochRecord
from psann.training.state import TrainState

# Of a seed's entry, what is a count or a name and has no mean.
_NO_MEAN = frozenset({"seed", "epoch", "best_epoch", "stopped_early"})


def best_of(group: Sequence[TrainState]) -> TrainState | None:
    """The seed whose best epoch has the best monitor, the earliest of equals; None without one."""
    judged = [state for state in group if state.best is not None]
    if not judged:
        return None
    sign = 1.0 if (judged[0].monitor or "").endswith("reward") else -1.0
    return max(judged, key=lambda state: sign * state.best.value if state.best else 0.0)


def training_figures(group: Sequence[TrainState]) -> dict[str, Any]:
    """Fields of `metrics.json` that an epoch may change.

    Parameters
    ----------
    group : sequence of TrainState
        Where each seed stands.
    """
    figures: dict[str, Any] = {
        "epoch": max(state.epoch for state in group),
        "episodes": sum(state.episodes for state in group),
    }
    winner = best_of(group)
    if len(group) == 1:
        return figures if winner is None else figures | _best_figures(winner)
    entries = [
        {
            "seed": state.seed,
            "epoch": epochs_of_last_phase(state.history),
            **_best_figures(state),
        }
        for state in group
    ]
    figures |= figures_over_seeds(entries)
    return figures if winner is None else {**figures, "best_epoch": winner.best_epoch}


def _best_figures(state: TrainState) -> dict[str, Any]:
    if state.best is None:
        figures = best_epoch_figures([], 0)
        return {"best_epoch": None, "monitor_value": None, "temperature": None, **figures}
    return {
        "best_epoch": state.best.epoch,
        "monitor_value": state.best.value,
        "temperature": state.best.temperature,
        **best_epoch_figures(state.history, state.best.epoch),
    }


def epochs_of_last_phase(history: Sequence[EpochRecord]) -> int:
    """Epochs of the last phase that had any: of a refit where there was one."""
    return sum(record.phase == history[-1].phase for record in history)


def best_epoch_figures(history: Sequence[EpochRecord], best_epoch: int) -> dict[str, Any]:
    """Training figures of the best epoch; epoch 0 was not trained and has none.

    Parameters
    ----------
    history : sequence of EpochRecord
        Epochs of the last phase, in order.
    best_epoch : int
        The epoch whose weights are kept.
    """
    kept = history[best_epoch - 1] if best_epoch else None
    names = ("train_loss", "val_loss", "reward_mean", "reward_std", "val_reward_mean")
    return {name: None if kept is None else getattr(kept, name) for name in names}


def figures_over_seeds(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries themselves, the mean of every figure under its own name, and its spread.

    Parameters
    ----------
    entries : sequence of mapping
        One per seed, at least 2, all with the same keys; figures are numbers, None, or mappings
        of such.

    Returns
    -------
    dict
        ``per_seed`` (the entries), ``spread`` (standard deviation over the seeds, ddof=1), and the
        means. What one seed lacks has no mean: those that have it are not all of them. A statement
        holds if it holds for every seed.

    Examples
    --------
    >>> found = figures_over_seeds([{"seed": 0, "val_loss": 1.0}, {"seed": 1, "val_loss": 3.0}])
    >>> found["val_loss"], round(found["spread"]["val_loss"], 4)
    (2.0, 1.4142)
    """
    names = [name for name in entries[0] if name not in _NO_MEAN]
    columns = {name: [entry[name] for entry in entries] for name in names}
    return {
        **{name: _over(values, _mean) for name, values in columns.items()},
        "per_seed": [dict(entry) for entry in entries],
        "spread": {name: _over(values, _deviation) for name, values in columns.items()},
    }


def _mean(values: Sequence[Any]) -> float | bool:
    return all(values) if isinstance(values[0], bool | np.bool_) else float(np.mean(values))


def _deviation(values: Sequence[Any]) -> float | None:
    return None if isinstance(values[0], bool | np.bool_) else float(np.std(values, ddof=1))


def _over(values: Sequence[Any], statistic: Callable[[Sequence[Any]], Any]) -> Any:
    """A statistic over the seeds, key by key of mappings; None where a seed has no value."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], Mapping):
        return {key: _over([value[key] for value in values], statistic) for key in values[0]}
    return statistic(values)
