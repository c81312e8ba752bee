"""Rows of features that a user gives to a policy whose run did not read prices itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psann._frames import ASSET_NAMES, SPLITS
from psann._inputs import times
from psann._npz import read_npz
from psann._numerics import import_foreign
from psann._typing import Array, Floats
from psann.errors import DataError
from psann.market.feature_table import read_features
from psann.run.config.model import RunConfig
from psann.run.data.requirements import DataRequirements
from psann.run.data.splits import load_splits

_KINDS = ("X", "context", "active", "prices", "time")


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenRows:
    """What a policy needs of each row."""

    X: Array
    """Shape (n, ...), as in training."""
    context: Array | None
    active: Array | None
    """Who can be held, codes of `psann.holdings`, shape (n, M)."""
    quotes: Floats | None
    """Prices, shape (n, M)."""
    rows: Array
    """Dates, or numbers where there are none, shape (n,)."""
    names: tuple[str, ...] | None
    """Of the columns of X."""
    assets: tuple[str, ...] | None
    arrays: dict[str, Array]
    """What the configuration calls by name, as many rows each."""
    sha256: str


def given_rows(data: object, config: RunConfig) -> GivenRows:
    """Read rows from an archive, a table of features, or the run's own loader.

    Parameters
    ----------
    data : path, frame, or None
        `.npz` with `X` (and `context`, `active`, `time`, `prices`, `asset_names`), or with the keys
        of a run, of which the last split is taken; a table of features with dates; None for the
        archive or loader that the configuration names.
    config : RunConfig
        Of the run.

    Raises
    ------
    DataError
        If there are no rows in it, or it cannot be read.
    """
    if data is None and config.data.loader is not None:
        return _loaded(config)
    source = config.data.npz if data is None else data
    if isinstance(source, str | Path) and str(source).endswith(".npz"):
        content = read_npz(Path(source).expanduser())
        if content.broken:
            raise DataError(list(content.broken.values()))
        return _of_arrays(content.arrays, content.sha256, config, who=str(source))
    table = read_features(source)
    n_rows = len(table.X)
    return GivenRows(
        X=table.X,
        context=None,
        active=None,
        quotes=None,
        rows=np.arange(n_rows, dtype=np.float64) if table.dates is None else table.dates,
        names=table.names,
        assets=None,
        arrays={},
        sha256=table.sha256,
    )


def _loaded(config: RunConfig) -> GivenRows:
    """Call the run's loader again, with its own arguments, for the newest rows that it has."""
    loader = import_foreign(str(config.data.loader), who="data.loader")
    nothing = DataRequirements(
        window=None, needs_targets=False, y_key=None, portfolio_prices_key=None, mode="evaluate"
    )
    splits = load_splits(config.data, load_function=loader, requirements=nothing)
    who = f"data.loader ({config.data.loader})"
    return _of_arrays(splits.arrays, splits.sha256, config, who=who)


def _of_arrays(
    arrays: Mapping[str, Array], sha256: str, config: RunConfig, *, who: str
) -> GivenRows:
    """Take the rows of `X`, or of the last split that there is."""
    kinds = dict.fromkeys((*_KINDS, *config.reward_inputs))
    found = {kind: arrays[kind] for kind in kinds if kind in arrays}
    if "X" not in found:
        last = next((split for split in reversed(SPLITS) if f"X_{split}" in arrays), None)
        found = {kind: arrays[key] for kind in kinds if (key := f"{kind}_{last}") in arrays}
    if "X" not in found or not len(found["X"]):
        raise DataError(
            f"{who} must have rows of features as X, or X_test; it has "
            f"{', '.join(arrays) or 'nothing'}. Write numpy.savez(file, X=...)."
        )
    n_rows = len(found["X"])
    lengths = {kind: len(array) for kind, array in found.items() if len(array) != n_rows}
    if lengths:
        raise DataError(
            f"{who}: {', '.join(lengths)} must have {n_rows} rows, as X has; got "
            f"{', '.join(map(str, lengths.values()))}. Cut them alike."
        )
    names, prices, time = arrays.get(ASSET_NAMES), found.get("prices"), found.get("time")
    return GivenRows(
        X=found["X"],
        context=found.get("context"),
        active=found.get("active"),
        quotes=None if prices is None else np.asarray(prices, dtype=np.float64),
        rows=np.arange(n_rows, dtype=np.float64) if time is None else times(time, "time"),
        names=None,
        assets=None if names is None else tuple(map(str, names)),
        arrays={name: found[name] for name in config.reward_inputs if name in found},
        sha256=sha256,
    )
