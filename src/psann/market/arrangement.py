"""From columns of numbers to a cube in order of time: dates, assets, fields."""

from __future__ import annotations

import numpy as np

from psann._inputs import show
from psann._typing import Dates, Floats, Places
from psann.errors import counted
from psann.market.dates import are_days
from psann.market.findings import Findings
from psann.market.layout import Layout, codes_of
from psann.market.sheet import Sheet
from psann.market.values import Values


def arrange(
    sheet: Sheet, dates: Dates, layout: Layout, values: Values, findings: Findings
) -> tuple[Dates, list[str], dict[str, Floats]]:
    """Put every number to its date and asset.

    Parameters
    ----------
    sheet : Sheet
        For messages.
    dates : ndarray of shape (n,)
        Of the rows of the sheet, in any order.
    layout : Layout
    values : dict
        Columns `(n,)` by field and asset.
    findings : Findings
        Gets dates that stand twice, with equal values as a note, with others as a problem.

    Returns
    -------
    dates : ndarray of shape (N,)
        Increasing.
    assets : list of str
        In the order of the source.
    cubes : dict of str to ndarray of shape (N, M)
        By field; NaN where the source has nothing.
    """
    days, at = np.unique(dates, return_inverse=True)
    if layout.asset is None:
        assets = [str(name) for name in values[layout.price]]
        codes = np.zeros(len(dates), dtype=np.intp)
        columns = {
            field: _side_by_side([_of(cells, asset, len(at)) for asset in assets])
            for field, cells in values.items()
        }
    else:
        assets, codes = codes_of(layout.asset.cells)
        columns = {field: cells[None][:, None] for field, cells in values.items()}
        _check_names(sheet, assets, codes, findings)
    _note_order(dates, codes, findings)
    price = columns[layout.price]
    keep = _without_duplicates(sheet, dates, at * len(assets) + codes, price, assets, findings)
    cubes = {}
    for field, block in columns.items():
        if layout.asset is None:
            cubes[field] = block if _is_in_order(at, keep) else block[keep[np.argsort(at[keep])]]
        else:
            cubes[field] = np.full((len(days), len(assets)), np.nan)
            cubes[field][at[keep], codes[keep]] = block[keep, 0]
    return days, assets, cubes


def _of(cells: dict[str | None, Floats], asset: str, n_rows: int) -> Floats:
    found = cells.get(asset)
    return np.full(n_rows, np.nan) if found is None else found


def _side_by_side(columns: list[Floats]) -> Floats:
    """Make a table ``(n, M)`` of columns; where they lie so in memory, without a copy."""
    whole = columns[0].base if columns else None
    if isinstance(whole, np.ndarray) and whole.ndim == 2 and whole.flags.c_contiguous:
        places = [
            (column.ctypes.data - whole.ctypes.data) / whole.strides[0]
            for column in columns
            if column.base is whole and column.shape == whole.shape[1:]
        ]
        first = int(places[0]) if places else 0
        if places == list(range(first, first + len(columns))):
            return whole[first : first + len(columns)].T
    return np.array(columns).T


def _is_in_order(at: Places, keep: Places) -> bool:
    return len(keep) == len(at) and bool((np.diff(at) > 0).all())


def _check_names(sheet: Sheet, assets: list[str], codes: Places, findings: Findings) -> None:
    if "" in assets:
        row = int((codes == assets.index("")).argmax())
        findings.ask(
            f"{sheet.place(row)}: a row of a long table must name its asset; got an empty cell.",
            cure="Complete or delete the line.",
        )


def _note_order(dates: Dates, codes: Places, findings: Findings) -> None:
    """Say so where an asset's rows do not rise in time."""
    order = np.argsort(codes, kind="stable")
    steps = np.diff(dates[order].astype(np.int64))[np.diff(codes[order]) == 0]
    if len(steps) and (steps < 0).all():
        findings.say("rows were newest first and were turned round.")
    elif (steps < 0).any():
        findings.say("rows were sorted by date.")


def _without_duplicates(
    sheet: Sheet,
    dates: Dates,
    cells: Places,
    price: Floats,
    assets: list[str],
    findings: Findings,
) -> Places:
    """Keep the first row of each date and asset; ask where a later one differs."""
    _, first, back = np.unique(cells, return_index=True, return_inverse=True)
    if len(first) == len(cells):
        return np.arange(len(cells))
    original = first[back]
    later = np.flatnonzero(original != np.arange(len(cells)))
    same = [np.array_equal(price[row], price[original[row]], equal_nan=True) for row in later]
    differ = later[~np.array(same)]
    if len(differ) < len(later):
        findings.say(f"dropped: {counted(len(later) - len(differ), 'row')} that repeat others.")
    problems = []
    for row in differ[:1000].tolist():
        a, b = price[original[row]], price[row]
        column = int((~((a == b) | (np.isnan(a) & np.isnan(b)))).argmax())
        name = assets[column] if len(a) > 1 else assets[int(cells[row] % len(assets))]
        problems.append(
            f"{sheet.place(row)}: {name} on {show(dates[row])} must have one price; got "
            f"{b[column]:g}, and {a[column]:g} before ({sheet.place(int(original[row]))})."
        )
    findings.ask_of_many(problems, cure=_cure(len(differ), dates))
    return np.sort(first)


def _cure(n_differ: int, dates: Dates) -> str:
    if n_differ > max(2, 0.2 * len(dates)):
        return "Name the column that tells the assets apart with the option asset."
    if not are_days(dates):
        return (
            "Delete one of the two; an hour that a clock shows twice becomes two with the zone, "
            "as in `format: {tz: Europe/Berlin}`."
        )
    return "Delete one of the two."
