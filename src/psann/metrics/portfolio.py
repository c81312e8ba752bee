"""How good a sequence of allocations was, in numbers that other libraries agree with.

Letters: ``T`` rows, ``M`` assets. Row ``t`` of the allocations is decided with prices up to row
``t`` and earns the move to row ``t + 1``, so ``T`` rows make ``T - 1`` steps. Torch tensors and
NumPy arrays go in, floats come out: NaN where a number is undefined, never an infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from psann._inputs import finiteness_problems
from psann._typing import Floats
from psann.accounting import CostModel, Initial, NetGrowth, weight_changes
from psann.errors import DataError
from psann.metrics.account import Account, account_of, rate_of_rows, setting_problems
from psann.metrics.checks import (
    float64_array,
    matrix_problems,
    number_problems,
    series_of,
    together,
    warn_of_rate,
)
from psann.metrics.means import mean_test
from psann.metrics.sharpe import (
    ROUNDING,
    quotient,
    sharpe_probability,
    sharpe_tests,
    standard_deviation,
)

# What would weigh a gain against a risk that nobody survived.
_NOT_OF_A_LOST_WEALTH = (
    *("sharpe", "annual_sharpe", "sharpe_se", "annual_sharpe_se", "psr"),
    *("sharpe_se_hac", "annual_sharpe_se_hac", "psr_hac", "sortino", "calmar"),
)


def portfolio_metrics(  # noqa: PLR0913 (the terms of an account, each by its name)
    allocations: Any,
    prices: Any,
    *,
    trans_cost: float | Sequence[float] | Floats = 0.0,
    periods_per_year: float = 252,
    initial: Initial = "invested",
    cost: CostModel = "drift",
    cash: bool = False,
    active: Any = None,
    cash_rate: float | Floats = 0.0,
    borrow_rate: float | Floats = 0.0,
    max_turnover: float | None = None,
) -> dict[str, float]:
    """Return, risk and trading of a sequence of allocations, net of costs.

    With growth factors ``g_t = a_t . x_t``, traded weights ``c_t = |a_t - d_t|_1`` against the
    drifted weights ``d_t``, net simple returns ``r_t = g_t (1 - k c_t) - 1`` (see `cost`) and
    ``n = T - 1`` steps, that is ``n / periods_per_year`` years:

    ==================== =========================================================================
    final_wealth         wealth after the last step, from 1
    cum_return           final_wealth - 1, which near total loss has no digits left
    log_return           sum of log(1 + r)
    sharpe               mean(r) / std(r, ddof=1), per period
    annual_sharpe        sharpe * sqrt(periods_per_year)
    sharpe_se            standard error of sharpe, per period
    annual_sharpe_se     sharpe_se * sqrt(periods_per_year)
    psr                  probability that the true sharpe is above 0
    sharpe_se_hac        sharpe_se of returns that may depend on each other
    annual_sharpe_se_hac sharpe_se_hac * sqrt(periods_per_year)
    psr_hac              psr of returns that may depend; NaN for less than 12 steps
    max_drawdown         lowest wealth / highest wealth before it - 1, at most 0
    turnover             mean of ``|a_{t+1} - a_t|_1``, of members where there is `active`
    turnover_traded      mean of ``c_t``
    annual_return        compound growth per year - 1
    annual_log_growth    log_return per year
    annual_volatility    std(r, ddof=1) * sqrt(periods_per_year)
    sortino              annual mean(r) / annual sqrt(mean(min(r, 0)^2))
    calmar               annual_return / abs(max_drawdown)
    var_95               5 % quantile of r, a negative number for a loss
    cvar_95              mean of the r that are at most var_95
    hit_rate             share of steps with r > 0
    n_steps              steps counted
    cost_paid            log growth lost to costs
    gross_cum_return     cum_return of the same targets without costs
    gross_log_growth     annual_log_growth without costs
    ==================== =========================================================================

    Parameters
    ----------
    allocations : array-like of shape (T, M)
        Target weights; rows sum to 1 unless `cash`.
    prices : array-like of shape (T, M)
        Prices, positive, of any scale.
    trans_cost : float or array-like of shape (M,) or (T, M)
        Cost ``k`` per unit of traded weight, 0 <= k < 1 (0.001 is 10 basis points), of all assets,
        of each, or of each on each row; the fee of a step is then ``sum_i k_i |a_i - d_i|``.
    periods_per_year : float
        Rows per year, positive.
    initial : {"invested", "cash"}
        Holdings before the first row: its target, or cash, which makes the first purchase cost.
    cost : {"drift", "exact", "target_l1"}
        Cost model, see `psann.accounting.net_growth`.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash; with `active` it is.
    active : array-like of shape (T, M), optional
        Who can be held and traded: 1 can, 0 cannot, -1 is halted, -2 has ended (`psann.holdings`).
    cash_rate : float or array-like of shape (T,)
        What cash earns per year, and owed money costs, ``cash_rate / periods_per_year`` from a row
        to the next: always the same, or that of each row. Sharpe ratios, their errors and
        probabilities, and Sortino's are then of ``r`` less that.
    borrow_rate : float or array-like of shape (T,)
        What assets that are sold short cost per year.
    max_turnover : float, optional
        Largest traded weight of a row, from cash at first where `initial` says so: the account
        comes as near to its targets as that lets it, and the rest is in cash. `turnover` stays
        that of the targets. Not with `cost` exact.

    Returns
    -------
    dict of str to float
        Every value finite or NaN. NaN means undefined: no variance, no drawdown, one step only. A
        lost wealth has neither ratios nor probabilities; row `n_steps` is that of the ruin.

    Raises
    ------
    DataError
        Shapes, non-finite values, prices that are not positive, settings out of range.

    Warns
    -----
    UserWarning
        Without cash, rows that do not sum to 1: growth is then ``a_t . x_t`` as it stands. Rows
        whose dates deny `periods_per_year`.
    RuntimeWarning
        The wealth was lost; the figures then end with that row.

    Notes
    -----
    `sharpe_se` is ``sqrt((1 - g3 S + (g4 - 1) / 4 S^2) / (n - 1))`` and `psr` is
    ``Phi(S / sharpe_se)``, with ``S`` the Sharpe ratio per period, ``g3`` the biased skewness and
    ``g4`` the biased Pearson kurtosis of ``r``. Both take returns to be independent;
    `sharpe_se_hac` is that of `sharpe_test`, and `psr_hac` that of `mean_test` of the returns over
    cash: where there is no skill the ratio is 0 and errs as the mean does.

    References
    ----------
    Bailey & Lopez de Prado 2012, "The Sharpe ratio efficient frontier",
    https://doi.org/10.21314/JOR.2012.255

    Examples
    --------
    >>> metrics = portfolio_metrics([[0.5, 0.5]] * 3, [[1, 1], [1.1, 0.9], [1.32, 0.9]])
    >>> round(metrics["cum_return"], 6), metrics["n_steps"]
    (0.1, 2.0)
    """
    account = account_of(
        allocations,
        prices,
        trans_cost=trans_cost,
        periods_per_year=periods_per_year,
        initial=initial,
        cost=cost,
        cash=cash,
        active=active,
        cash_rate=cash_rate,
        borrow_rate=borrow_rate,
        max_turnover=max_turnover,
    )
    warn_of_rate(periods_per_year, allocations, prices)
    return figures_of(account)


def figures_of(account: Account) -> dict[str, float]:
    """Those of `portfolio_metrics`."""
    growth, periods_per_year = account.growth, account.periods_per_year
    # The steps after the one that lost everything have no meaning.
    n_steps = len(growth.net) if growth.ruined_at is None else growth.ruined_at + 1
    with np.errstate(over="ignore"):
        wealth = growth.wealth[: n_steps + 1]
    values = (
        _growth_figures(wealth, growth.net[:n_steps], periods_per_year)
        | _return_figures(growth.net[:n_steps] - 1, periods_per_year, account.cash_rate)
        | _trading_figures(account.targets, growth, n_steps)
        | _gross_figures(growth.gross[:n_steps], periods_per_year)
    )
    values["calmar"] = quotient(
        values["annual_return"], abs(values["max_drawdown"]), ROUNDING * n_steps
    )
    if growth.ruined_at is not None:
        values |= dict.fromkeys(_NOT_OF_A_LOST_WEALTH, math.nan)
    return {name: _finite(value) for name, value in values.items()}


def _growth_figures(wealth: Floats, net: Floats, periods_per_year: float) -> dict[str, float]:
    n_years = len(net) / periods_per_year
    # A lost wealth has no logarithm and growth may leave the range of floats: reported as NaN.
    with np.errstate(divide="ignore", over="ignore"):
        log_return = np.log(net).sum()
        annual_return = np.expm1(log_return / n_years)
    return {
        "final_wealth": wealth[-1],
        "cum_return": wealth[-1] - 1,
        "log_return": log_return,
        "annual_return": annual_return,
        "annual_log_growth": log_return / n_years,
        "max_drawdown": max_drawdown(wealth) if np.isfinite(wealth[-1]) else math.nan,
    }


def excess_returns(returns: Floats, cash_rate: float | Floats, periods_per_year: float) -> Floats:
    """Returns ``(T - 1,)`` less what cash earned, at one rate per year or that of each row."""
    rate = cash_rate[: len(returns)] if isinstance(cash_rate, np.ndarray) else cash_rate
    return returns - rate / periods_per_year


def _return_figures(
    returns: Floats, periods_per_year: float, cash_rate: float | Floats
) -> dict[str, float]:
    annual = math.sqrt(periods_per_year)
    excess = excess_returns(returns, cash_rate, periods_per_year)
    test, standard_error = sharpe_tests(excess)
    sharpe = test.mean
    downside = math.sqrt(np.square(np.minimum(excess, 0)).mean())
    tail = np.quantile(returns, 0.05)
    return {
        "sharpe": sharpe,
        "annual_sharpe": sharpe * annual,
        "sharpe_se": standard_error,
        "annual_sharpe_se": standard_error * annual,
        "psr": sharpe_probability(sharpe, standard_error, benchmark=0.0),
        "sharpe_se_hac": test.standard_error,
        "annual_sharpe_se_hac": test.standard_error * annual,
        "psr_hac": math.nan if math.isnan(sharpe) else mean_test(excess).probability_above(0.0),
        "annual_volatility": standard_deviation(returns) * annual,
        "sortino": quotient(excess.mean(), downside, ROUNDING) * annual,
        "var_95": tail,
        "cvar_95": returns[returns <= tail].mean(),
        "hit_rate": (returns > 0).mean(),
        "n_steps": len(returns),
    }


def _trading_figures(targets: Floats, growth: NetGrowth, n_steps: int) -> dict[str, float]:
    # Ruin makes both logarithms undefined, and with them the cost: reported as NaN.
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.log(growth.gross[:n_steps]) - np.log(growth.net[:n_steps])
    return {
        "turnover": weight_changes(targets)[:n_steps].mean(),
        "turnover_traded": growth.traded[:n_steps].mean(),
        "cost_paid": lost.sum(),
    }


def _gross_figures(gross: Floats, periods_per_year: float) -> dict[str, float]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_return = np.log(gross).sum()
        wealth = float(np.prod(gross))
    return {
        "gross_cum_return": max(wealth, 0.0) - 1,
        "gross_log_growth": log_return * periods_per_year / len(gross),
    }


def wealth_figures(
    net: Any,
    gross: Any,
    *,
    periods_per_year: float,
    trans_cost: float,
    cash_rate: float | Floats = 0.0,
) -> dict[str, float]:
    """Those of `portfolio_metrics` that follow from the wealth paths: all but `turnover`.

    Parameters
    ----------
    net, gross : array-like of shape (T,)
        Wealth after and before costs, positive, from any first value on; T is at least 2.
    periods_per_year : float
        Rows per year.
    trans_cost : float
        Cost per unit traded; without one, nothing tells what was traded.
    cash_rate : float or array-like of shape (T,)
        What cash earns per year.

    Returns
    -------
    dict of str to float
        By the names of `portfolio_metrics`, in the cost model ``drift``.

    Raises
    ------
    DataError
        If the paths are no such ones, or a setting is out of range.

    Examples
    --------
    >>> figures = wealth_figures([1, 1.1, 1.21], [1, 1.1, 1.21], periods_per_year=2, trans_cost=0.0)
    >>> round(figures["annual_return"], 6), figures["n_steps"]
    (0.21, 2.0)
    """
    settings: dict[str, Any] = {"periods_per_year": periods_per_year, "trans_cost": trans_cost}
    settings |= {} if np.ndim(cash_rate) else {"cash_rate": cash_rate}
    if problems := number_problems(**settings) or setting_problems(trans_cost, periods_per_year):
        raise DataError(problems)
    wealth, earned, cash = _paths(net, gross, cash_rate)
    kept, grown = wealth[1:] / wealth[:-1], earned[1:] / earned[:-1]
    values = (
        _growth_figures(wealth, kept, periods_per_year)
        | _return_figures(kept - 1, periods_per_year, cash)
        | _gross_figures(grown, periods_per_year)
    )
    values["cost_paid"] = (np.log(grown) - np.log(kept)).sum()
    if trans_cost > 0:
        values["turnover_traded"] = (1 - kept / grown).mean() / trans_cost
    values["calmar"] = quotient(
        values["annual_return"], abs(values["max_drawdown"]), ROUNDING * len(kept)
    )
    return {name: _finite(value) for name, value in values.items()}


def _paths(net: Any, gross: Any, cash_rate: Any) -> tuple[Floats, Floats, float | Floats]:
    """Wealth paths from 1 on, and what cash earned beside them."""
    given = {"net": net, "gross": gross} | ({"cash_rate": cash_rate} if np.ndim(cash_rate) else {})
    wealth, earned, *rates = together(**given)
    problems = []
    if wealth.shape != earned.shape or wealth.ndim != 1 or len(wealth) < 2:
        problems.append(
            "`net` and `gross` must be paths of the same rows, at least 2; got shapes "
            f"{wealth.shape} and {earned.shape}."
        )
    for name, path in (("net", wealth), ("gross", earned)):
        problems += finiteness_problems(path, f"`{name}`")
        if (path <= 0).any():
            problems.append(f"`{name}` must be above 0; got {path.min():g} as the lowest.")
    if problems:
        raise DataError(problems)
    cash = rate_of_rows(rates[0] if rates else cash_rate, "cash_rate", wealth)
    return wealth / wealth[0], earned / earned[0], cash


def equity_curve(  # noqa: PLR0913 (those of `portfolio_metrics`)
    allocations: Any,
    prices: Any,
    *,
    trans_cost: float | Sequence[float] | Floats = 0.0,
    initial: Initial = "invested",
    cost: CostModel = "drift",
    cash: bool = False,
    active: Any = None,
    periods_per_year: float = 252,
    cash_rate: float | Floats = 0.0,
    borrow_rate: float | Floats = 0.0,
    max_turnover: float | None = None,
) -> Floats:
    """Wealth at each row, net of costs, starting from 1.

    Parameters
    ----------
    allocations, prices, trans_cost, initial, cost, cash, active
        As in `portfolio_metrics`, with the same errors and warnings.
    periods_per_year, cash_rate, borrow_rate, max_turnover
        As there; a year is for the rates alone.

    Returns
    -------
    ndarray of shape (T,)
        Wealth; 0 from the row on at which it was lost.

    Examples
    --------
    >>> equity_curve([[0.5, 0.5]] * 3, [[1, 1], [1.1, 0.9], [1.32, 0.9]]).round(6).tolist()
    [1.0, 1.0, 1.1]
    """
    account = account_of(
        allocations,
        prices,
        trans_cost=trans_cost,
        initial=initial,
        cost=cost,
        cash=cash,
        active=active,
        periods_per_year=periods_per_year,
        cash_rate=cash_rate,
        borrow_rate=borrow_rate,
        max_turnover=max_turnover,
    )
    return account.growth.wealth


def max_drawdown(wealth: Any) -> float:
    """Deepest fall from an earlier peak, ``min_t(w_t / max_{s<=t} w_s) - 1``.

    Parameters
    ----------
    wealth : array-like of shape (T,)
        Wealth path including its start, as `equity_curve` gives it; not negative.

    Returns
    -------
    float
        In [-1, 0].
    """
    values = series_of(wealth, "wealth")
    if values[0] <= 0 or values.min() < 0:
        raise DataError(
            "`wealth` must start above 0 and never be negative; got "
            f"{values[0]:g} first and {values.min():g} as the lowest. "
            "Pass a wealth path, for example equity_curve(...), not returns."
        )
    return float((values / np.maximum.accumulate(values)).min() - 1)


def turnover(allocations: Any) -> float:
    """Mean distance between successive targets, ``mean_t |a_{t+1} - a_t|_1``.

    Parameters
    ----------
    allocations : array-like of shape (T, M)
        Target weights.

    Returns
    -------
    float
        0 for constant targets, 2 for a full switch at every row.
    """
    targets = float64_array(allocations, "allocations")
    problems = matrix_problems(targets, "allocations")
    if problems:
        raise DataError(problems)
    return float(weight_changes(targets).mean())


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan
