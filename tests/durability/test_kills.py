"""K1, K2, K3: a run that is killed anywhere goes on as if nothing had happened."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from faults import (
    SETTINGS,
    assert_sound,
    assert_survives,
    assert_survives_kills,
    counted,
    exit_code_of,
    hurt,
    in_child,
    kill,
    kill_within,
    n_calls,
    result_of,
    unhurt,
)
from psann.run.directory.paths import RunPaths
from thinning import slow, thinned
from trials import finished, metrics_of, tree_of, trial

ARCHITECTURES = ("PSANNRegressor", "ResPSANNRegressor", "WaveResNetRegressor")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """A forked child has no worker threads to wait for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def killed_at(folder: Path, settings: tuple[str, ...], *, after_s: float) -> bool:
    """Start a run in a child and kill it after a while; whether that ended it."""
    ended, tell = os.pipe()
    child = in_child(lambda: trial(folder, *settings, resume=True).exit_code)
    os.close(tell)  # the child holds the other end: it closes when the child is gone
    is_alive = not select.select([ended], [], [], after_s)[0]
    if is_alive:
        os.kill(child, signal.SIGKILL)
    code = exit_code_of(child)
    os.close(ended)
    assert code in (-signal.SIGKILL, 0)  # it may have ended by itself just before
    return code != 0


@pytest.mark.parametrize("architecture", thinned(ARCHITECTURES))
@pytest.mark.parametrize("n_kills", [2, pytest.param(60, marks=pytest.mark.chaos)])
def test_sigkill_at_random_instants_loses_nothing(
    tmp_path: Path, architecture: str, n_kills: int
) -> None:
    settings = (*SETTINGS, f"estimator.target=psann.{architecture}")
    started_s = time.perf_counter()
    expected = unhurt(tmp_path / "unhurt", *settings)
    duration_s = time.perf_counter() - started_s
    seed = random.randrange(2**32)
    print(f"seed {seed}, {duration_s:.3f} s")
    draw = random.Random(seed)
    n_landed = n_tries = 0
    while n_landed < n_kills:
        n_tries += 1
        assert n_tries < 100 * n_kills, "the kills do not land"
        folder = tmp_path / str(n_tries)
        # Twice, so that a resumed start is killed too.
        for _ in range(2):
            has_landed = killed_at(folder, settings, after_s=draw.uniform(0, duration_s))
            n_landed += has_landed
            if not has_landed:
                duration_s *= 0.8  # the machine was busier when it was timed
            assert_sound(RunPaths(folder / "out" / "run"))
        assert_survives(folder, expected, *settings)


@pytest.mark.parametrize(
    ("every", "part"),
    [(281, 3)] + [pytest.param(4, part, marks=pytest.mark.chaos) for part in range(4)],
)
def test_kill_before_or_within_any_call_loses_nothing(
    tmp_path: Path, total: int, expected: dict[str, Any], every: int, part: int
) -> None:
    assert total > 250
    hits = [(place, act) for place in range(1, total + 1) for act in (kill, kill_within)]
    assert_survives_kills(tmp_path, expected, hits[part::every], *SETTINGS)


@pytest.mark.parametrize("every", [1001, pytest.param(13, marks=pytest.mark.chaos)])
def test_kill_of_a_run_of_several_seeds_loses_nothing(tmp_path: Path, every: int) -> None:
    settings = (*SETTINGS, "training.seeds=3", "training.patience=2", "training.lr=0.2")
    expected, total = counted(tmp_path / "unhurt", *settings)
    done = {entry["epoch"] for entry in expected["metrics"]["per_seed"]}
    assert len(done) > 1, "no seed stopped before the others"
    hits = [(place, act) for place in range(1, total + 1) for act in (kill, kill_within)]
    assert_survives_kills(tmp_path, expected, hits[every // 2 :: every], *settings)


@pytest.mark.parametrize("every", [120, pytest.param(3, marks=pytest.mark.chaos)])
def test_kill_within_a_resumed_start_loses_nothing(
    tmp_path: Path, total: int, expected: dict[str, Any], every: int
) -> None:
    for place in range(1, total // 2, every):
        folder = tmp_path / str(place)
        hurt(folder, *SETTINGS, place=total // 2, act=kill)
        hurt(folder, *SETTINGS, place=place, act=kill_within, resume=True)
        assert_survives(folder, expected, *SETTINGS)


@pytest.mark.parametrize(
    ("first", "every"), [(4, 200), slow((1, 110)), pytest.param(1, 2, marks=pytest.mark.chaos)]
)
def test_kill_of_an_overwriting_run_never_shows_the_old_one_as_the_new(
    tmp_path: Path, expected: dict[str, Any], first: int, every: int
) -> None:
    template = tmp_path / "template"
    old_settings = ("training.epochs=1", "seed=1")
    finished(template, *old_settings)
    total = n_calls(shutil.copytree(template, tmp_path / "counted"), *SETTINGS, overwrite=True)
    # The first calls set the old run aside.
    for place in (*range(1, 16, first), *range(16, total + 1, every)):
        folder = shutil.copytree(template, tmp_path / str(place))
        old = RunPaths(folder / "out" / "run")
        before = _without_lock(old)
        hurt(folder, *SETTINGS, place=place, act=kill_within, overwrite=True)
        assert_sound(old)
        aside = list((folder / "out").glob("run.replaced-*"))
        assert _without_lock(RunPaths(aside[0]) if aside else old) == before
        if aside:
            is_old = old.metrics.exists() and metrics_of(old)["seed"] == 1
            assert not is_old
            if place % 3 == 1:
                assert_survives(folder, expected, *SETTINGS)
        elif place % 4 == 1:  # nothing has happened to the old run yet
            finished(folder, *SETTINGS, overwrite=True)
            assert result_of(old) == expected


def _without_lock(paths: RunPaths) -> dict[str, str]:
    lock = paths.lock.name  # and what stands for it, which a kill leaves behind
    return {name: digest for name, digest in tree_of(paths.root).items() if lock not in name}
