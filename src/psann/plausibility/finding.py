"""One thing about the data that is hard to believe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from psann._inputs import finiteness_problems, numbers
from psann._typing import Floats
from psann.errors import DataError

_MOST = 5  # columns that are named, and findings of one kind


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found, where, and a sentence that tells it with the cure."""

    name: str
    """`relatives`, `shuffled`, `split`, `leap`, `print`, `swap`, `stale`, `filled`, `copy`,
    `constant`, `magnitude`, `overlap`, `gap`, `pace`, `rate` or `knows_next_move`."""
    message: str
    row: int | None = None
    """First row that it is about, counted from 0; None where it is about all."""
    column: int | None = None
    """Asset or feature that it is about; None where it is about several."""


def table_of(value: Any, name: str, *, is_positive: bool = False) -> Floats:
    """Rows and columns of finite numbers, or a `DataError` with every reason why there are none."""
    table = numbers(value, f"`{name}`").astype(np.float64)
    if table.ndim != 2:
        raise DataError(
            f"`{name}` must have rows and columns; got shape {table.shape}. Give {name}.reshape("
            f"len({name}), -1)."
        )
    problems = finiteness_problems(table, f"`{name}`")
    if is_positive and (table <= 0).any():
        problems.append(f"`{name}` must be above 0; got {table.min():g} as the lowest.")
    if problems:
        raise DataError(problems)
    return table


def label_of(column: int, labels: Sequence[str] | None) -> str:
    """What a column is called: its number, and its own label where it has one.

    Examples
    --------
    >>> label_of(2, None), label_of(0, ["ibm"])
    ('2', "0 ('ibm')")
    """
    return f"{column}" + (f" ({labels[column]!r})" if labels is not None else "")


def listed_labels(columns: Sequence[int], labels: Sequence[str] | None) -> str:
    """The same of several columns, the first five of many.

    Examples
    --------
    >>> listed_labels([0, 1], ["ibm", "ge"]), listed_labels(range(9), None)
    ("0 ('ibm') and 1 ('ge')", '0, 1, 2, 3, 4 and 4 more')
    """
    told = [label_of(column, labels) for column in columns]
    rest = f"{len(told) - _MOST} more" if len(told) > _MOST else told.pop()
    return f"{', '.join(told[:_MOST])} and {rest}" if told else rest


def few_of_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first five of each kind, the fifth with how many more there are."""
    found = list(findings)
    total, seen = Counter(each.name for each in found), Counter[str]()
    for each in found:
        seen[each.name] += 1
        more = total[each.name] - _MOST
        if seen[each.name] == _MOST and more > 0:
            each = replace(each, message=f"{each.message} There are {more} more like it.")
        if seen[each.name] <= _MOST:
            yield each
