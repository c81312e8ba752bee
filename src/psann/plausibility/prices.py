"""Prices that are none, or that hold moves which nobody earned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from psann._typing import Bools, Floats
from psann.plausibility.finding import Finding, label_of, listed_labels, table_of

MIN_ROWS = 30
"""Rows below which the shape of a path says nothing."""
# Ratios of usual splits and reverse splits, and how near a move must be: prices move that day too.
_SPLITS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0)
_NEAR = 0.05
# Beyond it no price moves in a row: from pence to pounds, or one share for a hundred.
_BEYOND = math.log(12.0)
# How far a wrong print is from its neighbours, at least: a large bank fell by a fifth one day in
# January 2009 and came back the next. And which part of it may be left on the row after.
_PRINT, _UNDONE = math.log(1.5), 0.2
# Sizes of an asset's usual move that a split must be, and of other assets' moves on that row.
_OUTLYING, _ALONE = 10.0, 4.0
# From where on two assets whose prices change places are not simply alike.
_SWAPPED = math.log(1.1)
# A crash is followed by turmoil, a split by nothing: usual size of the moves in so many rows after.
_TURMOIL, _AFTERMATH = 2.5, 10
# Moves without a change that a price on a coarse grid may have in a row, as real ones had.
_FEWEST_STALE = 8
# Chance at which a run of unchanged prices is taken for filled ones, over all rows of an asset.
_RARE = 1e-3
# Holidays are 3 % of weekdays. On a coarse grid and quiet days all assets but one stand still about
# as often as all do.
_FEWEST_FILLED, _TIMES_ALL_BUT_ONE, _SELDOM, _FEWEST_STRETCHES = 0.02, 3.0, 0.3, 3
# Rows from a weekend to the next and to where nobody rests, and how often, holidays apart.
_WEEK, _MIDWEEK, _NEARLY_ALWAYS = 7, 3, 0.8


def price_findings(prices: Any, *, labels: Sequence[str] | None = None) -> list[Finding]:
    """Say what is hard to believe of prices.

    - `relatives`, `shuffled`: values forget the row before. A price path is a sum of moves, so that
      the variance of its moves is small against that of its levels; of growth factors and of
      shuffled rows it is twice as large (von Neumann's ratio above 1 for most assets).
    - `split`: a move within 5 % of 1/10, 1/7, ..., 10 that is ten times what the asset usually
      moves, or one beyond 12, while the other assets move as usual and the ten rows after it are
      calm. A crash has an aftermath; one without would look the same.
    - `print`: one price that is by a factor of 1.5 and ten usual moves away from both its
      neighbours, which are alike, while the other assets move as usual.
    - `swap`: two assets that both leap, ten usual moves each, to where the other one was.
    - `stale`: a run of at least 8 unchanged prices, longer than the asset's other rows explain.
    - `filled`: as `filled_findings` says.
    - `copy`: the moves of another asset; `constant`: no moves at all.

    Parameters
    ----------
    prices : array-like of shape (T, M)
        Positive and finite.
    labels : sequence of M str, optional
        Names of the assets.

    Returns
    -------
    list of Finding
        By asset in order; empty where nothing is odd.

    Raises
    ------
    DataError
        If they are no such prices.

    References
    ----------
    von Neumann 1941, "Distribution of the ratio of the mean square successive difference to the
    variance", https://doi.org/10.1214/aoms/1177731677
    """
    logs = np.log(table_of(prices, "prices", is_positive=True))
    moves = np.diff(logs, axis=0)  # (T - 1, M)
    forgets = _forgetful(logs, moves)
    if forgets:
        return [forgets]
    found = [*_constant(moves, labels), *_copies(moves, labels), *_stale(moves, labels)]
    found += _filled(moves == 0, labels)
    prints, swaps = [*_prints(moves, labels)], [*_swaps(logs, moves, labels)]
    known = {(each.row, each.column) for each in prints}
    splits = [each for each in _leaps(moves, labels, known) if each.name == "split"]
    return [*found, *prints, *splits, *swaps]


def leap_findings(prices: Any, *, labels: Sequence[str] | None = None) -> list[Finding]:
    """Say where one asset alone leaps by 1.8 and ten usual moves, by no ratio of a split.

    As a `split` otherwise: of long series such a leap is news as often as another asset's price.

    Parameters
    ----------
    prices, labels
        As for `price_findings`.

    Returns
    -------
    list of Finding
        `leap`, by row and asset.
    """
    moves = np.diff(np.log(table_of(prices, "prices", is_positive=True)), axis=0)
    known = {(each.row, each.column) for each in _prints(moves, labels)}
    return [each for each in _leaps(moves, labels, known) if each.name == "leap"]


def forgetful_findings(prices: Floats) -> list[Finding]:
    """Say that values forget the row before: `relatives` or `shuffled`, as of `price_findings`.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        An asset that lacks one (NaN), or has one beyond numbers, has no say.

    Returns
    -------
    list of Finding
        At most one.
    """
    logs = np.log(prices[:, ((prices > 0) & np.isfinite(prices)).all(axis=0)])
    found = _forgetful(logs, np.diff(logs, axis=0))
    return [found] if found else []


def filled_findings(prices: Floats, *, labels: Sequence[str] | None = None) -> list[Finding]:
    """Say that prices were carried on over weekends or holidays, where a delay of a row is none.

    Either all assets stand still together, on 2 % of the moves at least and three times as often as
    all but one, or some do on the same of every seven rows.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Of an asset that lacks one (NaN) nothing is said.
    labels : sequence of M str, optional
        Names of the assets.

    Returns
    -------
    list of Finding
        At most one, `filled`.
    """
    stands: Bools = prices[1:] == prices[:-1]
    stands[:, np.isnan(prices).any(axis=0)] = True
    return [*_filled(stands, labels)]


def _forgetful(logs: Floats, moves: Floats) -> Finding | None:
    if len(logs) < MIN_ROWS:
        return None
    spread = logs.var(axis=0)
    varies = spread > 0
    if not varies.any():
        return None
    ratios = (moves**2).mean(axis=0)[varies] / spread[varies]
    if np.median(ratios) <= 1:
        return None
    if np.median(np.abs(logs)) < 0.5:
        return Finding(
            name="relatives",
            message=(
                "The prices look like growth factors (price relatives): they stay near 1, and a "
                "row says nothing of the next. Make prices of them with numpy.cumprod(relatives, "
                "axis=0)."
            ),
        )
    return Finding(
        name="shuffled",
        message=(
            "The prices look shuffled, or are none, such as volumes: a row says nothing of the "
            "next. Put them in the order of time, or give prices."
        ),
    )


def _constant(moves: Floats, labels: Sequence[str] | None) -> Iterator[Finding]:
    if columns := np.flatnonzero(~moves.any(axis=0)).tolist():
        who = listed_labels(columns, labels)
        message = f"The price of asset {who} never moves. Leave it out, or declare cash."
        if len(columns) > 1:
            message = f"The prices of assets {who} never move. Leave them out, or declare cash."
        yield Finding(name="constant", message=message)


def _copies(moves: Floats, labels: Sequence[str] | None) -> Iterator[Finding]:
    seen: dict[bytes, int] = {}
    # Rounded, so that another scale of the same prices is still the same.
    for column, key in enumerate(np.ascontiguousarray(np.round(moves, 9).T + 0.0)):
        if not key.any():
            continue
        first = seen.setdefault(key.tobytes(), column)
        if first != column:
            pair = (label_of(each, labels) for each in (column, first))
            message = (
                f"The prices of asset {' are those of asset '.join(pair)}. Leave one of them out."
            )
            yield Finding(name="copy", message=message, column=column)


def _stale(moves: Floats, labels: Sequence[str] | None) -> Iterator[Finding]:
    n = len(moves)
    for column in range(moves.shape[1]):
        stands = moves[:, column] == 0
        if not stands.any() or stands.all():
            continue
        start, length = _longest_run(stands)
        # How often such a run is expected if the rest of the rows is as it seems.
        share = (int(stands.sum()) - length + 1) / (n - length + 2)
        if length >= _FEWEST_STALE and n * share**length < _RARE:
            who = label_of(column, labels)
            message = (
                f"The price of asset {who} stands still for {length} moves from row {start} on, "
                "which its other rows do not explain: filled or stale? Leave those rows out."
            )
            yield Finding(name="stale", message=message, row=start, column=column)


def _filled(stands: Bools, labels: Sequence[str] | None) -> Iterator[Finding]:
    some = np.flatnonzero(~stands.all(axis=0))
    if len(stands) < MIN_ROWS or not len(some):
        return
    n_moving = (~stands[:, some]).sum(axis=1)
    together = n_moving == 0
    n_all_but_one = int((n_moving == 1).sum())
    least = max(_FEWEST_STALE, _FEWEST_FILLED * len(stands), _TIMES_ALL_BUT_ONE * n_all_but_one)
    n_stretches = int(together[0]) + int((together[1:] > together[:-1]).sum())
    are_still = 1 - n_moving[~together].mean() / len(some)
    whose = ""
    is_custom = together.sum() >= least and n_stretches >= _FEWEST_STRETCHES
    if len(some) == 1 or not is_custom or are_still > _SELDOM:
        some = some[[_rests_weekly(stands[:, column]) for column in some]]
        if not len(some):
            return
        together = stands[:, some].all(axis=1)
        whose = f" of asset{'s' * (len(some) > 1)} {listed_labels(some.tolist(), labels)}"
    row = int(together.argmax()) + 1
    yield Finding(
        name="filled",
        message=(
            f"On {together.sum()} of {len(stands) + 1} rows no price{whose} moves, first on row "
            f"{row}: filled while markets were closed? What was decided on the row before is "
            "executed there at the very price that was seen, as if without delay. Leave out the "
            "rows on which nobody trades."
        ),
        row=row,
    )


def _rests_weekly(stands: Bools) -> bool:
    """Whether a price stands still on the same of every seven rows, and seldom half a week on."""
    if stands.sum() < _FEWEST_STALE:
        return False
    again, midweek = (stands[lag:][stands[:-lag]].mean() for lag in (_WEEK, _MIDWEEK))
    return bool(again > _NEARLY_ALWAYS and midweek < 1 - _NEARLY_ALWAYS)


def _longest_run(flags: Bools) -> tuple[int, int]:
    """Start and length of the longest run of true flags, the first of equals."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(starts[longest]), int(lengths[longest])


def _usual(sizes: Floats) -> Floats:
    """Median size of the moves that are some, by asset; infinite where there is none."""
    return np.array([np.median(size[size > 0]) if size.any() else math.inf for size in sizes.T])


def _is_alone(sizes: Floats, usual: Floats, column: int) -> bool:
    """Whether the other assets move as usual on a row."""
    others = np.delete(sizes / usual, column)
    return len(others) == 0 or float(np.median(others)) <= _ALONE


def _prints(moves: Floats, labels: Sequence[str] | None) -> Iterator[Finding]:
    sizes = np.abs(moves)
    usual = _usual(sizes)
    left = np.abs(moves[:-1] + moves[1:])
    is_print = (sizes[:-1] > np.maximum(_OUTLYING * usual, _PRINT)) & (left < _UNDONE * sizes[:-1])
    for row, column in np.argwhere(is_print):
        if not all(_is_alone(sizes[each], usual, column) for each in (row, row + 1)):
            continue
        who, ratio = label_of(int(column), labels), math.exp(moves[row, column])
        message = (
            f"The price of asset {who} at row {row + 1} is {ratio:.3g} times that of the row "
            "before, and of the row after: a wrong print? Correct it, or repeat the one before."
        )
        yield Finding(name="print", message=message, row=int(row) + 1, column=int(column))


def _swaps(logs: Floats, moves: Floats, labels: Sequence[str] | None) -> Iterator[Finding]:
    usual = _usual(np.abs(moves))
    is_far = np.abs(moves) > np.maximum(_OUTLYING * usual, _SWAPPED)
    for row in np.flatnonzero(is_far.sum(axis=1) > 1):
        for one, other in combinations(np.flatnonzero(is_far[row]).tolist(), 2):
            left = np.abs(logs[row + 1, [one, other]] - logs[row, [other, one]])
            if (left > _ALONE * usual[[other, one]]).any():
                continue
            pair = " and ".join(label_of(each, labels) for each in (one, other))
            message = (
                f"The prices of assets {pair} change places at row {row + 1}: columns that were "
                "exchanged? Give each asset its own prices on all rows."
            )
            yield Finding(name="swap", message=message, row=int(row) + 1)


def _leaps(
    moves: Floats, labels: Sequence[str] | None, prints: set[tuple[int | None, int | None]]
) -> Iterator[Finding]:
    sizes = np.abs(moves)
    usual = _usual(sizes)
    for row, column in np.argwhere(sizes > np.maximum(_OUTLYING * usual, math.log(1.8))):
        near = min(_SPLITS, key=lambda k: abs(math.log(k) - sizes[row, column]))
        is_near = abs(math.log(near) - sizes[row, column]) < _NEAR
        aftermath = sizes[row + 1 : row + 1 + _AFTERMATH, column]
        is_crash = len(aftermath) > 0 and np.median(aftermath) > _TURMOIL * usual[column]
        if {(row + 1, column), (row, column)} & prints or is_crash:
            continue
        if not _is_alone(sizes[row], usual, column):
            continue
        ratio = f"{near:g}" if moves[row, column] > 0 else f"1/{near:g}"
        who = label_of(int(column), labels)
        name, what, cure = "leap", ": the price of another asset", "Look it up"
        if is_near or sizes[row, column] > _BEYOND:
            name, cure = "split", "Adjust the prices before it"
            what = f", near {ratio}: a split that was not adjusted" if is_near else ": another unit"
        message = (
            f"The price of asset {who} moves by a factor of {math.exp(moves[row, column]):.3g} to "
            f"row {row + 1}{what}? {cure}."
        )
        yield Finding(name=name, message=message, row=int(row) + 1, column=int(column))
