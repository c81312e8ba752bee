"""Epochs around the engine: what is kept, when it ends, who is told, and what is refused."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from psann._seed import update_keys
from psann.errors import DivergedError, TrainingInterrupted
from psann.nn.state import StateOptions
from psann.training.carry import Carry, Group
from psann.training.engine import EagerEngine
from psann.training.loop import Validation, group_at_start, resolve_monitor, run_phase
from psann.training.schedules import LRScheduleOptions
from psann.training.supervised import RowObjective, row_table, rows_loss
from psann.training.work import Forward, PhaseWork
from tiny_training import (
    N_ROWS,
    Diary,
    at_start,
    dense,
    engine,
    initial_carry,
    launches_of,
    objective,
    phase,
    rows,
    run,
    same,
    stacks_of,
    starts,
    timeless,
)


def scripted(values: Sequence[float]) -> Callable[[Forward], Validation]:
    """A validation pass whose reward is the next of these values, and its loss minus that."""
    left = iter(values)

    def validate(forward: Forward) -> Validation:
        value = next(left)
        return Validation(loss=-value, reward=value, turnover=0.25, entropy=0.5)

    return validate


def judged(values: Sequence[float], **options: Any) -> Any:
    return phase(
        epochs=len(values), validate=scripted(values), **{"monitor": "val_reward", **options}
    )


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """Rows as episodes of one step: the value of each is a reward."""

    rows: RowObjective
    is_ours = False

    def __call__(
        self, forward: Forward, index: Tensor, key: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        loss, per_row = self.rows(forward, index, key)
        return loss, -per_row

    def place_of_nonfinite(self, forward: Forward, index: Tensor, key: Tensor | None) -> str:
        return self.rows.place_of_nonfinite(forward, index, key)


# --- the best epoch


@pytest.mark.parametrize(
    ("rewards", "best"),
    [
        ([1.0, 3.0, 2.0], 2),
        ([1.0, 3.0, 3.0], 2),
        ([3.0, 3.0, 3.0], 1),
        ([math.nan, 1.0, math.nan], 2),
        ([math.inf, 1.0, math.inf], 2),
        ([-math.inf, -5.0, -math.inf], 2),
        ([-3.0, -2.0, -1.0], 3),
    ],
)
@pytest.mark.parametrize("monitor", ["val_reward", "val_loss"])
def test_the_best_epoch_is_the_earliest_with_the_highest_finite_reward(
    monitor: str, rewards: list[float], best: int
) -> None:
    diary = Diary()
    state, _ = run(judged(rewards, monitor=monitor), engine(), diary)
    assert state.best is not None
    assert state.best_epoch == best
    assert state.best.value == (1 if monitor == "val_reward" else -1) * rewards[best - 1]
    assert torch.equal(state.best.weights, diary.weights[best - 1])
    assert not torch.equal(state.best.weights, diary.weights[best - 2])
    assert [r.is_best for r in diary.records][best - 1 :] == [True] + [False] * (3 - best)
    for name, tensor in state.tensors(best=True).items():
        assert torch.equal(tensor, state.layout.unflatten(diary.weights[best - 1])[name])


def test_an_epoch_that_may_not_be_kept_is_passed_over_whatever_its_monitor() -> None:
    def at_most_2(seed: int, validation: Validation) -> bool:
        return validation.reward is not None and validation.reward <= 2

    state, _ = run(judged([1.0, 3.0, 2.0], may_keep=at_most_2))
    assert (state.best_epoch, state.stale_epochs) == (3, 0)
    with pytest.raises(DivergedError, match="Nothing can be kept"):
        run(judged([4.0, 3.0], may_keep=at_most_2))


def test_a_monitor_that_never_is_finite_is_a_divergence() -> None:
    with pytest.raises(DivergedError, match="val_reward was not finite in any of its 2 epochs"):
        run(judged([math.nan, math.nan]))


def test_epochs_that_all_lost_everything_say_so_and_what_cannot() -> None:
    with pytest.raises(DivergedError, match="each of its 2 epochs lost everything on the valid"):
        run(judged([-math.inf, -math.inf]))
    with pytest.raises(DivergedError, match="was not finite in any"):
        run(judged([-math.inf, math.nan]))


def test_without_a_monitor_nothing_is_chosen() -> None:
    diary = Diary()
    state, _ = run(phase(monitor=None), engine(), diary)
    assert state.best is None
    assert state.best_epoch == 3
    assert not any(record.is_best for record in diary.records)
    assert {record.monitor_value for record in diary.records} == {None}


def test_the_training_loss_and_reward_can_be_the_monitor() -> None:
    for monitor, sign in (("train_loss", 1), ("reward", -1)):
        task = phase(
            objective=Episodes(rows=objective()), is_episodic=True, monitor=monitor, lr=0.1
        )
        state, _ = run(task)
        values = [sign * record.monitor_value for record in state.history]
        assert state.best.epoch == 1 + int(np.argmin(values))
        field = "train_loss" if monitor == "train_loss" else "reward_mean"
        assert [getattr(r, field) for r in state.history] == [
            r.monitor_value for r in state.history
        ]


# --- the untrained candidate


def with_candidate(values: list[float], made: EagerEngine, **options: Any) -> Any:
    weights = torch.zeros_like(initial_carry(made).weights)
    task = judged(values, **options)
    return replace(task, epochs=len(values) - 1, untrained_candidates={0: weights})


@pytest.mark.parametrize("rewards", [[1.0, 0.5, -2.0], [1.0, 1.0, 1.0], [1.0, math.nan, 1.0]])
def test_the_untrained_weights_win_when_no_epoch_beats_them(rewards: list[float]) -> None:
    made = engine()
    state, _ = run(with_candidate(rewards, made), made)
    assert state.best_epoch == 0
    assert state.best.value == 1.0
    assert not any(t.count_nonzero() for t in state.tensors(best=True).values())
    assert not any(record.is_best for record in state.history)
    assert state.carry.weights.count_nonzero()


def test_an_epoch_that_beats_the_untrained_weights_wins() -> None:
    made = engine()
    state, _ = run(with_candidate([1.0, 0.5, 1.5], made, monitor="val_loss"), made)
    assert state.best_epoch == 2


def test_an_untrained_candidate_that_is_not_finite_never_wins() -> None:
    made = engine()
    state, _ = run(with_candidate([math.nan, -5.0, -6.0], made), made)
    assert state.best_epoch == 1


def test_training_starts_from_its_own_weights_whatever_the_candidate() -> None:
    made = engine()
    state, _ = run(with_candidate([9.0, 0.0, 0.0], made), made)
    plain, _ = run(phase(epochs=2))
    assert same(state.carry, plain.carry)


# --- patience


@pytest.mark.parametrize(
    ("rewards", "patience", "epochs_done"),
    [
        ([3.0, 2.0, 1.0, 9.0], 2, 3),
        ([3.0, 2.0, 4.0, 1.0, 1.0, 9.0], 2, 5),
        ([3.0, math.nan, 3.0, 9.0], 2, 3),
        ([1.0, 2.0, 3.0], 1, 3),
        ([3.0, 2.0, 1.0], 2, 3),  # it ran out with the last epoch: nothing was cut short
        ([3.0, 2.0, 1.0], None, 3),
    ],
)
def test_training_stops_after_so_many_epochs_without_a_better_one(
    rewards: list[float], patience: int | None, epochs_done: int
) -> None:
    state, stopped_early = run(judged(rewards, patience=patience))
    assert state.epoch == epochs_done
    assert stopped_early == (epochs_done < len(rewards))


def test_the_untrained_candidate_counts_for_patience() -> None:
    made = engine()
    state, stopped_early = run(with_candidate([5.0, 1.0, 1.0, 9.0], made, patience=2), made)
    assert stopped_early
    assert (state.epoch, state.best_epoch) == (2, 0)


# --- the monitor


def test_the_monitor_is_the_users_choice_or_else_the_first_that_can_be_computed() -> None:
    assert resolve_monitor(None, ("val_loss", "train_loss")) == "val_loss"
    assert resolve_monitor("train_loss", ("val_loss", "train_loss")) == "train_loss"


def test_a_monitor_that_cannot_be_computed_is_refused_with_those_that_can() -> None:
    with pytest.raises(ValueError, match="'val_reward' cannot be computed here; available: train"):
        resolve_monitor("val_reward", ("train_loss",))


# --- records


def test_a_record_tells_what_the_epoch_was() -> None:
    task = phase(validate=scripted([0.5] * 3), schedule=LRScheduleOptions(name="linear"))
    state, _ = run(task)
    for number, record in enumerate(state.history, start=1):
        assert (record.phase, record.epoch, record.epochs_total) == ("supervised", number, 3)
        assert (record.update, record.episodes) == (4 * number, 0)
        assert record.lr == pytest.approx(0.01 * (3 - number) / 2)
        assert (record.val_loss, record.val_reward_mean) == (-0.5, 0.5)
        assert (record.turnover, record.entropy) == (0.25, 0.5)
        assert record.reward_mean is None
        assert record.amp_scale is None
        assert record.skipped_updates == 0
        assert record.episodes_per_s is None
        assert min(record.data_s, record.step_s, record.val_s) >= 0
    assert state.epoch == 3
    assert state.update == 12


def test_losses_gradients_and_rewards_are_means_over_the_epoch() -> None:
    task = phase(epochs=1, objective=Episodes(rows=objective()), is_episodic=True, lr=1e-30)
    state, _ = run(task)
    (record,) = state.history
    data, made = rows(), engine()
    carry = initial_carry(made)
    with torch.no_grad():
        outputs = made.forward(carry.weights, carry.buffers)(data.X, None, None)
        rewards = -(outputs - data.y).square().mean(-1)
    assert record.episodes == N_ROWS
    assert record.train_loss == pytest.approx(-rewards.mean().item(), rel=1e-5)
    assert record.reward_mean == pytest.approx(rewards.mean().item(), rel=1e-5)
    assert record.reward_std == pytest.approx(rewards.std(correction=0).item(), rel=1e-5)
    assert record.reward_min == pytest.approx(rewards.min().item(), rel=1e-5)
    assert record.reward_max == pytest.approx(rewards.max().item(), rel=1e-5)
    assert record.episodes_per_s == pytest.approx(N_ROWS / record.step_s)
    _, statistics = made.launch(
        carry,
        objective(),
        stacks=stacks_of([torch.from_numpy(index) for index in task.index_table(0, 1)]),
        keys=None,
        lr=0.0,
    )
    assert record.grad_norm == pytest.approx(statistics.grad_norm.mean(), rel=1e-5)


def test_validation_sends_a_long_span_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psann.nn.passes._CPU_BYTES", 64 * 4 * 8)
    made, span, sizes = engine(), rows(n=200), []
    made.network.register_forward_hook(lambda _, given, out: sizes.append(len(given[0])))
    task = phase(
        epochs=1,
        monitor="val_loss",
        validate=lambda forward: Validation(loss=rows_loss(forward, span, mse_of)),
        untrained_candidates={0: initial_carry(made).weights},
    )
    run(task, made)
    assert sizes == [64, 64, 72, *[6] * 4, 64, 64, 72]


def test_the_seconds_of_observers_are_not_counted_as_updates() -> None:
    class Slow(Diary):
        def on_launch(self, state: Any) -> None:
            clock[0] += 1000.0

    clock = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: clock[0])
        state, _ = run(phase(epochs=1), engine(), Slow())
    assert state.history[0].step_s == 0.0


# --- what follows the epoch


def test_the_network_is_told_each_epoch_before_its_updates() -> None:
    made, told = engine(epoch_offset=10), []
    made.network.set_epoch = told.append  # type: ignore[method-assign]
    run(phase(), made)
    assert told == [11, 12, 13]


@pytest.mark.parametrize("draws", [True, False])
def test_keys_are_drawn_by_phase_and_epoch_and_only_if_needed(draws: bool) -> None:
    seen: list[Tensor | None] = []

    @dataclass(frozen=True, kw_only=True)
    class Spy(Episodes):
        def __call__(self, forward: Forward, index: Tensor, key: Tensor | None) -> Any:
            seen.append(key)
            return super().__call__(forward, index, key)

    run(phase(name="hisso", epochs=2, draws=draws, objective=Spy(rows=objective())), seed=7)
    expected: list[Any] = [None] * 8
    if draws:
        expected = [
            key
            for epoch in (1, 2)
            for key in update_keys(7, "hisso.draws", epoch=epoch, n_updates=4)
        ]
    assert len(seen) == 8
    assert all(k is e or torch.equal(k, e) for k, e in zip(seen, expected, strict=True))


@pytest.mark.parametrize("resets", [True, False])
def test_states_are_reset_at_the_start_of_each_epoch_if_asked(resets: bool) -> None:
    made = engine(dense(state=StateOptions()), state_reset="epoch" if resets else "none")
    starts: list[float] = []

    @dataclass(frozen=True, kw_only=True)
    class Spy(Episodes):
        def __call__(self, forward: Forward, index: Tensor, key: Tensor | None) -> Any:
            result = super().__call__(forward, index, key)
            starts.append(float(made.network.activations[0][1].staged[0]))
            return result

    task = phase(lr=1e-30, reset_states_each_epoch=resets, objective=Spy(rows=objective()))
    # The same rows in each epoch: with a reset, the same states.
    table = row_table(N_ROWS, 6, stream="test", shuffle=False)
    run(replace(task, index_table=table), made)
    first, second, third = starts[:4], starts[4:8], starts[8:]
    assert (first == second == third) == resets


# --- observers


def test_observers_are_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    launches_of(monkeypatch, 3)
    first, second = Diary(), Diary()
    run(phase(epochs=2), engine(), first, second)
    assert first.events == [
        ("start", 0),
        ("launch", 3),
        ("launch", 4),
        ("epoch", 1),
        ("launch", 7),
        ("launch", 8),
        ("epoch", 2),
        ("end", 2),
    ]
    assert second.events == first.events


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_grid_of_launches_changes_nothing_but_how_often_observers_look(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def trained() -> Any:
        made = engine(dense(state=StateOptions()), state_reset="none", clip_norm=1.0)
        noisy = Episodes(rows=objective(input_noise=0.2))
        task = phase(objective=noisy, is_episodic=True, draws=True, monitor="reward")
        return run(task, made)[0]

    expected = trained()
    launches_of(monkeypatch, size)
    state = trained()
    assert same(state.carry, expected.carry)
    assert timeless(state.history) == timeless(expected.history)


STOP = TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)


@pytest.mark.parametrize(
    "event",
    [("start", 0), *(("launch", n) for n in (2, 4, 6, 8, 12)), ("epoch", 1), ("epoch", 3)],
    ids=str,
)
def test_training_that_was_stopped_goes_on_as_if_it_had_not_been(
    monkeypatch: pytest.MonkeyPatch, event: tuple[str, int]
) -> None:
    launches_of(monkeypatch, 2)

    def made() -> EagerEngine:
        return engine(dense(state=StateOptions()), state_reset="epoch", clip_norm=1.0)

    data = rows(seed=5)

    def task() -> Any:
        return phase(
            objective=Episodes(rows=objective(input_noise=0.2)),
            is_episodic=True,
            draws=True,
            reset_states_each_epoch=True,
            monitor="val_loss",
            validate=lambda forward: Validation(loss=rows_loss(forward, data, mse_of)),
            untrained_candidates={0: torch.zeros_like(initial_carry(made()).weights)},
        )

    expected, _ = run(task(), made())
    first = made()
    state = at_start(task(), first)
    with pytest.raises(TrainingInterrupted):
        run_phase(task(), first, [state], [Diary(stop_at=event, error=STOP)])
    run_phase(task(), made(), [state], [Diary()])
    assert same(state.carry, expected.carry)
    assert timeless(state.history) == timeless(expected.history)
    assert (state.epoch, state.update, state.episodes) == (3, 12, 3 * N_ROWS)
    assert state.best_epoch == expected.best_epoch
    assert torch.equal(state.best.weights, expected.best.weights)


def test_the_engine_is_told_how_much_of_a_phase_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    launches_of(monkeypatch, 2)
    told: list[tuple[int, int]] = []

    def begin(self: EagerEngine, work: PhaseWork) -> None:
        told.append((work.planned_updates, work.updates_done))

    monkeypatch.setattr(EagerEngine, "begin", begin)
    state = at_start(phase(), engine())
    with pytest.raises(TrainingInterrupted):
        run_phase(phase(), engine(), [state], [Diary(stop_at=("launch", 6), error=STOP)])
    run_phase(phase(), engine(), [state], [])
    assert told == [(12, 0), (12, 6)]


def mse_of(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square()


def test_training_that_had_run_out_of_patience_does_not_go_on() -> None:
    task = judged([3.0, 2.0, 9.0], patience=1)
    made = engine()
    state, _ = run(task, made)
    diary = Diary()
    assert run_phase(task, made, [state], [diary]) == [True]
    assert diary.events == [("start", 2), ("end", 2)]


def test_an_epoch_without_a_single_finite_loss_has_no_training_loss() -> None:
    diary = Diary()
    far = replace(rows(), y=torch.full((N_ROWS, 2), 1e30))
    task = phase(objective=objective(far), max_skipped_updates=100)
    with pytest.raises(DivergedError, match="train_loss was not finite in any"):
        run(task, engine(stop_on_nonfinite=False), diary)
    assert {record.train_loss for record in diary.records} == {None}
    assert {record.grad_norm for record in diary.records} == {None}


class Meddling(torch.nn.Linear):
    """A layer that psann has not written, and that lets nobody read what is written later."""

    def forward(self, X: Tensor) -> Tensor:
        os.umask(0o777)
        return super().forward(X)


def test_what_a_layer_of_the_user_s_changes_is_put_back_before_anybody_writes() -> None:
    network = dense()
    network.head = Meddling(network.head.in_features, network.head.out_features)
    umask = os.umask(0o022)
    seen = []

    class Watch(Diary):
        def on_launch(self, state: Any) -> None:
            seen.append(os.umask(0o022))

    try:
        with pytest.warns(UserWarning, match="the network changed the umask: put back"):
            run(phase(epochs=1), engine(network), Watch())
    finally:
        os.umask(umask)
    assert set(seen) == {0o022}


def test_of_layers_of_our_own_nothing_is_at_risk() -> None:
    assert engine(dense()).at_risk == ()


def test_seeds_are_stacked_once_an_epoch_and_part_with_memory_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launches_of(monkeypatch, 1)
    made, task, sizes = engine(), phase(epochs=2), []
    gathered = EagerEngine.gathered

    def counted(self: EagerEngine, carries: Sequence[Carry]) -> Group:
        sizes.append(len(carries))
        return gathered(self, carries)

    monkeypatch.setattr(EagerEngine, "gathered", counted)
    group = group_at_start(task, made, starts(made, 0, 1, 2))
    run_phase(task, made, group, [])
    assert sizes == [3, 3]
    for weights in (each for s in group for each in (s.carry.weights, s.best.weights)):
        assert weights.untyped_storage().nbytes() == weights.numel() * weights.itemsize
