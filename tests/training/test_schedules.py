"""Learning rates by hand, against torch.optim.lr_scheduler, and settings without effect."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from psann.training.schedules import LRScheduleOptions, learning_rate

EPOCHS, LR, LR_MIN = 11, 0.5, 0.05
NAMES = ["constant", "linear", "cosine", "one_cycle", "step"]


def path(*, lr: float = LR, epochs: int = EPOCHS, **options: Any) -> list[float]:
    schedule = LRScheduleOptions(**options)
    return [
        learning_rate(schedule, lr=lr, epoch=epoch, epochs=epochs) for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"warmup_epochs": 2}, [0.5, 1, 1, 1, 1]),
        ({"name": "linear"}, [1, 0.75, 0.5, 0.25, 0]),
        ({"name": "linear", "lr_min": 0.2}, [1, 0.8, 0.6, 0.4, 0.2]),
        ({"name": "linear", "warmup_epochs": 2}, [0.5, 1, 1, 0.5, 0]),
        ({"name": "cosine"}, [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0]),
        ({"name": "cosine", "lr_min": 0.5, "warmup_epochs": 2}, [0.5, 1, 1, 0.75, 0.5]),
        ({"name": "step", "step_epochs": 2}, [1, 1, 0.1, 0.1, 0.01]),
        ({"name": "step", "step_epochs": 1, "gamma": 0.5}, [1, 0.5, 0.25, 0.125, 0.0625]),
        (
            {"name": "step", "step_epochs": 2, "gamma": 0.5, "warmup_epochs": 1},
            [1, 1, 1, 0.5, 0.5],
        ),
        ({"name": "step"}, [1, 1, 1, 1, 1]),
        ({"warmup_epochs": 10}, [0.1, 0.2, 0.3, 0.4, 0.5]),
    ],
)
def test_a_schedule_has_the_values_computed_by_hand(options: dict, expected: list[float]) -> None:
    assert path(lr=1.0, epochs=5, **options) == pytest.approx(expected)


def test_one_cycle_rises_over_the_first_three_tenths_and_then_falls() -> None:
    got = path(lr=1.0, epochs=11, name="one_cycle", lr_min=0.0)
    rise = [1 - (1 - 1 / 25) * (1 + math.cos(math.pi * k / 3)) / 2 for k in range(3)]
    fall = [(1 + math.cos(math.pi * k / 7)) / 2 for k in range(8)]
    assert got == pytest.approx([*rise, *fall])
    assert got[0] == pytest.approx(1 / 25)


def their_path(make: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = make(optimizer)
    rates = []
    for _ in range(EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("options", "make"),
    [
        (
            {"name": "linear", "lr_min": LR_MIN},
            lambda o: lr_scheduler.LinearLR(o, 1.0, LR_MIN / LR, total_iters=EPOCHS - 1),
        ),
        (
            {"name": "cosine", "lr_min": LR_MIN},
            lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS - 1, LR_MIN),
        ),
        (
            {"name": "step", "step_epochs": 3, "gamma": 0.3},
            lambda o: lr_scheduler.StepLR(o, 3, 0.3),
        ),
        ({"warmup_epochs": 4}, lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, total_iters=3)),
    ],
    ids=["linear", "cosine", "step", "warmup"],
)
def test_a_schedule_agrees_with_torch(options: dict, make: Any) -> None:
    assert path(**options) == pytest.approx(their_path(make), rel=1e-9)


def test_one_cycle_agrees_with_torch_where_the_peak_is_put_at_the_same_epoch() -> None:
    # Theirs peaks at step pct * epochs - 1, ours at three tenths of the way to the last epoch.
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = lr_scheduler.OneCycleLR(
        optimizer,
        LR,
        total_steps=EPOCHS,
        pct_start=(0.3 * (EPOCHS - 1) + 1) / EPOCHS,
        div_factor=25,
        final_div_factor=LR / 25 / LR_MIN,
        cycle_momentum=False,
    )
    rates = []
    for epoch in range(EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if epoch < EPOCHS - 1:
            scheduler.step()
    assert path(name="one_cycle", lr_min=LR_MIN) == pytest.approx(rates, rel=1e-9)


@pytest.mark.parametrize("epochs", [1, 2, 3, 50])
@pytest.mark.parametrize("name", NAMES)
def test_rates_stay_between_the_ends(name: str, epochs: int) -> None:
    options = {"lr_min": LR_MIN} if name in ("linear", "cosine", "one_cycle") else {}
    rates = path(name=name, epochs=epochs, **options)
    lowest = LR / 25 if name == "one_cycle" else options.get("lr_min", 0.0)
    assert all(lowest - 1e-12 <= rate <= LR + 1e-12 for rate in rates)
    if options and epochs > 1:
        assert rates[-1] == pytest.approx(LR_MIN)


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_beyond_the_plan_keeps_the_last_rate_or_goes_on(name: str) -> None:
    schedule = LRScheduleOptions(name=name)
    last, beyond = (learning_rate(schedule, lr=LR, epoch=e, epochs=EPOCHS) for e in (EPOCHS, 12))
    assert beyond == last


@pytest.mark.parametrize(
    ("options", "idle"),
    [
        ({"lr_min": 0.1}, "lr_min"),
        ({"name": "step", "lr_min": 0.1}, "lr_min"),
        ({"step_epochs": 3}, "step_epochs"),
        ({"name": "cosine", "gamma": 0.5}, "gamma"),
        ({"name": "linear", "step_epochs": 3, "gamma": 0.5}, "step_epochs, gamma"),
        ({"name": "one_cycle", "warmup_epochs": 3}, "warmup_epochs"),
    ],
)
def test_a_setting_without_effect_is_refused(options: dict, idle: str) -> None:
    with pytest.raises(ValueError, match=f"{idle} has no effect on the schedule"):
        LRScheduleOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "exponential"},
        {"name": "cosine", "lr_min": -1.0},
        {"name": "cosine", "lr_min": math.inf},
        {"warmup_epochs": -1},
        {"name": "step", "step_epochs": 0},
        {"name": "step", "gamma": 0.0},
        {"name": "step", "gamma": 1.5},
        {"speed": 1},
    ],
)
def test_a_value_out_of_range_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=rf"^LRScheduleOptions\.{list(options)[-1]} "):
        LRScheduleOptions(**options)


@pytest.mark.parametrize("name", ["linear", "cosine", "one_cycle"])
def test_a_rate_may_end_where_it_begins_but_not_above(name: str) -> None:
    LRScheduleOptions(name=name, lr_min=LR).check_fits(lr=LR, epochs=1)
    with pytest.raises(ValueError, match=r"lr_min must be at most lr, 0\.5, .*; got 0\.6"):
        LRScheduleOptions(name=name, lr_min=0.6).check_fits(lr=LR, epochs=1)


def test_a_warm_up_may_fill_the_training_but_not_outlast_it() -> None:
    schedule = LRScheduleOptions(warmup_epochs=3)
    schedule.check_fits(lr=LR, epochs=3)
    with pytest.raises(ValueError, match=r"warmup_epochs must be at most epochs, 2, .*; got 3"):
        schedule.check_fits(lr=LR, epochs=2)


def test_both_misfits_of_a_schedule_are_told_at_once() -> None:
    schedule = LRScheduleOptions(name="linear", lr_min=1.0, warmup_epochs=3)
    with pytest.raises(ValueError, match=r"warmup_epochs must be .*; lr_min must be"):
        schedule.check_fits(lr=LR, epochs=2)
