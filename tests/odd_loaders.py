"""The market of the trials with one thing wrong, and the same thing as a message says to mend it.

Configurations name the functions here as `odd_loaders.<name>`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trials import market

Data = dict[str, Any]


def _of_train(change: Callable[[np.ndarray], np.ndarray], kind: str) -> Callable[[Data], Data]:
    return lambda data: {**data, f"{kind}_train": change(data[f"{kind}_train"])}


def _everywhere(change: Callable[[np.ndarray], np.ndarray], kind: str) -> Callable[[Data], Data]:
    return lambda data: {k: change(a) if k.startswith(f"{kind}_") else a for k, a in data.items()}


def _split(prices: np.ndarray) -> np.ndarray:
    prices[20:, 1] *= 20.0
    return prices


def _adjusted(prices: np.ndarray) -> np.ndarray:
    prices = _split(prices)
    prices[:20, 1] *= 20.0
    return prices


CHANGES: dict[str, Callable[[Data], Any]] = {
    "longer": lambda data: {
        k: np.arange(2 * a[0], 2 * a[0] + 2 * len(a))
        if k.startswith("time")
        else np.tile(a, (2, 1))
        for k, a in data.items()
    },
    "labels of three columns": lambda data: {**data, "labels": data["X_train"]},
    "labels cut to two": lambda data: {**data, "labels": data["X_train"][:, :2]},
    "three prices": lambda data: {
        k: np.hstack([a, a[:, :1]]) if k.startswith("prices") else a for k, a in data.items()
    },
    "other columns": _of_train(lambda X: X[:, :2], "X"),
    "the same columns": _everywhere(lambda X: X[:, :2], "X"),
    "a jump": _of_train(_split, "prices"),
    "a jump adjusted": _of_train(_adjusted, "prices"),
    "targets in a cube": _everywhere(lambda y: y[:, :, None], "y"),
    "targets in a matrix": _everywhere(lambda y: y[:, :, None].reshape(len(y), -1), "y"),
    "two benchmarks": lambda data: {
        **data,
        **{f"benchmark_{s}": data[f"prices_{s}"] for s in ("train", "val", "test")},
    },
    "one of two benchmarks": lambda data: {
        **data,
        **{f"benchmark_{s}": data[f"prices_{s}"][:, 1] for s in ("train", "val", "test")},
    },
    "a list": lambda data: list(data.values()),
    "numbered": lambda data: dict(enumerate(data.values())),
    "halted": lambda data: {
        **data,
        **{f"active_{s}": np.ones_like(data[f"prices_{s}"]) for s in ("train", "val", "test")},
    },
    "a late asset": lambda data: {
        **CHANGES["halted"](data),
        "active_train": (np.arange(len(data["prices_train"]))[:, None] >= [0, 20]) * 1.0,
    },
}


def odd(change: str) -> Any:
    """The market with a change by name."""
    return CHANGES[change](market())


def mapped(folder: str) -> Data:
    """The market as memory maps."""
    for key, array in market().items():
        np.save(Path(folder) / f"{key}.npy", array)
    return {key: np.load(Path(folder) / f"{key}.npy", mmap_mode="r") for key in market()}


def with_scratch(n_numbers: int) -> Data:
    """The market, by a loader that needs so much memory for a while."""
    return market() if np.empty(n_numbers).size else {}
