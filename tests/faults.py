"""Runs that are hurt on purpose, and what must hold afterwards.

`FaultyCalls` stands between a run and the disk; `assert_sound` is what any instant of a run
directory must satisfy, `assert_survives` that going on leaves what an unhurt run leaves.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import inspect
import json
import os
import random
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from psann._signals import stop_requests
from psann.errors import FileFormatError, TrainingInterrupted
from psann.run.directory import storage
from psann.run.directory.fields import FIELDS
from psann.run.directory.paths import RunPaths
from psann.run.execution.observer import RunObserver
from psann.run.execution.resume import read_resume_point
from psann.run.verification.verify import verify_run
from trials import TROUBLE, finished, metrics_of, trial

# A warm start, five epochs, a commit after each.
SETTINGS = (
    "hisso.supervised={epochs: 1}",
    "training.epochs=5",
    "training.checkpoint_every_s=0.000001",
)
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE)

# What training makes of the same numbers is the same to the bit; times and machine are not.
_EPOCH_COLUMNS = (
    *("phase", "seed", "epoch", "update", "episodes", "train_loss", "val_loss", "reward_mean"),
    *("reward_std", "reward_min", "reward_max", "val_reward_mean", "turnover", "entropy"),
    *("grad_norm", "lr", "amp_scale", "skipped_updates", "is_best"),
)
_LIVING_FIELDS = frozenset(
    [
        *("run_id", "run_name", "started_utc", "updated_utc", "finished_utc", "heartbeat"),
        *("duration_seconds", "throughput_eps_per_sec", "timing", "hardware", "artefacts"),
        *("resumes", "resume_exact", "resume_differences"),
    ]
)


class Killed(BaseException):
    """The end of a process, for everything that it could still have done to the disk."""


class FaultyCalls(storage.SystemCalls):
    """Counts the calls that matter to the disk, from 1; at the chosen one does something else.

    Parameters
    ----------
    place : int
        The call to hurt; 0 hurts none.
    act : callable
        Gets this object, the call's name, the call, and its arguments.
    lasting : bool
        Whether every later call that would take room on the disk is hurt too.
    """

    def __init__(
        self, place: int = 0, act: Callable[..., Any] | None = None, *, lasting: bool = False
    ) -> None:
        self.made: list[str] = []
        self.has_fired = False
        self.is_dead = False
        self._place = place
        self._act = act
        self._lasting = frozenset({"write", "mkdir", "fsync"} if lasting else ())
        self._written: set[int] = set()
        for name in ("write", "fsync", "ftruncate", "rename", "link", "unlink", "mkdir"):
            setattr(self, name, self._watch(name, getattr(os, name)))
        self.open = self._watch("open", self._open)
        self._watched_close = self._watch("close", self._close)

    def close(self, fd: int) -> None:
        # The kernel closes what a dead process held; closing what was only read changes nothing.
        if fd in self._written and not self.is_dead:
            self._watched_close(fd)
        else:
            self._close(fd)

    def die(self) -> None:
        self.is_dead = True
        raise Killed

    def _open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        fd = os.open(path, flags, *args, **kwargs)
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._written.add(fd)
        return fd

    def _close(self, fd: int) -> None:
        self._written.discard(fd)
        os.close(fd)

    def _watch(self, name: str, call: Callable[..., Any]) -> Any:
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self.is_dead:
                raise Killed
            self.made.append(name)
            is_later = self.has_fired and name in self._lasting
            if self._act is not None and (len(self.made) == self._place or is_later):
                self.has_fired = True
                return self._act(self, name, lambda: call(*args, **kwargs), args)
            return call(*args, **kwargs)

        return watched


def kill(calls: FaultyCalls, name: str, call: Callable[[], Any], args: Any) -> None:
    """Before the call."""
    calls.die()


def kill_within(calls: FaultyCalls, name: str, call: Callable[[], Any], args: Any) -> None:
    """In the middle of a write; after any other call, which has no middle."""
    if name == "write":
        os.write(args[0], bytes(args[1])[: max(1, len(args[1]) // 2)])
    else:
        with suppress(OSError):
            call()
    calls.die()


def fail_with(number: int) -> Callable[..., Any]:
    """An error of the system instead of the call; a descriptor is closed even so."""

    def act(calls: FaultyCalls, name: str, call: Callable[[], Any], args: Any) -> None:
        if name == "close":
            call()
        raise OSError(number, os.strerror(number))

    return act


@contextmanager
def calls_in_use(calls: storage.SystemCalls) -> Iterator[None]:
    """Give every storage that is made meanwhile these calls."""
    with patch.object(storage, "SystemCalls", lambda: calls):
        yield


def hurt(
    folder: Path,
    *settings: str,
    place: int,
    act: Callable[..., Any],
    lasting: bool = False,
    **request: Any,
) -> Any:
    """A trial with a fault; its outcome, or None when it was killed. The fault must fire."""
    calls = FaultyCalls(place, act, lasting=lasting)
    outcome = None
    try:
        with calls_in_use(calls):
            outcome = trial(folder, *settings, **request)
    except Killed:
        pass
    bury(folder)
    assert calls.has_fired, f"call {place} was never made"
    return outcome


def bury(folder: Path) -> None:
    """End the process and the machine whose runs are over, as far as files stand for their locks.

    A fault ends a run within the process of the tests, which lives on.
    """
    for held in folder.rglob(".lock.held"):
        held.write_bytes(b'{"host": "gone"}')
        os.utime(held, (0, 0))


def n_calls(folder: Path, *settings: str, **request: Any) -> int:
    """How many calls a whole trial makes."""
    return counted(folder, *settings, **request)[1]


def epoch_rows(paths: RunPaths) -> list[tuple[str, ...]]:
    """The deterministic columns of the epoch rows."""
    with paths.events.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["event"] == "epoch"]
    return [tuple(row[name] for name in _EPOCH_COLUMNS) for row in rows]


def result_of(paths: RunPaths) -> dict[str, Any]:
    """Everything about a finished run that must not depend on how often it was interrupted."""
    metrics = metrics_of(paths)
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths.checkpoints.glob("*.safetensors")
    }
    return {
        "files": digests,
        "rows": epoch_rows(paths),
        "metrics": {name: metrics[name] for name in FIELDS if name not in _LIVING_FIELDS},
        "manifest": json.loads(paths.manifest.read_bytes()),
    }


def assert_sound(paths: RunPaths) -> None:
    """What any instant of a run directory must satisfy, whoever was killed in it."""
    if paths.metrics.exists():  # else nothing is claimed yet
        errors = verify_run(paths.root).errors
        assert not errors, "; ".join(map(str, errors))


def assert_survives(
    folder: Path, expected: dict[str, Any], *settings: str, name: str = "run", **request: Any
) -> None:
    """Sound now; after `--resume`, the unhurt run's result and nothing left over."""
    paths = RunPaths(folder / "out" / name)
    assert_sound(paths)
    finished(folder, *settings, name=name, resume=True, **request)
    assert_sound(paths)
    ours = result_of(paths)
    for part, value in expected.items():
        assert ours[part] == value, f"{part} differ: {ours[part]} instead of {value}"
    left = [path.name for path in paths.root.rglob("*") if path.suffix == ".tmp"]
    left += [path.name for path in paths.resume_states if path.exists()]
    assert not left


def unhurt(folder: Path, *settings: str, **request: Any) -> dict[str, Any]:
    """The result of a run that nothing happens to."""
    return counted(folder, *settings, **request)[0]


def counted(folder: Path, *settings: str, **request: Any) -> tuple[dict[str, Any], int]:
    """Result of a run that nothing happens to, and how many calls it makes."""
    calls = FaultyCalls()
    with calls_in_use(calls):
        paths = finished(folder, *settings, **request)
    return result_of(paths), len(calls.made)


def assert_survives_kills(
    folder: Path,
    expected: dict[str, Any],
    hits: Iterable[tuple[int, Callable[..., Any]]],
    *settings: str,
) -> None:
    """A run for each hit: killed there, it must survive."""
    for place, act in hits:
        print(f"{act.__name__} at call {place}")
        home = folder / f"{place}-{act.__name__}"
        hurt(home, *settings, place=place, act=act)
        assert_survives(home, expected, *settings)


@contextmanager
def stopped_after(moment: int) -> Iterator[None]:
    """Make the run stop by itself, as by SIGTERM, after so many launches and epochs."""
    seen = 0

    def stopping(method: Callable[..., None]) -> Callable[..., None]:
        def call(observer: RunObserver, *args: Any) -> None:
            nonlocal seen
            method(observer, *args)
            seen += 1
            if seen == moment:
                raise TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)

        return call

    with (
        patch.object(RunObserver, "on_launch", stopping(RunObserver.on_launch)),
        patch.object(RunObserver, "on_epoch", stopping(RunObserver.on_epoch)),
    ):
        yield
    assert seen >= moment, f"the run was over before moment {moment}"


def let_time_pass(patch: pytest.MonkeyPatch, *, at_update: int, minutes: float) -> None:
    """Plan that for the time limit of a troubled run so much time passes in one update."""
    passed_s = [0.0]
    options = inspect.unwrap(stop_requests).__kwdefaults__
    patch.setitem(options, "clock", lambda: passed_s[0])

    def pass_time(rewards: Tensor) -> Tensor:
        passed_s[0] = 60 * minutes
        return rewards

    TROUBLE.plan(at_update, pass_time)


def assert_survives_stops(
    folder: Path, expected: dict[str, Any], moments: Iterable[int], *settings: str
) -> None:
    """A run for each moment: stopped there, between two updates or epochs, it must survive.

    Call it where a launch is one update, so that there are moments within an epoch.
    """
    for moment in moments:
        print(f"stop after moment {moment}")
        home = folder / f"stop-{moment}"
        with stopped_after(moment):
            assert trial(home, *settings).exit_code == 143
        assert_survives(home, expected, *settings)


def assert_notices_damage(paths: RunPaths, *, n_damages: int, draw: random.Random) -> None:
    """Flip a bit of the resume state or cut it, again and again: none may be read."""
    paths.previous.unlink(missing_ok=True)
    whole = paths.last.read_bytes()
    for k in range(n_damages):
        damaged = bytearray(whole)
        if k % 4 == 0:
            del damaged[draw.randrange(len(whole)) :]
        else:
            damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        paths.last.write_bytes(damaged)
        with pytest.raises(FileFormatError):
            read_resume_point(paths)
    paths.last.write_bytes(whole)


def killed_runs(folder: Path, n_runs: int, *settings: str) -> Iterator[RunPaths]:
    """Runs whose processes were killed at random instants; SETTINGS by default.

    One that was killed before it had made its directory is left out.
    """
    settings = settings or SETTINGS
    total = n_calls(folder / "counted", *settings)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for k in range(n_runs):
        place, act = draw.randrange(1, total), draw.choice((kill, kill_within))
        print(f"{act.__name__} at call {place} of {total}")
        paths = RunPaths(folder / str(k) / "out" / "run")

        def work(folder: Path = folder / str(k), place: int = place, act: Any = act) -> int:
            torch.set_num_threads(1)  # a forked child has no worker threads to wait for
            hurt(folder, *settings, place=place, act=act)
            return 0

        assert exit_code_of(in_child(work)) == 0
        if paths.root.exists():
            yield paths


def in_child(work: Callable[[], int]) -> int:
    """Fork, work there, and leave with the exit code that the work returns; its process id."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        except BaseException:  # noqa: BLE001 - nothing of the child may run on in the parent's code
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


@contextmanager
def lock_held(paths: RunPaths) -> Iterator[int]:
    """The id of another process, which holds the lock of a run directory until it is killed."""
    ready, tell = os.pipe()

    def hold() -> int:
        storage.Storage(paths.root).lock(paths.lock)
        os.write(tell, b"!")
        signal.pause()
        return 1

    child = in_child(hold)
    os.close(tell)
    try:
        assert os.read(ready, 1) == b"!"
        yield child
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def exit_code_of(child: int) -> int:
    """Wait for a child; minus the signal when one killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
