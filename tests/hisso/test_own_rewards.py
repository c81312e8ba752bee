"""An own reward gives one real number per episode, and its data stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import user_rewards
from psann.hisso.own_rewards import of_the_user, one_for_each

ACTIONS, CONTEXT = torch.ones(2, 3, 1), torch.full((2, 3, 1), 4.0)


def shifted(actions: Tensor, *, price: Tensor, transition_penalty: float) -> Tensor:
    price -= 1.0
    return (actions * price).mean((-2, -1))


@pytest.mark.parametrize(
    ("function", "judged", "named", "changed"),
    [
        (user_rewards.writing, (ACTIONS, CONTEXT), {}, "context"),
        (shifted, (ACTIONS,), {"price": CONTEXT}, "price"),
    ],
)
def test_a_reward_that_writes_into_its_data_is_refused_by_name(
    function: Any, judged: tuple[Tensor, ...], named: dict[str, Tensor], changed: str
) -> None:
    judged, named = tuple(it.clone() for it in judged), {k: v.clone() for k, v in named.items()}
    call = of_the_user(function, name="house")
    with pytest.raises(ValueError, match=f"reward house must leave .* has changed {changed} in pl"):
        call(*judged, transition_penalty=0.0, **named)


def test_a_reward_that_leaves_its_data_alone_gives_what_it_gave() -> None:
    call = of_the_user(user_rewards.scaled, name="house")
    assert call(ACTIONS, CONTEXT, transition_penalty=0.0, scale=2.0).tolist() == [8.0, 8.0]


@pytest.mark.parametrize(
    ("rewards", "got"),
    [
        (torch.ones(2, 1), r"got \(2, 1\)"),
        (torch.ones(()), r"got \(\)"),
        (None, "got NoneType"),
        (torch.ones(2, dtype=torch.int64), "real numbers.* got torch.int64"),
        (torch.ones(2, dtype=torch.complex64), "real numbers.* got torch.complex64"),
    ],
)
def test_anything_but_a_real_number_per_episode_is_refused(rewards: Any, got: str) -> None:
    with pytest.raises(ValueError, match=f"reward house must give .*{got}"):
        one_for_each(rewards, 2, name="house")
    assert one_for_each(torch.ones(2), 2, name="house").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("function", [user_rewards.drawing, user_rewards.Counted()])
def test_a_reward_that_tells_two_things_of_the_same_is_refused_where_it_judges(
    function: Any,
) -> None:
    call = of_the_user(function, name="house")
    call(ACTIONS, CONTEXT, transition_penalty=0.0)  # in training nobody asks twice
    with torch.no_grad(), pytest.raises(ValueError, match=r"house must give the same .* asked twi"):
        call(ACTIONS, CONTEXT, transition_penalty=0.0)


def test_a_reward_that_draws_by_a_seed_of_its_own_is_no_random_one() -> None:
    call = of_the_user(user_rewards.drawing_alike, name="house")
    with torch.no_grad():
        first, second = (call(ACTIONS, CONTEXT, transition_penalty=0.0) for _ in range(2))
    assert first.tolist() == second.tolist() and not first.equal(ACTIONS.mean((-2, -1)))


def test_a_reward_is_asked_twice_once() -> None:
    counted = user_rewards.Counted()
    counted.step = 0
    call = of_the_user(counted, name="house")
    with torch.no_grad():
        for _ in range(3):
            call(ACTIONS, CONTEXT, transition_penalty=0.0)
    assert counted.n_calls == 4
