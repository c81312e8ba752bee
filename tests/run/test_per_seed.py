"""Figures of several seeds in one record: each, their mean, their spread, the best of them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from psann.run.execution.figures import (
    best_epoch_figures,
    best_of,
    figures_over_seeds,
    training_figures,
)
from psann.training.history import EpochRecord
from psann.training.state import Best


def test_figures_of_the_best_epoch_are_those_of_its_record() -> None:
    def epoch(number: int, loss: float) -> EpochRecord:
        return EpochRecord(
            phase="hisso",
            epoch=number,
            epochs_total=2,
            update=1,
            episodes=1,
            lr=0.1,
            train_loss=loss,
            val_loss=-loss,
            reward_mean=2 * loss,
            reward_std=3 * loss,
            val_reward_mean=4 * loss,
        )

    history = [epoch(1, 1.0), epoch(2, 10.0)]
    assert best_epoch_figures(history, 1) == {
        "train_loss": 1.0,
        "val_loss": -1.0,
        "reward_mean": 2.0,
        "reward_std": 3.0,
        "val_reward_mean": 4.0,
    }
    assert best_epoch_figures(history, 2)["train_loss"] == 10.0
    assert set(best_epoch_figures(history, 0).values()) == {None}


def test_figures_are_means_and_spreads_key_by_key() -> None:
    entries = [
        {"seed": 4, "best_epoch": 2, "val_loss": 1.0, "portfolio_metrics": {"sharpe": 0.5}},
        {"seed": 5, "best_epoch": 9, "val_loss": 2.0, "portfolio_metrics": {"sharpe": 0.1}},
        {"seed": 6, "best_epoch": 0, "val_loss": 6.0, "portfolio_metrics": {"sharpe": 0.0}},
    ]
    found = figures_over_seeds(entries)
    assert found["val_loss"] == 3.0
    assert found["spread"]["val_loss"] == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert found["portfolio_metrics"]["sharpe"] == pytest.approx(0.2)
    assert found["spread"]["portfolio_metrics"]["sharpe"] == pytest.approx(math.sqrt(0.07))
    assert found["per_seed"] == entries
    assert set(found) == {"val_loss", "portfolio_metrics", "per_seed", "spread"}


@pytest.mark.parametrize("values", [(None, 1.0), (None, {"sharpe": 1.0}), (None, None)])
def test_what_one_seed_lacks_has_no_mean(values: Any) -> None:
    found = figures_over_seeds([{"val_loss": value} for value in values])
    assert found["val_loss"] is found["spread"]["val_loss"] is None


def state(seed: int, value: float | None, *, monitor: str = "val_reward", epoch: int = 3) -> Any:
    best = None
    if value is not None:
        best = Best(value=value, epoch=0, weights=None, buffers={})  # type: ignore[arg-type]
    return SimpleNamespace(
        **{"seed": seed, "best": best, "monitor": monitor, "epoch": epoch, "episodes": 10},
        **{"history": [], "best_epoch": 0},
    )


@pytest.mark.parametrize(
    ("monitor", "values", "winner"),
    [
        ("val_reward", (1.0, 3.0, 2.0), 1),
        ("val_loss", (1.0, 3.0, 0.5), 2),
        ("val_reward", (2.0, 2.0, 1.0), 0),
        ("val_loss", (None, 2.0, 2.0), 1),
    ],
)
def test_the_best_seed_is_the_first_with_the_best_monitor(
    monitor: str, values: Any, winner: int
) -> None:
    group = [state(seed, value, monitor=monitor) for seed, value in enumerate(values)]
    assert best_of(group) is group[winner]


def test_no_seed_is_best_where_none_was_judged() -> None:
    assert best_of([]) is best_of([state(0, None), state(1, None)]) is None


def test_a_group_is_as_far_as_its_furthest_seed_and_has_the_episodes_of_all() -> None:
    group = [state(0, 1.0, epoch=2), state(1, 3.0, epoch=5)]
    for each in group:
        each.history = [SimpleNamespace(phase="hisso")] * each.epoch
    figures = training_figures(group)
    assert (figures["epoch"], figures["episodes"], figures["monitor_value"]) == (5, 20, 2.0)
    assert [entry["epoch"] for entry in figures["per_seed"]] == [2, 5]


def test_a_single_seed_has_neither_list_nor_spread() -> None:
    figures = training_figures([state(0, 1.0)])
    assert not {"per_seed", "spread"} & set(figures)
