"""Launches of several seeds, and of networks with states, are recorded what they are afresh."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from psann._seed import update_keys
from psann.nn.network import Network
from psann.nn.state import StateOptions
from psann.training import launch as launching
from psann.training.carry import Carry
from psann.training.work import PhaseWork
from tiny_training import (
    batches,
    dense,
    engine,
    initial_carry,
    launched_together,
    objective,
    rows,
    same,
    wave,
)

WORK = PhaseWork(phase="supervised", planned_updates=200, index_size=6, rows_per_update=6)
KEYS = update_keys(0, "test", epoch=1, n_updates=5)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each update that was to be recorded was."""
    told: list[bool] = []
    record = launching.recorded

    def spied(*given: Any, **named: Any) -> Any:
        found = record(*given, **named)
        told.append(found is not None)
        return found

    monkeypatch.setattr(launching, "recorded", spied)
    return told


def launches(
    network: Network, work: PhaseWork | None, *, n_seeds: int, **options: Any
) -> list[tuple[Carry, bytes]]:
    """Where seeds end after two launches at two rates, and what was told of the second."""
    made, data = engine(network, stop_on_nonfinite=False, **options), rows()
    if work is not None:
        made.begin(work)
    data.y[13] = torch.nan
    goal = objective(data, input_noise=0.1)
    first = initial_carry(made)
    carries = [first._replace(weights=first.weights * (1 + 0.1 * s)) for s in range(n_seeds)]
    # The last update of each seed is of another size, and some rows are the 13th.
    indices = [[*batches(4, seed=s), torch.tensor([s])] for s in range(n_seeds)]
    keys: list[Tensor] = [KEYS + s for s in range(n_seeds)]
    for lr in (0.01, 0.003):
        group = launched_together(made, carries, goal, indices=indices, keys=keys, lr=lr)
        carries = [carry for carry, _ in group]
    assert not all(told.is_accepted.all() for _, told in group)
    return [(carry, told.loss.tobytes() + told.values.tobytes()) for carry, told in group]


def stateful() -> Network:
    return dense(state=StateOptions(rho=0.5))


@pytest.mark.parametrize(
    ("body", "n_seeds", "options"),
    [
        (dense, 3, {"name": "sgd", "clip_norm": 0.5}),
        (lambda: wave(dropout=0.3), 2, {"name": "adamw", "weight_decay": 0.1}),
        (stateful, 1, {"state_reset": "none"}),
        (stateful, 2, {"state_reset": "batch", "weight_decay": 0.1}),
    ],
)
def test_recorded_launches_are_those_afresh_to_the_last_bit(
    body: Any, n_seeds: int, options: dict[str, Any], recorded: list[bool]
) -> None:
    expected = launches(body(), None, n_seeds=n_seeds, **options)
    found = launches(body(), WORK, n_seeds=n_seeds, **options)
    for (theirs, told), (ours, of_ours) in zip(expected, found, strict=True):
        assert same(ours, theirs) and of_ours == told
    assert recorded == [True]


def test_what_a_launch_gave_stays_when_the_next_has_run(recorded: list[bool]) -> None:
    made, goal = engine(), objective()
    made.begin(WORK)
    ended = []
    for seed in range(2):
        carries = [initial_carry(made), initial_carry(made)]
        indices = [batches(3, seed=seed), batches(3, seed=seed + 2)]
        group = launched_together(made, carries, goal, indices=indices)
        ended.append([(carry.weights, carry.weights.clone()) for carry, _ in group])
    for left, copy in [pair for group in ended for pair in group]:
        assert torch.equal(left, copy)
    assert recorded == [True]


def test_many_seeds_of_large_updates_are_not_recorded(recorded: list[bool]) -> None:
    made = engine()
    made.begin(WORK._replace(rows_per_update=65_000))  # of 8 units, two seeds: 1,040,000 numbers
    carries = [initial_carry(made), initial_carry(made)]
    launched_together(made, carries, indices=[batches(3), batches(3, seed=1)])
    assert recorded == []
