"""Tables of prices as providers write them, made up; and the reader that follows its own advice."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas
import yaml

from psann.errors import DataError
from psann.market import PriceTable, read_prices

Cure = dict[str, object]
FIRST = datetime.date(2021, 3, 1)


def days(n: int, first: datetime.date = FIRST) -> list[datetime.date]:
    """Weekdays in a row."""
    every = (first + datetime.timedelta(days=k) for k in itertools.count())
    return list(itertools.islice((day for day in every if day.weekday() < 5), n))


def prices(n: int = 30, m: int = 2, seed: int = 0, level: float = 50.0) -> np.ndarray:
    """Random walks with two decimals, as a provider rounds them."""
    moves = 0.02 * np.random.default_rng(seed).standard_normal((n, m))
    return np.round(level * np.exp(np.cumsum(moves, axis=0)), 2)


def ohlcv(close: np.ndarray, seed: int = 1) -> np.ndarray:
    """Open, high, low, close, volume around closing prices, shape (n, 5)."""
    draws = np.random.default_rng(seed)
    start = np.round(close * (1 + 0.005 * draws.standard_normal(len(close))), 2)
    high = np.round(np.maximum(start, close) + np.where(draws.random(len(close)) < 0.3, 0, 0.11), 2)
    low = np.round(np.minimum(start, close) - np.where(draws.random(len(close)) < 0.3, 0, 0.13), 2)
    return np.column_stack([start, high, low, close, draws.integers(1000, 10**7, len(close))])


def write(
    path: Path,
    header: Sequence[str] | None,
    rows: Sequence[Sequence[object]],
    *,
    sep: str = ",",
    end: str = "\n",
    encoding: str = "utf-8",
    above: str = "",
    below: str = "",
) -> Path:
    """Write a text table; floats as they print."""
    lines = [sep.join(header)] if header is not None else []
    lines += [sep.join("" if _is_nan(cell) else str(cell) for cell in row) for row in rows]
    path.write_bytes((above + end.join(lines) + end + below).encode(encoding))
    return path


def _is_nan(cell: object) -> bool:
    return isinstance(cell, float) and cell != cell


def wide(
    path: Path,
    values: np.ndarray,
    names: Sequence[str] | None = None,
    *,
    date: str = "Date",
    form: str = "%Y-%m-%d",
    **options: object,
) -> Path:
    """Write a column for each asset."""
    names = names or [f"A{k}" for k in range(values.shape[1])]
    stamps = [day.strftime(form) for day in days(len(values))]
    rows = [[stamp, *row] for stamp, row in zip(stamps, values.tolist(), strict=True)]
    return write(path, [date, *names], rows, **options)  # type: ignore[arg-type]


def german(number: float, decimals: int = 2) -> str:
    """1234.5 as 1.234,50."""
    return f"{number:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def cures_of(error: DataError) -> list[list[Cure]]:
    """For each problem the options that it offers to paste, alternatives beside each other."""
    found = []
    for problem in error.problems:
        snippets = re.findall(r"`([^`]+)`", problem)
        if snippets:
            found.append([yaml.safe_load("{" + snippet + "}") for snippet in snippets])
    return found


def turned(message: str, **given: object) -> PriceTable:
    """Do what a message says of a table that lies on its side."""
    (call,) = re.findall(r"Turn it round: (.+)\.(?:\n|$)", message)
    table: PriceTable = eval(call, {"read_prices": read_prices, "pandas": pandas, **given})
    return table


def follow(
    source: object, pick: Callable[[list[Cure]], Cure], **options: object
) -> tuple[PriceTable, Cure]:
    """Read by pasting what the messages say, of alternatives the one picked, until it works."""
    for _ in range(6):
        try:
            return read_prices(source, **options), options  # type: ignore[arg-type]
        except DataError as error:
            before = dict(options)
            for alternatives in cures_of(error):
                cure = pick(alternatives)
                both = {**dict(options.get("format") or {}), **dict(cure.get("format") or {})}  # type: ignore[call-overload]
                options = {**options, **cure, **({"format": both} if both else {})}
            if options == before:
                raise
    raise AssertionError(f"the advice leads nowhere: {options}")
