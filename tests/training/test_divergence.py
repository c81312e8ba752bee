from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from psann.errors import DivergedError
from psann.training.engine import EagerEngine
from psann.training.loop import run_phase
from psann.training.precision import INITIAL_SCALE, MAX_OVERFLOWS_IN_A_ROW, Precision
from psann.training.schedules import learning_rate
from psann.training.supervised import row_table
from thinning import slow
from tiny_training import (
    N_ROWS,
    POISON,
    at_start,
    engine,
    initial_carry,
    launches_of,
    objective,
    phase,
    poisoned,
    rows,
    run,
    same,
    stacks_of,
)


def broken(kind: str, *bad_rows: int) -> Any:
    """A phase in time order, six rows per update, with rows that break theirs."""
    data = rows()
    if kind == "data":
        data.X[list(bad_rows)] = math.nan
    else:
        data.y[list(bad_rows)] = {"loss": 1e30, "gradient": POISON}[kind]
    goal = objective(data, loss=poisoned) if kind == "gradient" else objective(data)
    table = row_table(N_ROWS, 6, stream="test", shuffle=False)
    return phase(objective=goal, index_table=table)


PLACES = {
    "data": "the data of this update are not finite",
    "loss": "the loss is not finite",
    "gradient": "the gradient is not finite",
}


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("kind", sorted(PLACES))
def test_the_first_number_that_is_not_finite_stops_training_and_says_where(
    monkeypatch: pytest.MonkeyPatch, kind: str, size: int
) -> None:
    launches_of(monkeypatch, size)
    task, made = broken(kind, 13), engine()
    state = at_start(task, made)
    message = f"diverged in phase supervised, epoch 1, update 3: {PLACES[kind]}. The weights are"
    with pytest.raises(DivergedError, match=message):
        run_phase(task, made, [state], [])
    good = engine()
    expected, _ = good.launch(
        initial_carry(good),
        task.objective,
        stacks=stacks_of([torch.from_numpy(index) for index in task.index_table(0, 1)[:2]]),
        keys=None,
        lr=0.01,
    )
    assert same(state.carry, expected)


@pytest.mark.parametrize("precision", [None, torch.float16])
@pytest.mark.parametrize("lr", [math.nan, math.inf, 1e300])
def test_a_learning_rate_that_takes_the_weights_out_of_range_moves_nothing(
    monkeypatch: pytest.MonkeyPatch, lr: float, precision: torch.dtype | None
) -> None:
    options = {} if precision is None else {"precision": Precision("cpu", precision)}
    expected, _ = run(phase(epochs=1), engine(**options))
    rate = learning_rate

    def planted(schedule: Any, **facts: Any) -> float:
        return lr if facts["epoch"] == 2 else rate(schedule, **facts)

    monkeypatch.setattr("psann.training.loop.learning_rate", planted)
    task, made = phase(), engine(**options)
    state = at_start(task, made)
    # float16 may still be in search of its scale in the first update.
    step = re.escape(f"a step at learning rate {lr:g} leads to weights that are not finite")
    with pytest.raises(DivergedError, match=f"epoch 2, update [12]: {step}"):
        run_phase(task, made, [state], [])
    assert torch.equal(state.carry.weights, expected.carry.weights)
    for ours, theirs in zip(state.carry.optimizer, expected.carry.optimizer, strict=True):
        assert torch.equal(ours, theirs)


def test_steps_out_of_range_can_be_skipped_and_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "psann.training.loop.learning_rate", lambda _, epoch, **__: math.inf if epoch == 2 else 0.01
    )
    state, _ = run(replace(phase(), max_skipped_updates=4), engine(stop_on_nonfinite=False))
    assert [record.skipped_updates for record in state.history] == [0, 4, 4]


def test_a_forward_pass_that_overflows_is_told_apart() -> None:
    made = engine()
    weights = initial_carry(made).weights
    task = phase()
    state = at_start(task, made)
    state.carry = state.carry._replace(weights=torch.full_like(weights, 1e38))
    with pytest.raises(DivergedError, match=r"update 1: the forward pass gave outputs that are"):
        run_phase(task, made, [state], [])


def test_skipped_updates_are_counted_up_to_the_limit() -> None:
    task = replace(broken("loss", 3, 13), max_skipped_updates=6)
    state, _ = run(task, engine(stop_on_nonfinite=False))
    assert state.skipped_updates == 6
    assert [record.skipped_updates for record in state.history] == [2, 4, 6]
    assert all(math.isfinite(record.train_loss) for record in state.history)
    assert state.update == 12


@pytest.mark.parametrize("size", [1, 100])
def test_one_skipped_update_too_many_stops_training(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    launches_of(monkeypatch, size)
    task = replace(broken("gradient", 3, 13), max_skipped_updates=3)
    message = "4 updates were not finite by phase supervised, epoch 2, update 3, more than the 3"
    with pytest.raises(DivergedError, match=message):
        run(task, engine(stop_on_nonfinite=False))


def scaled(scale: float, **options: Any) -> tuple[EagerEngine, Any]:
    made = engine(precision=Precision("cpu", torch.float16), **options)
    state = at_start(phase(), made)
    state.carry = state.carry._replace(scale=torch.tensor(scale))
    return made, state


def test_float16_overflows_are_no_divergence_and_are_counted() -> None:
    made, state = scaled(2.0**22)
    run_phase(phase(), made, [state], [])
    assert 1 <= state.skipped_updates < 12
    assert state.history[-1].amp_scale == 2.0 ** (22 - state.skipped_updates)
    assert state.refused_in_a_row == 0


def test_a_loss_that_is_not_finite_stops_float16_too() -> None:
    made, _ = scaled(INITIAL_SCALE)
    with pytest.raises(DivergedError, match="update 3: the forward pass gave outputs that are"):
        # Beyond the range of float16 but not of float32: it is as computed that it is judged.
        task = broken("gradient", 13)
        task.objective.rows.X[13] = 1e38
        run(task, made)


@pytest.mark.parametrize("size", [slow(1), 7, slow(1000)])
def test_too_many_overflows_in_a_row_stop_training(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    launches_of(monkeypatch, size)
    made, state = scaled(2.0**120)
    task = phase(epochs=20)
    state.epochs_total = 20
    message = (
        f"{MAX_OVERFLOWS_IN_A_ROW} float16 updates in a row overflowed by .*epoch 13, update 2"
    )
    with pytest.raises(DivergedError, match=message):
        run_phase(task, made, [state], [])
    assert torch.equal(state.carry.weights, initial_carry(engine()).weights)
