"""What a policy may look at: named numbers of each row, scaled by what training rows show.

Features are feature-major: the first M columns are the first number of each of the M assets, in
their order, then comes the next number.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from psann._imports import import_object
from psann._inputs import show
from psann._typing import Bools, Floats, is_whole
from psann.errors import DataError, did_you_mean
from psann.market.feature_kinds import ASSETWISE_HORIZONS, FEATURES, Block, log_moves
from psann.market.membership import what_became
from psann.market.panel import Panel

CLIP = 4.0
TRAILING_ROWS = 250
"""Rows of the trailing scale, of which a few must be there."""
_FEWEST = 20
_PROBES = 5  # rows at which a function of the user's is called again with what was known


@dataclass(frozen=True)
class Features:
    """Numbers of each row."""

    values: Floats
    """Shape (n, columns), or (n, M, K) of each asset by itself; finite, in [-4, 4]."""
    names: tuple[str, ...]
    """One for each column, or of each asset by itself for each of its K numbers in turn:
    `AAPL.move_5`, or `all.week_sin` where all assets share it."""
    history: int
    """Rows at the start that lack a full history."""
    lookback: int
    """Rows that must lie before a row: `history`, or so many as functions of the user's need."""
    scales: tuple[float | None, ...]
    """What the numbers of each kind are divided by; None where they bring their scale."""


def compute(panel: Panel, features: object, *, train: slice) -> Features:
    """Compute the features of a panel.

    Parameters
    ----------
    panel : Panel
    features : "default", "assetwise", or list
        With assetwise the moves of each asset over 1, 2, 5, 10, 20 and 60 rows, each kind by its
        own deviation over all assets: what a network that all assets share may see. Or names of
        `FEATURES`, `{name: {parameter: value}}`, or import paths of functions of your
        own, which take a panel and return `(n,)` or `(n, M)` numbers. With `scale: trailing` each
        column is divided by its root mean square over the last 250 rows; with `train`, the
        default, all of a kind by their deviation on the training rows.
    train : slice
        Training rows.

    Returns
    -------
    Features
        What lacks its history is 0. Where the panel has holes, so are the numbers of those who
        are no members, and `active` is a feature as well, unless they are of each asset by itself.

    Raises
    ------
    DataError
        If a name or parameter is unknown, a field is missing, a kind stands there twice, or a
        function of your own tells something else of a row once later rows have come.
    """
    items = _items(features)
    if twice := [item for place, item in enumerate(items) if item in items[:place]]:
        raise DataError(f"features must not have {twice[0][0]} twice. Take one out.")
    blocks = _blocks(panel, features)
    rows = _rows_with_history(train, max(block.history for block, _ in blocks))
    scales = []
    for block, scale in blocks:
        is_of_train = scale == "train" and not block.is_scaled
        scales.append(_deviation(*_known(block, panel), rows) if is_of_train else None)
    is_by_asset = features == "assetwise"
    with_members = panel.has_holes and not is_by_asset
    return _features(panel, blocks, scales, with_members=with_members, is_by_asset=is_by_asset)


def compute_again(
    panel: Panel, features: object, *, scales: Sequence[float | None], with_members: bool
) -> Features:
    """Compute the features of other rows by the scales of the training rows.

    Parameters
    ----------
    panel : Panel
    features
        As for `compute`.
    scales : sequence of float or None
        As `compute` found them.
    with_members : bool
        Whether `active` was a feature.

    Returns
    -------
    Features

    Raises
    ------
    DataError
        As `compute`.
    """
    return _features(
        panel,
        _blocks(panel, features),
        scales,
        with_members=with_members,
        is_by_asset=features == "assetwise",
    )


def is_trailing(features: object) -> bool:
    """Whether any kind is scaled by its own last rows."""
    return any(scale == "trailing" for _, _, scale in _items(features))


def _rows_with_history(train: slice, history: int) -> slice:
    rows = slice(max(train.start or 0, history), train.stop)
    if (n_train := rows.stop - rows.start) < 2:
        raise DataError(
            f"The train split must have at least 2 rows; got {max(n_train, 0)}, since features "
            f"need a history of {history}. Move the first date of validation, or shorten features."
        )
    return rows


def assetwise_moves(prices: Floats, train: slice) -> Floats:
    """Log moves of each asset over `ASSETWISE_HORIZONS`, each by its deviation over all assets.

    Parameters
    ----------
    prices : ndarray of shape (n, M)
    train : slice
        Training rows, of which the deviations are.

    Returns
    -------
    ndarray of shape (n, M, K)
        In [-4, 4]; 0 on rows without history.
    """
    return np.stack([scaled(log_moves(prices, [k]), train) for k in ASSETWISE_HORIZONS], axis=-1)


def scaled(values: Floats, train: slice) -> Floats:
    """Divide by the deviation of the training rows, all columns together; clip to [-4, 4].

    Parameters
    ----------
    values : ndarray of shape (n, columns)
    train : slice
        Training rows.

    Returns
    -------
    ndarray of shape (n, columns)
    """
    # Numbers that do not change on the training rows have no scale, and say nothing there.
    return np.asarray(np.clip(values / (values[train].std() or 1.0), -CLIP, CLIP))


def head(panel: Panel, n_rows: int) -> Panel:
    """Return the panel as it was known after its first rows."""
    quotes = panel.quotes[:n_rows]
    prices, halted, ended = what_became(quotes)
    return replace(
        panel,
        dates=panel.dates[:n_rows],
        quotes=quotes,
        active=panel.active[:n_rows],
        prices=prices,
        halted=halted,
        ended=ended,
        fields={name: values[:n_rows] for name, values in panel.fields.items()},
    )


def _items(features: object) -> list[tuple[str, dict[str, Any], str]]:
    """Take the list apart: name, parameters and scale of each kind."""
    named = features if isinstance(features, str) else None
    if named == "assetwise":
        return [("moves", {"rows": [k]}, "train") for k in ASSETWISE_HORIZONS]
    items = ["moves"] if named == "default" else features
    if not isinstance(items, list | tuple) or not items:
        raise DataError(
            "features must be default, assetwise or a list, such as [moves, volatility]; got "
            f"{features!r}."
        )
    return [_parse(item) for item in items]


def _blocks(panel: Panel, features: object) -> list[tuple[Block, str]]:
    """Compute the numbers of each kind, before any scale, and say how they are scaled."""
    return [
        (_block(panel, name, parameters), scale) for name, parameters, scale in _items(features)
    ]


def _features(
    panel: Panel,
    blocks: Sequence[tuple[Block, str]],
    scales: Sequence[float | None],
    *,
    with_members: bool,
    is_by_asset: bool,
) -> Features:
    """Scale and join the kinds: side by side, or, of each asset by itself, as its K numbers."""
    columns, names = [], []
    for (block, _), scale in zip(blocks, scales, strict=True):
        values, valid = _known(block, panel)
        if scale is not None:
            values = np.asarray(np.clip(values / scale, -CLIP, CLIP))
        elif not block.is_scaled:
            values = _by_trailing(values, valid)
        columns.append(values)
        names += [f"{of}.{name}" for name, part in block.parts for of in _owners(part, panel)]
    if with_members:
        columns.append(panel.active.astype(np.float64))
        names += [f"{asset}.active" for asset in panel.assets]
    history = max(block.history for block, _ in blocks)
    lookback = max(history, *(block.n_silent for block, _ in blocks))
    values = np.stack(columns, axis=-1) if is_by_asset else np.hstack(columns)
    if is_by_asset:  # asset by asset, where the kinds came one after the other
        names = np.array(names).reshape(len(blocks), -1).T.ravel().tolist()
    return Features(values, tuple(names), history, lookback, tuple(scales))


def _parse(item: object) -> tuple[str, dict[str, Any], str]:
    """Take an item of the list apart: name, parameters, scale."""
    name: object = item
    given: object = {}
    if isinstance(item, Mapping) and len(item) == 1:
        ((name, given),) = item.items()
    if not isinstance(name, str) or not isinstance(given, Mapping):
        raise DataError(
            "features must hold names or {name: {parameter: value}}, such as "
            f"{{moves: {{rows: [1, 5]}}}}; got {item!r}."
        )
    parameters = dict(given)
    scale = parameters.pop("scale", "train")
    if scale not in ("train", "trailing"):
        raise DataError(f"features.{name}.scale must be train or trailing; got {scale!r}.")
    return name, parameters, scale


def _block(panel: Panel, name: str, parameters: Mapping[str, Any]) -> Block:
    if "." in name or ":" in name:
        return _own_block(panel, name, parameters)
    if name not in FEATURES:
        raise DataError(
            f"features must be of {', '.join(FEATURES)}, or an import path; got {name!r}."
            f"{did_you_mean(name, FEATURES)}"
        )
    known = {p.name: p.default for p in inspect.signature(FEATURES[name]).parameters.values()}
    del known["panel"]
    for key, value in parameters.items():
        if key not in known:
            raise DataError(
                f"features.{name}.{key} is not known; there are {', '.join([*known, 'scale'])}."
                f"{did_you_mean(key, [*known, 'scale'])}"
            )
        is_many = isinstance(known[key], tuple)
        values = value if is_many and isinstance(value, list | tuple) and value else [value]
        if not all(is_whole(one, 1) and one < len(panel.dates) for one in values):
            raise DataError(
                f"features.{name}.{key} must be whole numbers of rows"
                f"{', several of them,' if is_many else ''} from 1 to {len(panel.dates) - 1}; "
                f"got {value!r}."
            )
        parameters = {**parameters, key: values if is_many else value}
    return FEATURES[name](panel, **parameters)


def _own_block(panel: Panel, target: str, parameters: Mapping[str, Any]) -> Block:
    """Call a function of the user's, and again with what was known at a few rows."""
    function = import_object(target, who="features")
    name = target.replace(":", ".").rpartition(".")[2]
    values = _own_values(function(panel, **parameters), panel, target)
    n_rows = len(panel.dates)
    # Where someone comes or goes next there is most to know ahead.
    changes = np.flatnonzero((panel.active[1:] != panel.active[:-1]).any(axis=1))
    draws = np.random.default_rng(0)
    rows = {n_rows - 2, *draws.integers(n_rows - 1, size=_PROBES).tolist()}
    rows |= set(draws.permutation(changes)[:_PROBES].tolist())
    for row in sorted(rows):
        known = head(panel, row + 1)
        again = _own_values(function(known, **parameters), known, target)
        same = np.isclose(again, values[: row + 1], rtol=1e-9, atol=1e-12, equal_nan=True)
        if not same.all():
            repeated = _own_values(function(panel, **parameters), panel, target)
            if not np.array_equal(repeated, values, equal_nan=True):
                raise DataError(
                    f"features: {target} must say the same of the same prices; asked twice, it "
                    "does not. Draw by numpy.random.default_rng(0), made inside of it."
                )
            at = int((~same).any(axis=1).argmax())
            raise DataError(
                f"features: {target} must use this row and earlier ones only; what it says of "
                f"{show(panel.dates[at])} (row {at}) is another once the rows after "
                f"{show(panel.dates[row])} are there. Take no mean, scale or fill from later rows."
            )
    says = np.isfinite(values) | ~np.isfinite(panel.quotes)
    return Block([(name, values)], n_silent=int(says.all(axis=1).argmax()))


def _own_values(result: object, panel: Panel, target: str) -> Floats:
    try:
        values = np.asarray(result, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"features: {target} must return numbers; {error}.") from None
    values = values[:, None] if values.ndim == 1 else values
    n_rows, n_assets = panel.quotes.shape
    if values.shape not in ((n_rows, 1), (n_rows, n_assets)):
        raise DataError(
            f"features: {target} must return one number for each row, or for each row and asset, "
            f"shape ({n_rows},) or ({n_rows}, {n_assets}); got {values.shape}."
        )
    return values


def _owners(part: Floats, panel: Panel) -> tuple[str, ...]:
    return panel.assets if part.shape[1] == len(panel.assets) else ("all",)


def _known(block: Block, panel: Panel) -> tuple[Floats, Bools]:
    """Numbers of a kind, 0 where there is none or nobody may be held, and where there are any."""
    values = np.hstack([part for _, part in block.parts])
    valid = np.isfinite(values)
    if panel.has_holes:
        # What all assets share is valid whoever may be held.
        holds = [
            panel.active if _owners(part, panel) == panel.assets else np.ones_like(part, bool)
            for _, part in block.parts
        ]
        valid &= np.hstack(holds)
    return np.where(valid, values, 0.0), valid


def _deviation(values: Floats, valid: Bools, train: slice) -> float:
    """Deviation on the training rows; 1 where nothing changes there, which says nothing."""
    if valid[train].all():
        return float(values[train].std() or 1.0)
    known = values[train][valid[train]]
    return float((known.std() if known.size else 0.0) or 1.0)


def _by_trailing(values: Floats, valid: Bools) -> Floats:
    """Divide each column by its root mean square over the last rows; 0 while those are few."""
    squares = np.vstack([np.zeros_like(values[:1]), np.cumsum(np.square(values), axis=0)])
    counts = np.vstack([np.zeros_like(valid[:1], dtype=int), np.cumsum(valid, axis=0)])
    row = np.arange(len(values))
    first = np.maximum(row + 1 - TRAILING_ROWS, 0)
    n_known = counts[row + 1] - counts[first]
    # Of a difference of sums nothing is left but rounding where all numbers were 0.
    power = np.maximum(squares[row + 1] - squares[first], 0.0)
    enough = (n_known >= _FEWEST) & (power > 1e-12 * squares[row + 1])
    scale = np.sqrt(np.divide(power, n_known, out=np.ones_like(power), where=enough))
    return np.where(enough, np.clip(values / scale, -CLIP, CLIP), 0.0)
