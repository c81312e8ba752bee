"""What a run asks of its data, and every check that they meet it.

Each check is a generator of readable sentences over the arrays, so that a user sees every problem
of a data set at once. Rows and columns are counted from 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from psann._frames import ASSET_NAMES, SPLITS
from psann._inputs import finiteness_problems, place_text, show
from psann._mapped import count_where
from psann._typing import Array, Bools
from psann.errors import did_you_mean, listed
from psann.holdings import code_problems
from psann.run.data.requirements import KINDS, NAMES, DataRequirements, label, roles_of, split_of

_DEFAULT_PORTFOLIO_KEY = "prices_test"
# Fewest and most dimensions (numpy itself allows no more than 64), and how to say it.
_RANKS = {
    "X": (2, 64, "2 or more dimensions"),
    "y": (1, 2, "1 or 2 dimensions"),
    "prices": (2, 2, "2 dimensions"),
    "context": (2, 2, "2 dimensions"),
    "time": (1, 1, "1 dimension"),
    "active": (2, 2, "2 dimensions"),
    "benchmark": (2, 2, "1 or 2 dimensions"),
}
_RANK_OF_INPUTS = (1, 2, "1 or 2 dimensions")
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_FLOAT32_TINY = float(np.finfo(np.float32).tiny)


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
        *(_check_asset_names(ranked) if needs.is_portfolio else ()),
    ]


def first_place(mask: Bools) -> tuple[int, ...]:
    """Index of the first true value."""
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _check_presence(given: frozenset[str], needs: DataRequirements) -> Iterator[str]:
    splits = [split for split in SPLITS if f"X_{split}" in given]
    wanted = ["train", "test"] if needs.mode == "evaluate" else ["train"]
    absent = [] if set(wanted) & set(splits) else wanted
    if absent:
        names = " or ".join(f"X_{split}" for split in absent)
        yield f"{names} must be given; got {_listed(given)}.{_nearest(f'X_{absent[-1]}', given)}"
    for kind in dict.fromkeys((*KINDS[1:], *needs.reward_inputs)):
        for split in SPLITS:
            if f"{kind}_{split}" in given and split not in [*splits, *absent]:
                yield (
                    f"{kind}_{split} must come with X_{split}, which is not given. Add X_{split} "
                    f"or leave {kind}_{split} out."
                )
    context, active = (
        [split for split in splits if f"{kind}_{split}" in given] for kind in ("context", "active")
    )
    for kind, needed, why in (
        ("y", needs.needs_targets, "the targets are needed by the loss or reward"),
        ("context", bool(context), "the network reads a context in every split or in none"),
        ("active", bool(active), "it says who can be held in every split or in none"),
        *((name, name != "X", f"{who} names it") for name, who in needs.reward_inputs.items()),
    ):
        if needed and needs.is_of_table and kind not in KINDS:
            if f"{kind}_train" not in given:
                yield (
                    f"{kind} must be a column of the table beside the prices: {why}. Write "
                    f"`arrays: [{kind}]` in data, or take it out there."
                )
            continue
        for split in splits:
            key = f"{kind}_{split}"
            if needed and key not in given:
                yield (
                    f"{key} ({NAMES[split]}) must be given with X_{split}: {why}. Add it, or "
                    f"leave the {NAMES[split]} split out.{_nearest(key, given)}"
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
    return listed(sorted(given), 20) or "no array"


def _nearest(key: str, given: frozenset[str]) -> str:
    return did_you_mean(key, [name for name in given if split_of(name) is None])


def _check_ranks(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key, kind, _, array in roles_of(arrays, needs):
        low, high, wanted = _RANKS.get(kind, _RANK_OF_INPUTS)
        if not low <= array.ndim <= high:
            cure = (
                "Reshape it with X.reshape(-1, 1)."
                if kind == "X" and array.ndim == 1
                else "Rows are time; reshape it."
            )
            yield (
                f"{label(key, needs)} must have {wanted}; got {array.ndim} (shape "
                f"{array.shape}). {cure}"
            )
        elif 0 in array.shape[1:]:
            yield f"{label(key, needs)} must have columns; got shape {array.shape}."


def _has_rank(key: str, array: Array, needs: DataRequirements) -> bool:
    if (role := needs.role(key)) is None:
        return True
    low, high, _ = _RANKS.get(role[0], _RANK_OF_INPUTS)
    return low <= array.ndim <= high and 0 not in array.shape[1:]


def _check_rows(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for split in SPLITS:
        X = arrays.get(f"X_{split}")
        if X is None:
            continue
        late = f" + hisso.delay {needs.delay}" if needs.delay else ""
        least, why, cure = 2 + needs.delay, f"a move needs two{late}", "Give more rows."
        if split == "train" and needs.window is not None and needs.mode != "evaluate":
            least, why = least + needs.window - 1, f"hisso.window {needs.window} + 1{late}"
            cure = "Give more rows or lower hisso.window."
        if len(X) < least:
            yield (
                f"X_{split} ({NAMES[split]}) must have at least {least} rows ({why}); got "
                f"{len(X)}. {cure}"
            )
        companions = {key: a for key, _, of, a in roles_of(arrays, needs) if of == split}
        y_key = needs.y_key
        if split == "train" and y_key is not None and y_key in arrays:
            companions[y_key] = arrays[y_key]  # it may name an array of another split
        for key, array in companions.items():
            if len(array) != len(X):
                yield (
                    f"{label(key, needs)} must have as many rows as X_{split}, {len(X)}; got "
                    f"{len(array)}. Cut both at the same rows."
                )


def _check_widths(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    standard: dict[str, tuple[str, tuple[int, ...]]] = {}
    for key, kind, _, array in roles_of(arrays, needs):
        if split_of(key) is None and key == needs.y_key:
            continue  # told of below, by the name of its setting
        first, shape = standard.setdefault(kind, (key, array.shape[1:]))
        if array.shape[1:] != shape:
            yield (
                f"{label(key, needs)} must have rows of the same shape as {first}, {shape}; got "
                f"{array.shape[1:]}. Use the same columns in every split."
            )
    if not needs.is_portfolio:
        standard.pop("prices", None)  # numbers like any others
    yield from _check_beside_prices(arrays, needs, standard)


def _check_beside_prices(
    arrays: Mapping[str, Array],
    needs: DataRequirements,
    standard: Mapping[str, tuple[str, tuple[int, ...]]],
) -> Iterator[str]:
    """Compare what belongs to the same assets: first key and shape of a row, by kind."""
    key, width = standard.get("benchmark", ("", (1,)))
    if width != (1,):
        yield f"{key} must be one column of prices; got {width[0]}. Choose one of them."
    if "y" in standard and "prices" in standard:
        (y_key, y_shape), (prices_key, (n_prices,)) = standard["y"], standard["prices"]
        n_targets = y_shape[0] if y_shape else 1
        if n_targets != n_prices:
            yield (
                f"{prices_key} must have one column per action, as many as {y_key}: {n_targets}; "
                f"got {n_prices}. Give prices of the same assets in the same order."
            )
    if "active" in standard and (judged := standard.get("prices") or standard.get("y")):
        for key, kind, _, array in roles_of(arrays, needs):
            if kind == "active":
                shape = (len(array), *(judged[1] or (1,)))
                yield from code_problems(array, who=label(key, needs), shape=shape)
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
    for key, _, _, array in roles_of(arrays, needs):
        yield from finiteness_problems(array, label(key, needs))
        if array.dtype != np.float64:
            continue
        n_large, first = count_where(array, _is_beyond_float32)
        if n_large:
            yield (
                f"{label(key, needs)} must fit into float32 (at most 3.4e38 in size); got "
                f"{n_large} of {array.size} values beyond that, first at "
                f"{place_text(first)}: {array[first]:g}. Rescale the column."
            )


def _is_beyond_float32(rows: Array) -> Bools:
    return np.isfinite(rows) & (np.abs(rows) > _FLOAT32_MAX)


def _check_prices(arrays: Mapping[str, Array], needs: DataRequirements) -> Iterator[str]:
    for key, kind, _, array in roles_of(arrays, needs):
        if kind not in ("prices", "benchmark") or not needs.is_portfolio:
            continue
        # Below float32's smallest normal number a price would become 0 in training.
        n_low, first = count_where(array, lambda rows: np.isfinite(rows) & (rows < _FLOAT32_TINY))
        # A table is one of prices; arrays of that name may be of anything.
        other = "" if needs.is_of_table else " If actions are no weights, give hisso.n_actions."
        if n_low:
            yield (
                f"{label(key, needs)} must be more than 0 (at least {_FLOAT32_TINY:.2g}); got "
                f"{n_low} of {array.size} values that are not, first at "
                f"{place_text(first)}: {array[first]:g}. Give prices, not returns, without gaps."
                f"{other}"
            )


def _check_time(arrays: Mapping[str, Array]) -> Iterator[str]:
    times = {key: arrays[key] for split in SPLITS if (key := f"time_{split}") in arrays}
    for key, time in times.items():
        stuck = time[1:] <= time[:-1]
        if stuck.any():
            row = first_place(stuck)[0] + 1
            yield (
                f"{key} must increase from row to row; got {int(stuck.sum())} of {len(time)} "
                "rows that do not come after the row before, first row "
                f"{row}: {show(time[row])} after {show(time[row - 1])}. Sort the rows by time and "
                "drop duplicates."
            )
    for (earlier, before), (later, after) in pairwise(times.items()):
        if before.dtype.kind != after.dtype.kind:
            first, second = ("dates", "numbers")[:: 1 if before.dtype.kind == "M" else -1]
            yield f"{earlier} holds {first} and {later} {second}. Give the same in every split."
            continue
        if not before.size or not after.size:
            continue
        inside = after <= before.max()
        if inside.any():
            row = first_place(inside)[0]
            yield (
                f"{later} must begin after {earlier} ends at {show(before.max())}; got "
                f"{int(inside.sum())} of {len(after)} rows that do not, first row {row}: "
                f"{show(after[row])}. Cut the splits so that they follow each other in time."
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
