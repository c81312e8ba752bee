"""Figures and wealth paths of allocations, for policies and baselines alike.

Letters: ``T`` rows, ``M`` assets. Everything here takes actions and prices, not estimators: one
policy, one of several seeds and an ensemble of them are judged by the same lines.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from psann._inputs import times
from psann._labels import in_order_of, labels_of, same_rows
from psann._typing import Array, Floats, is_whole
from psann.accounting import Initial, executed_late, relatives, simplest
from psann.baselines import BASELINES, bcrp, best_asset, buy_and_hold, check_spans, uniform
from psann.covariance import COVARIANCE_RULES
from psann.errors import DataError
from psann.evaluation.comparison import GrowthDifference, growth_difference
from psann.evaluation.costs import figures_at_multiples
from psann.holdings import ENDED, MEMBER, code_problems, with_ends
from psann.metrics import deflated_sharpe_ratio
from psann.metrics.account import account_of
from psann.metrics.checks import float64_array, matrix_problems, together, warn_of_rate
from psann.metrics.portfolio import excess_returns, figures_of

Rule = Callable[..., Floats]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what terms allocations trade."""

    trans_cost: float | Sequence[float] | Floats = 0.0
    """Proportional cost per unit of traded weight, from 0 to below 1: of all assets, of each, or of
    all or each on each row, ``(T, 1)`` or ``(T, M)``."""
    periods_per_year: float = 252.0
    """Rows per year."""
    initial: Initial = "invested"
    """Holdings before the first row: the first target, or all cash."""
    cash_rate: float | Floats = 0.0
    """What cash earns per year, and owed money costs, always or on each row ``(T,)``; Sharpe ratios
    are of what is beyond it."""
    borrow_rate: float | Floats = 0.0
    """What assets that are sold short cost per year, as `cash_rate`."""
    delay: int = 0
    """Rows between the decision of an action and its execution."""
    max_turnover: float | None = None
    """Largest traded weight of a row; None for no limit."""

    def executed(self) -> Terms:
        """The terms of the rows on which the actions are executed, of the first of them on."""
        return self.on_rows(slice(self.delay, None))

    def on_rows(self, rows: slice | Sequence[int]) -> Terms:
        """The terms of some of the rows."""
        cost = self.trans_cost
        if np.ndim(cost) == 2:
            cost = simplest(np.asarray(cost)[rows])
        cash, borrow = (
            simplest(rate[rows]) if isinstance(rate, np.ndarray) else rate
            for rate in (self.cash_rate, self.borrow_rate)
        )
        return replace(self, trans_cost=cost, cash_rate=cash, borrow_rate=borrow)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a sequence of allocations came to."""

    figures: dict[str, float]
    """`psann.metrics.portfolio_metrics`, net of costs."""
    net: Floats
    """Wealth at each row from 1.0, after costs, shape (T,)."""
    gross: Floats
    """The same without costs."""

    @property
    def ruined_at(self) -> int | None:
        """The first row at which nothing was left of the wealth, after costs; None if never."""
        lost = self.net <= 0
        return int(lost.argmax()) if lost.any() else None


def judge(
    actions: Any, prices: Any, *, terms: Terms, cash: bool = False, active: Any = None
) -> Judgement:
    """Judge target weights on prices.

    Nothing is held in the first `terms.delay` rows, in which the wealth stays at 1; the figures are
    of the rows after them.

    Parameters
    ----------
    actions : array-like of shape (T, M)
        Target weights decided at each row.
    prices : array-like of shape (T, M) or (T, 1)
        Prices, positive; a single column stands for every asset.
    terms : Terms
        Cost, first holdings, rows per year, delay.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash.
    active : array-like of shape (T, M), optional
        Who can be held and traded, codes of `psann.holdings`. What a late action asks for somebody
        who cannot be held any more stays in cash.

    Returns
    -------
    Judgement

    Raises
    ------
    DataError
        As `psann.metrics.portfolio_metrics`; there must be two rows more than the delay.
    """
    actions, prices, active, terms = _of_each_asset(actions, prices, active, terms=terms)
    return _judged(actions, prices, active, terms=terms, cash=cash)


def _judged(
    actions: Floats, prices: Floats, active: Any = None, *, terms: Terms, cash: bool = False
) -> Judgement:
    """As `judge`, of matrices of the same rows and assets."""
    _check_delay(terms.delay, len(prices))
    actions, prices, active = executed_late(terms.delay, actions, prices, active)
    terms = terms.executed()
    cost = terms.trans_cost
    if np.ndim(cost) == 2 and np.shape(cost)[1] == 1:
        terms = replace(terms, trans_cost=np.tile(np.asarray(cost), actions.shape[1]))
    account = account_of(
        actions,
        prices,
        trans_cost=terms.trans_cost,
        periods_per_year=terms.periods_per_year,
        initial=terms.initial,
        cash=cash,
        active=active,
        cash_rate=terms.cash_rate,
        borrow_rate=terms.borrow_rate,
        max_turnover=terms.max_turnover,
    )
    waiting = np.ones(terms.delay)
    with np.errstate(over="ignore"):
        net, gross = account.growth.wealth, account.growth.gross_wealth
    return Judgement(
        figures=figures_of(account),
        net=np.concatenate((waiting, net)),
        gross=np.concatenate((waiting, gross)),
    )


def _check_delay(delay: int, n_rows: int) -> None:
    if not (is_whole(delay) and delay <= n_rows - 2):
        raise DataError(
            f"`delay` must be a whole number of rows, at least two less than the {n_rows} "
            f"rows of prices; got {delay!r}."
        )


def _together(terms: Terms, *, active: Any, **given: Any) -> tuple[dict[str, Floats], Terms]:
    """Arrays, among them who can be held if that is told, and terms of the same rows and assets."""
    there = given if active is None else {**given, "active": active}
    rates = {name: getattr(terms, name) for name in ("trans_cost", "cash_rate", "borrow_rate")}
    there |= {name: rate for name, rate in rates.items() if np.ndim(rate)}
    found = dict(zip(there, together(**there), strict=True))
    warn_of_rate(terms.periods_per_year, *there.values())
    plain: Any = {name: found.pop(name) for name in rates if name in found}
    return found, replace(terms, **plain)


def _of_each_asset(
    actions: Any, prices: Any, active: Any = None, *, terms: Terms
) -> tuple[Floats, Floats, Floats | None, Terms]:
    """Matrices of the same rows and assets; a single price stands for every asset."""
    found, terms = _together(terms, actions=actions, prices=prices, active=active)
    weights, quotes, codes = found["actions"], found["prices"], found.get("active")
    if weights.ndim != 2 or quotes.shape not in (weights.shape, (len(weights), 1)):
        raise DataError(
            f"`actions` and `prices` must have the same shape; got {weights.shape} and "
            f"{quotes.shape}. Give one price per asset for every row of the actions, or one for "
            "all assets."
        )
    if codes is not None and (
        problems := code_problems(codes, who="`active`", shape=weights.shape)
    ):
        raise DataError(problems)
    return weights, np.broadcast_to(quotes, weights.shape), codes, terms


def judge_baselines(
    prices: Any,
    *,
    terms: Terms,
    earlier: Sequence[Any] = (),
    active: Any = None,
    earlier_active: Sequence[Any] = (),
    benchmark: Any = None,
) -> dict[str, Judgement]:
    """Judge what stands beside every policy: same prices, same terms.

    Parameters
    ----------
    prices : array-like of shape (T, M)
        Prices, positive.
    terms : Terms
        Cost, first holdings, rows per year.
    earlier : sequence of array-like of shape (T', M) or (T', 1)
        Prices of the spans before, training first, for what is fitted on the past. No move from
        one span to the next is counted.
    active : array-like of shape (T, M), optional
        Who can be held and traded, codes of `psann.holdings`.
    earlier_active : sequence of array-like of shape (T', M)
        The same of each earlier span, where there is membership.
    benchmark : array-like of shape (T,) or (T, 1), optional
        Prices of what a user compares with, bought on the first row and held.

    Returns
    -------
    dict of str to Judgement
        Decided and executed as a policy's actions are: ``uniform``, ``buy_and_hold``, with earlier
        spans ``best_asset`` (of the first of them) and ``bcrp`` (fitted on all of them),
        ``inverse_volatility``, ``minimum_variance`` and ``risk_parity`` of the trailing past,
        ``eg``, ``pamr``, ``olmar``, and ``bcrp_hindsight``, fitted on the very rows that it is
        judged on: an upper mark that nobody could reach; last ``benchmark`` where there is one.
    """
    check_spans(prices, earlier)
    found, terms = _together(terms, prices=prices, active=active)
    matrix, codes, columns = found["prices"], found.get("active"), labels_of(prices).columns
    if problems := matrix_problems(matrix, "prices"):
        raise DataError(problems)
    _check_delay(terms.delay, len(matrix))
    fitted: dict[str, Rule] = {}
    spans = [_as_wide_as(matrix, span, columns) for span in earlier]
    if spans:
        fitted["best_asset"] = partial(best_asset, fitted_on=spans[0])
        fitted["bcrp"] = partial(bcrp, fitted_on=_chained(spans))
    passive: dict[str, Rule] = {
        "uniform": uniform,
        "buy_and_hold": partial(_bought_once, delay=terms.delay),
    }
    past: Any = {"earlier": spans, "earlier_active": earlier_active}
    trailing = {name: partial(rule, **past) for name, rule in COVARIANCE_RULES.items()}
    active_rules = {name: BASELINES[name] for name in BASELINES if name not in passive}
    hindsight = {"bcrp_hindsight": partial(bcrp, fitted_on=matrix[terms.delay :])}
    rules = passive | fitted | trailing | active_rules | hindsight
    with warnings.catch_warnings():
        # That a baseline is ruined by its costs is told by its figures.
        warnings.simplefilter("ignore", RuntimeWarning)
        judged = {
            name: _judged(rule(matrix, active=codes), matrix, codes, terms=terms)
            for name, rule in rules.items()
        }
    if benchmark is not None:
        alone = _on_rows_of(prices, benchmark)
        if alone.shape not in ((len(matrix),), (len(matrix), 1)):
            raise DataError(
                f"`benchmark` must have a price on each of the {len(matrix)} rows; got shape "
                f"{alone.shape}."
            )
        alone = alone.reshape(-1, 1)
        own = replace(terms, trans_cost=float(np.mean(terms.trans_cost)))
        judged["benchmark"] = judge(np.ones_like(alone), alone, terms=own)
    return judged


def _bought_once(prices: Floats, *, active: Array | None, delay: int) -> Floats:
    """Buy and hold whose purchase is executed late, and after which nothing is traded."""
    codes = None if active is None else active[delay:]
    held = buy_and_hold(prices[delay:], active=codes)
    return np.concatenate([held, np.repeat(held[-1:], delay, axis=0)])


def _on_rows_of(prices: Any, benchmark: Any) -> Floats:
    given = {"`prices`": prices, "`benchmark`": benchmark}
    arrays = {name: float64_array(each, name.strip("`")) for name, each in given.items()}
    return same_rows(arrays, {name: labels_of(each) for name, each in given.items()})["`benchmark`"]


def _as_wide_as(matrix: Floats, span: Any, columns: Sequence[str] | None) -> Floats:
    values, own = float64_array(span, "earlier"), labels_of(span)
    if values.ndim != 2 or values.shape[1] not in (1, matrix.shape[1]):
        raise DataError(
            f"`earlier` must have prices (rows, {matrix.shape[1]}) of each span before; got shape "
            f"{values.shape}."
        )
    if columns is not None and values.shape[1] > 1:
        values = in_order_of(columns, values, own.columns, who="`earlier`", whose="`prices`")
    return np.broadcast_to(values, (len(values), matrix.shape[1]))


def _chained(spans: Sequence[Floats]) -> Floats:
    """Prices ``(T, M)`` whose moves are those inside the spans, one span after the other."""
    moves = [relatives(span) for span in spans]
    chained: Floats = np.cumprod(np.concatenate([np.ones_like(moves[0][:1]), *moves]), axis=0)
    return chained


@dataclass(frozen=True, kw_only=True)
class PolicyVerdict:
    """What the actions of a policy came to beside 1/N."""

    judgement: Judgement
    delay_1: Judgement | None
    """The same actions executed one row later; None where no step is left."""
    at_cost: dict[int, dict[str, float]]
    """Figures of the same trades at twice and three times the cost, by multiple."""
    advance_1: Judgement | None
    """One row earlier; None where they are executed as soon as they can be."""
    versus_uniform: GrowthDifference
    """Annual log growth over 1/N on the same rows, net."""
    versus_uniform_delay_1: GrowthDifference | None
    """The same for the later actions; 1/N then begins one row later too."""
    versus_uniform_advance_1: GrowthDifference | None
    """The same for the earlier actions."""
    deflated_sharpe: float
    """Probability that the true Sharpe ratio beats the best of `n_trials` lucky ones."""
    deflated_skill: float
    """The same of the returns over 1/N, so that a market that rose does not count."""


def judge_policy(
    actions: Any,
    prices: Any,
    *,
    terms: Terms,
    cash: bool = False,
    n_trials: int | None = None,
    active: Any = None,
) -> PolicyVerdict:
    """Judge a policy's actions as a sceptic would.

    Parameters
    ----------
    actions : array-like of shape (T, M)
        Target weights decided at each row.
    prices : array-like of shape (T, M) or (T, 1)
        Prices, positive.
    terms : Terms
        Cost, first holdings, rows per year, and the delay at which the policy is meant to be
        executed.
    cash : bool
        Whether ``1 - sum(a_t)`` is held in cash.
    n_trials : int, optional
        Candidates from which this policy was chosen; None, unknown, leaves the deflated figures
        undefined.
    active : array-like of shape (T, M), optional
        Who can be held and traded, codes of `psann.holdings`; 1/N is then over members.

    Returns
    -------
    PolicyVerdict

    Examples
    --------
    >>> prices = [[1.0, 1.0], [1.1, 1.0], [1.2, 1.0], [1.3, 1.0]]
    >>> verdict = judge_policy([[1.0, 0.0]] * 4, prices, terms=Terms(periods_per_year=3))
    >>> round(verdict.versus_uniform.growth, 4)
    0.1283
    """
    actions, prices, active, terms = _of_each_asset(actions, prices, active, terms=terms)

    def at(delay: int) -> tuple[Judgement, GrowthDifference]:
        then = replace(terms, delay=delay)
        found = _judged(actions, prices, active, terms=then, cash=cash)
        return found, _versus_uniform(found, prices, terms=then, active=active)

    none = (None, None)
    judgement, versus = at(terms.delay)
    # One step at least must be left.
    late, versus_late = at(terms.delay + 1) if len(prices) > terms.delay + 2 else none
    early, versus_early = at(terms.delay - 1) if terms.delay else none
    return PolicyVerdict(
        judgement=judgement,
        delay_1=late,
        advance_1=early,
        at_cost=_at_cost(judgement, terms),
        versus_uniform=versus,
        versus_uniform_delay_1=versus_late,
        versus_uniform_advance_1=versus_early,
        deflated_sharpe=_deflated_sharpe(judgement.net[terms.delay :], n_trials, terms),
        deflated_skill=math.nan if n_trials is None else versus.deflated_sharpe(n_trials),
    )


def _at_cost(judgement: Judgement, terms: Terms) -> dict[int, dict[str, float]]:
    found = figures_at_multiples(
        judgement.net[terms.delay :],
        judgement.gross[terms.delay :],
        has_costs=bool(np.any(terms.trans_cost)),
        cash_rate=terms.executed().cash_rate,
        periods_per_year=terms.periods_per_year,
    )
    trading = {name: judgement.figures[name] for name in ("turnover", "turnover_traded")}
    return {multiple: figures | trading for multiple, figures in found.items()}


def growth_at_ends(
    actions: Any, prices: Any, *, terms: Terms, cash: bool = False, active: Any
) -> dict[str, dict[str, float]] | None:
    """Annual log growth, net, were the move after every last price 0, or -1.

    What a delisting costs is told by the user and known to nobody; the result lies between these.

    Parameters
    ----------
    actions, prices, terms, cash, active
        As for `judge_policy`.

    Returns
    -------
    dict or None
        By move (`0`, `-1`), of `policy` and `uniform`; None where no price ends on these rows.
    """
    actions, prices, codes, terms = _of_each_asset(actions, prices, active, terms=terms)
    if codes is None or not (codes[1:] == ENDED).any():
        return None
    found = {}
    for move in (0, -1):
        told = with_ends(prices, codes, move=move)
        weights = {"policy": actions, "uniform": uniform(told, active=codes)}
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # that all is lost is told by the figure
            judged = {
                name: judge(own, told, terms=terms, cash=cash, active=codes).figures
                for name, own in weights.items()
            }
        found[str(move)] = {name: each["annual_log_growth"] for name, each in judged.items()}
    return found


def excess_growth(actions: Any, prices: Any, *, terms: Terms, cash: bool = False) -> float:
    """Annual log growth of a policy less that of 1/N on the same rows, net.

    Parameters
    ----------
    actions, prices, terms, cash
        As for `judge_policy`.

    Returns
    -------
    float
        NaN if the policy lost everything.
    """
    actions, prices, _, terms = _of_each_asset(actions, prices, terms=terms)
    judgement = judge(actions, prices, terms=terms, cash=cash)
    other = judge(uniform(prices), prices, terms=terms)
    return judgement.figures["annual_log_growth"] - other.figures["annual_log_growth"]


def _versus_uniform(
    judgement: Judgement, prices: Floats, *, terms: Terms, active: Any
) -> GrowthDifference:
    other = _judged(uniform(prices, active=active), prices, active, terms=terms)
    wealth, plain = (each.net[terms.delay :] for each in (judgement, other))
    return growth_difference(wealth, plain, periods_per_year=terms.periods_per_year)


def _deflated_sharpe(wealth: Floats, n_trials: int | None, terms: Terms) -> float:
    if n_trials is None or not (np.isfinite(wealth).all() and (wealth > 0).all()):
        return math.nan
    returns = wealth[1:] / wealth[:-1] - 1
    returns = excess_returns(returns, terms.executed().cash_rate, terms.periods_per_year)
    return deflated_sharpe_ratio(returns, n_trials=n_trials)


def evaluation_series(
    judgements: dict[str, Judgement],
    *,
    actions: Any,
    time: Any = None,
    assets: Iterable[str] | None = None,
    active: Any = None,
) -> dict[str, Array]:
    """Gather what a report draws.

    Parameters
    ----------
    judgements : dict of str to Judgement
        By name, the policy first, all of the same rows.
    actions : array-like of shape (T, M)
        Target weights of the policy.
    time : array-like of shape (T,), optional
        Time of the rows.
    assets : iterable of M str, optional
        Names of the columns.
    active : array-like of shape (T, M), optional
        Who could be held: codes of `psann.holdings`.

    Returns
    -------
    dict of str to ndarray
        `names (S,)`, `net (S, T)`, `gross (S, T)`, `allocations (T, M)` float32, and where given
        `time (T,)` and `assets (M,)`; `active (T, M)` int8 where not everybody could be held on
        every row.
    """
    series: dict[str, Array] = {
        "names": np.array(list(judgements), dtype=np.str_),
        "net": np.stack([judgement.net for judgement in judgements.values()]),
        "gross": np.stack([judgement.gross for judgement in judgements.values()]),
        "allocations": float64_array(actions, "actions").astype(np.float32),
    }
    if time is not None:
        series["time"] = times(time, "time")
    if assets is not None:
        series["assets"] = np.array(list(assets), dtype=np.str_)
    if active is not None and (np.asarray(active) != MEMBER).any():
        series["active"] = np.asarray(active).astype(np.int8)
    return series
