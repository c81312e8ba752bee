"""The arrays that a user gives: in which form, and whether they fit together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from psann._inputs import array_of, finiteness_problems, is_lazy, numbers
from psann._labels import (
    Labels,
    in_order_of,
    labels_of,
    order_problems,
    plain_name,
    same_rows,
    telling_order,
)
from psann._mapped import count_where
from psann._table_columns import without_dates
from psann._typing import AnyFloats, Array
from psann.errors import DataError
from psann.holdings import code_problems

_INPUT = "reward_inputs."
DataFormat = Literal["channels_first", "channels_last"]


def validation_mapping(validation_data: Any) -> Mapping[str, Any] | None:
    """What `fit` was given to validate on as a mapping; the pair `(X, y)` is short for one."""
    if validation_data is None:
        return None
    if isinstance(validation_data, Mapping):
        keys = set(validation_data)
        known = {"X", "y", "sample_weight", "prices", "context", "active", "reward_inputs"}
        if "X" in keys and keys <= known:
            if "reward_inputs" not in keys:
                return validation_data
            given = dict(validation_data)
            return given | named_inputs(given.pop("reward_inputs"))
        got = ", ".join(sorted(map(str, keys))) or "nothing"
    elif isinstance(validation_data, tuple | list) and len(validation_data) == 2:
        return dict(zip(("X", "y"), validation_data, strict=True))
    else:
        got = type(validation_data).__name__
    raise ValueError(
        "validation_data must be a mapping with X and any of y, sample_weight, prices, context, "
        f"active, reward_inputs, or the pair (X, y); got {got}."
    )


def named_inputs(reward_inputs: Any) -> dict[str, Any]:
    """What the reward is given by name, as entries of a split beside X, y and prices.

    Parameters
    ----------
    reward_inputs : mapping of str to array-like, frame, or None
        A frame has a column for each.
    """
    if reward_inputs is None:
        return {}
    if not isinstance(reward_inputs, Mapping):
        names = labels_of(without_dates(reward_inputs)).columns
        if names is None:
            raise ValueError(
                "reward_inputs must be a mapping of names to arrays, or a frame with named "
                f"columns; got {type(reward_inputs).__name__}."
            )
        reward_inputs = {name: reward_inputs[name] for name in names}
    return {f"{_INPUT}{name}": value for name, value in reward_inputs.items()}


def as_split(
    X: Any, y: Any, sample_weight: Any, reward_inputs: Any, **beside: Any
) -> dict[str, Any]:
    """The arguments of `fit` that are rows as one split; `beside` are prices and the like."""
    own = {"X": X, "y": y, "sample_weight": sample_weight}
    return {**own, **beside, **named_inputs(reward_inputs)}


def inputs_of(split: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a split that `named_inputs` named, by the names that the reward knows."""
    marked = {key: value for key, value in split.items() if key.startswith(_INPUT)}
    return {key.removeprefix(_INPUT): value for key, value in marked.items() if value is not None}


def converted_split(
    split: Mapping[str, Any], *, prefix: str, assets: tuple[str, ...] | None
) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    """What a user gives as arrays of numbers that belong together, row by row and by name.

    Parameters
    ----------
    split : mapping
        ``X y sample_weight prices context active outputs actions``, any of them absent or None,
        and what `named_inputs` gave. X stays a frame where it is one, so that scikit-learn sees
        its names.
    prefix : str
        ``validation`` with a blank, or nothing: how the user tells this split from others.
    assets : tuple of str or None
        Names of the assets in `fit`, whose order is kept; None, unknown, learns them here.

    Returns
    -------
    split : dict
        The same keys.
    assets : tuple of str or None
        Names of the columns of prices, else of y; None where nothing names them.

    Raises
    ------
    DataError
        If something is no array of numbers, or of other rows or assets than the rest.
    """
    if split["X"] is None:
        raise DataError(f"{prefix}X must be an array of numbers; got None.")
    given = {f"{prefix}{key}": value for key, value in split.items() if value is not None}
    labels = {name: labels_of(value) for name, value in given.items()}
    arrays, problems = _each_as_numbers(given)
    if problems:
        raise DataError(problems)
    aligned = same_rows(arrays, labels)
    whose = "fit" if assets is not None else ""
    for name in (f"{prefix}{kind}" for kind in ("prices", "y", "active", "outputs", "actions")):
        columns = labels.get(name, Labels()).columns
        if columns is None or (name.endswith("y") and len(columns) == 1):
            continue
        if assets is not None:
            aligned[name] = in_order_of(assets, aligned[name], columns, who=name, whose=whose)
        else:
            assets, whose = columns, name
    for name, each in labels.items():
        is_of_assets = {*(each.columns or ())} == {*(assets or ())}
        if name.startswith(f"{prefix}{_INPUT}") and aligned[name].ndim == 2 and is_of_assets:
            aligned[name] = in_order_of(
                assets or (), aligned[name], each.columns, who=name, whose=whose
            )
    X = f"{prefix}X"
    if labels[X].columns is not None:
        aligned[X] = without_dates(given[X])
    return {key: aligned.get(f"{prefix}{key}") for key in split}, assets


def check_order(splits: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise `DataError` unless rows with dates or numbers follow each other, as in episodes.

    Parameters
    ----------
    splits : mapping of str to mapping
        What `converted_split` is given, by prefix, earlier rows first: of each what is dated first
        says the order of all.
    """
    dated: dict[str, Labels] = {}
    for prefix, split in splits.items():
        dated |= telling_order({f"{prefix}{key}": labels_of(v) for key, v in split.items()})
    if problems := order_problems(dated):
        raise DataError(problems)


def _each_as_numbers(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    arrays, problems = {}, []
    for name, value in given.items():
        try:
            arrays[name] = _numbers(value, name)
        except DataError as error:
            problems.append(str(error))
        else:
            found = arrays[name]
            if isinstance(found, np.ndarray):
                problems += finiteness_problems(found, name, columns=labels_of(value).columns)
    return arrays, problems


def _numbers(value: Any, who: str) -> Any:
    """Numbers; of what is none, the columns that hold none where these have names."""
    try:
        return _of_one_kind(value, who)
    except DataError as error:
        if problems := _columns_without(value, who):
            raise DataError(problems) from error
        raise


def _columns_without(frame: Any, who: str) -> list[str]:
    """What is said of each column of a frame that holds no numbers."""
    problems = []
    for name in labels_of(frame).columns or ():
        try:
            numbers(frame[name], f"{who}, column {name!r},")
        except DataError as error:
            problems.append(str(error))
        except (KeyError, TypeError):  # a series, or names that are no texts
            return []
    return problems


def _of_one_kind(value: Any, who: str) -> Any:
    """Numbers; of what is none, X is left to scikit-learn, which has its own words for it."""
    if plain_name(who) != "X":
        return numbers(value, who)
    if hasattr(value, "toarray"):  # sparse
        return value
    try:
        array = array_of(value, who)
    except DataError:
        is_nameless = labels_of(value).columns is None and not is_lazy(value)
        if is_nameless and np.asarray(value).dtype.hasobject:
            return value
        raise
    return numbers(array, who)


def flatten_rows(X: ArrayLike, data_format: DataFormat) -> Array:
    """Each row as one vector, channels outermost whatever the format, ``(N, F)``.

    Parameters
    ----------
    X : array-like of shape (N, ...)
        Rows of any rank; one- and two-dimensional arrays pass through unchanged.
    data_format : {"channels_first", "channels_last"}
        Where the channel axis of a row is.
    """
    array = np.asarray(X)
    if array.ndim <= 2:
        return array
    if data_format == "channels_last":
        array = np.moveaxis(array, -1, 1)
    return array.reshape(len(array), math.prod(array.shape[1:]))


def checked_matrices(
    train: Mapping[str, Any], validation: Mapping[str, Any] | None, *, is_portfolio: bool = True
) -> tuple[dict[str, AnyFloats], dict[str, AnyFloats] | None]:
    """Both splits as matrices of floating-point numbers that fit together.

    Parameters
    ----------
    train, validation : mapping
        Keys ``X`` (N, F) and any of ``y``, ``sample_weight``, ``prices``, ``context``, ``active``;
        a vector is one column, and what is None is left out.
    is_portfolio : bool
        Whether prices are those of what actions hold.

    Raises
    ------
    ValueError
        With every problem: lengths, widths, ranks, values that are not finite.
    """
    matrices, problems = _as_matrices(train, "")
    problems += _split_problems(matrices, "", is_portfolio)
    others = None
    if validation is not None:
        others, found = _as_matrices(validation, "validation ")
        problems += [*found, *_split_problems(others, "validation ", is_portfolio)]
        problems += _match_problems(matrices, others)
    if problems:
        raise ValueError("\n".join(problems))
    return matrices, others


def _as_matrices(split: Mapping[str, Any], name: str) -> tuple[dict[str, AnyFloats], list[str]]:
    """Numeric arrays, vectors as single columns, absent keys dropped; and what is no array."""
    matrices: dict[str, AnyFloats] = {}
    problems = []
    for key, value in split.items():
        if value is None:
            continue
        try:
            array = numbers(value, f"{name}{key}")
        except DataError as error:
            problems.append(str(error))
            continue
        if array.ndim not in (1, 2):
            problems.append(f"{name}{key} must have rows and columns; got shape {array.shape}.")
        else:
            matrices[key] = array[:, None] if array.ndim == 1 else array
    return matrices, problems


def _split_problems(split: Mapping[str, AnyFloats], name: str, is_portfolio: bool) -> list[str]:
    problems = []
    for key, array in split.items():
        if "X" in split and len(array) != len(split["X"]):
            problems.append(
                f"{name}{key} must have the {len(split['X'])} rows of X; got {len(array)}."
            )
        found = finiteness_problems(array, f"{name}{key}")
        problems += found
        if (
            not found
            and count_where(array, lambda rows: np.abs(rows) > np.finfo(np.float32).max)[0]
        ):
            problems.append(f"{name}{key} must fit into float32; some values are too large.")
    problems += _weight_problems(split, name)
    if is_portfolio:
        problems += _price_problems(split, name)
    return [*problems, *_active_problems(split, name)]


def _weight_problems(split: Mapping[str, AnyFloats], name: str) -> list[str]:
    weight = split.get("sample_weight")
    if weight is None:
        return []
    if weight.shape[1] != 1:
        return [f"{name}sample_weight must be one number per row; got shape {weight.shape}."]
    if (weight < 0).any():
        return [f"{name}sample_weight must be at least 0; the smallest is {weight.min():g}."]
    if not weight.any():
        return [f"{name}sample_weight must not be zero on every row: nothing would count."]
    return []


def _active_problems(split: Mapping[str, AnyFloats], name: str) -> list[str]:
    judged = next((split[key] for key in ("prices", "y") if key in split), None)
    if "active" not in split or judged is None:
        return []
    active = split["active"]  # its rows were counted
    return code_problems(active, who=f"{name}active", shape=(len(active), *judged.shape[1:]))


def _price_problems(split: Mapping[str, AnyFloats], name: str) -> list[str]:
    prices, y = split.get("prices"), split.get("y")
    if prices is None:
        return []
    problems = []
    # The smallest price that float32, in which training divides, can hold.
    if (prices < np.finfo(np.float32).tiny).any():
        problems.append(f"{name}prices must be greater than 0; the smallest is {prices.min():g}.")
    if y is not None and prices.shape[1] != y.shape[1]:
        problems.append(
            f"{name}prices must have one column per column of y, {y.shape[1]}; got "
            f"{prices.shape[1]}. Both are the assets that are acted on."
        )
    return problems


def _match_problems(
    train: Mapping[str, AnyFloats], validation: Mapping[str, AnyFloats]
) -> list[str]:
    """Where the validation rows are not like the training rows."""
    problems = [
        f"validation {key} must have the {train[key].shape[1]} columns of the training rows; "
        f"got {array.shape[1]}."
        for key, array in validation.items()
        if key in train and array.shape[1] != train[key].shape[1]
    ]
    inputs = [key for key in (*train, *validation) if key.startswith(_INPUT)]
    for key in ("context", "active", *dict.fromkeys(inputs)):
        if (key in train) != (key in validation):
            has, lacks = ("training", "validation") if key in train else ("validation", "training")
            problems.append(
                f"{key} must be given for all rows or none; only the {has} rows have it, "
                f"the {lacks} rows do not."
            )
    return problems
