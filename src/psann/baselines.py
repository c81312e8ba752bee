"""What anybody could have done: allocations to print beside every result.

Each function takes prices ``(T, M)`` and gives target weights ``(T, M)`` that are not negative and
sum to 1. Row ``t`` is decided with prices up to row ``t``; what was fitted beforehand is fitted on
the span passed as `fitted_on`. Judge them with `psann.metrics.portfolio_metrics`.

Where assets come, halt and end, each takes `active (T, M)`, codes of `psann.holdings`, and says
what it does about newcomers; only members get weight, and a row without any is all in cash.

Letters: ``x_t = p_{t+1} / p_t`` relatives, ``b_t`` weights of row ``t``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from psann._inputs import finiteness_problems, numbers
from psann._labels import in_order_of, labels_of, order_problems, same_rows
from psann._typing import Array, Bools, Floats, is_number, is_whole
from psann.accounting import relatives
from psann.errors import DataError
from psann.holdings import HALTED, MEMBER, code_problems

Codes = Array

# Few enough for Newton's method to cost nothing, more than optimal portfolios hold.
_MOST_THAT_JOIN = 64
# Beyond it is no number.
_LARGEST_EXPONENT = 700.0


def uniform(prices: Floats, *, active: Codes | None = None) -> Floats:
    """Hold 1/M of the wealth in every asset, rebalanced at every row.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    active : ndarray of shape (T, M), optional
        Who can be held: of so many members on a row each gets the same.

    Returns
    -------
    ndarray of shape (T, M)

    References
    ----------
    DeMiguel, Garlappi & Uppal 2009, "Optimal versus naive diversification",
    https://doi.org/10.1093/rfs/hhm075
    """
    prices, active = with_codes(prices, active)
    if active is not None:
        return _shares(np.ones_like(prices), active == MEMBER)
    return np.full(prices.shape, 1 / prices.shape[1])


def buy_and_hold(prices: Floats, *, active: Codes | None = None) -> Floats:
    """Buy 1/M of every asset at the first row and never trade again, ``b_t ~ p_t / p_0``.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    active : ndarray of shape (T, M), optional
        Who can be held: the members of the first row that has some are bought; what they leave when
        they end or leave stays in cash, and newcomers are not bought.

    Returns
    -------
    ndarray of shape (T, M)
    """
    prices, active = with_codes(prices, active)
    if active is not None:
        return _bought_once(prices, active)
    growth = prices / prices[0]
    shares: Floats = growth / growth.sum(-1, keepdims=True)
    return shares


def best_asset(prices: Floats, *, fitted_on: Floats, active: Codes | None = None) -> Floats:
    """Hold the asset that grew most over the span `fitted_on`; the first of equals.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    fitted_on : ndarray of shape (T', M)
        Prices of the same assets over the span that chooses, as a rule the training rows.
    active : ndarray of shape (T, M), optional
        Who can be held: of the members of the first row the best, while it is one; then cash.

    Returns
    -------
    ndarray of shape (T, M)
    """
    past = earlier_span(prices, fitted_on)
    prices, active = with_codes(prices, active)
    growth = past[-1] / past[0]
    weights = np.zeros_like(prices)
    if active is None:
        weights[:, int(growth.argmax())] = 1.0
    elif (is_member := active == MEMBER)[0].any():
        best = int(np.where(is_member[0], growth, -1.0).argmax())
        weights[:, best] = is_member[:, best]
    return weights


def bcrp(prices: Floats, *, fitted_on: Floats, active: Codes | None = None) -> Floats:
    """Best constantly rebalanced portfolio of the span `fitted_on`, ``max_b sum_t log(b . x_t)``.

    Fitted on the rows that it is judged on, it is hindsight: an upper mark that nobody can reach.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    fitted_on : ndarray of shape (T', M)
        Prices of the same assets over the span that chooses; without a price they stand still.
    active : ndarray of shape (T, M), optional
        Who can be held: members in proportion to their weights, all alike where those are 0.

    Returns
    -------
    ndarray of shape (T, M)

    References
    ----------
    Cover 1991, "Universal portfolios", https://doi.org/10.1111/j.1467-9965.1991.tb00002.x
    """
    past = earlier_span(prices, fitted_on)
    prices, active = with_codes(prices, active)
    weights = np.tile(_log_optimal_weights(relatives(past)), (len(prices), 1))
    return weights if active is None else _shares(weights, active == MEMBER)


def eg(prices: Floats, *, learning_rate: float = 0.05, active: Codes | None = None) -> Floats:
    """Follow the exponentiated gradient (EG): slowly towards what grew.

    ``b_{t+1}`` is proportional to ``b_t exp(eta x_t / (b_t . x_t))``.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    learning_rate : float
        ``eta``; 0 stays at 1/M.
    active : ndarray of shape (T, M), optional
        Who can be held; see `_follow_members` for newcomers.

    Returns
    -------
    ndarray of shape (T, M)

    References
    ----------
    Helmbold, Schapire, Singer & Warmuth 1998, "On-line portfolio selection using multiplicative
    updates", https://doi.org/10.1111/1467-9965.00058
    """

    def step(weights: Floats, growth: Floats) -> Floats:
        exponents = learning_rate * growth / (weights @ growth)
        if exponents.max() > _LARGEST_EXPONENT:  # what all share has no effect
            exponents = exponents - exponents.max()
        scaled = weights * np.exp(exponents)
        shares: Floats = scaled / scaled.sum()
        return shares

    prices, active = with_codes(prices, active)
    _check_finite(learning_rate=learning_rate)
    with np.errstate(over="ignore", invalid="ignore"):
        weights = _follow(relatives(prices), step, active)
    if not np.isfinite(weights).all():
        raise DataError(f"`learning_rate` must leave finite weights; got {learning_rate!r}.")
    return weights


def pamr(prices: Floats, *, threshold: float = 0.5, active: Codes | None = None) -> Floats:
    """Revert passively and aggressively (PAMR): away from what grew, as far as the loss asks.

    ``b_{t+1} = P(b_t - tau (x_t - mean(x_t)))`` with the projection ``P`` on the simplex and
    ``tau = max(0, b_t . x_t - threshold) / |x_t - mean(x_t)|^2``.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    threshold : float
        Growth factor up to which the weights stay.
    active : ndarray of shape (T, M), optional
        Who can be held; see `_follow_members` for newcomers.

    Returns
    -------
    ndarray of shape (T, M)

    References
    ----------
    Li, Zhao, Hoi & Gopalkrishnan 2012, "PAMR: passive aggressive mean reversion strategy for
    portfolio selection", https://doi.org/10.1007/s10994-012-5281-z
    """

    def step(weights: Floats, growth: Floats) -> Floats:
        return _move(weights, growth, -max(0.0, float(weights @ growth) - threshold))

    prices, active = with_codes(prices, active)
    _check_finite(threshold=threshold)
    return _follow(relatives(prices), step, active)


def olmar(
    prices: Floats, *, threshold: float = 10.0, window: int = 5, active: Codes | None = None
) -> Floats:
    """Revert to a moving average (OLMAR-1): towards what is cheap against its recent mean.

    ``b_{t+1} = P(b_t + lambda (v_t - mean(v_t)))`` with the predicted growth ``v_t =
    mean(p_{t-window+1}, ..., p_t) / p_t``, the projection ``P`` on the simplex and
    ``lambda = max(0, threshold - b_t . v_t) / |v_t - mean(v_t)|^2``.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    threshold : float
        Predicted growth factor up to which the weights move.
    window : int
        Rows in the moving average, at least 2.
    active : ndarray of shape (T, M), optional
        Who can be held; see `_follow_members` for newcomers.

    Returns
    -------
    ndarray of shape (T, M)

    Notes
    -----
    The first two rows are uniform; then the prediction is the last relative until more than
    `window` relatives are known, as in the authors' own program.

    References
    ----------
    Li & Hoi 2012, "On-line portfolio selection with moving average reversion",
    https://arxiv.org/abs/1206.4626
    """
    prices, active = with_codes(prices, active)
    _check_finite(threshold=threshold)
    if not is_whole(window, 2):
        raise DataError(f"`window` must be 2 rows or more; got {window!r}. A mean needs two.")
    predicted = relatives(prices)  # (T - 1, M): row t is decided with predicted[t - 1]
    predicted[0] = 1.0
    if len(prices) > window + 1:
        means = sliding_window_view(prices, window, axis=0).mean(-1)  # (T - window + 1, M)
        predicted[window:] = means[2:] / prices[window + 1 :]

    def step(weights: Floats, growth: Floats) -> Floats:
        return _move(weights, growth, max(0.0, threshold - float(weights @ growth)))

    return _follow(predicted, step, active)


# Those that need no earlier span; `best_asset` and `bcrp` are told theirs by name.
BASELINES: dict[str, Callable[..., Floats]] = {
    "uniform": uniform,
    "buy_and_hold": buy_and_hold,
    "eg": eg,
    "pamr": pamr,
    "olmar": olmar,
}


def _shares(values: Floats, is_member: Bools) -> Floats:
    """Parts of each row's sum over its members; all alike where that is 0."""
    inside = values * is_member
    total = inside.sum(-1, keepdims=True)
    n_members = is_member.sum(-1, keepdims=True)
    alike = is_member / np.maximum(n_members, 1)
    return np.where(total > 0, inside / np.where(total > 0, total, 1.0), alike)


def _bought_once(prices: Floats, active: Codes) -> Floats:
    """Weights of the members of the first row with members, never traded; the rest is cash."""
    is_member = active == MEMBER
    weights = np.zeros_like(prices)
    if not is_member.any():
        return weights
    first = int(is_member.any(-1).argmax())
    weights[first:] = held_from(is_member[first].astype(np.float64), prices[first:], active[first:])
    return weights


def held_from(shares: Floats, prices: Floats, active: Codes) -> Floats:
    """Weights of what is bought in these proportions at the first row and never traded again.

    Parameters
    ----------
    shares : ndarray of shape (M,)
        Not negative; 0 for all but members of the first row.
    prices : ndarray of shape (T, M)
        Prices, positive.
    active : ndarray of shape (T, M)
        Codes of `psann.holdings`. What ends or leaves stays in cash.

    Returns
    -------
    ndarray of shape (T, M)
        Parts of the free wealth.
    """
    is_member = active == MEMBER
    growth = shares * (prices / prices[0])
    # Held from the first row on without a break but for halts; sold, or paid out, for good.
    is_held = np.logical_and.accumulate(is_member | (active == HALTED), axis=0)
    is_held &= is_member[0]
    n_left = is_held.sum(axis=0)  # rows held
    left_at = np.minimum(n_left, len(growth) - 1)
    paid = np.where(n_left < len(growth), growth[left_at, np.arange(prices.shape[1])], 0.0)
    paid = paid * is_member[0]
    rows = np.arange(len(growth))[:, None]
    cash = (paid * (rows >= n_left)).sum(-1, keepdims=True)
    value = growth * (is_held & is_member)
    total = value.sum(-1, keepdims=True) + cash
    weights: Floats = value / np.where(total > 0, total, 1.0)
    return weights


def _follow(
    signals: Floats, step: Callable[[Floats, Floats], Floats], active: Codes | None = None
) -> Floats:
    """Start uniform and make the weights of row t + 1 of those of row t and signal t."""
    if active is not None:
        return _follow_members(signals, step, active == MEMBER)
    n_steps, n_assets = signals.shape
    weights = np.full((n_steps + 1, n_assets), 1 / n_assets)
    for row, signal in enumerate(signals):
        weights[row + 1] = step(weights[row], signal)
    return weights


def _follow_members(
    signals: Floats, step: Callable[[Floats, Floats], Floats], is_member: Bools
) -> Floats:
    """Do the same among the members of each row.

    A newcomer gets what 1/n would give it, ``1 / n`` of n members; the others share the rest as
    before, without those who have left. Who comes back is a newcomer.
    """
    weights = _shares(np.ones(is_member.shape), is_member)
    for row, signal in enumerate(signals):
        now, then = is_member[row], is_member[row + 1]
        stays = now & then
        if not stays.any():
            continue  # nobody to follow: uniform again
        whole = np.zeros(len(now))
        whole[now] = step(weights[row][now], signal[now])
        weights[row + 1][stays] = _shares(whole, stays)[stays] * (stays.sum() / then.sum())
    return weights


def _check_finite(**setting: float) -> None:
    for name, value in setting.items():
        if not (is_number(value) and np.isfinite(value)):
            raise DataError(f"`{name}` must be a finite number; got {value!r}.")


def _move(weights: Floats, growth: Floats, distance: float) -> Floats:
    """Project on the simplex after moving until ``b . growth`` has risen by the distance."""
    direction = growth - growth.mean()
    squared = float(direction @ direction)
    # Assets that move as one, but for rounding, leave no direction to go.
    rounding = 16 * np.finfo(np.float64).eps * float(growth.max())
    if squared <= len(growth) * rounding**2:
        return weights
    return _project(weights + distance / squared * direction)


def _project(point: Floats) -> Floats:
    """Nearest point that is not negative and sums to 1.

    Duchi, Shalev-Shwartz, Singer & Chandra 2008, https://doi.org/10.1145/1390156.1390191
    """
    descending = np.sort(point)[::-1]
    surplus = (descending.cumsum() - 1) / np.arange(1, len(point) + 1)
    last = int(np.flatnonzero(descending > surplus)[-1])
    nearest: Floats = np.maximum(point - surplus[last], 0.0)
    return nearest


def _log_optimal_weights(growth: Floats) -> Floats:
    """Weights that maximise ``mean_t log(b . x_t)`` on the simplex.

    Of many assets the optimum holds a few, so it is looked for among some, which the best of the
    others join as long as their slope ``s`` (see below) says that they could be held as well.
    """
    n_assets = growth.shape[1]
    weights = np.full(n_assets, 1 / n_assets)
    is_candidate = np.zeros(n_assets, dtype=bool)
    least_slope = 0.0  # at first, of few assets all
    while True:
        slope = (growth / (growth @ weights)[:, None]).mean(0)
        slope[is_candidate] = 0.0
        best = np.argsort(-slope, kind="stable")[:_MOST_THAT_JOIN]
        joining = best[slope[best] > least_slope]
        if not len(joining):
            return weights
        is_candidate[joining] = True
        weights = np.zeros(n_assets)
        weights[is_candidate] = _interior_optimum(growth.compress(is_candidate, axis=1))
        # Within rounding of 1, so that assets which move as one are held alike.
        least_slope = 1 - 1e-9


def _interior_optimum(growth: Floats) -> Floats:
    """Weights of every asset that maximise ``mean_t log(b . x_t)``, by an interior-point method.

    With ``s(b) = mean_t x_t / (b . x_t)`` the optimum satisfies ``s <= 1``, with equality where
    ``b > 0``; then ``b`` sums to 1 of itself, since ``b . s(b) = 1`` for every ``b``. Newton's
    method follows ``b_i z_i = mu`` to ``mu = 0`` with slacks ``z = 1 - s``. The growth rate of
    any other portfolio is higher by at most ``log(max(s))`` at normalised weights, which is
    brought below 1e-13.
    """
    n_steps, n_assets = growth.shape
    weights = np.full(n_assets, 1 / n_assets)
    slacks = np.ones(n_assets)
    for _ in range(200):
        scaled = growth / (growth @ weights)[:, None]  # (T, M)
        gradient = scaled.mean(0)
        if gradient.max() * weights.sum() - 1 < 1e-13:
            break
        target = 0.1 * (weights @ slacks) / n_assets
        curvature = scaled.T @ scaled / n_steps + np.diag(slacks / weights)
        step = np.linalg.solve(curvature, gradient - 1 + target / weights)
        slack_step = (target - slacks * step) / weights - slacks
        weights = weights + _fraction_inside(weights, step) * step
        slacks = slacks + _fraction_inside(slacks, slack_step) * slack_step
    else:
        raise ArithmeticError("The best constant portfolio did not converge.")
    normalised: Floats = weights / weights.sum()
    return normalised


def _fraction_inside(point: Floats, step: Floats) -> float:
    """Largest part of a step, at most all of it, that keeps every coordinate positive."""
    shrinking = step < 0
    if not shrinking.any():
        return 1.0
    return min(1.0, 0.95 * float((-point[shrinking] / step[shrinking]).min()))


def with_codes(prices: Floats, active: Codes | None) -> tuple[Floats, Codes | None]:
    """Prices, and who can be held with rows and assets in the same order.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        Prices, positive.
    active : ndarray of shape (T, M), optional
        Codes of `psann.holdings`, aligned by name and date where both have them.

    Raises
    ------
    DataError
    """
    values, own = checked_prices(prices, "prices"), {"`prices`": labels_of(prices)}
    if problems := order_problems(own):
        raise DataError(problems)
    if active is None:
        return values, None
    codes, labels = numbers(active, "`active`"), labels_of(active)
    aligned = same_rows({"`prices`": values, "`active`": codes}, {**own, "`active`": labels})
    if problems := code_problems(codes, who="`active`", shape=values.shape):
        raise DataError(problems)
    return values, in_order_of_prices(prices, aligned["`active`"], labels.columns, "`active`")


def earlier_span(prices: Floats, span: Floats, name: str = "fitted_on") -> Floats:
    """Prices ``(T', M)`` of an earlier span with the assets in the order of these.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
    span : ndarray of shape (T', M)
    name : str
        What the user calls the span.

    Raises
    ------
    DataError
    """
    past = checked_prices(span, name, n_assets=checked_prices(prices, "prices").shape[1])
    if problems := order_problems({f"`{name}`": labels_of(span)}):
        raise DataError(problems)
    return in_order_of_prices(prices, past, labels_of(span).columns, f"`{name}`")


def check_spans(prices: Floats, earlier: Sequence[Floats]) -> None:
    """Raise `DataError` unless earlier spans are a list, of which each ends before the next begins.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
        The last span.
    earlier : sequence of ndarray of shape (T', M)
        Those before, the first one first.
    """
    if not isinstance(earlier, list | tuple):
        raise DataError(
            f"`earlier` must be a list of the prices of each span before; got "
            f"{type(earlier).__name__}. Give [prices_train, prices_val]."
        )
    spans = {f"`earlier[{place}]`": span for place, span in enumerate(earlier)}
    known = {name: labels_of(span) for name, span in (spans | {"`prices`": prices}).items()}
    if problems := order_problems(known):
        raise DataError(problems)


def in_order_of_prices(
    prices: Floats, array: Floats, own: tuple[str, ...] | None, who: str
) -> Floats:
    """Columns of an array, of which `own` are the names, in the order of those of prices.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
    array : ndarray of shape (T', M)
    own : tuple of str, optional
    who : str
        What the user calls the array.

    Raises
    ------
    DataError
        If both have names, and not the same.
    """
    columns = labels_of(prices).columns
    if columns is None:
        return array
    return in_order_of(columns, array, own, who=who, whose="`prices`")


def checked_prices(prices: Floats, name: str, *, n_assets: int | None = None) -> Floats:
    """Prices as float64, or every reason why they are none.

    Parameters
    ----------
    prices : ndarray of shape (T, M)
    name : str
        What the user calls them.
    n_assets : int, optional
        M, where it is known.

    Raises
    ------
    DataError
    """
    values = numbers(prices, f"`{name}`").astype(np.float64, copy=False)
    if values.ndim != 2 or len(values) < 2 or values.shape[1] < 1:
        raise DataError(
            f"`{name}` must have shape (rows, assets) with at least 2 rows; got {values.shape}."
        )
    problems = []
    if n_assets is not None and values.shape[1] != n_assets:
        problems.append(
            f"`{name}` must have a column for each of the {n_assets} assets of `prices`; "
            f"got {values.shape[1]}."
        )
    problems += finiteness_problems(values, f"`{name}`")
    if not problems and not (values > 0).all():
        problems.append(f"`{name}` must be above 0; got {values.min():g} as the lowest.")
    if problems:
        raise DataError(problems)
    return values
