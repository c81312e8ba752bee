"""What is allowed in data and seldom meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from psann._frames import ASSET_NAMES, SPLITS
from psann._inputs import are_dates, show
from psann._typing import Array
from psann.errors import counted, nearest
from psann.holdings import ENDED
from psann.plausibility.finding import label_of
from psann.run.data.checks import first_place
from psann.run.data.requirements import EXTRAS, KEYS, DataRequirements, label, roles_of

_JUMP = 10.0


def find_oddities(arrays: Mapping[str, Array], needs: DataRequirements) -> list[str]:
    """Look for what is allowed but seldom meant, in arrays without problems."""
    return [*_warn_of_keys(arrays, needs), *_warn_of_constant_targets(arrays)]


def _warn_of_keys(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key in arrays:
        if needs.role(key) is None and key not in EXTRAS:
            near = nearest(key, KEYS)
            meant = f" Did you mean {near}?" if near and near not in arrays else ""
            yield f"{key} is kept as an extra; nothing in this run reads it.{meant}"
    if needs.portfolio_prices_key is not None and needs.portfolio_prices_key not in arrays:
        yield (
            f"There are no portfolio metrics: the data hold no {needs.portfolio_prices_key} "
            "(evaluation.portfolio_prices_key)."
        )
    splits = [split for split in SPLITS if f"X_{split}" in arrays]
    timeless = [split for split in splits if f"time_{split}" not in arrays]
    if 0 < len(timeless) < len(splits):
        yield (
            f"time_{timeless[0]} is absent while other splits have their time: whether the "
            "splits overlap could not be checked."
        )


def _warn_of_constant_targets(arrays: Mapping[str, Array]) -> Iterator[str]:
    if "y_train" not in arrays:
        return
    columns = arrays["y_train"].reshape(len(arrays["y_train"]), -1)
    constant = columns.min(axis=0) == columns.max(axis=0)
    if constant.any():
        column = first_place(constant)[0]
        yield (
            f"y_train has {int(constant.sum())} constant of {columns.shape[1]} columns, first "
            f"column {column}, always {columns[0, column]:g}: they teach the network nothing."
        )


def find_leaps(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    """Say of prices which moves are so large that the result is in doubt with them."""
    names = arrays.get(ASSET_NAMES)
    for key, kind, split, prices in roles_of(arrays, needs):
        if kind != "prices":
            continue
        with np.errstate(over="ignore"):
            relatives = prices[1:] / prices[:-1]
        jumps = (relatives > _JUMP) | (relatives < 1.0 / _JUMP)
        if (active := arrays.get(key.replace("prices", "active", 1))) is not None:
            jumps &= active[1:] != ENDED  # what an end leaves was told
        if jumps.any():
            row, column = first_place(jumps)
            named = names is not None and len(names) == prices.shape[1]
            who = label_of(column, list(map(str, names)) if named and names is not None else None)
            time = arrays.get(f"time_{split}")
            when = f", {show(time[row + 1])}" if are_dates(time) else ""
            yield (
                f"{label(key, needs)} has {counted(int(jumps.sum()), 'move')} by more than a "
                f"factor of 10, first from row {row} to {row + 1}{when}, asset {who}: "
                f"{prices[row, column]:g} to {prices[row + 1, column]:g}. Check for splits of "
                "shares and wrong ticks."
            )
