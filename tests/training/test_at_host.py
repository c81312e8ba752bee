"""Launches at the host are the reference's updates, to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from psann._seed import update_keys
from psann.training.carry import alone, unlatched
from psann.training.statistics import read_reports
from tiny_training import (
    POISON,
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
    start = initial_carry(made)
    carry, reports = unlatched(start), []
    for index, key in zip(indices, KEYS, strict=True):
        carry, report = made.update(carry, goal, index, key, lr=0.01, lift=alone)
        reports.append(report)
    (expected,) = read_reports(reports, n_slots=1)
    found, told = made.launch(start, goal, stacks_of(indices), KEYS, lr=0.01)
    assert not expected.is_accepted[2] and expected.is_accepted[3] == (not stops)
    assert same(found, carry)
    assert bool(found.is_frozen) == stops
    for each in ("is_accepted", "is_loss_finite", "n_values"):
        assert (getattr(told, each) == getattr(expected, each)).all(), each
    for each in ("loss", "grad_norm", "values"):
        assert getattr(told, each).tobytes() == getattr(expected, each).tobytes(), each
