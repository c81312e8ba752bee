"""Cut a panel into training, validation and test rows, ready for `fit` and for a config.

The rules are the same for every data set of psann:

- Row `t` of X goes with row `t` of the prices; `time_*` is strictly increasing.
- The splits follow each other in time and share no row. The move from the last row of one to the
  first of the next belongs to neither.
- `y` is what a holding earns *inside* its split: the simple return to the next row, and 0 on the
  last row of a split, which has no next row. So no target holds a price of a later split.
- Features use prices up to and including their own row; in validation and test they look back
  over the border, as they would in use. Rows without a full history are dropped, which shortens
  training only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

import numpy as np

from psann._frames import SPLITS
from psann._inputs import show
from psann._typing import Array, Floats, is_whole
from psann.errors import DataError
from psann.holdings import MEMBER, codes_of
from psann.market.dates import instants_of
from psann.market.features import Features, compute
from psann.market.findings import Findings
from psann.market.panel import Panel

Data = dict[str, Array]


def splits(
    panel: Panel, *, val: object, test: object, features: object = "default", gap: object = 0
) -> Data:
    """Make the arrays of a data set.

    Parameters
    ----------
    panel : Panel
    val, test : date or float
        First date of each, or their shares of the moves, in (0, 1); test has the last ones.
    features : "default", "assetwise", or list
        As for `psann.market.features.compute`.
    gap : int or "features"
        Rows left out before validation and before test. 0 is sound: no move and no target crosses
        a border, and what a feature looks back on is known. `features` leaves out as many as the
        longest feature looks back, so that no feature of a split sees a price of the one before; a
        trailing scale does, as the training scale does.

    Returns
    -------
    dict of str to ndarray
        For each split `X_* (n, columns)`, assetwise `(n, M, K)`, `y_* (n, M)`, `prices_* (n, M)`
        and `time_* (n,)`, dates; `asset_names (M,)` and `feature_names (columns,)`. Where the panel
        has holes also `active_* (n, M)`, who can be held and traded, in the codes of
        `psann.holdings`; `y` of those who are no members is 0.

    Raises
    ------
    DataError
        If a border cannot be meant, a split has fewer than 2 rows, or features are wrong.
    """
    if not isinstance(panel, Panel):
        raise DataError(
            f"splits must be given a Panel; got {type(panel).__name__}. Align it first: "
            "splits(align(read_prices(prices)), val=..., test=...)."
        )
    return cut(panel, val=val, test=test, features=features, gap=gap)[0]


def cut(
    panel: Panel, *, val: object, test: object, features: object, gap: object
) -> tuple[Data, Features]:
    """Do what `splits` does, and tell how the features were made; see there."""
    first_val, first_test = _borders(panel, val, test, gap)
    if gap == "features":
        gap = compute(panel, features, train=slice(0, first_val)).history
    assert isinstance(gap, int)  # or it was refused
    made = compute(panel, features, train=slice(0, first_val - gap))
    starts = (made.history, first_val, first_test)
    _check_lengths(panel, starts, gap)
    data: Data = {**assemble(made.values, panel.prices, panel.dates, starts, gap=gap)}
    data |= {"asset_names": np.array(panel.assets), "feature_names": np.array(made.names)}
    if panel.has_holes:
        codes = codes_of(panel.active, panel.halted, panel.ended)
        for name, rows in spans(len(panel.dates), starts, gap).items():
            data[f"active_{name}"] = codes[rows]
            data[f"y_{name}"] = np.where(panel.active[rows], data[f"y_{name}"], 0.0)
    return data, made


def spans(n_rows: int, starts: tuple[int, int, int], gap: int = 0) -> dict[str, slice]:
    """Rows of each split, from the first rows of all; `gap` rows before a border are left out."""
    train, val, test = starts
    return {
        "train": slice(train, val - gap),
        "val": slice(val, test - gap),
        "test": slice(test, n_rows),
    }


def assemble(
    X: Floats, prices: Floats, time: Array, starts: tuple[int, int, int], *, gap: int = 0
) -> Data:
    """Cut rows into splits and add the returns earned inside each.

    Parameters
    ----------
    X : ndarray of shape (n, columns) or (n, M, K)
    prices : ndarray of shape (n, M)
    time : ndarray of shape (n,)
    starts : tuple of int
        First row of training, validation and test.
    gap : int
        Rows left out before validation and test.

    Returns
    -------
    dict of str to ndarray
        `X_*`, `y_*`, `prices_*`, `time_*`.
    """
    data: Data = {}
    for name, rows in spans(len(prices), starts, gap).items():
        held = prices[rows]
        y = np.zeros_like(held)
        y[:-1] = held[1:] / held[:-1] - 1.0
        data |= {f"X_{name}": X[rows], f"y_{name}": y, f"prices_{name}": held}
        data[f"time_{name}"] = time[rows]
    return data


def describe_spans(data: Mapping[str, Array]) -> dict[str, dict[str, int | str]]:
    """First and last date of each split, its number of rows, and of members where that varies.

    Parameters
    ----------
    data : mapping
        With `time_*`, dates, and `active_*`, as `splits` returns it.
    """
    spans_of: dict[str, dict[str, int | str]] = {}
    for name in SPLITS:
        if f"time_{name}" in data:
            dates = data[f"time_{name}"]
            first, last = (show(date) for date in dates[[0, -1]])
            spans_of[name] = {"first": first, "last": last, "rows": len(dates)}
            if f"active_{name}" in data:
                counts = (data[f"active_{name}"] == MEMBER).sum(axis=1)
                spans_of[name]["members"] = f"{int(counts.min())} to {int(counts.max())}"
    return spans_of


def _borders(panel: Panel, val: object, test: object, gap: object) -> tuple[int, int]:
    """Find the first rows of validation and test."""
    findings = Findings()
    if not is_whole(gap) and not (isinstance(gap, str) and gap == "features"):
        findings.ask(f"gap must be a whole number of rows, at least 0, or features; got {gap!r}.")
    if _is_share(val) and _is_share(test):
        findings.stop()
        return _rows_of_shares(len(panel.dates), val, test)
    rows = []
    for name, value in (("val", val), ("test", test)):
        try:
            moment, _ = instants_of(str(value))
        except ValueError:
            moment = np.datetime64("NaT", "us")
        if np.isnat(moment) or isinstance(value, bool | int | float):
            findings.ask(
                f"split.{name} must be a date within the table, {show(panel.dates[0])} to "
                f"{show(panel.dates[-1])}, as the other, or a share in (0, 1); got {value!r}."
            )
        rows.append(int(np.searchsorted(panel.dates, moment)))
    findings.stop()
    if rows[0] >= rows[1]:
        same = rows[0] == rows[1]
        cure = "Between them is no row. Give a later test." if same else "Exchange them."
        raise DataError(f"split.val must come before split.test; got {val} and {test}. {cure}")
    return rows[0], rows[1]


def _is_share(value: object) -> TypeGuard[float]:
    return isinstance(value, float) and 0.0 < value < 1.0


def _rows_of_shares(n_rows: int, val: float, test: float) -> tuple[int, int]:
    if val + test >= 1.0:
        raise DataError(
            "split.val + split.test must be less than 1, so that rows are left for training; got "
            f"{val!r} + {test!r}."
        )
    # Shares are of the moves, one fewer than rows. The tiny addition keeps 0.7 of 10 from being 6.
    first_val = int((1.0 - val - test) * (n_rows - 1) + 1e-9)
    return first_val, int((1.0 - test) * (n_rows - 1) + 1e-9)


def _check_lengths(panel: Panel, starts: tuple[int, int, int], gap: int) -> None:
    n_rows = len(panel.dates)
    problems = [
        f"The {name} split must have at least 2 rows; got {max(rows.stop - rows.start, 0)} of "
        f"{n_rows} rows, from {show(panel.dates[0])} to {show(panel.dates[-1])}, the first "
        f"{starts[0]} of which are history. Move the borders{', or lower gap' if gap else ''}."
        for name, rows in spans(n_rows, starts, gap).items()
        if rows.stop - rows.start < 2
    ]
    if problems:
        raise DataError(problems)
