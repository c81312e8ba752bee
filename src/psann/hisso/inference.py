"""A whole span as one episode: actions, reward, and how much they move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from psann.accounting import (
    Initial,
    carry_of,
    gross_growth,
    growth_and_traded_weight,
    simplest,
    weight_changes,
)
from psann.hisso.objective import Series, beside_actions
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.hisso.own_weights import decided_in_turn
from psann.hisso.rewards import Penalty, Reward
from psann.hisso.transforms import Transform
from psann.holdings import Carry, held_weights, is_limited, of_members
from psann.training.loop import Validation
from psann.training.work import Forward


def carry_in(
    evaluation: EvaluationOptions, hisso: HISSOOptions, inputs: Mapping[str, Tensor]
) -> Carry | None:
    """What cash earns and shorts cost from one row to the next, and what may be traded.

    Of rates that name arrays, among `inputs` ``(..., N, 1)``, those of each row ``(..., N)``.
    """

    def of_rows(rate: float | str) -> Any:
        if not isinstance(rate, str):
            return rate
        found = simplest(inputs[rate].cpu().numpy())
        return found if isinstance(found, float) else inputs[rate][..., 0]

    return carry_of(
        of_rows(evaluation.cash_rate),
        of_rows(evaluation.borrow_rate),
        periods_per_year=evaluation.periods_per_year,
        max_turnover=hisso.max_turnover,
    )


def span_actions(forward: Forward, rows: Series, transform: Transform) -> Tensor:
    """Actions ``(N, M)`` in float64 of every row of a span, without gradient."""
    if rows.known_prices is not None:
        return decided_in_turn(
            lambda x: forward(x, None, None), rows.X, rows.known_prices, transform
        )
    with torch.no_grad():
        outputs = forward(rows.X, rows.context, None).double()
        if rows.known_active is None or rows.active is None:
            return transform.function(outputs, rows.active)
        return of_members(transform.function(outputs, rows.known_active), rows.active)


def as_one_episode(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a reward is given by name of a span, ``(1, N, k)`` each: copies, it may be foreign."""
    return {name: each.clone()[None] for name, each in inputs.items()}


def judge_actions(
    actions: Tensor,
    reward_context: Tensor,
    *,
    reward: Reward,
    transition_penalty: Penalty,
    initial: Initial,
    cash: bool,
    active: Tensor | None = None,
    carry: Carry | None = None,
) -> Validation:
    """Reward of a span's actions as a single episode, their turnover and entropy.

    Parameters
    ----------
    actions : torch.Tensor
        ``(N, M)``, float64.
    reward_context : torch.Tensor
        ``(N, M)`` or ``(N, 1)``, float64; of any width for a reward of no weights.
    reward : Reward
        What to compute; it has been told of `Series.inputs` as a single episode.
    transition_penalty : float or torch.Tensor
        Lambda, of all assets or of each, or the cost at which the policy is deployed.
    initial : {"invested", "cash"}
        Holdings before the first row.
    cash : bool
        Whether the remainder of the weights is cash; with `active` it is.
    active : torch.Tensor, optional
        ``(N, M)``, who can be held and traded, codes of `psann.holdings`.
    carry : Carry, optional
        What cash earns and shorts cost, and what may be traded, of rewards of what is held.

    Returns
    -------
    Validation
        `loss` is minus the reward, which is minus infinity if prices left nothing of the wealth:
        no span goes on after that, whatever later rows would earn. `turnover` is the mean of
        ``|a_{t+1} - a_t|_1``; `traded_weight` the mean weight that is traded per row to get from
        what prices left to the target, None where the reward is not of weights; `entropy` the mean
        of ``-sum a ln a`` in nats, None where an action is negative.
    """
    with torch.no_grad():
        targets, cash = actions, cash or active is not None
        if reward.takes_active and (active is not None or is_limited(carry)):
            prices = reward_context.expand_as(actions)
            actions = held_weights(actions, prices, active, carry=carry, initial=initial)
        # Copies: a user's reward that works in place must not change what comes after it.
        value = float(
            reward(
                actions.clone()[None],
                beside_actions(reward_context, actions).clone()[None],
                transition_penalty=transition_penalty,
                initial=initial,
                cash=cash,
                active=None if active is None else active[None],
                carry=carry,
            )
        )
        if reward.needs_prices and bool(
            (gross_growth(actions, reward_context, cash=cash, carry=carry) <= 0).any()
        ):
            value = -math.inf
        entropy = None
        if bool((targets >= 0).all()):
            entropy = float(-torch.special.xlogy(targets, targets).sum(-1).mean())
        turnover, traded_weight = float(weight_changes(targets).mean()), None
        if reward.needs_weights and math.isfinite(value):
            _, traded = growth_and_traded_weight(
                actions, reward_context, initial=initial, cash=cash, active=active, carry=carry
            )
            traded_weight = float(traded.mean())
    return Validation(
        loss=-value,
        reward=value,
        turnover=turnover,
        traded_weight=traded_weight,
        entropy=entropy,
    )
