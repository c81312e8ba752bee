"""Names and times that come with frames: compared, aligned where that is certain, never dropped.

A frame says what its columns are and when its rows were. Two frames whose labels are the same in
another order are put into one order; any other difference is an error that names both sides. Plain
arrays say nothing, and are taken as they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from psann._inputs import array_of, show, times
from psann._table_columns import date_column, names_of, without_dates
from psann._typing import Array
from psann.errors import DataError


@dataclass(frozen=True)
class Labels:
    """What a frame or series says of itself; nothing, of a plain array."""

    columns: tuple[str, ...] | None = None
    rows: Array | None = None
    """Dates as datetime64[us], else numbers or texts."""
    date_column: str | None = None
    """The column that holds the dates, of a frame without an index."""

    @property
    def are_none(self) -> bool:
        """Whether nothing is said."""
        return self.columns is None and self.rows is None

    @property
    def are_dates(self) -> bool:
        """Whether the rows have times."""
        return self.rows is not None and self.rows.dtype.kind == "M"

    @property
    def are_numbers(self) -> bool:
        """Whether the rows have numbers."""
        return self.rows is not None and self.rows.dtype.kind in "iuf"


@dataclass(frozen=True)
class Named:
    """An array whose columns have names, as a frame says it."""

    array: Array
    columns: Sequence[str]

    def to_numpy(self) -> Array:
        """The array itself."""
        return self.array


def labels_of(value: object) -> Labels:
    """The labels of a frame or series of pandas, polars or Arrow; counts are none.

    What has no index but one column of dates is dated by that.
    """
    if isinstance(value, np.ndarray) or not (
        hasattr(value, "to_numpy") or hasattr(value, "column_names")
    ):
        return Labels()
    return Labels(_columns_of(value), _rows_of(value), date_column(value))


def _columns_of(value: Any) -> tuple[str, ...] | None:
    columns = names_of(without_dates(value))
    if columns is None:
        name = getattr(value, "name", None)
        return (name,) if isinstance(name, str) and name else None
    names = tuple(str(name) for name in columns)
    counts = (names == tuple(f"{mark}{k}" for k in range(len(names))) for mark in ("", "column_"))
    return None if any(counts) else names


def _rows_of(value: Any) -> Array | None:
    if (dates := date_column(value)) is not None:
        return times(value[dates], f"column {dates}")
    index = getattr(value, "index", None)
    if index is None or callable(index) or _is_a_count(index):
        return None
    if getattr(index, "nlevels", 1) > 1:
        return np.array([str(key) for key in index])
    rows = array_of(index, "the index")
    if rows.dtype.kind == "U":
        try:
            return times(rows, "the index")
        except DataError:  # names that are no dates
            return rows
    return rows.astype("datetime64[us]") if rows.dtype.kind == "M" else rows


def _is_a_count(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and index.start == 0


def same_rows(arrays: Mapping[str, Array], labels: Mapping[str, Labels]) -> dict[str, Array]:
    """Put the rows of all arrays into the order of the first that says what its rows are.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        By the name that the user knows, with rows first.
    labels : mapping of str to Labels
        Of some or all of them.

    Raises
    ------
    DataError
        If two do not have the same rows.
    """
    aligned, problems = dict(arrays), []
    known = [name for name in arrays if name in labels and labels[name].rows is not None]
    for name in known[1:]:
        ours, theirs = labels[known[0]].rows, labels[name].rows
        assert ours is not None and theirs is not None
        if (ours.dtype.kind in "MU") != (theirs.dtype.kind in "MU"):
            continue  # dates beside numbers: nothing to compare
        if np.array_equal(ours, theirs):
            continue
        order = _order(ours.tolist(), theirs.tolist())
        if order is None:
            problems.append(_other_rows(known[0], name, labels))
        else:
            aligned[name] = arrays[name][order]
    if problems:
        raise DataError(problems)
    return aligned


def in_order_of(
    names: Sequence[str], array: Array, own: Sequence[str] | None, *, who: str, whose: str
) -> Array:
    """Columns in the order of names, where the array says what its columns are.

    Raises
    ------
    DataError
        If it has other columns.

    Examples
    --------
    >>> in_order_of(["a", "b"], np.array([[1, 2]]), ["b", "a"], who="prices", whose="y").tolist()
    [[2, 1]]
    """
    if own is None or list(own) == list(names):
        return array
    order = _order(list(names), list(own))
    if order is None:
        raise DataError(
            f"{who} must have the columns of {whose}: {_named(names)}; got {_named(own)}. Give "
            "both the same names, or plain arrays that are in one order, without dates: "
            f"{plain_name(who)}.to_numpy()."
        )
    return array[:, order]


def _order(wanted: list[Any], given: list[Any]) -> list[int] | None:
    """Places of `given` in the order of `wanted`; None if they are not the same labels."""
    place = {label: number for number, label in enumerate(given)}
    is_certain = len(place) == len(given) == len(wanted) and set(wanted) == place.keys()
    return [place[label] for label in wanted] if is_certain else None


def _other_rows(who: str, name: str, labels: Mapping[str, Labels]) -> str:
    ours, theirs = labels[who].rows, labels[name].rows
    assert ours is not None and theirs is not None
    frame, both = plain_name(name), f"{plain_name(who)}.index"
    said = f"{name} must have the rows of {who}, {_span(ours)}; got {_span(theirs)}."
    dates = labels[name].date_column or labels[who].date_column
    if dates is not None:
        return (
            f"{said} Keep the rows whose dates both have. Where they belong together as they "
            f"stand, take out the column {dates!r}."
        )
    if ours.dtype.kind != theirs.dtype.kind:
        return f"{said} Make dates of both indexes, by pandas.to_datetime."
    has_all = np.isin(ours, theirs).all()
    cure = f"{frame}.loc[{both}]" if has_all else f"{both}.intersection({frame}.index)"
    return (
        f"{said} Take the rows of both: {cure}. Where they belong together as they stand, give "
        f"plain arrays: {frame}.to_numpy()."
    )


def plain_name(who: str) -> str:
    """The argument that a message tells of.

    Examples
    --------
    >>> plain_name("validation prices"), plain_name("`prices`")
    ('prices', 'prices')
    """
    return who.rpartition(" ")[2].strip("`")


def _span(rows: Array) -> str:
    shown = [show(row) if rows.dtype.kind != "U" else str(row) for row in rows[[0, -1]]]
    return f"{len(rows)} from {shown[0]} to {shown[1]}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)})" if len(names) > 8 else "")


def telling_order(labels: Mapping[str, Labels]) -> dict[str, Labels]:
    """Of arrays of the same rows the one that says their order, by dates if any does."""
    told = [name for name, each in labels.items() if each.are_dates]
    told += [name for name, each in labels.items() if each.are_numbers]
    return {name: labels[name] for name in told[:1]}


def order_problems(labels: Mapping[str, Labels]) -> list[str]:
    """Say which rows are not in the order of time, within each and from each to the next.

    Parameters
    ----------
    labels : mapping of str to Labels
        Of X by what the user calls it, earlier rows first; those without dates are passed over,
        but for numbers that fall: such rows were shuffled, or run backwards.
    """
    dated = {name: each.rows for name, each in labels.items() if each.are_dates}
    problems = [
        f"{name} must be in the order of time; row {row}, {show(rows[row])}, comes after "
        f"{show(rows[row - 1])}. Sort it, {plain_name(name)}.sort_index(); where all belong "
        "together as they stand, give plain arrays, by to_numpy()."
        for name, each in labels.items()
        if each.are_numbers and (rows := each.rows) is not None
        for row in 1 + np.flatnonzero(rows[1:] < rows[:-1])[:1]
    ]
    for name, rows in dated.items():
        assert rows is not None
        stuck = np.flatnonzero(~(rows[1:] > rows[:-1]))  # a missing date is in no order
        if len(stuck):
            row = int(stuck[0]) + 1
            dates = labels[name].date_column
            cure = f"{plain_name(name)}.sort_index()" if dates is None else f"by {dates!r}"
            problems.append(
                f"{name} must be in the order of time; row {row}, {show(rows[row])}, comes "
                f"after {show(rows[row - 1])}. Sort it, {cure}, and drop what is there twice."
            )
    for (name, before), (later, after) in pairwise(dated.items()):
        assert before is not None and after is not None
        if len(before) and len(after) and after.min() <= before.max():
            problems.append(
                f"{later} must begin after {name} ends, {show(before.max())}; got "
                f"{show(after.min())}. Cut them so that they follow each other in time."
            )
    return problems
