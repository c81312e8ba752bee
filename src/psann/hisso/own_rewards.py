"""What is asked of a reward, or a loss, that somebody else has written."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from psann._numerics import guarded

_PLACES = {"reward": ("actions", "context"), "loss": ("outputs", "targets")}


def of_the_user(
    function: Callable[..., Tensor], *, name: str, kind: Literal["reward", "loss"] = "reward"
) -> Callable[..., Tensor]:
    """A reward that leaves every setting as it was, and is refused if it does not its arguments.

    What it is given may be the data themselves, which every later call would find changed. Where
    it first judges rather than trains, it is asked twice: what draws, or remembers, gives figures
    that no second run repeats.

    Raises
    ------
    ValueError
        When it is called, if it writes into what it is given, or tells two things of one.
    """
    is_known, who, places = False, f"{kind} {name}", _PLACES[kind]

    @functools.wraps(function)
    def call(*judged: Any, **named: Any) -> Tensor:
        nonlocal is_known
        given = {**dict(zip(places, judged, strict=False)), **named}
        before = {key: it._version for key, it in given.items() if isinstance(it, Tensor)}
        rewards = function(*judged, **named)
        if changed := [key for key, version in before.items() if given[key]._version != version]:
            raise ValueError(
                f"{who} must leave what it is given as it is; it has changed "
                f"{', '.join(changed)} in place. Write x = x - 1 instead of x -= 1."
            )
        if not is_known and not torch.is_grad_enabled():
            is_known = True
            _check_repeats(rewards, function(*judged, **named), who=who)
        return rewards

    return guarded(call, who=f"hisso.{who}" if kind == "reward" else who)


def _check_repeats(rewards: Any, again: Any, *, who: str) -> None:
    """Refuse what differs by more than the order of a GPU's sums."""
    both = (rewards, again)
    if not all(isinstance(each, Tensor) and each.shape == rewards.shape for each in both):
        return  # it is refused for what it gives
    differs = ~torch.isclose(again, rewards, rtol=1e-4, equal_nan=True)
    if differs.any():
        one, other = (float(each[differs][0].real) for each in both)
        raise ValueError(
            f"{who} must give the same for the same arguments; asked twice, it gave "
            f"{one:.6g} and {other:.6g}. Let it keep nothing from call to call, and draw by "
            "torch.Generator().manual_seed(0), made inside of it."
        )


def one_for_each(rewards: Any, n_episodes: int, *, name: str) -> Tensor:
    """What a reward gave, if it is one real number per episode.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not isinstance(rewards, Tensor) or rewards.shape != (n_episodes,):
        got = tuple(rewards.shape) if isinstance(rewards, Tensor) else type(rewards).__name__
        raise ValueError(
            f"reward {name} must give one number per episode, a tensor of shape "
            f"({n_episodes},); got {got}. Average over time and actions inside it."
        )
    if not rewards.is_floating_point():
        raise ValueError(
            f"reward {name} must give real numbers, torch.float32 or torch.float64; got "
            f"{rewards.dtype}. Compute it from its actions without another dtype."
        )
    return rewards
