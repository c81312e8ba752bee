"""A run that is copied while it trains goes on elsewhere as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults import (
    SETTINGS,
    FaultyCalls,
    assert_sound,
    assert_survives,
    bury,
    calls_in_use,
    exit_code_of,
    hurt,
    in_child,
    kill,
    result_of,
)
from psann.run.directory.paths import RunPaths
from thinning import slow, thinned
from trials import finished, trial

NOBODY = 65534
ELSEWHERE = "läufe von gestern (кopie)"


class CopyingCalls(FaultyCalls):
    """From one call on, copies one file of a run before each further call, in the given order.

    That is a copy as slow as the run: each file is of another moment.
    """

    def __init__(self, place: int, paths: RunPaths, target: Path, order: random.Random) -> None:
        super().__init__()
        self._copy_from = place
        self._paths = paths
        self._target = target
        self._order = order
        self._waiting: list[Path] | None = None
        self.n_copied = 0

    def _watch(self, name: str, call: Callable[..., Any]) -> Any:
        counted = super()._watch(name, call)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if len(self.made) >= self._copy_from:
                self.copy_one()
            return counted(*args, **kwargs)

        return watched

    def copy_one(self) -> None:
        if self._waiting is None:
            self._waiting = [path for path in self._paths.root.rglob("*") if path.is_file()]
            self._order.shuffle(self._waiting)
        if self._waiting:
            path = self._waiting.pop()
            target = self._target / path.relative_to(self._paths.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                shutil.copyfile(path, target)
                self.n_copied += 1

    def finish(self) -> None:
        while self._waiting:
            self.copy_one()


@pytest.mark.parametrize("stride", [200, slow(130), pytest.param(3, marks=pytest.mark.chaos)])
def test_copy_of_many_moments_goes_on_elsewhere(
    tmp_path: Path, total: int, expected: dict[str, Any], stride: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    order = random.Random(seed)
    for place in range(10, total, stride):
        print(f"copy from call {place} of {total} on")
        folder, elsewhere = tmp_path / str(place), tmp_path / f"{place} {ELSEWHERE}"
        paths = RunPaths(folder / "out" / "run")
        calls = CopyingCalls(place, paths, elsewhere / "out" / "run", order)
        with calls_in_use(calls):
            finished(folder, *SETTINGS)
        calls.finish()
        assert calls.n_copied > 0
        assert_goes_on(elsewhere, expected)


def assert_goes_on(folder: Path, expected: dict[str, Any]) -> None:
    bury(folder)
    assert_survives(folder, expected, *SETTINGS)


@pytest.mark.parametrize("tool", thinned(["cp", "tar"]))
def test_copy_by_a_tool_goes_on_elsewhere(
    tmp_path: Path, total: int, expected: dict[str, Any], tool: str
) -> None:
    elsewhere = tmp_path / ELSEWHERE
    elsewhere.mkdir()
    begun, tell = os.pipe()

    class Telling(FaultyCalls):
        def _watch(self, name: str, call: Callable[..., Any]) -> Any:
            counted = super()._watch(name, call)

            def watched(*args: Any, **kwargs: Any) -> Any:
                if len(self.made) == total // 2:
                    os.write(tell, b"!")
                return counted(*args, **kwargs)

            return watched

    def train() -> int:
        with calls_in_use(Telling()):
            return trial(tmp_path, *SETTINGS).exit_code

    child = in_child(train)
    assert os.read(begun, 1) == b"!"
    script = {
        "cp": 'cp -r out "$1"',
        "tar": 'tar -cf copy.tar out; tar -xf copy.tar -C "$1"',  # tar warns of what has grown
    }[tool]
    subprocess.run(["sh", "-c", script, "sh", str(elsewhere)], cwd=tmp_path, check=False)
    assert exit_code_of(child) == 0
    os.close(begun)
    os.close(tell)
    for path in elsewhere.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)  # as another user's umask would have it
    assert_goes_on(elsewhere, expected)


def test_copy_goes_on_under_another_user(
    tmp_path: Path, total: int, expected: dict[str, Any]
) -> None:
    """Whoever may read the files may go on with a copy of them; the original is left alone."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    hurt(tmp_path, *SETTINGS, place=total // 2, act=kill)
    folder = Path(tempfile.mkdtemp(prefix=ELSEWHERE))  # the folders of pytest are closed to others
    try:
        shutil.copytree(tmp_path / "out", folder / "out")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)

        def go_on() -> int:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            return trial(folder, *SETTINGS, resume=True).exit_code

        assert exit_code_of(in_child(go_on)) == 0
        paths = RunPaths(folder / "out" / "run")
        assert_sound(paths)
        assert result_of(paths) == expected
        assert paths.best.stat().st_uid == NOBODY
    finally:
        shutil.rmtree(folder)
