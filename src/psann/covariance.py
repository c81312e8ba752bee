"""What allocators do who look at risk alone: rules of the covariance of the past, to compare with.

Each is long only, looks at the last `window` moves up to the row on which it decides, rebalances
every so many rows and lets its holdings drift in between, like `psann.baselines` in all else.

Letters: ``S`` covariance ``(M, M)`` of simple returns, ``w`` weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann._inputs import numbers
from psann._labels import labels_of
from psann.accounting import relatives
from psann.baselines import earlier_span, held_from, in_order_of_prices, with_codes
from psann.errors import DataError
from psann.holdings import HALTED, MEMBER

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Simple returns (L, M) of the past -> weights (M,) that are not negative and sum to 1.
Weigh = Callable[[Floats], Floats]

# Moves without which a covariance says nothing: until then, 1/M.
_LEAST_MOVES = 20


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
    ``S`` is that of `ledoit_wolf`.

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
    ``S`` is that of `ledoit_wolf`.

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


def ledoit_wolf(returns: Floats) -> Floats:
    """Covariance shrunk towards equal variances without correlation, as far as noise asks.

    ``(1 - s) C + s m I`` with the biased sample covariance ``C``, its mean variance ``m`` and
    ``s = min(b, d) / d``: ``d`` is the mean squared distance of ``C`` from ``m I``, ``b`` that of
    ``C`` from the truth, as estimated.

    Parameters
    ----------
    returns : ndarray of shape (n, M)
        One row per observation.

    Returns
    -------
    ndarray of shape (M, M)

    References
    ----------
    Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
    https://doi.org/10.1016/S0047-259X(03)00096-4
    """
    n_rows, n_assets = returns.shape
    centred = returns - returns.mean(0)
    sample: Floats = centred.T @ centred / n_rows
    mean_variance = np.trace(sample) / n_assets
    squares = np.square(sample).sum()
    distance = squares - n_assets * mean_variance**2
    noise = (np.square(np.square(centred).sum(-1)).sum() / n_rows - squares) / n_rows
    shrinkage = min(noise, distance) / distance if distance > 0 else 0.0
    shrunk: Floats = (1 - shrinkage) * sample + shrinkage * mean_variance * np.eye(n_assets)
    return shrunk


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
    if window < _LEAST_MOVES or every < 1:
        raise DataError(
            f"`window` must be at least {_LEAST_MOVES} moves and `every` at least 1 row; got "
            f"{window} and {every}."
        )
    spans = [earlier_span(labelled, span, "earlier") for span in earlier]
    moves = np.concatenate([relatives(span) for span in (*spans, prices)]) - 1
    codes = np.full(prices.shape, MEMBER) if told is None else told
    before = [_in_order(labelled, each) for each in earlier_active if told is not None]
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


def _in_order(prices: Floats, active: Any) -> NDArray[Any]:
    """Codes of an earlier span with the assets in the order of these."""
    codes = numbers(active, "`earlier_active`")
    return in_order_of_prices(prices, codes, labels_of(active).columns, "`earlier_active`")


def _known(spans: Sequence[Floats], codes: NDArray[Any], earlier: Sequence[NDArray[Any]]) -> Bools:
    """Which moves ``(n, M)`` somebody who is there has made."""
    tables = list(earlier) or [np.full(s.shape, MEMBER) for s in spans]
    parts = [np.isin(table[:-1], (MEMBER, HALTED)) for table in (*tables, codes)]
    return np.concatenate(parts)


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
    covariance = ledoit_wolf(returns)
    covariance = covariance / np.trace(covariance) * len(covariance)
    is_held = np.ones(len(covariance), dtype=bool)
    fewest, patience = len(covariance) + 1, 3
    while True:
        x = np.zeros(len(covariance))
        x[is_held] = np.linalg.solve(covariance[np.ix_(is_held, is_held)], np.ones(is_held.sum()))
        objects = np.where(is_held, x < 0, covariance @ x < 1 - 1e-12)
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
    covariance = ledoit_wolf(returns)
    volatility = np.sqrt(covariance.diagonal())
    correlation = covariance / np.outer(volatility, volatility)
    n_assets = len(correlation)

    def value(x: Floats) -> float:
        return float(x @ correlation @ x / 2 - np.log(x).mean()) if (x > 0).all() else np.inf

    x = 1 / np.sqrt(n_assets * correlation.sum(-1).clip(1.0))
    for _ in range(200):
        gradient = correlation @ x - 1 / (n_assets * x)
        curvature = correlation + np.diag(1 / (n_assets * x**2))
        step = np.linalg.solve(curvature, gradient)
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
