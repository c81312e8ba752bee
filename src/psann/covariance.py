"""What allocators do who look at risk alone: rules of the covariance of the past, to compare with.

Each is long only, looks at the last `window` moves up to the row on which it decides, rebalances
every so many rows and lets its holdings drift in between, like `psann.baselines` in all else.

Letters: ``S`` covariance ``(M, M)`` of simple returns, ``w`` weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from psann._inputs import numbers
from psann._labels import labels_of, same_rows
from psann._typing import Array, Bools, Floats, is_whole
from psann.accounting import relatives
from psann.baselines import check_spans, earlier_span, held_from, in_order_of_prices, with_codes
from psann.errors import DataError
from psann.holdings import HALTED, MEMBER

# Simple returns (L, M) of the past -> weights (M,) that are not negative and sum to 1.
Weigh = Callable[[Floats], Floats]

# Moves without which a covariance says nothing: until then, 1/M.
_LEAST_MOVES = 20
# No real moves come near: returns of only two values, in step, are without noise.
_LEAST_SHRINKAGE = 1e-6


def inverse_volatility(prices: Floats, **how: Any) -> Floats:
    """Hold each asset in inverse proportion to its volatility, ``w_i ~ 1 / std(r_i)``.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    **how : Any
        As for `minimum_variance`.

    Returns
    -------
    ndarray of shape (T, M)
    """
    return _rebalanced(prices, _inverse_volatility, **how)


def minimum_variance(prices: Floats, **how: Any) -> Floats:
    """Hold what varied least, ``min_w w S w`` with ``w >= 0`` and ``sum w = 1``.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    **how : Any
        `window`: moves that count, at most (252); with less than 20 there are all members alike.
        `every`: rows from one rebalancing to the next (21), beginning with the first row.
        `earlier`: prices of the spans before, whose moves are known at the first row.
        `active`, `earlier_active`: codes of `psann.holdings` of the rows and of each of those
        spans, where there is membership; newcomers wait until they have been there for the whole
        window, and what holdings leave when they end or leave is cash until the next rebalancing.

    Returns
    -------
    ndarray of shape (T, M)

    Notes
    -----
    ``S`` is that of `shrunk_covariance`.

    References
    ----------
    Clarke, de Silva & Thorley 2006, "Minimum-variance portfolios in the U.S. equity market",
    https://doi.org/10.3905/jpm.2006.661366
    """
    return _rebalanced(prices, _minimum_variance, **how)


def risk_parity(prices: Floats, **how: Any) -> Floats:
    """Let each asset contribute the same risk, ``w_i (S w)_i`` all alike.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    **how : Any
        As for `minimum_variance`.

    Returns
    -------
    ndarray of shape (T, M)

    Notes
    -----
    ``S`` is that of `shrunk_covariance`.

    References
    ----------
    Maillard, Roncalli & Teiletche 2010, "The properties of equally weighted risk contribution
    portfolios", https://doi.org/10.3905/jpm.2010.36.4.060
    """
    return _rebalanced(prices, _risk_parity, **how)


COVARIANCE_RULES: dict[str, Callable[..., Floats]] = {
    "inverse_volatility": inverse_volatility,
    "minimum_variance": minimum_variance,
    "risk_parity": risk_parity,
}


class Dense:
    """A covariance as a matrix.

    Parameters
    ----------
    matrix : ndarray of shape (M, M)
        Symmetric, positive definite.
    """

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix

    def times(self, x: Floats) -> Floats:
        """``S x``."""
        product: Floats = self.matrix @ x
        return product

    def row_sums(self) -> Floats:
        """``S 1``."""
        sums: Floats = self.matrix.sum(-1)
        return sums

    def solve(self, right: Floats) -> Floats:
        """``S^-1 right``."""
        return np.asarray(np.linalg.solve(self.matrix, right), dtype=np.float64)

    def plus(self, diagonal: Floats) -> Dense:
        """With more variance of each."""
        return Dense(self.matrix + np.diag(diagonal))

    def of(self, is_held: Bools) -> Dense:
        """Of some of the assets."""
        return Dense(self.matrix[np.ix_(is_held, is_held)])

    def of_mean_variance_one(self) -> Dense:
        """Of returns in other units."""
        return Dense(self.matrix / np.trace(self.matrix) * len(self.matrix))

    def correlation_and_volatility(self) -> tuple[Dense, Floats]:
        """The same in two parts."""
        volatility = np.sqrt(self.matrix.diagonal())
        return Dense(self.matrix / np.outer(volatility, volatility)), volatility


class LowRank:
    """A covariance ``R' R + diag(v)`` of more assets than rows: nothing of ``M x M`` is formed.

    Parameters
    ----------
    rows : ndarray of shape (n, M)
        ``R``, with fewer rows than assets.
    own : ndarray of shape (M,)
        ``v``, the variance that each has for itself, positive.

    References
    ----------
    Woodbury 1950, "Inverting modified matrices"; Hager 1989, "Updating the inverse of a matrix",
    https://doi.org/10.1137/1031049
    """

    def __init__(self, rows: Floats, own: Floats) -> None:
        self.rows, self.own = rows, own

    def times(self, x: Floats) -> Floats:
        """``S x``."""
        product: Floats = (self.rows @ x) @ self.rows + self.own * x
        return product

    def row_sums(self) -> Floats:
        """``S 1``."""
        return self.times(np.ones_like(self.own))

    def solve(self, right: Floats) -> Floats:
        """``S^-1 right``, by a system of as many equations as there are rows."""
        root = np.sqrt(self.own)
        rows, right = self.rows / root, right / root  # (n, M), (M,)
        inner = rows @ rows.T + np.eye(len(rows))  # both factors the same: BLAS forms one half
        solved: Floats = (right - np.linalg.solve(inner, rows @ right) @ rows) / root
        return solved

    def plus(self, diagonal: Floats) -> LowRank:
        """With more variance of each."""
        return LowRank(self.rows, self.own + diagonal)

    def of(self, is_held: Bools) -> Covariance:
        """Of some of the assets."""
        rows, own = self.rows.compress(is_held, axis=1), self.own[is_held]
        if rows.shape[1] > len(rows):
            return LowRank(rows, own)
        return Dense(rows.T @ rows + np.diag(own))

    def of_mean_variance_one(self) -> LowRank:
        """Of returns in other units."""
        mean_variance = self._variances().mean()
        return LowRank(self.rows / np.sqrt(mean_variance), self.own / mean_variance)

    def correlation_and_volatility(self) -> tuple[LowRank, Floats]:
        """The same in two parts."""
        variances = self._variances()
        volatility = np.sqrt(variances)
        return LowRank(self.rows / volatility, self.own / variances), volatility

    def _variances(self) -> Floats:
        variances: Floats = np.square(self.rows).sum(0) + self.own
        return variances


Covariance = Dense | LowRank


def shrunk_covariance(returns: Floats) -> Covariance:
    """Covariance shrunk towards equal variances without correlation, as far as noise asks.

    ``(1 - s) C + s m I`` with the biased sample covariance ``C``, its mean variance ``m`` and
    ``s = min(b, d) / d``, at least 1e-6 so that it has an inverse: ``d`` is the mean squared
    distance of ``C`` from ``m I``, ``b`` that of ``C`` from the truth, as estimated.

    Parameters
    ----------
    returns : ndarray of shape (n, M)
        One row per observation.

    Returns
    -------
    Dense or LowRank
        The latter where there are more assets than rows: time and memory are then linear in them.

    References
    ----------
    Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
    https://doi.org/10.1016/S0047-259X(03)00096-4
    """
    n_rows, n_assets = returns.shape
    centred = returns - returns.mean(0)
    is_wide = n_assets > n_rows
    # What is not zero of the eigenvalues is the same of either product.
    sample = (centred @ centred.T if is_wide else centred.T @ centred) / n_rows
    mean_variance = np.trace(sample) / n_assets
    squares = np.square(sample).sum()
    distance = squares - n_assets * mean_variance**2
    noise = (np.square(np.square(centred).sum(-1)).sum() / n_rows - squares) / n_rows
    share = max(min(noise, distance) / distance, _LEAST_SHRINKAGE) if distance > 0 else 1.0
    if is_wide:
        rows = centred * np.sqrt((1 - share) / n_rows)
        return LowRank(rows, np.full(n_assets, share * mean_variance))
    return Dense((1 - share) * sample + share * mean_variance * np.eye(n_assets))


def _rebalanced(
    prices: Floats,
    weigh: Weigh,
    *,
    window: int = 252,
    every: int = 21,
    earlier: Sequence[Floats] = (),
    active: Any = None,
    earlier_active: Sequence[Any] = (),
) -> Floats:
    """Target weights ``(T, M)`` that are chosen every so many rows and drift in between."""
    labelled, (prices, told) = prices, with_codes(prices, active)
    if not (is_whole(window, _LEAST_MOVES) and is_whole(every, 1)):
        raise DataError(
            f"`window` must be at least {_LEAST_MOVES} moves and `every` at least 1 row, in whole "
            f"numbers; got {window!r} and {every!r}."
        )
    check_spans(labelled, earlier)
    spans = [earlier_span(labelled, span, "earlier") for span in earlier]
    moves = np.concatenate([relatives(span) for span in (*spans, prices)]) - 1
    codes = np.full(prices.shape, MEMBER) if told is None else told
    pairs = zip_longest(earlier_active, earlier[: len(earlier_active)])
    before = [_in_order(labelled, *pair) for pair in pairs if told is not None]
    if before and [each.shape for each in before] != [each.shape for each in spans]:
        raise DataError(
            "`earlier_active` must have a table for each of `earlier`, of its shape: "
            f"{[each.shape for each in spans]}; got {[each.shape for each in before]}."
        )
    known = _known(spans, codes, before)
    n_before, weights = len(moves) - len(prices) + 1, np.zeros_like(prices)
    for row in range(0, len(prices), every):
        last = n_before + row
        past = slice(max(0, last - window), last)
        is_held = codes[row] == MEMBER
        chosen = _chosen(moves[past], known[past], is_held, weigh)
        block = slice(row, row + every)
        weights[block] = held_from(chosen, prices[block], codes[block])
    return weights


def _in_order(prices: Floats, active: Any, span: Any) -> Array:
    """Codes of an earlier span with its rows, and the assets, in the order of prices."""
    codes, own = numbers(active, "`earlier_active`"), labels_of(active)
    known = {"`earlier`": labels_of(span), "`earlier_active`": own}
    codes = same_rows(dict.fromkeys(known, codes), known)["`earlier_active`"]
    return in_order_of_prices(prices, codes, own.columns, "`earlier_active`")


def _known(spans: Sequence[Floats], codes: Array, earlier: Sequence[Array]) -> Bools:
    """Which moves ``(n, M)`` somebody who is there has made."""
    tables = list(earlier) or [np.full(s.shape, MEMBER) for s in spans]
    before = np.concatenate([table[:-1] for table in (*tables, codes)])
    is_known: Bools = (before == MEMBER) | (before == HALTED)
    return is_known


def _chosen(moves: Floats, known: Bools, is_member: Bools, weigh: Weigh) -> Floats:
    """Weights of those with a whole past that varies; of all members alike where there are none."""
    weights = np.zeros(len(is_member))
    is_known = is_member & known.all(0)
    if len(moves) >= _LEAST_MOVES:
        is_known &= np.ptp(moves, axis=0) > 0
        if is_known.any():
            weights[is_known] = weigh(moves.compress(is_known, axis=1))
            return weights
    weights[is_member] = 1 / max(1, int(is_member.sum()))
    return weights


def _inverse_volatility(returns: Floats) -> Floats:
    return _normalised(1 / returns.std(0, ddof=1))


def _minimum_variance(returns: Floats) -> Floats:
    """Solve ``S x >= 1, x >= 0, x (S x - 1) = 0`` by exchanging who is held until nobody objects.

    Block principal pivoting; should exchanging all who object not lead to fewer of them, the last
    one alone, which ends for every positive definite matrix (Judice & Pires 1994,
    https://doi.org/10.1016/0305-0548(94)90106-6).
    """
    covariance, n_assets = shrunk_covariance(returns).of_mean_variance_one(), returns.shape[1]
    is_held = np.ones(n_assets, dtype=bool)
    fewest, patience = n_assets + 1, 3
    while True:
        x = np.zeros(n_assets)
        x[is_held] = covariance.of(is_held).solve(np.ones(is_held.sum()))
        objects = np.where(is_held, x < 0, covariance.times(x) < 1 - 1e-12)
        n_objecting = int(objects.sum())
        if not n_objecting:
            return _normalised(x)
        if n_objecting < fewest:
            fewest, patience = n_objecting, 3
        elif patience:
            patience -= 1
        else:
            objects[: np.flatnonzero(objects)[-1]] = False
        is_held = is_held ^ objects


def _risk_parity(returns: Floats) -> Floats:
    """Minimise ``x C x / 2 - mean(log x)`` for the correlations ``C``, by Newton's method.

    Then ``w ~ x / volatility`` (Spinu 2013, https://doi.org/10.2139/ssrn.2297383).
    """
    correlation, volatility = shrunk_covariance(returns).correlation_and_volatility()
    n_assets = len(volatility)

    def value(x: Floats) -> float:
        if not (x > 0).all():
            return np.inf
        return float(x @ correlation.times(x) / 2 - np.log(x).mean())

    x = 1 / np.sqrt(n_assets * correlation.row_sums().clip(1.0))
    for _ in range(200):
        gradient = correlation.times(x) - 1 / (n_assets * x)
        step = correlation.plus(1 / (n_assets * x**2)).solve(gradient)
        # Self-concordant once it is multiplied by the number of assets: below 0.3 whole steps do.
        fall, part = float(gradient @ step), 1.0
        length = np.sqrt(max(0.0, n_assets * fall))
        while length > 0.3 and value(x - part * step) > value(x) - 0.1 * part * fall:
            part /= 2
        x = x - part * step
        if length < 1e-7:  # what is left is of the order of its square
            return _normalised(x / volatility)
    raise ArithmeticError("Equal risk contributions did not converge.")


def _normalised(values: Floats) -> Floats:
    shares: Floats = values / values.sum()
    return shares
