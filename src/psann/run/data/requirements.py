"""What arrays a run may have, and what it asks of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from psann._frames import ASSET_NAMES, BENCHMARK_NAME, FEATURE_NAMES, SPLITS
from psann._typing import Array

KINDS, NOTES = ("X", "y", "prices", "context", "time", "active", "benchmark"), "notes"
NAMES = {"train": "training", "val": "validation", "test": "test"}
_KEY = re.compile(rf"({'|'.join(KINDS)})_({'|'.join(SPLITS)})")
EXTRAS = (ASSET_NAMES, FEATURE_NAMES, BENCHMARK_NAME)
KEYS = (*(f"{kind}_{split}" for split in SPLITS for kind in KINDS), *EXTRAS)


def split_of(key: str) -> tuple[str, str] | None:
    """Return kind and split that a key such as `X_train` names; None for any other key."""
    match = _KEY.fullmatch(key)
    return (match[1], match[2]) if match else None


@dataclass(frozen=True, kw_only=True)
class DataRequirements:
    """What a run asks of its data."""

    window: int | None
    """Steps per episode; None for supervised training."""
    delay: int = 0
    """Rows between the decision of an action and its execution (`hisso.delay`)."""
    needs_targets: bool
    """Training or its monitor reads `y` in every split that is given."""
    y_key: str | None
    """Targets of the warm start (`hisso.supervised.y_key`); None without a warm start."""
    portfolio_prices_key: str | None
    """Prices for the portfolio metrics (`evaluation.portfolio_prices_key`)."""
    periods_per_year: float | None = None
    """Rows per year that figures are made with; None where no figure is per year."""
    mode: Literal["train", "fine_tune", "evaluate"]
    reward_inputs: Mapping[str, str] = field(default_factory=dict)
    """Arrays that are read by name in every split that is given, and the option that names each."""
    is_of_table: bool = False
    """Whether the arrays come from a table of prices (`data.prices`)."""
    is_portfolio: bool = True
    """Whether prices are those of assets that actions hold (`HISSOOptions.is_portfolio`)."""
    earns_moves: bool = True
    """Whether moves of prices are earned, or made the targets: else nothing hangs on them."""

    def role(self, key: str) -> tuple[str, str] | None:
        """Kind and split of an array; None for an extra that this run does not use."""
        if known := split_of(key):
            return known
        if key == self.y_key:
            return "y", "train"
        if key == self.portfolio_prices_key:
            return "prices", "test"
        return self.input_of(key)

    def input_of(self, key: str) -> tuple[str, str] | None:
        """Name and split of what the reward is given by name; None for anything else."""
        name, _, split = key.rpartition("_")
        return (name, split) if name in self.reward_inputs and split in SPLITS else None


def label(key: str, needs: DataRequirements) -> str:
    """Name an array as its user knows it, with its split in words."""
    role = needs.role(key)
    return f"{key} ({NAMES[role[1]]})" if role else key


def roles_of(
    arrays: Mapping[str, Array], needs: DataRequirements
) -> Iterator[tuple[str, str, str, Array]]:
    """Yield key, kind, split and array of all that this run uses, training first."""
    used = [(key, *role, arrays[key]) for key in arrays if (role := needs.role(key))]
    yield from sorted(used, key=lambda item: SPLITS.index(item[2]))
