"""Training on targets: batches, losses by row, order of rows, and a fit that learns."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from draws import normal
from psann._seed import hashed_normal, update_keys
from psann.errors import DivergedError
from psann.losses import LOSSES, mse
from psann.training.engine_choice import EngineChoice
from psann.training.optimizer import Optimizer
from psann.training.options import build_engine
from psann.training.schedules import LRScheduleOptions
from psann.training.supervised import (
    RowObjective,
    Rows,
    fit_supervised,
    row_table,
    rows_loss,
    shuffle_decision,
)
from tiny_training import (
    N_IN,
    N_OUT,
    N_ROWS,
    Diary,
    dense,
    rows,
    starts,
    timeless,
    training_options,
)

EAGER = EngineChoice(name="eager", reason="a test")
INDEX = torch.tensor([5, 2, 2])
(KEY,) = update_keys(0, "test", epoch=1, n_updates=1)


def double(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
    """A network that doubles the first two features, and adds its context."""
    outputs = 2 * x[:, :N_OUT]
    return outputs if context is None else outputs + context


def fit(
    *observers: Any,
    data: Rows | None = None,
    validation: Rows | None = None,
    seed: int = 0,
    **given: Any,
) -> tuple[Any, Any]:
    made = build_engine(dense(), training_options(**given), EAGER, epoch_offset=0)
    (trained,) = fit_supervised(
        made,
        rows() if data is None else data,
        validation,
        starts=starts(made, seed),
        options=training_options(**given),
        observers=observers,
    )
    return trained


# --- the objective


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_loss_is_the_mean_over_rows_and_outputs(name: str) -> None:
    data = rows()
    loss, per_row = RowObjective(rows=data, loss=LOSSES[name])(double, INDEX, None)
    expected = LOSSES[name](2 * data.X[INDEX, :N_OUT], data.y[INDEX])
    torch.testing.assert_close(per_row, expected.mean(-1))
    torch.testing.assert_close(loss, expected.mean())


def test_rows_take_their_context_along() -> None:
    context = normal(N_ROWS, N_OUT, seed=3)
    data = replace(rows(), context=context)
    _, per_row = RowObjective(rows=data, loss=mse)(double, INDEX, None)
    outputs = 2 * data.X[INDEX, :N_OUT] + context[INDEX]
    torch.testing.assert_close(per_row, (outputs - data.y[INDEX]).square().mean(-1))


def test_noise_comes_from_the_key_and_goes_to_the_inputs_only() -> None:
    data, seen = rows(), []

    def spy(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
        seen.append((x, key))
        return double(x, context, key)

    goal = RowObjective(rows=data, loss=mse, input_noise=0.5)
    goal(spy, INDEX, KEY)
    goal(spy, INDEX, None)
    noisy, quiet = seen
    torch.testing.assert_close(noisy[0], data.X[INDEX] + 0.5 * hashed_normal(KEY, (3, N_IN)))
    assert torch.equal(quiet[0], data.X[INDEX])
    assert noisy[1] is KEY
    assert quiet[1] is None


def test_outputs_beyond_the_targets_are_not_judged() -> None:
    data = rows()
    narrow = replace(data, y=data.y[:, :1])
    _, per_row = RowObjective(rows=narrow, loss=mse)(double, INDEX, None)
    torch.testing.assert_close(per_row, (2 * data.X[INDEX, 0] - data.y[INDEX, 0]).square())


@pytest.mark.parametrize("reduce", [torch.mean, lambda t: t.mean(-1)], ids=["all", "rows"])
def test_a_loss_that_averages_by_itself_is_refused(reduce: Any) -> None:
    goal = RowObjective(rows=rows(), loss=lambda o, y: reduce(mse(o, y)))
    with pytest.raises(ValueError, match=r"of shape \(3, 2\); got shape .*Do not average inside"):
        goal(double, INDEX, None)


@pytest.mark.parametrize(
    ("breaks", "place"),
    [
        ("X", "the data of this update are not finite"),
        ("y", "the data of this update are not finite"),
        ("context", "the data of this update are not finite"),
        ("forward", "the forward pass gave outputs that are not finite"),
        ("loss", "the loss is not finite"),
        ("nothing", "the gradient is not finite"),
    ],
)
def test_the_first_place_that_is_not_finite_is_named(breaks: str, place: str) -> None:
    data = replace(rows(), context=torch.zeros(N_ROWS, N_OUT))
    if breaks in ("X", "y", "context"):
        getattr(data, breaks)[2, 0] = math.inf

    def forward(x: Tensor, context: Tensor | None, key: Tensor | None) -> Tensor:
        return double(x, context, key) / (0.0 if breaks == "forward" else 1.0)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return mse(outputs, targets) * (math.nan if breaks == "loss" else 1.0)

    goal = RowObjective(rows=data, loss=loss)
    assert goal.place_of_nonfinite(forward, INDEX, None) == place


def test_the_loss_of_all_rows_is_computed_in_one_pass_without_gradient() -> None:
    data = rows()
    weights = torch.ones(1, requires_grad=True)
    got = rows_loss(lambda x, c, k: weights * double(x, c, k), data, mse)
    assert got == pytest.approx((2 * data.X[:, :N_OUT] - data.y).square().mean().item())


def test_the_loss_of_a_row_counts_by_its_weight() -> None:
    weight = torch.linspace(0.5, 1.5, N_ROWS)
    data = replace(rows(), weight=weight)
    plain = (2 * data.X[:, :N_OUT] - data.y).square().mean(-1)
    loss, per_row = RowObjective(rows=data, loss=mse)(double, INDEX, None)
    torch.testing.assert_close(per_row, plain[INDEX] * weight[INDEX])
    torch.testing.assert_close(loss, (plain[INDEX] * weight[INDEX]).sum() / len(INDEX))
    whole = rows_loss(double, data, mse)
    assert whole == pytest.approx(float((plain * weight).sum() / weight.sum()), rel=1e-6)


# --- the order of rows


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 5), (10, 10), (10, 32), (1, 1)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_cover_every_row_once_per_epoch(n: int, size: int, shuffle: bool) -> None:
    table = row_table(n, size, stream="a", shuffle=shuffle)
    for epoch in (1, 2):
        batches = table(0, epoch)
        assert sorted(np.concatenate(batches)) == list(range(n))
        assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
        assert 1 <= len(batches[-1]) <= size


def test_without_shuffling_rows_come_in_time_order() -> None:
    batches = row_table(7, 3, stream="a", shuffle=False)(0, 4)
    assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_order_is_a_function_of_seed_stream_and_epoch() -> None:
    def order(epoch: int = 1, seed: int = 0, stream: str = "a") -> list[int]:
        table = row_table(50, 50, stream=stream, shuffle=True)
        return table(seed, epoch)[0].tolist()

    assert order() == order()
    assert (
        len({tuple(order()), tuple(order(2)), tuple(order(seed=1)), tuple(order(stream="b"))}) == 4
    )


@pytest.mark.parametrize(
    ("given", "shuffle", "state_reset", "reason"),
    [
        ({}, True, None, "rows shuffled: none depends on another"),
        ({"shuffle": False}, False, None, "as configured"),
        ({"is_stateful": True}, True, "batch", "rows shuffled: none depends on another"),
        ({"is_stateful": True, "state_reset": "epoch"}, False, "epoch", "state_reset=epoch"),
        ({"is_stateful": True, "state_reset": "none"}, False, "none", "state_reset=none"),
        ({"is_stateful": False, "state_reset": "epoch"}, True, None, "rows shuffled"),
    ],
)
def test_a_state_that_lives_on_needs_rows_in_time_order(
    given: dict, shuffle: bool, state_reset: str | None, reason: str
) -> None:
    asked = training_options(**given)
    decision = shuffle_decision("warm_start", asked)
    assert decision.phase == "warm_start"
    assert decision.shuffle is shuffle
    assert decision.state_reset == state_reset
    assert reason in decision.message


# --- a fit


def test_a_fit_learns_and_says_what_it_did() -> None:
    diary = Diary()
    state, result = fit(diary, epochs=60, lr=0.05)
    losses = [record.train_loss for record in result.history]
    assert losses[-1] < 0.2 * losses[0]
    assert result.monitor == "train_loss"
    assert result.best_value == min(losses)
    assert result.best_epoch == 1 + losses.index(min(losses))
    assert (result.epochs_done, result.stopped_early, result.episodes) == (60, False, 0)
    assert result.decisions == diary.decisions
    assert diary.decisions[0].shuffle is True
    assert diary.records == result.history
    assert state.update == 60 * 4


def test_validation_rows_choose_the_best_epoch() -> None:
    other = rows(seed=9)
    state, result = fit(validation=other, epochs=30, lr=0.05)
    losses = [record.val_loss for record in result.history]
    assert result.monitor == "val_loss"
    assert result.best_value == min(losses)
    made = build_engine(dense(), training_options(), EAGER, epoch_offset=0)
    forward = made.forward(state.best.weights, state.best.buffers)
    assert rows_loss(forward, other, mse) == pytest.approx(min(losses), rel=1e-6)


def test_a_monitor_that_needs_more_than_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"available: train_loss\. val_"):
        fit(monitor="val_loss")
    with pytest.raises(ValueError, match="available: val_loss, train_loss"):
        fit(validation=rows(), monitor="reward")


def test_the_same_seed_gives_the_same_fit_and_another_seed_another() -> None:
    first, again, other = (fit(seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.carry.weights, again.carry.weights)
    assert timeless(first.history) == timeless(again.history)
    assert not torch.equal(first.carry.weights, other.carry.weights)


def test_a_whole_fit_leaves_torchs_global_generator_untouched() -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(input_noise=0.3, validation=rows(seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


@cache
def usual_weights() -> torch.Tensor:
    return fit()[0].carry.weights


@pytest.mark.parametrize(
    "given",
    [
        {"batch_size": 5},
        {"lr": 0.02},
        {"epochs": 6},
        {"schedule": LRScheduleOptions(name="cosine")},
        {"optimizer": Optimizer(name="sgd")},
        {"optimizer": Optimizer(name="adam", weight_decay=0.1)},
        {"optimizer": Optimizer(name="adam", clip_norm=0.01)},
        {"loss": LOSSES["mae"]},
        {"input_noise": 0.1},
        {"shuffle": False},
    ],
    ids=lambda given: "-".join(given),
)
def test_a_setting_has_an_effect(given: dict) -> None:
    assert not torch.equal(usual_weights(), fit(**given)[0].carry.weights)


def test_patience_ends_a_fit() -> None:
    _, result = fit(epochs=200, lr=0.05, patience=3, validation=rows(seed=9))
    assert result.stopped_early
    assert result.epochs_done == result.best_epoch + 3 < 200


def test_a_fit_that_diverges_says_where() -> None:
    data = rows()
    data.y[3] = math.nan
    message = "phase supervised, epoch 1, .*: the data of this update are not finite"
    with pytest.raises(DivergedError, match=message):
        fit(data=data)
    _, result = fit(data=data, max_skipped_updates=5)
    assert result.skipped_updates == 5
