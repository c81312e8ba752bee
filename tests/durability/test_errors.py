"""E1, E2: a disk that refuses is named, loses nothing, and the run goes on when it takes again."""

from __future__ import annotations

import itertools
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from faults import (
    ERRORS,
    SETTINGS,
    assert_sound,
    assert_survives,
    calls_in_use,
    exit_code_of,
    fail_with,
    hurt,
    in_child,
)
from power_loss import Journal
from psann.run.directory.paths import RunPaths
from thinning import thinned
from trials import trial, write_config


def assert_refused(outcome: Any, text: str, paths: RunPaths) -> None:
    assert outcome.exit_code == 1
    assert text in str(outcome.message)
    assert_sound(paths)


@pytest.mark.parametrize(
    ("stride", "part", "lasting"),
    [
        (1100, 7, False),
        (1100, 782, True),
        # Every call, with one to three of the errors each; and a disk that stays full from it on.
        *(pytest.param(7, part, False, marks=pytest.mark.chaos) for part in range(3)),
        pytest.param(5, 0, True, marks=pytest.mark.chaos),
    ],
)
def test_error_of_any_call_is_named_and_loses_nothing(
    tmp_path: Path, total: int, expected: dict[str, Any], stride: int, part: int, lasting: bool
) -> None:
    hits = list(itertools.product(range(1, total + 1), ERRORS))
    for place, number in hits[part::stride]:
        print(f"{os.strerror(number)} at call {place} of {total}")
        folder = tmp_path / f"{place}-{number}"
        outcome = hurt(folder, *SETTINGS, place=place, act=fail_with(number), lasting=lasting)
        assert_refused(outcome, os.strerror(number), RunPaths(folder / "out" / "run"))
        assert_survives(folder, expected, *SETTINGS)


@pytest.mark.parametrize("stride", [99, pytest.param(2, marks=pytest.mark.chaos)])
def test_error_in_a_resumed_start_keeps_the_earlier_commit(
    tmp_path: Path, total: int, expected: dict[str, Any], stride: int
) -> None:
    for place in range(1 + stride // 2, total // 2, stride):
        folder = tmp_path / str(place)
        full = hurt(folder, *SETTINGS, place=total // 2, act=fail_with(ERRORS[0]), lasting=True)
        assert "the same command with --resume goes on from here." in str(full.message)
        paths = RunPaths(folder / "out" / "run")
        assert paths.last.exists()
        outcome = hurt(folder, *SETTINGS, place=place, act=fail_with(ERRORS[2]), resume=True)
        assert_refused(outcome, os.strerror(ERRORS[2]), paths)
        assert any(path.exists() for path in paths.resume_states) or outcome.record is None
        assert_survives(folder, expected, *SETTINGS)


def test_error_while_the_directory_is_let_go_is_named(tmp_path: Path, total: int) -> None:
    outcome = hurt(tmp_path, *SETTINGS, place=total, act=fail_with(ERRORS[2]))
    paths = RunPaths(tmp_path / "out" / "run")
    assert_refused(outcome, f"{os.strerror(ERRORS[2])} ({paths.root})", paths)


def largest_file(folder: Path) -> int:
    """Bytes of the largest file that a run ever writes."""
    folder.mkdir()
    journal = Journal(folder)
    with calls_in_use(journal):
        trial(folder, *SETTINGS)
    sizes: dict[int, int] = {}
    for step in journal.steps:
        if step.kind == "write":
            sizes[step.file] = sizes.get(step.file, 0) + len(step.content)
    return max(sizes.values())


@pytest.mark.parametrize("limit", thinned([0, 100, 5000, 2000, -1], 3))
def test_limit_on_the_size_of_files_is_named_and_loses_nothing(
    tmp_path: Path, expected: dict[str, Any], limit: int
) -> None:
    """-1 stands for a little less than the run needs: the digits of times vary from run to run."""
    if limit < 0:
        limit = int(0.97 * largest_file(tmp_path / "measured"))
    paths = RunPaths(tmp_path / "out" / "run")
    ready, tell = os.pipe()

    def limited() -> int:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        config = write_config(tmp_path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        outcome = trial(tmp_path, *SETTINGS, config=config)
        os.write(tell, str(outcome.message).encode())
        return outcome.exit_code

    code = exit_code_of(in_child(limited))
    message = os.read(ready, 10_000).decode()
    os.close(ready)
    os.close(tell)
    assert code == 1
    assert "File too large" in message
    assert_sound(paths)
    assert_survives(tmp_path, expected, *SETTINGS)
