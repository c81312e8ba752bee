"""What a run asks of its data, and every check that they meet it.

Each check is a generator of readable sentences over the arrays, so that a user sees every problem
of a data set at once. Rows and columns are counted from 0.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from psann._mapped import count_where, row_blocks
from psann._npz import Array

SPLITS = ("train", "val", "test")
KINDS = ("X", "y", "prices", "context", "time")
ASSET_NAMES = "asset_names"
_NAMES = {"train": "training", "val": "validation", "test": "test"}
_KEY = re.compile(rf"({'|'.join(KINDS)})_({'|'.join(SPLITS)})")
_KEYS = (*(f"{kind}_{split}" for split in SPLITS for kind in KINDS), ASSET_NAMES)
_DEFAULT_PORTFOLIO_KEY = "prices_test"
# Fewest and most dimensions (numpy itself allows no more than 64), and how to say it.
_RANKS = {
    "X": (2, 64, "2 or more dimensions"),
    "y": (1, 2, "1 or 2 dimensions"),
    "prices": (2, 2, "2 dimensions"),
    "context": (2, 2, "2 dimensions"),
    "time": (1, 1, "1 dimension"),
}
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_FLOAT32_TINY = float(np.finfo(np.float32).tiny)
_JUMP = 10.0


def split_of(key: str) -> tuple[str, str] | None:
    """Return kind and split that a key such as `X_train` names; None for any other key."""
    match = _KEY.fullmatch(key)
    return (match[1], match[2]) if match else None


@dataclass(frozen=True, kw_only=True)
class DataRequirements:
    """What a run asks of its data."""

    window: int | None
    """Steps per episode; None for supervised training."""
    needs_targets: bool
    """Training or its monitor reads `y` in every split that is given."""
    needs_prices: bool
    """Reward or monitor reads `prices` in every split that is given."""
    y_key: str | None
    """Targets of the warm start (`hisso.supervised.y_key`); None without a warm start."""
    portfolio_prices_key: str | None
    """Prices for the portfolio metrics (`evaluation.portfolio_prices_key`)."""
    mode: Literal["train", "fine_tune", "evaluate"]

    def role(self, key: str) -> tuple[str, str] | None:
        """Kind and split of an array; None for an extra that this run does not use."""
        if known := split_of(key):
            return known
        if key == self.y_key:
            return "y", "train"
        if key == self.portfolio_prices_key:
            return "prices", "test"
        return None


def find_problems(
    arrays: Mapping[str, Array], given: frozenset[str], needs: DataRequirements
) -> list[str]:
    """Check arrays against what a run needs.

    Parameters
    ----------
    given : frozenset of str
        All keys of the source, also of arrays that could not be read: those are not missing.

    Returns
    -------
    list of str
        One sentence per problem; empty when the run can begin.
    """
    # An array of a wrong rank is checked for its values, but has no rows or width to compare.
    rowed = {key: array for key, array in arrays.items() if array.ndim}
    ranked = {key: array for key, array in arrays.items() if _has_rank(key, array, needs)}
    return [
        *_check_presence(given, needs),
        *_check_named_keys(given, needs),
        *_check_ranks(arrays, needs),
        *_check_rows(ranked, needs),
        *_check_widths(ranked, needs),
        *_check_values(rowed, needs),
        *_check_prices(rowed, needs),
        *_check_time(ranked),
        *_check_asset_names(ranked),
    ]


def find_oddities(arrays: Mapping[str, Array], needs: DataRequirements) -> list[str]:
    """Look for what is allowed but seldom meant, in arrays without problems."""
    return [
        *_warn_of_keys(arrays, needs),
        *_warn_of_constant_columns(arrays),
        *_warn_of_jumps(arrays, needs),
        *_warn_of_shared_rows(arrays),
    ]


def _label(key: str, needs: DataRequirements) -> str:
    role = needs.role(key)
    return f"{key} ({_NAMES[role[1]]})" if role else key


def _place(index: tuple[int, ...]) -> str:
    """Say where a value is."""
    row, *rest = index
    if not rest:
        return f"row {row}"
    return f"row {row}, column {rest[0] if len(rest) == 1 else tuple(rest)}"


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _roles(
    arrays: Mapping[str, Array], needs: DataRequirements
) -> Iterator[tuple[str, str, str, Array]]:
    """Yield key, kind, split and array of all that this run uses, training first."""
    used = [(key, *role, arrays[key]) for key in arrays if (role := needs.role(key))]
    yield from sorted(used, key=lambda item: SPLITS.index(item[2]))


def _check_presence(given: frozenset[str], needs: DataRequirements) -> Iterator[str]:
    splits = [split for split in SPLITS if f"X_{split}" in given]
    wanted = ["train", "test"] if needs.mode == "evaluate" else ["train"]
    absent = [] if set(wanted) & set(splits) else wanted
    if absent:
        names = " or ".join(f"X_{split}" for split in absent)
        yield f"{names} must be given; got {_listed(given)}.{_nearest(f'X_{absent[-1]}', given)}"
    for kind in KINDS[1:]:
        for split in SPLITS:
            if f"{kind}_{split}" in given and split not in [*splits, *absent]:
                yield (
                    f"{kind}_{split} must come with X_{split}, which is not given. Add X_{split} "
                    f"or leave {kind}_{split} out."
                )
    context = [split for split in splits if f"context_{split}" in given]
    for kind, needed, why in (
        ("y", needs.needs_targets, "the targets are needed by the loss or reward"),
        ("prices", needs.needs_prices, "the prices are needed by the reward"),
        ("context", bool(context), "the network reads a context in every split or in none"),
    ):
        for split in splits:
            key = f"{kind}_{split}"
            if needed and key not in given:
                yield (
                    f"{key} ({_NAMES[split]}) must be given with X_{split}: {why}. Add it, or "
                    f"leave the {_NAMES[split]} split out.{_nearest(key, given)}"
                )


def _check_named_keys(given: frozenset[str], needs: DataRequirements) -> Iterator[str]:
    """Check the keys that the config names."""
    y_key, prices_key = needs.y_key, needs.portfolio_prices_key
    if y_key is not None and y_key not in given:
        yield (
            f"hisso.supervised.y_key must name one of the arrays; got {y_key!r}, but there are "
            f"{_listed(given)}.{_nearest(y_key, given)}"
        )
    if prices_key is None:
        return
    # The default is no wish of the user's: without test prices there are just no metrics.
    if prices_key not in given and prices_key != _DEFAULT_PORTFOLIO_KEY:
        yield (
            f"evaluation.portfolio_prices_key must name one of the arrays or be null; got "
            f"{prices_key!r}, but there are {_listed(given)}.{_nearest(prices_key, given)}"
        )
    kind, split = needs.role(prices_key) or ("prices", "test")
    if kind != "prices":
        yield f"evaluation.portfolio_prices_key must name prices; got {prices_key!r}."
    elif prices_key in given and split_of(prices_key) is None and f"X_{split}" not in given:
        yield (
            f"{prices_key} (evaluation.portfolio_prices_key) must come with X_{split}, which is "
            f"not given. Add X_{split} or set the key to null."
        )


def _listed(given: frozenset[str]) -> str:
    names = sorted(given)
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") if names else "no array"


def _nearest(key: str, given: frozenset[str]) -> str:
    lower = {name.lower(): name for name in sorted(given) if split_of(name) is None}
    near = difflib.get_close_matches(key.lower(), lower, n=1, cutoff=0.75)
    return f" Did you mean {lower[near[0]]!r}?" if near else ""


def _check_ranks(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key, kind, _, array in _roles(arrays, needs):
        low, high, wanted = _RANKS[kind]
        if not low <= array.ndim <= high:
            cure = (
                "Reshape it with X.reshape(-1, 1)."
                if kind == "X" and array.ndim == 1
                else "Rows are time; reshape it."
            )
            yield (
                f"{_label(key, needs)} must have {wanted}; got {array.ndim} (shape "
                f"{array.shape}). {cure}"
            )
        elif 0 in array.shape[1:]:
            yield f"{_label(key, needs)} must have columns; got shape {array.shape}."


def _has_rank(key: str, array: Array, needs: DataRequirements) -> bool:
    if (role := needs.role(key)) is None:
        return True
    low, high, _ = _RANKS[role[0]]
    return low <= array.ndim <= high and 0 not in array.shape[1:]


def _check_rows(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for split in SPLITS:
        X = arrays.get(f"X_{split}")
        if X is None:
            continue
        least, why, cure = 2, "a move needs two", "Give more rows."
        if split == "train" and needs.window is not None and needs.mode != "evaluate":
            least, why = needs.window + 1, f"hisso.window {needs.window} + 1"
            cure = "Give more rows or lower hisso.window."
        if len(X) < least:
            yield (
                f"X_{split} ({_NAMES[split]}) must have at least {least} rows ({why}); got "
                f"{len(X)}. {cure}"
            )
        companions = {key: a for key, _, of, a in _roles(arrays, needs) if of == split}
        y_key = needs.y_key
        if split == "train" and y_key is not None and y_key in arrays:
            companions[y_key] = arrays[y_key]  # it may name an array of another split
        for key, array in companions.items():
            if len(array) != len(X):
                yield (
                    f"{_label(key, needs)} must have as many rows as X_{split}, {len(X)}; got "
                    f"{len(array)}. Cut both at the same rows."
                )


def _check_widths(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    standard: dict[str, tuple[str, tuple[int, ...]]] = {}
    for key, kind, _, array in _roles(arrays, needs):
        if split_of(key) is None and key == needs.y_key:
            continue  # told of below, by the name of its setting
        first, shape = standard.setdefault(kind, (key, array.shape[1:]))
        if array.shape[1:] != shape:
            yield (
                f"{_label(key, needs)} must have rows of the same shape as {first}, {shape}; got "
                f"{array.shape[1:]}. Use the same columns in every split."
            )
    if "y" in standard and "prices" in standard:
        (y_key, y_shape), (prices_key, (n_prices,)) = standard["y"], standard["prices"]
        n_targets = y_shape[0] if y_shape else 1
        if n_targets != n_prices:
            yield (
                f"{prices_key} must have one column per action, as many as {y_key}: {n_targets}; "
                f"got {n_prices}. Give prices of the same assets in the same order."
            )
    yield from _check_warm_start_width(arrays, needs, standard)


def _check_warm_start_width(
    arrays: Mapping[str, Array],
    needs: DataRequirements,
    standard: Mapping[str, tuple[str, tuple[int, ...]]],
) -> Iterator[str]:
    """Compare targets that only the warm start has with what else tells the number of actions."""
    y_key = needs.y_key
    first, shape = standard.get("prices") or standard.get("y") or ("", ())
    if y_key is None or y_key not in arrays or not first:
        return
    kind, _ = split_of(y_key) or ("", "")
    n_actions, given = math.prod(shape), arrays[y_key].shape[1:]
    if kind != "y" and (len(given) > 1 or math.prod(given) != n_actions):
        yield (
            f"hisso.supervised.y_key must name targets of one column per action, as many as "
            f"{first}: {n_actions}; got {y_key!r}, whose rows have shape {given}. Name another "
            "array, or cut it to the same assets."
        )


def _check_values(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key, _, _, array in _roles(arrays, needs):
        n_bad, first = count_where(array, lambda rows: ~np.isfinite(rows))
        if n_bad:
            n_nan, _ = count_where(array, np.isnan)
            yield (
                f"{_label(key, needs)} must be finite; got {n_nan} NaN and {n_bad - n_nan} "
                f"infinite of {array.size} values, first at {_place(first)}. Drop those rows or "
                "fill them with what was known at the time."
            )
        if array.dtype == np.float32:
            continue
        n_large, first = count_where(array, _is_beyond_float32)
        if n_large:
            yield (
                f"{_label(key, needs)} must fit into float32 (at most 3.4e38 in size); got "
                f"{n_large} of {array.size} values beyond that, first at "
                f"{_place(first)}: {array[first]:g}. Rescale the column."
            )


def _is_beyond_float32(rows: Array) -> NDArray[np.bool_]:
    return np.isfinite(rows) & (np.abs(rows) > _FLOAT32_MAX)


def _check_prices(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key, kind, _, array in _roles(arrays, needs):
        if kind != "prices":
            continue
        # Below float32's smallest normal number a price would become 0 in training.
        n_low, first = count_where(array, lambda rows: np.isfinite(rows) & (rows < _FLOAT32_TINY))
        if n_low:
            yield (
                f"{_label(key, needs)} must be more than 0 (at least {_FLOAT32_TINY:.2g}); got "
                f"{n_low} of {array.size} values that are not, first at "
                f"{_place(first)}: {array[first]:g}. Give prices, not returns, without gaps."
            )


def _check_time(arrays: Mapping[str, Array]) -> Iterator[str]:
    times = {key: arrays[key] for split in SPLITS if (key := f"time_{split}") in arrays}
    for key, time in times.items():
        stuck = time[1:] <= time[:-1]
        if stuck.any():
            row = _first(stuck)[0] + 1
            yield (
                f"{key} must increase from row to row; got {int(stuck.sum())} of {len(time)} "
                "rows that do not come after the row before, first row "
                f"{row}: {time[row]:.15g} after {time[row - 1]:.15g}. Sort the rows by time and "
                "drop duplicates."
            )
    for (earlier, before), (later, after) in pairwise(times.items()):
        if not before.size or not after.size:
            continue
        inside = after <= before.max()
        if inside.any():
            row = _first(inside)[0]
            yield (
                f"{later} must begin after {earlier} ends at {before.max():.15g}; got "
                f"{int(inside.sum())} of {len(after)} rows that do not, first row {row}: "
                f"{after[row]:.15g}. Cut the splits so that they follow each other in time."
            )


def _check_asset_names(arrays: Mapping[str, Array]) -> Iterator[str]:
    names = arrays.get(ASSET_NAMES)
    if names is None:
        return
    if names.dtype.kind != "U" or names.ndim != 1:
        yield (
            f"{ASSET_NAMES} must be a vector of texts; got {names.dtype} of shape {names.shape}. "
            'Write it as numpy.array(["AAPL", "XOM", ...]).'
        )
        return
    repeated = [str(name) for name, n in Counter(names.tolist()).items() if n > 1]
    if repeated:
        yield f"{ASSET_NAMES} must differ from each other; got {repeated[0]!r} more than once."
    widths = {key: array.shape[1] for key, array in arrays.items() if key.startswith("prices_")}
    key, width = next(((key, width) for key, width in widths.items() if width > 1), ("", 0))
    if width and width != len(names):
        yield (
            f"{ASSET_NAMES} must name each of the {width} columns of {key}; got {len(names)} names."
        )


# ------------------------------------------------------------------------- allowed, but odd


def _warn_of_keys(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key in arrays:
        if needs.role(key) is None and key != ASSET_NAMES:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.75)
            meant = f" Did you mean {near[0]}?" if near and near[0] not in arrays else ""
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


def _warn_of_constant_columns(arrays: Mapping[str, Array]) -> Iterator[str]:
    for key in ("X_train", "y_train"):
        if key not in arrays:
            continue
        columns = arrays[key].reshape(len(arrays[key]), -1)
        constant = columns.min(axis=0) == columns.max(axis=0)
        if constant.any():
            column = _first(constant)[0]
            yield (
                f"{key} has {int(constant.sum())} constant of {columns.shape[1]} columns, first "
                f"column {column}, always {columns[0, column]:g}: they tell the network nothing."
            )


def _warn_of_jumps(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key, kind, _, prices in _roles(arrays, needs):
        if kind != "prices":
            continue
        with np.errstate(over="ignore"):
            relatives = prices[1:] / prices[:-1]
        jumps = (relatives > _JUMP) | (relatives < 1.0 / _JUMP)
        if jumps.any():
            row, column = _first(jumps)
            yield (
                f"{_label(key, needs)} has {int(jumps.sum())} moves by more than a factor of 10, "
                f"first from row {row} to {row + 1}, column {column}: "
                f"{prices[row, column]:g} to {prices[row + 1, column]:g}. Check for splits of "
                "shares and wrong ticks."
            )


def _warn_of_shared_rows(arrays: Mapping[str, Array]) -> Iterator[str]:
    """Without times, rows that two splits share are the only trace of an overlap."""
    timeless = [s for s in SPLITS if f"X_{s}" in arrays and f"time_{s}" not in arrays]
    if len(timeless) < 2:
        return
    prints = {split: _fingerprints(arrays[f"X_{split}"]) for split in timeless}
    for earlier, later in combinations(timeless, 2):
        distinct = np.unique(prints[earlier])
        if len(distinct) < len(prints[earlier]):
            continue  # rows repeat by nature, so that a shared one means nothing
        shared = np.isin(prints[later], distinct)
        if shared.any():
            yield (
                f"X_{later} has {int(shared.sum())} of {len(shared)} rows in common with "
                f"X_{earlier}, first row {_first(shared)[0]}: the splits seem to overlap. Add "
                "time_* arrays to make sure."
            )


def _fingerprints(X: Array) -> NDArray[np.uint64]:
    """Hash each row to 64 bits, by multiplication with odd numbers modulo 2**64."""
    rows = np.ascontiguousarray(X.reshape(len(X), -1))
    bits = rows.view(f"u{rows.dtype.itemsize}")
    weights = np.random.default_rng(0).integers(2**63, size=bits.shape[1], dtype=np.uint64)
    hashes = [bits[block] @ (2 * weights + 1) for block in row_blocks(bits)]
    return np.concatenate(hashes).astype(np.uint64, copy=False)
