"""Features that say nothing, drown the others, or know what nobody could."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from psann._typing import Floats, Places
from psann.errors import DataError, counted
from psann.plausibility.finding import Finding, label_of, listed_labels, table_of

MIN_ROWS = 100
"""Rows below which `next_move_findings` claims nothing."""
LEAST_CORRELATION = 0.25
"""Correlation with a move to come from which on a feature is looked at."""
_N_ERRORS = 7.0
# Share of what it tells of moves that are over; noise makes equal correlations differ.
_NEARLY = 0.85
_MAGNITUDE = 1e3
_N_AHEAD = 20
# Share of the rows on which a feature changes that stands still in between.
_FEW_CHANGES = 0.6
# Usual lengths that a feature stands still at most.
_LONGEST_STAIR = 10
_N_DIFFERENCES = 2
# Share of a column's squares below which a difference has too few digits left.
_LOST = 1e-6


def feature_findings(X: Any, *, labels: Sequence[str] | None = None) -> list[Finding]:
    """Say which features never change, and which are of another magnitude than the rest.

    Parameters
    ----------
    X : array-like of shape (T, F)
        Features, finite.
    labels : sequence of F str, optional
        Their names.

    Returns
    -------
    list of Finding
        `constant`, and `magnitude` where a root mean square is a thousand times the median one.

    Raises
    ------
    DataError
        If they are no such features.
    """
    values = table_of(X, "X")
    varies = np.ptp(values, axis=0) > 0
    found = []
    if still := np.flatnonzero(~varies).tolist():
        who = listed_labels(still, labels)
        message = f"Feature {who} never changes. Leave it out."
        if len(still) > 1:
            message = f"Features {who} never change. Leave them out."
        found.append(Finding(name="constant", message=message))
    sizes = np.sqrt((values**2).mean(axis=0))
    usual = float(np.median(sizes[varies])) if varies.any() else 0.0
    for c in map(int, np.flatnonzero(varies & (sizes > _MAGNITUDE * usual))):
        who = f"Feature {label_of(c, labels)}"
        message = (
            f"{who} is of the size {sizes[c]:.3g}, the others of {usual:.3g}: it will drown them. "
            "Give a scaler, or its logarithm."
        )
        found.append(Finding(name="magnitude", message=message, column=c))
    return found


def next_move_findings(
    X: Any, prices: Any, *, labels: Sequence[str] | None = None, assets: Sequence[str] | None = None
) -> list[Finding]:
    """Say which features know moves that have yet to come.

    ``rho_s = max_{d <= 2, m} |corr(D^d x_t, log p_{t+1+s,m} / p_{t+s,m})|``, ``D`` the difference.

    A feature is suspected if it tells of a move to come, ``0 <= s < 20``, above `LEAST_CORRELATION`
    and seven standard errors (of as many rows as the asset moves on), and nearly as well as of any
    move that is over, ``-20 <= s < 0``: what honest features tell of the next move is a shadow of
    the last one. Differences undo sums:
    of a return over k rows that ends one row late the first difference is the next move less an
    old one (correlation 0.7, whatever k), of a price that is one row late it is the next move
    itself, of a centred mean over 2 w + 1 rows the second difference is the move ``s = w`` rows
    ahead less an old one. Training rows only, please: this looks ahead.

    A feature that changes on few rows, every L rows or so, is held against the moves over the
    ``L - 1`` rows after a change and the L before it instead, where it changes: a weekly close
    that stands on all days of its own week is a sum of moves of which most are to come.

    Parameters
    ----------
    X : array-like of shape (T, F)
        Features, each known at its row.
    prices : array-like of shape (T, M)
        Prices of the same rows, positive.
    labels : sequence of F str, optional
        Names of the features.
    assets : sequence of M str, optional
        Names of the assets.

    Returns
    -------
    list of Finding
        One for each suspect; none for less than `MIN_ROWS` rows.

    Raises
    ------
    DataError
        If they are no such features and prices.

    Notes
    -----
    It does not see what knows of the future as a whole (a z-score over all rows, an asset chosen
    because it survived), nor a look-ahead under noise. A signal that is planted, or real and as
    strong, is named too: it is a suspicion. Where every feature is suspected, time runs backwards.
    """
    values, quotes = table_of(X, "X"), table_of(prices, "prices", is_positive=True)
    if len(values) != len(quotes):
        raise DataError(
            f"`X` and `prices` must have the same rows; got {len(values)} and {len(quotes)}."
        )
    if len(values) < MIN_ROWS:
        return []
    moves = _tamed(np.diff(np.log(quotes), axis=0))  # (T - 1, M); row t is the move after row t
    # Who is listed for a few rows only stands still on the others, and correlates by chance.
    n_moving = np.maximum((np.diff(quotes, axis=0) != 0).sum(axis=0), 1)
    least = np.maximum(LEAST_CORRELATION, _N_ERRORS / np.sqrt(n_moving))  # (M,)
    found: dict[int, tuple[float, Finding]] = {}
    later = _Columns(moves)
    for d in range(_N_DIFFERENCES + 1):
        known = _Columns(_tamed(np.diff(values, n=d, axis=0)))  # row t is of row t + d of X
        to_come, place = _peak(known, later, shifts=range(d, d + _N_AHEAD), least=least)
        over, _ = _peak(known, later, shifts=range(d - _N_AHEAD, d))
        for c in map(int, np.flatnonzero(to_come > _NEARLY * over)):
            if to_come[c] > found.get(c, (0.0,))[0]:
                finding = _knowing(c, to_come[c], (d, *place[c]), labels, assets)
                found[c] = (float(to_come[c]), finding)
    for c in range(values.shape[1]):
        stairs = None if c in found else _stairs(values[:, c], moves, c, labels, assets)
        if stairs is not None:
            found[c] = (0.0, stairs)
    return [found[column][1] for column in sorted(found)]


def _stairs(
    values: Floats,
    moves: Floats,
    column: int,
    labels: Sequence[str] | None,
    assets: Sequence[str] | None,
) -> Finding | None:
    """Whether a feature that changes now and then foretells the rows up to its next change."""
    n_rows = len(values)
    rows = np.flatnonzero(np.diff(values)) + 1
    if not 0 < len(rows) < _FEW_CHANGES * n_rows:
        return None
    length = round(n_rows / len(rows))
    if np.diff(rows, prepend=0, append=n_rows).max() > _LONGEST_STAIR * length:
        return None  # of an asset that is listed for some rows only
    rows = rows[(rows >= length) & (rows < n_rows - length)]
    if len(rows) <= _N_ERRORS**2:
        return None
    paths = np.vstack([np.zeros((1, moves.shape[1])), moves.cumsum(axis=0)])
    seen = _Columns(_tamed(np.stack([values[rows], values[rows] - values[rows - 1]], axis=1)))
    after, before = (
        np.abs(_correlations(seen, _Columns(paths[rows + there] - paths[rows - here]))).max(axis=0)
        for here, there in ((0, length - 1), (length, 0))  # (M,) each
    )
    asset = int(after.argmax())
    least = max(LEAST_CORRELATION, _N_ERRORS / math.sqrt(len(rows)))
    if after[asset] <= max(least, _NEARLY * float(before.max())):
        return None
    message = (
        f"Feature {label_of(column, labels)} changes every {length} rows or so, and has there a "
        f"correlation of {after[asset]:.2f} with the moves of asset {label_of(asset, assets)} over "
        f"{counted(length - 1, 'row')} to come. Is it of a week or month that has only begun? Give "
        "it from the row on which that is over."
    )
    return Finding(name="knows_next_move", message=message, column=column)


def _peak(
    known: _Columns, moves: _Columns, *, shifts: range, least: Floats | float = 0.0
) -> tuple[Floats, Places]:
    """Largest correlation of each feature ``(F,)``, and at which shift and asset ``(F, 2)``.

    One that is not above `least`, for all or by asset, counts for nothing.
    """
    best = np.zeros(known.values.shape[1])
    places = np.zeros((len(best), 2), dtype=np.intp)
    for number, shift in enumerate(shifts):
        found = np.abs(_correlations(known, moves, shift=shift))  # (F, M)
        found[found <= least] = 0.0
        better = found.max(axis=1) > best
        best[better] = found.max(axis=1)[better]
        places[better] = np.stack([np.full(len(best), number), found.argmax(axis=1)], 1)[better]
    return best, places


def _knowing(
    column: int,
    correlation: float,
    place: tuple[int, ...],
    labels: Sequence[str] | None,
    assets: Sequence[str] | None,
) -> Finding:
    d, ahead, asset = map(int, place)
    what = ("", "the change of ", "the second difference of ")[d]
    which = "the very next move" if ahead == 0 else f"the move {ahead + 1} rows ahead"
    who = f"feature {label_of(column, labels)}"
    return Finding(
        name="knows_next_move",
        message=(
            f"{(what + who)[0].upper()}{(what + who)[1:]} has a correlation of {correlation:.2f} "
            f"with {which} of asset {label_of(asset, assets)}, no less than with any that is over. "
            "Is it of a later row, or from a window that is centred?"
        ),
        column=column,
    )


def _tamed(values: Floats) -> Floats:
    """Centred on the median and cut at seven usual sizes, so that no single row decides."""
    centred = values - np.median(values, axis=0)
    usual = np.median(np.abs(centred), axis=0)
    # Mostly unchanged columns have no usual size; their own spread stands for it.
    usual = np.where(usual > 0, usual, centred.std(axis=0))
    return np.clip(centred, -7 * usual, 7 * usual)


class _Columns:
    """Columns ``(T, C)`` of mean 0 and length 1, or of zeros where one does not vary."""

    def __init__(self, values: Floats) -> None:
        centred = values - values.mean(axis=0)
        lengths = np.sqrt((centred**2).sum(axis=0))
        # Of what stands still rounding leaves some length.
        self.varies = (np.ptp(values, axis=0) > 0) & (lengths > 0)
        self.values = centred / np.where(self.varies, lengths, np.inf)

    def part(self, first: int, n: int) -> tuple[Floats, Floats, Floats]:
        """`n` rows, their means ``(C,)``, and their lengths about those, infinite for none.

        By what lies beyond: that is a few rows.
        """
        rows = self.values[first : first + n]
        beyond = np.concatenate([self.values[:first], self.values[first + n :]])
        means = -beyond.sum(axis=0) / n
        squares = self.varies - (beyond**2).sum(axis=0) - n * means**2
        if (squares[self.varies] < _LOST).any():  # nearly all that varies lies beyond
            anew = _Columns(rows)
            rows, means, squares = anew.values, np.zeros(len(means)), anew.varies.astype(float)
        return rows, means, np.sqrt(np.where(squares > 0, squares, np.inf))


def _correlations(left: _Columns, right: _Columns, *, shift: int = 0) -> Floats:
    """Of each column with each so many rows later ``(F, M)``; 0 where one does not vary."""
    first = max(0, -shift)
    n = min(len(left.values) - first, len(right.values) - first - shift)
    rows, means, lengths = left.part(first, n)
    others, others_means, others_lengths = right.part(first + shift, n)
    covariances = rows.T @ others - n * np.outer(means, others_means)
    correlations: Floats = covariances / np.outer(lengths, others_lengths)
    return correlations
