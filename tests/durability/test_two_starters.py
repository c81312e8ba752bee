"""L1: of several starters of one run, one has it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from faults import SETTINGS, assert_sound, exit_code_of, in_child, result_of
from psann.run.directory.paths import RunPaths
from thinning import slow
from trials import finished, metrics_of, trial, write_config


def race(folder: Path, *, n_starters: int = 2, **request: Any) -> list[int]:
    """Exit codes of starters that are let go at the same instant."""
    config = write_config(folder)
    gate, opener = os.pipe()

    def start() -> int:
        os.close(opener)
        os.read(gate, 1)  # returns when the last opener is closed
        return trial(folder, *SETTINGS, config=config, **request).exit_code

    children = [in_child(start) for _ in range(n_starters)]
    os.close(opener)
    codes = [exit_code_of(child) for child in children]
    os.close(gate)
    return sorted(codes)


@pytest.mark.parametrize("n_rounds", [1, slow(3), pytest.param(50, marks=pytest.mark.chaos)])
def test_one_of_two_starters_wins(tmp_path: Path, expected: dict[str, Any], n_rounds: int) -> None:
    n_locked = 0
    for k in range(20 * n_rounds):
        if k >= n_rounds and n_locked:
            break  # more rounds only where no two starters have met yet
        folder = tmp_path / str(k)
        winner, loser = race(folder)
        assert winner == 0
        # 2 where the winner was done before the other had begun.
        assert loser in (2, 75)
        n_locked += loser == 75
        paths = RunPaths(folder / "out" / "run")
        assert_sound(paths)
        assert result_of(paths) == expected
        assert list((folder / "out").iterdir()) == [paths.root]
    assert n_locked > 0, "no two starters ever met"


@pytest.mark.parametrize("n_rounds", [1, slow(2), pytest.param(30, marks=pytest.mark.chaos)])
def test_starters_that_set_an_old_run_aside_never_mix(
    tmp_path: Path, expected: dict[str, Any], n_rounds: int
) -> None:
    for k in range(n_rounds):
        folder = tmp_path / str(k)
        finished(folder, "training.epochs=1", "seed=1")
        codes = race(folder, n_starters=4, overwrite=True)
        assert codes[0] == 0
        assert set(codes) <= {0, 75}
        runs = [RunPaths(root) for root in (folder / "out").iterdir()]
        assert len(runs) == 1 + codes.count(0)
        for paths in runs:
            assert_sound(paths)
            is_old = metrics_of(paths)["seed"] == 1
            assert is_old or result_of(paths) == expected
