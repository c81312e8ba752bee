"""What a reward judges actions against: targets, prices, or what can be computed from X."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from psann._imports import import_object
from psann._numerics import FOREIGN
from psann._process import put_back
from psann._typing import AnyFloats, Array, Floats
from psann.hisso.options import EvaluationOptions, HISSOOptions, costs_of, named_arrays
from psann.hisso.rewards import Reward, excess, reward_of

RewardSource = Literal["y", "context_extractor", "prices", "X", "none"]


def resolve_reward_for(hisso: HISSOOptions, *, has_prices: bool) -> Reward:
    """The reward in force; prices make ``portfolio`` the default.

    Raises
    ------
    ValueError
        If nothing says what to maximise, or the actions cannot be what the reward needs.
    """
    if hisso.reward is None and not has_prices and hisso.context_extractor is None:
        raise ValueError(
            "hisso.reward must say what to maximise: there are no prices, so nothing is earned. "
            "Give prices (reward portfolio), or set reward to negative_mse, or to pkg.mod:function "
            "with what it judges by from hisso.reward_inputs or hisso.context_extractor."
        )
    reward = reward_of(hisso)
    if hisso.context_extractor is not None and not reward.takes_context:
        raise ValueError(
            f"hisso.context_extractor has no effect on reward {reward.name}, which takes no "
            "context. Remove it, or give the reward a second argument."
        )
    if (reward.needs_weights or reward.needs_prices) and not hisso.is_portfolio:
        why = (
            f"primary_transform {hisso.primary_transform} gives numbers that are none"
            if hisso.n_actions is None
            else f"hisso.n_actions: {hisso.n_actions} says that actions are none"
        )
        raise ValueError(
            f"reward {reward.name} needs portfolio weights, and {why}. Use softmax, softmax_cash, "
            "tanh or long_short without hisso.n_actions, or a reward of your own."
        )
    if reward.needs_weights and hisso.primary_transform == "identity":
        raise ValueError(
            f"reward {reward.name} needs portfolio weights, and primary_transform identity gives "
            "numbers of any size. Use softmax, softmax_cash, tanh or long_short."
        )
    return reward


def reward_source(reward: Reward, hisso: HISSOOptions, *, has_prices: bool) -> RewardSource:
    """Where the reward context comes from: y for `negative_mse`, else what is there first.

    A reward that takes none has none.
    """
    if reward.needs_targets:
        return "y"
    if not reward.takes_context:
        return "none"
    if hisso.context_extractor is not None:
        return "context_extractor"
    return "prices" if has_prices else "X"


def reward_context(
    arrays: Mapping[str, AnyFloats | None],
    source: RewardSource,
    *,
    reward: Reward,
    hisso: HISSOOptions,
) -> Floats:
    """What the reward judges actions against, row by row.

    Parameters
    ----------
    arrays : mapping
        ``X`` (N, F) as the user gave it, ``y`` (N, M) and ``prices`` (N, M) where there are any.
    source : {"y", "context_extractor", "prices", "X", "none"}
        Where to take it from; none gives zeros, which keep the place and are never looked at. A
        context extractor is called once, with the whole span as one window: ``(1, N, F)`` to
        ``(1, N, M)``.
    reward : Reward
        Who judges.
    hisso : HISSOOptions
        Names the extractor.

    Returns
    -------
    ndarray of shape (N, M) or (N, 1)

    Raises
    ------
    ValueError
        If what the reward needs is missing, or is not what it must be.
    """
    if source == "none":
        given = arrays["X"]
        assert given is not None
        context = np.zeros((len(given), 1))
    elif source == "context_extractor":
        context = _extracted(arrays["X"], hisso)
    else:
        given = arrays[source]
        if given is None:
            raise ValueError(f"reward {reward.name} judges actions by {source}, which is missing.")
        context = np.array(given, dtype=np.float64)
    if reward.needs_prices and not (context > 0).all():
        raise ValueError(
            f"reward {reward.name} takes {source} for prices, which must be greater than 0; the "
            f"smallest is {context.min():g}. Give prices, or another reward."
        )
    return context


def _extracted(X: AnyFloats | None, hisso: HISSOOptions) -> Floats:
    extractor = hisso.context_extractor
    if isinstance(extractor, str):
        extractor = import_object(extractor, who="hisso.context_extractor")
    assert extractor is not None and X is not None
    with put_back(FOREIGN, who="hisso.context_extractor"):
        results = [extractor(torch.tensor(X)[None]) for _ in range(2)]
    array, again = (
        np.asarray(each.detach().cpu() if isinstance(each, Tensor) else each) for each in results
    )
    if array.ndim != 3 or array.shape[:2] != (1, len(X)):
        raise ValueError(
            f"hisso.context_extractor must map windows (1, {len(X)}, F) to (1, {len(X)}, M); got "
            f"shape {array.shape}."
        )
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise ValueError("hisso.context_extractor must return finite numbers only.")
    if again.shape != array.shape or not np.allclose(again, array, rtol=1e-4):
        raise ValueError(
            "hisso.context_extractor must give the same for the same rows; asked twice, it does "
            "not. Let it draw by torch.Generator().manual_seed(0), made inside of it."
        )
    return np.array(array[0], dtype=np.float64)


def input_problems(
    inputs: Mapping[str, Array],
    *,
    hisso: HISSOOptions,
    evaluation: EvaluationOptions,
    reward: Reward,
    **told: Any,
) -> list[str]:
    """Say which arrays that options name are missing, no prices, or no costs.

    The last are those of `row_cost_problems`.
    """
    named = named_arrays(hisso, evaluation)
    missing = [name for name in named if name not in inputs]
    if not missing:
        told |= {"hisso": hisso, "evaluation": evaluation, "reward": reward}
        return [*_benchmark_problems(inputs, reward), *row_cost_problems(inputs, **told)]
    sources = " and ".join(dict.fromkeys(named[name] for name in missing))
    return [
        f"reward_inputs must have {', '.join(missing)}, which {sources} names; got "
        f"{', '.join(inputs) or 'none'}. Give reward_inputs={{{missing[0]!r}: ...}}, a row for "
        "each of X."
    ]


def _benchmark_problems(inputs: Mapping[str, Array], reward: Reward) -> list[str]:
    if reward.function is not excess or (inputs["benchmark"] > 0).all():
        return []
    return [
        "benchmark, which the reward excess compares with, must be prices, greater than 0; the "
        f"smallest is {inputs['benchmark'].min():g}. Give its prices, not its returns."
    ]


def idle_inputs(given: Collection[str], named: Collection[str]) -> list[str]:
    """Say which arrays there are that no option names."""
    idle = [name for name in given if name not in named]
    if not idle:
        return []
    return [
        f"reward_inputs has {', '.join(idle)}, which the reward is not told of. Name it in "
        "hisso.reward_inputs, or leave it out."
    ]


def row_cost_problems(
    inputs: Mapping[str, Array],
    *,
    hisso: HISSOOptions,
    evaluation: EvaluationOptions,
    reward: Reward,
    n_assets: int | None,
    split: str = "",
) -> list[str]:
    """Say which arrays are named as costs or rates and can be none.

    Parameters
    ----------
    inputs : mapping of str to ndarray of shape (N,) or (N, k)
        The arrays of a split that options name; an absent one is told elsewhere.
    reward : Reward
        That in force: only those of holdings have costs of each row.
    n_assets : int or None
        None looks at no width.
    split : str
        Which rows these are, as the keys of a run's arrays end.
    """
    problems = []
    for who, name in costs_of(hisso, evaluation).items():
        array = inputs.get(name) if isinstance(name, str) else None
        if array is None:
            continue
        key = f"{name}_{split}" if split else name
        if not reward.needs_prices:
            problems.append(
                f"{who} names an array, {name}, so the reward must be one of what is held, such as "
                f"portfolio; got {reward.name}. Write a number, or use another reward."
            )
        is_rate = who.endswith("_rate")
        widths = (1,) if is_rate else (1, n_assets)
        least = -1 if who == "evaluation.cash_rate" else 0
        if n_assets is not None and array.ndim > 1 and array.shape[1] not in widths:
            each = "" if is_rate else f", or one for each of the {n_assets} assets"
            problems.append(
                f"{key}, which {who} names, must have one column{each}; got shape {array.shape}."
            )
        elif not ((array >= least) & (array < 1)).all():
            what = "rates per year, 0.03 for 3 %" if is_rate else "costs per unit traded"
            problems.append(
                f"{key}, which {who} names, must hold {what}, at least {least} and below 1; got "
                f"{array.min():g} ... {array.max():g}."
            )
    return problems


def check_context_width(
    context: AnyFloats, n_actions: int, *, reward: Reward, hisso: HISSOOptions
) -> None:
    """Raise `ValueError` unless the reward context has a column per action, or just one.

    A reward of the user's own may judge a number of actions that the user told by any context.
    """
    is_own = not (reward.needs_weights or reward.needs_prices or reward.needs_targets)
    if context.shape[1] in (1, n_actions) or (is_own and hisso.n_actions is not None):
        return
    raise ValueError(
        f"the reward context must have {n_actions} columns, one per action, or a single one; "
        f"got shape {context.shape}. Where actions have another meaning, say how many there are: "
        "hisso.n_actions, with a reward of your own."
    )
