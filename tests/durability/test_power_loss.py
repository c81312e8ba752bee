"""P1: whatever a disk holds after a power loss, the run goes on as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from faults import SETTINGS, hurt, kill
from power_loss import Journal, Step, assert_survives_power_loss, journal_of, lose_power
from thinning import slow


@pytest.mark.parametrize("n_losses", [3, slow(6), pytest.param(250, marks=pytest.mark.chaos)])
def test_power_loss_at_random_instants_loses_nothing(
    tmp_path: Path, expected: dict[str, Any], n_losses: int
) -> None:
    steps = journal_of(tmp_path / "journal")
    assert len(steps) > 200
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    assert_survives_power_loss(tmp_path, steps, expected, draw=draw, n_losses=n_losses)


@pytest.mark.parametrize("n_losses", [1, slow(3), pytest.param(50, marks=pytest.mark.chaos)])
def test_power_loss_in_a_resumed_start_loses_nothing(
    tmp_path: Path, total: int, expected: dict[str, Any], n_losses: int
) -> None:
    folder = tmp_path / "journal"
    hurt(folder, *SETTINGS, place=total // 2, act=kill)
    n_safe = len(Journal(folder).steps)
    steps = journal_of(folder, resume=True)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    assert_survives_power_loss(
        tmp_path, steps, expected, draw=draw, n_losses=n_losses, n_safe=n_safe
    )


def test_the_model_keeps_what_was_synced_and_only_that_for_sure(tmp_path: Path) -> None:
    steps = [
        Step("create", ("safe",), file=1),
        Step("write", file=1, content=b"synced"),
        Step("sync file", file=1),
        Step("sync folder", (".",)),
        Step("write", file=1, content=b"+more"),
        Step("create", ("fresh",), file=2),
        Step("rename", ("fresh", "renamed")),
    ]
    seen, names = set(), set()
    for seed in range(200):
        folder = tmp_path / str(seed)
        folder.mkdir()
        lose_power(steps, folder, random.Random(seed))
        seen.add((folder / "safe").read_bytes())
        names.add(frozenset(path.name for path in folder.iterdir()))
    assert seen == {b"synced+more"[:size] for size in range(6, 12)}
    assert names == {
        frozenset({"safe"}),
        frozenset({"safe", "fresh"}),
        frozenset({"safe", "renamed"}),
    }
