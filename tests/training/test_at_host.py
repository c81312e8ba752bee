"""Launches at the host are the reference's updates, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from psann._seed import update_keys
from psann.losses import LOSSES
from psann.nn.dense import DenseNetwork
from psann.nn.network import Network
from psann.training.at_host import HostUpdate
from psann.training.carry import Carry, alone, unlatched
from psann.training.engine import EagerEngine
from psann.training.recorded import Recording
from psann.training.statistics import LaunchStatistics, read_reports
from psann.training.work import Objective, PhaseWork, can_record
from tiny_training import (
    BODIES,
    POISON,
    batches,
    dense,
    engine,
    initial_carry,
    objective,
    poisoned,
    rows,
    same,
    stacks_of,
    wave,
)

KEYS = update_keys(0, "test", epoch=1, n_updates=5)
LONG = PhaseWork(phase="supervised", planned_updates=200, index_size=6, rows_per_update=6)


def by_the_reference(
    made: EagerEngine,
    goal: Objective,
    indices: Sequence[Tensor],
    keys: Tensor | None = None,
    *,
    lr: float = 0.01,
    start: Carry | None = None,
) -> tuple[Carry, LaunchStatistics]:
    """Where updates lead one by one, each a function of a carry."""
    carry, reports = unlatched(initial_carry(made) if start is None else start), []
    for k, index in enumerate(indices):
        key = None if keys is None else keys[k]
        carry, report = made.update(carry, goal, index, key, lr=lr, lift=alone)
        reports.append(report)
    return carry, read_reports(reports, n_slots=1)[0]


def agree(found: LaunchStatistics, expected: LaunchStatistics) -> bool:
    names = ("is_accepted", "is_loss_finite", "n_values", "loss", "grad_norm", "values")
    return all(getattr(found, n).tobytes() == getattr(expected, n).tobytes() for n in names)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each update that was to be recorded was."""
    told: list[bool] = []
    record = HostUpdate.record

    def spied(self: HostUpdate, *given: Any, **named: Any) -> bool:
        told.append(record(self, *given, **named))
        return told[-1]

    monkeypatch.setattr(HostUpdate, "record", spied)
    return told


@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_launch_at_the_host_is_the_reference_to_the_last_bit(name: str, stops: bool) -> None:
    settings: dict[str, Any] = {"name": name, "weight_decay": 0.1, "clip_norm": 0.5}
    made = engine(wave(dropout=0.3), stop_on_nonfinite=stops, **settings)
    # The third is refused, for it holds row 13, and the last is of another size.
    indices = [*torch.arange(24).split(6), torch.tensor([3])]
    data = rows()
    data.y[13] = POISON
    goal = objective(data, loss=poisoned, input_noise=0.1)
    carry, expected = by_the_reference(made, goal, indices, KEYS)
    found, told = made.launch(initial_carry(made), goal, stacks_of(indices), KEYS, lr=0.01)
    assert not expected.is_accepted[2] and expected.is_accepted[3] == (not stops)
    assert same(found, carry)
    assert bool(found.is_frozen) == stops
    assert agree(told, expected)


# --- recorded


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_recorded_launches_are_the_reference_to_the_last_bit(
    name: Any, body: Callable[[], Network], recorded: list[bool]
) -> None:
    made = engine(body(), stop_on_nonfinite=False, name=name, weight_decay=0.1, clip_norm=0.5)
    made.begin(LONG)
    # The third holds row 13, which has no target, and the last is of another size.
    indices = [*torch.arange(24).split(6), torch.tensor([3])]
    data = rows()
    data.y[13] = torch.nan
    goal = objective(data, input_noise=0.1)
    carry, start = initial_carry(made), initial_carry(made)
    for lr in (0.01, 0.003):  # the second goes on from the first, at another rate
        before = carry.weights.clone()
        expected, of_reference = by_the_reference(made, goal, indices, KEYS, lr=lr, start=carry)
        found, told = made.launch(carry, goal, stacks_of(indices), KEYS, lr=lr)
        assert not told.is_accepted[2] and told.is_accepted[3]
        assert same(found, expected) and agree(told, of_reference)
        assert torch.equal(carry.weights, before)
        carry = found
    # From the start again, and what came before it stays as it was.
    left = carry.weights.clone()
    assert same(
        made.launch(start, goal, stacks_of(indices), KEYS, lr=0.01)[0],
        by_the_reference(made, goal, indices, KEYS)[0],
    )
    assert torch.equal(carry.weights, left)
    assert recorded == [True]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_recorded(loss: str, recorded: list[bool]) -> None:
    made, goal = engine(), objective(loss=LOSSES[loss])
    made.begin(LONG)
    found, _ = made.launch(initial_carry(made), goal, stacks_of(batches(5)), None, lr=0.01)
    assert same(found, by_the_reference(made, goal, batches(5))[0])
    assert recorded == [True]


def test_warm_ups_and_the_decay_mask_move_without_another_recording(recorded: list[bool]) -> None:
    body = {"first_layer_w0_initial": 5.0, "hidden_w0_initial": 0.5, "w0_warmup_epochs": 4}
    grows = {"progressive_depth_initial": 1, "progressive_depth_interval": 2}
    made = engine(wave(**body, **grows), name="adamw", weight_decay=0.1)
    made.begin(LONG)
    goal, carry = objective(), initial_carry(made)
    for epoch in range(1, 5):  # from the third on the second block takes part
        made.set_epoch(epoch)
        expected, _ = by_the_reference(made, goal, batches(3, seed=epoch), start=carry)
        carry, _ = made.launch(carry, goal, stacks_of(batches(3, seed=epoch)), None, lr=0.01)
        assert same(carry, expected)
    assert recorded == [True, True]


class Foreign(DenseNetwork):
    """A network of somebody else, who may do anything in it."""


def foreign() -> Network:
    network = dense()
    network.__class__ = Foreign
    return network


def hooked() -> Network:
    network = dense()
    network.head.register_forward_hook(lambda layer, given, outputs: outputs)
    return network


@pytest.mark.parametrize(
    ("network", "goal", "work"),
    [
        (foreign(), objective(), LONG),
        (hooked(), objective(), LONG),
        (dense(), objective(loss=poisoned), LONG),
        (dense(), objective(), LONG._replace(planned_updates=199)),
        (dense(), objective(), LONG._replace(updates_done=1)),
        (dense(), objective(), LONG._replace(rows_per_update=130_000)),
    ],
    ids=[
        "a network of the user's",
        "a hook of theirs",
        "a loss of the user's",
        "a short phase",
        "the rest of one",
        "large updates",
    ],
)
def test_what_is_not_ours_and_what_would_not_pay_is_not_recorded(
    network: Network, goal: Objective, work: PhaseWork, recorded: list[bool]
) -> None:
    made = engine(network)
    made.begin(work)
    made.launch(initial_carry(made), goal, stacks_of(batches(2)), None, lr=0.01)
    assert recorded == []


def test_what_would_take_much_memory_is_not_recorded() -> None:
    assert can_record(dense(), 100_000, n_seeds=1)
    assert not can_record(dense(hidden_layers=60), 100_000, n_seeds=1)
    wide = dense(hidden_layers=2, hidden_units=600)  # 364,000 weights
    assert can_record(wide, 6, n_seeds=2)
    assert not can_record(wide, 6, n_seeds=3)


@pytest.mark.parametrize("error", [RuntimeError("no such operation"), MemoryError(), None])
def test_a_recording_that_fails_or_gives_other_numbers_is_not_used(
    error: Exception | None, recorded: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Recording.run

    def wrong(self: Recording) -> None:
        if error is not None:
            raise error
        run(self)
        self.outputs[4].add_(1e-6)

    monkeypatch.setattr(Recording, "run", wrong)
    made, goal, carry = engine(), objective(), None
    made.begin(LONG)
    for _ in range(2):
        expected, _ = by_the_reference(made, goal, batches(3), start=carry)
        carry, _ = made.launch(
            initial_carry(made) if carry is None else carry,
            goal,
            stacks_of(batches(3)),
            None,
            lr=0.01,
        )
        assert same(carry, expected)
    assert recorded == [False]  # and is not tried again
