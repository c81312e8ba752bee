"""What an account holds now, as a user wrote it down: weights or shares by asset."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from psann._plain_files import read_plain
from psann._typing import Floats
from psann.errors import DataError, UsageError, counted, did_you_mean
from psann.market.numerals import Reading, find_readings, is_numeral
from psann.run.acting.weights import Weights
from psann.run.acting.weights_file import WeightsFile, read_weights
from psann.run.directory.files import MAX_JSON_BYTES

CASH = "cash"


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """Holdings in the order of the policy's assets."""

    kind: Literal["weight", "shares"]
    amounts: Floats
    """Shape (M,)."""
    cash: float | None
    """Money beside shares; None where the file does not say."""


def read_held(path: Path, weights: Weights) -> Held:
    """Read what is held.

    Parameters
    ----------
    path : Path
        CSV with the columns `asset` and `weight`, or `asset` and `shares` (and a line `cash` with
        money), separated by commas, semicolons or tabs; or a file of weights of `hisso-runs act`,
        whose last row that is executed by now has drifted with prices since.
    weights : Weights
        What the policy asks for, with prices.

    Raises
    ------
    DataError
        If it cannot be read, or names other assets.
    """
    try:
        data = read_plain(path, MAX_JSON_BYTES, follow=True)
    except ValueError as error:
        raise DataError(f"--held must be a file of holdings; {path}: {error}.") from None
    if path.suffix.lower() != ".csv" or data.startswith(b"#"):
        return _drifted(read_weights(path), weights)
    try:
        text = data.decode("utf-8-sig")
        mark = next((mark for mark in ";\t" if mark in text.partition("\n")[0]), ",")
        header, *rows = csv.reader(io.StringIO(text or "\n"), strict=True, delimiter=mark)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"--held must be CSV in UTF-8; {path}: {error}.") from None
    names = [name.strip().lower() for name in header]
    if names in (["asset", "shares"], ["asset", "weight"]):
        cells = [row[1] for row in rows if len(row) == 2]
        reading = _reading(path, cells, decimal="." if mark == "," else None)
        kind: Any = names[1]
        return _by_asset(path, rows, kind, weights.assets, reading)
    raise DataError(
        f"--held must have the columns asset and shares, or asset and weight; {path} has "
        f"{', '.join(header[:6]) or 'nothing'}. Write one line for each asset."
    )


def _by_asset(
    path: Path,
    rows: Sequence[Sequence[str]],
    kind: Literal["weight", "shares"],
    assets: Sequence[str],
    reading: Reading,
) -> Held:
    found: dict[str, float] = {}
    problems = []
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        name, amount = row[0].strip(), _number(row[1] if len(row) == 2 else "", reading)
        if name not in assets and name.lower() == CASH:
            name = CASH
        if amount is None:
            problems.append(f"{path}, line {line}: must be an asset and a number; got {row}.")
        elif name in found:
            problems.append(f"{path}, line {line}: {name} stands twice. Add the two up.")
        elif name != CASH and name not in assets:
            problems.append(
                f"{path}, line {line}: {name} is no asset of the policy."
                f"{did_you_mean(name, assets)} Leave out what it does not manage."
            )
        else:
            found[name] = amount
    total = sum(found.values())
    if kind == "weight" and not problems and total > 1 + 1e-6:
        problems.append(f"{path}: weights must add up to at most 1; got {total:g}.")
    if problems:
        raise DataError(problems)
    cash = found.pop(CASH, None) if CASH not in assets else None
    amounts = np.array([found.get(name, 0.0) for name in assets])
    return Held(kind=kind, amounts=amounts, cash=cash if kind == "shares" else None)


def _reading(path: Path, cells: Sequence[str], *, decimal: str | None) -> Reading:
    """What points and commas mean; where columns are not separated by commas, both may be."""
    numerals = [cell.strip() for cell in cells if is_numeral(cell.strip())]
    first, *others = find_readings(numerals, decimal=decimal)
    for cell in numerals:
        if others and (one := first.parse(cell)) != (other := others[0].parse(cell)):
            raise DataError(
                f"{path}: {cell} may be {one:.10g} or {other:.10g}. Separate the columns by "
                "commas, and write decimals with a point."
            )
    return first


def _number(text: str, reading: Reading) -> float | None:
    number = None if "%" in text else reading.parse(text.strip())
    return number if number is not None and math.isfinite(number) else None


def _drifted(file: WeightsFile, weights: Weights) -> Held:
    """Weights of an earlier row, as prices have made them by the newest one."""
    if file.assets != weights.assets:
        raise DataError(
            f"--held must be weights of {', '.join(weights.assets)}; the file has "
            f"{', '.join(file.assets)}."
        )
    label, held, row = _executed(file, weights)
    if row == len(weights) - 1:
        return Held(kind="weight", amounts=held, cash=None)
    if weights.quotes is None:
        raise UsageError(f"--held is of {label}, and without prices nobody knows it of today.")
    moves = weights.quotes[-1] / weights.quotes[row]
    grown = held * np.where(np.isfinite(moves), moves, 1.0)
    wealth = grown.sum() + 1.0 - held.sum()
    return Held(kind="weight", amounts=grown / wealth, cash=None)


def _executed(file: WeightsFile, weights: Weights) -> tuple[str, Floats, int]:
    """The last weights that are held by the newest row, and the row from which on they are."""
    delay = file.provenance.delay
    for label, held in zip(reversed(file.labels), reversed(file.values), strict=True):
        if label not in weights.labels:
            raise UsageError(
                f"--held must be weights of a row that is among those acted on; its last is "
                f"{label}, they begin with {weights.labels[0]}. Give --since {label}."
            )
        row = weights.labels.index(label) + delay
        if row < len(weights):
            return label, held, row
    raise UsageError(
        f"--held must be weights that are held by now; those of {file.labels[0]} are executed "
        f"{counted(delay, 'row')} later, and the newest is {weights.labels[-1]}. Give the file of "
        "an earlier row."
    )
