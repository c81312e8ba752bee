"""What an episode's actions earn: pure, differentiable functions.

Letters: ``B`` episodes, ``T`` steps, ``M`` actions. Rewards of prices have ``T - 1`` earning
steps: ``g_t`` gross growth, ``c_t`` traded weight, lambda the transition penalty, and net simple
returns ``r_t = g_t (1 - lambda c_t) - 1``; see `psann.accounting`.

A step that leaves nothing, ``g_t <= 0``, has no logarithm. Below ``e = 0.01`` logarithms and
returns therefore go on as straight lines of slope ``1 / e``: finite, the lower the more is lost,
and so steep that a policy learns away from what ruined it. Nothing changes for steps that keep a
hundredth of the wealth.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from psann._imports import import_object
from psann.accounting import (
    Initial,
    gross_growth,
    growth_and_traded_weight,
    simplest,
    weight_changes,
)
from psann.errors import did_you_mean
from psann.hisso.options import CALL_ARGUMENTS, HISSOOptions
from psann.hisso.own_rewards import of_the_user, one_for_each
from psann.holdings import Carry

RewardFunction = Callable[..., Tensor]
Penalty = float | Tensor
"""Lambda of all assets, or of each, ``(M,)``."""

_VARIANCE_FLOOR = 1e-12
_DRAWDOWN_TEMPERATURE = 0.01
# Lower would be steeper: at 1 / 1000 one ruin is remembered for thousands of updates by the
# optimiser's second moment, which holds every other step back.
_LEAST_GROWTH = 0.01


def portfolio(
    actions: Tensor,
    context: Tensor,
    *,
    transition_penalty: Penalty,
    initial: Initial = "invested",
    cash: bool = False,
    active: Tensor | None = None,
    carry: Carry | None = None,
) -> Tensor:
    """Mean log growth less the cost of what is traded: ``mean_t [ln g_t - lambda c_t]``.

    ``c_t`` is measured against the drifted weights, so lambda is the proportional cost per unit
    traded and the reward is log net growth to first order.

    Parameters
    ----------
    actions, context : torch.Tensor
        Target weights and prices, ``(B, T, M)``.
    transition_penalty : float or torch.Tensor
        Lambda, of all assets or of each, ``(M,)``.
    initial : {"invested", "cash"}
        Holdings before the first row.
    cash : bool
        Whether the remainder of the weights is cash.
    active : torch.Tensor, optional
        ``(B, T, M)``, who can be held and traded (codes of `psann.holdings`); the actions are then
        what is held.
    carry : Carry, optional
        What cash earns and shorts cost from one row to the next.

    Returns
    -------
    torch.Tensor
        Reward per episode, ``(B,)``, per step.
    """
    growth, fee = growth_and_traded_weight(
        actions,
        context,
        initial=initial,
        cash=cash,
        least_growth=_LEAST_GROWTH,
        active=active,
        rates=transition_penalty,
        carry=carry,
    )
    return (_log(growth) - fee).mean(dim=-1)


def _reward_of(
    account: Callable[..., tuple[Tensor, ...]],
) -> Callable[[Callable[..., Tensor]], RewardFunction]:
    """Make a reward with the arguments of `portfolio` from a statistic of what an account tells.

    Parameters
    ----------
    account : callable
        Takes the arguments of `portfolio`, and gives the arguments of the statistic, ``(B, T - 1)``
        each; keyword arguments of the statistic are the reward's, too.
    """

    def made(statistic: Callable[..., Tensor]) -> RewardFunction:
        def reward(
            actions: Tensor,
            context: Tensor,
            *,
            transition_penalty: Penalty,
            initial: Initial = "invested",
            cash: bool = False,
            active: Tensor | None = None,
            carry: Carry | None = None,
            **own: Any,
        ) -> Tensor:
            how: Any = {"initial": initial, "cash": cash, "active": active, "carry": carry}
            return statistic(*account(actions, context, transition_penalty, **how), **own)

        *shared, _ = inspect.signature(reward).parameters.values()
        own = inspect.signature(statistic).parameters.values()
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(reward, name, getattr(statistic, name))
        # Whoever calls a reward looks there what it takes.
        named = [each for each in own if each.kind is each.KEYWORD_ONLY]
        reward.__signature__ = inspect.Signature([*shared, *named])  # type: ignore[attr-defined]
        return reward

    return made


def _kept_and_lost(
    actions: Tensor, context: Tensor, penalty: Penalty, **how: Any
) -> tuple[Tensor, Tensor]:
    """Net returns of at least ``e - 1``, and how far below that they would be."""
    growth, fee = growth_and_traded_weight(
        actions, context, least_growth=_LEAST_GROWTH, rates=penalty, **how
    )
    # Two negative factors, a loss and a fee that both exceed the wealth, do not make a gain.
    kept = growth.clamp_min(_LEAST_GROWTH)
    net = kept * (1.0 - fee)
    return net.clamp_min(_LEAST_GROWTH) - 1.0, _beyond_ruin(growth) + _beyond_ruin(net)


def _net_returns(*judged: Any, **how: Any) -> tuple[Tensor]:
    return (_steeply(*_kept_and_lost(*judged, **how)),)


def _growth_and_changes(
    actions: Tensor, context: Tensor, penalty: Penalty, *, initial: Initial, active: Any, **how: Any
) -> tuple[Tensor, Tensor]:
    """Gross growth and what changes of the targets cost; the first of them changes nothing."""
    growth = gross_growth(actions, context, **how)
    return growth, weight_changes(actions, active, rates=penalty)


@_reward_of(_growth_and_changes)
def portfolio_target_l1(growth: Tensor, fee: Tensor) -> Tensor:
    """``mean_t [ln g_t - lambda |a_{t+1} - a_t|_1]``: a smoothness prior, not a cost."""
    return (_log(growth) - fee).mean(dim=-1)


@_reward_of(_net_returns)
def sharpe(r: Tensor) -> Tensor:
    """``mean(r) / sqrt(var(r, ddof=1) + 1e-12)`` of each episode, ``(B,)``.

    References
    ----------
    Sharpe 1966, https://doi.org/10.1086/294846
    """
    return r.mean(-1) / (r.var(-1, correction=1) + _VARIANCE_FLOOR).sqrt()


@_reward_of(_net_returns)
def sortino(r: Tensor) -> Tensor:
    """``mean(r) / sqrt(mean(min(r, 0)^2) + 1e-12)`` of each episode, ``(B,)``."""
    return r.mean(-1) / (r.clamp_max(0.0).square().mean(-1) + _VARIANCE_FLOOR).sqrt()


@_reward_of(_net_returns)
def mean_variance(r: Tensor, *, risk_aversion: float = 1.0) -> Tensor:
    """``mean(r) - risk_aversion / 2 var(r, ddof=1)`` of each episode, ``(B,)``."""
    return r.mean(-1) - 0.5 * risk_aversion * r.var(-1, correction=1)


@_reward_of(_net_returns)
def cvar(r: Tensor, *, level: float = 0.05) -> Tensor:
    """Mean of the worst share `level` of the net returns of each episode, ``(B,)``.

    Of ``k = level (T - 1)`` returns that are no whole number the last one counts in part, so that
    the reward changes steadily with `level`; the worst return alone where k is below 1.

    References
    ----------
    Rockafellar & Uryasev 2000, "Optimization of conditional value-at-risk",
    https://doi.org/10.21314/JOR.2000.038
    """
    if not 0.0 < level <= 1.0:
        raise ValueError(
            f"the level of the reward cvar must be above 0 and at most 1; got {level}."
        )
    n_steps = r.shape[-1]
    n_worst = max(level * n_steps, 1.0)
    place = torch.arange(n_steps, dtype=r.dtype, device=r.device)
    shares = (n_worst - place).clamp(0.0, 1.0) / n_worst
    return (r.sort(dim=-1).values * shares).sum(dim=-1)


@_reward_of(_net_returns)
def excess(r: Tensor, *, benchmark: Tensor) -> Tensor:
    """Information ratio, ``mean(e) / sqrt(var(e, ddof=1) + 1e-12)``, ``(B,)``.

    ``e_t = r_t - (b_{t+1} / b_t - 1)``: net returns less those of a benchmark with the prices
    `benchmark`, ``(B, T, 1)``, an array that ``hisso.reward_inputs: [benchmark]`` names.

    References
    ----------
    Goodwin 1998, "The information ratio", https://doi.org/10.2469/faj.v54.n4.2196
    """
    e = r - (benchmark[:, 1:, 0] / benchmark[:, :-1, 0] - 1.0)
    return e.mean(-1) / (e.var(-1, correction=1) + _VARIANCE_FLOOR).sqrt()


@_reward_of(_kept_and_lost)
def max_drawdown(r: Tensor, lost: Tensor) -> Tensor:
    """Minus the smooth maximum drawdown of log wealth, ``-tau ln(1 + sum_t (e^{d_t / tau} - 1))``.

    ``d_t`` is how far log wealth is below its peak so far, tau = 0.01. It is 0 where nothing falls,
    and rows at a peak add nothing: windows of any length compare.
    """
    wealth = torch.cumsum(_steeply(torch.log1p(r), lost), dim=-1)  # (B, T - 1)
    peak = torch.cummax(wealth, dim=-1).values.clamp_min(0.0)
    falls = (peak - wealth) / _DRAWDOWN_TEMPERATURE
    # Any number will do for the largest, so that its own gradient can be left out.
    largest = falls.detach().amax(dim=-1, keepdim=True)
    summed = ((falls - largest).exp() * -torch.expm1(-falls)).sum(dim=-1)
    largest = largest.squeeze(-1)
    return -_DRAWDOWN_TEMPERATURE * (largest + torch.log1p(torch.expm1(-largest) + summed))


def negative_mse(actions: Tensor, context: Tensor, *, transition_penalty: Penalty) -> Tensor:
    """Minus the mean squared difference between actions and targets, ``(B,)``.

    Its context is y; `transition_penalty` weighs the mean squared change of the actions.
    """
    error = (actions - context).square().mean(dim=(-2, -1))
    changes = (actions[:, 1:] - actions[:, :-1]).square()
    if isinstance(transition_penalty, Tensor):
        error = error + (transition_penalty * changes).mean(dim=(-2, -1))
    elif transition_penalty:
        error = error + transition_penalty * changes.mean(dim=(-2, -1))
    return -error


def penalty_of(
    cost: float | list[float] | str, inputs: Mapping[str, Tensor], *, like: Tensor
) -> Penalty:
    """Turn an option into what rewards take: a number, or a tensor of one per asset.

    Of an array that is named, among `inputs` ``(..., N, k)``, that itself where its rows differ.
    """
    if isinstance(cost, str):
        found = simplest(inputs[cost].cpu().numpy())
        return found if isinstance(found, float) else like.new_tensor(found)
    return like.new_tensor(cost) if isinstance(cost, list) else cost


def on_rows(penalty: Penalty, rows: Tensor) -> Penalty:
    """Of a penalty of each row ``(N, k)`` those of rows ``(B, T)``; any other stays as it is."""
    return penalty[rows] if isinstance(penalty, Tensor) and penalty.ndim > 1 else penalty


def _log(growth: Tensor) -> Tensor:
    """``ln g``, and its tangent at ``e`` below it."""
    return _steeply(growth.clamp_min(_LEAST_GROWTH).log(), _beyond_ruin(growth))


def _beyond_ruin(growth: Tensor) -> Tensor:
    """``g - e`` below ``e``; exactly 0 above it, and so is its gradient."""
    return (growth - _LEAST_GROWTH).clamp_max(0.0)


def _steeply(values: Tensor, lost: Tensor) -> Tensor:
    """``v + l / e``."""
    return torch.add(values, lost, alpha=1 / _LEAST_GROWTH)


REWARDS: dict[str, RewardFunction] = {
    "cvar": cvar,
    "excess": excess,
    "finance": portfolio,
    "max_drawdown": max_drawdown,
    "mean_variance": mean_variance,
    "negative_mse": negative_mse,
    "portfolio": portfolio,
    "portfolio_target_l1": portfolio_target_l1,
    "sharpe": sharpe,
    "sortino": sortino,
}


# Sample variances of the T - 1 steps, so that one step is not enough.
_NEED_TWO_STEPS = (excess, mean_variance, sharpe)


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A reward function with its settings, and what it needs.

    A user's function takes ``(actions, context, *, transition_penalty)``, a number, or a tensor
    ``(M,)`` where the user gave one per asset, and the arrays that `inputs` names as keywords,
    beside which it may do without a context; those that also take ``initial``, ``cash``,
    ``active`` or ``carry`` get them. Where assets come, halt and end, rewards that take ``active``
    get the weights that are held, others those that were asked for.
    """

    name: str
    function: RewardFunction
    inputs: tuple[str, ...] = ()
    """Arrays that it is given by name, ``(B, T, k)`` each."""
    takes_context: bool = True
    """Whether it judges by a context too; only with `inputs` it may do without."""
    needs_targets: bool = False
    """Its context is y, whatever else is given."""
    needs_prices: bool = False
    """Its context must be positive."""
    needs_weights: bool = False
    """Actions must be portfolio weights; it is told whether there is cash."""
    takes_initial: bool = False
    """It is told the holdings before the first row."""
    takes_carry: bool = False
    """It is told what cash earns and shorts cost."""
    takes_active: bool = False
    """It is told who can be held and traded, and what is held; its context must be prices then."""
    is_own: bool = False
    """It is the user's, and may be of no portfolio."""
    min_rows: int = 2
    """Rows without which it is not defined."""

    def told(self, inputs: Mapping[str, Tensor]) -> Reward:
        """The reward with what it is given by name, ``(B, T, k)`` each, of the same episodes."""
        own = {name: inputs[name] for name in self.inputs}
        if not own:
            return self
        return replace(self, function=functools.partial(self.function, **own))

    def __call__(
        self,
        actions: Tensor,
        context: Tensor,
        *,
        transition_penalty: Penalty,
        initial: Initial,
        cash: bool,
        active: Tensor | None = None,
        carry: Carry | None = None,
    ) -> Tensor:
        """Reward per episode ``(B,)`` of actions, context and codes ``(B, T, M)``.

        Raises
        ------
        ValueError
            If a user's function returns anything but one number per episode, or has changed what
            it was given.
        """
        settings: dict[str, Any] = {"transition_penalty": transition_penalty}
        if self.takes_initial:
            settings["initial"] = initial
        if self.needs_weights:
            settings["cash"] = cash
        if self.takes_active:
            settings["active"] = active
        if self.takes_carry:
            settings["carry"] = carry
        judged_by = (context,) if self.takes_context else ()
        rewards = self.function(actions, *judged_by, **settings)
        return one_for_each(rewards, len(actions), name=self.name)


def reward_of(hisso: HISSOOptions) -> Reward:
    """The reward that options name; see `resolve_reward`."""
    return resolve_reward(hisso.reward, inputs=hisso.reward_inputs)


def resolve_reward(
    spec: str | Mapping[str, Any] | RewardFunction | None, *, inputs: Sequence[str] = ()
) -> Reward:
    """The reward that a user named.

    Parameters
    ----------
    spec : str, mapping, callable or None
        Name in `REWARDS`, import path, ``{"target": ..., "kwargs": {...}}``, or the function
        itself. None is ``portfolio``.
    inputs : sequence of str
        Arrays that it is to be given by name.

    Returns
    -------
    Reward

    Raises
    ------
    ValueError
        If the name is unknown, or the function cannot be called with the contract's arguments
        and these keyword arguments.
    """
    target, kwargs = spec, {}
    if isinstance(spec, Mapping):
        target, kwargs = spec["target"], dict(spec.get("kwargs") or {})
    name, function = _named_function(target)
    parameters = _checked_signature(name, function, kwargs, inputs)
    bound = functools.partial(function, **kwargs) if kwargs else function
    return Reward(
        name=name,
        function=bound if name in REWARDS else of_the_user(bound, name=name),
        is_own=name not in REWARDS,
        inputs=tuple(inputs),
        takes_context=takes_context(parameters, inputs),
        needs_targets=function is negative_mse,
        needs_prices=function in REWARDS.values() and function is not negative_mse,
        needs_weights="cash" in parameters,
        takes_initial="initial" in parameters,
        takes_carry="carry" in parameters,
        takes_active="active" in parameters,
        min_rows=3 if function in _NEED_TWO_STEPS else 2,
    )


def is_ours(spec: Any) -> bool:
    """Whether a reward, or its name, is one that psann has written."""
    target = spec["target"] if isinstance(spec, Mapping) else spec
    is_named = isinstance(target, str) and (target in REWARDS or target.startswith("psann."))
    return target is None or is_named


def _named_function(target: Any) -> tuple[str, RewardFunction]:
    if target is None:
        target = "portfolio"
    if callable(target):
        has_name = inspect.isroutine(target) or isinstance(target, type)
        named: Any = target if has_name else type(target)
        return f"{named.__module__}:{named.__qualname__}", target
    if target in REWARDS:
        return target, REWARDS[target]
    if "." in target or ":" in target:
        return target, import_object(target, who="hisso.reward")
    raise ValueError(
        f"hisso.reward must be one of {', '.join(sorted(REWARDS))} or an import path "
        f"pkg.mod:function; got {target!r}.{did_you_mean(target, REWARDS)}"
    )


def takes_context(parameters: Mapping[str, inspect.Parameter], inputs: Sequence[str]) -> bool:
    """Whether a reward has a place for the context behind its actions.

    Parameters
    ----------
    parameters : mapping
        Of its signature.
    inputs : sequence of str
        Names of `hisso.reward_inputs`, which have places of their own.
    """
    if not inputs:
        return True
    kinds = inspect.Parameter
    places = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    taken = (*inputs, *CALL_ARGUMENTS[2:])
    n_places = sum(p.kind in places and p.name not in taken for p in parameters.values())
    return n_places > 1 or any(p.kind is kinds.VAR_POSITIONAL for p in parameters.values())


def _checked_signature(
    name: str, function: RewardFunction, kwargs: Mapping[str, Any], inputs: Sequence[str]
) -> Mapping[str, inspect.Parameter]:
    """Parameters of a function that can be called as a reward."""
    taken = [key for key in kwargs if key in CALL_ARGUMENTS or key in inputs]
    if taken:
        raise ValueError(
            f"hisso.reward.kwargs must leave {', '.join(taken)} to training, which says it in "
            "every call; set hisso.transition_penalty or evaluation.initial instead."
        )
    signature = inspect.signature(function)
    parameters = signature.parameters
    judged_by = (None,) if takes_context(parameters, inputs) else ()
    told = dict.fromkeys([*(key for key in CALL_ARGUMENTS[3:] if key in parameters), *inputs])
    try:
        signature.bind(None, *judged_by, transition_penalty=0.0, **told, **kwargs)
    except TypeError as error:
        own = [key for key in parameters if key not in CALL_ARGUMENTS]
        named = f" and the arrays of hisso.reward_inputs {list(inputs)}" if inputs else ""
        raise ValueError(
            f"reward {name} must be callable as (actions, context, *, transition_penalty) with "
            f"the keyword arguments {list(kwargs)}{named}: {error}. Its own arguments are {own}; "
            "an array of the data among them is to be named in hisso.reward_inputs."
        ) from None
    return parameters
