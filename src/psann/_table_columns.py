"""Frames without an index, of polars and Arrow: what their columns are called, and which is dates.

Where pandas has an index, these have a column of dates among the others. It says when the rows
were, and is no number to train on.
"""

from __future__ import annotations

from typing import Any


def names_of(frame: Any) -> tuple[Any, ...] | None:
    """Names of the columns of a frame; None of what is none."""
    names = getattr(frame, "column_names", None)
    if names is None:
        names = getattr(frame, "columns", None)
    return None if names is None or callable(names) else tuple(names)


def date_column(frame: Any) -> str | None:
    """The one column of dates beside others; None where an index says it, or nothing does."""
    names = names_of(frame)
    if names is None or len(names) < 2 or hasattr(frame, "index"):
        return None
    types = getattr(getattr(frame, "schema", None), "types", getattr(frame, "dtypes", None))
    if types is None:
        return None
    dated = [
        name
        for name, kind in zip(names, types, strict=True)
        if str(kind).lower().startswith(("date", "timestamp"))
    ]
    return str(dated[0]) if len(dated) == 1 else None


def without_dates(value: Any) -> Any:
    """A frame without its column of dates; everything else as it is."""
    dates = date_column(value)
    return value if dates is None else value.drop([dates])
