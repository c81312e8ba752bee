"""S1, S2: a signal commits at the next launch, wherever the process lives and whatever it lacks."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from faults import (
    SETTINGS,
    FaultyCalls,
    assert_sound,
    assert_survives,
    calls_in_use,
    exit_code_of,
    in_child,
)
from forked import close_streams
from psann.run.directory.paths import RunPaths
from psann.run.execution.claim import claim_directory
from psann.scripts.hisso_log_run import main
from thinning import thinned
from trials import metrics_of, rows_of, trial, write_config

SIGNALS = (
    [signal.SIGTERM],
    [signal.SIGHUP],
    [signal.SIGTERM, signal.SIGTERM],
    [signal.SIGINT],
    [signal.SIGUSR1],
)


def n_claiming(folder: Path) -> int:
    """How many calls claim a directory: until then a signal has its usual effect.

    More where a file stands for the lock.
    """
    calls = FaultyCalls()
    with calls_in_use(calls):
        storage, _ = claim_directory(RunPaths(folder / "out" / "run"), overwrite=False)
    n = len(calls.made)
    storage.close()
    return n


class TellingCalls(FaultyCalls):
    """Writes a byte to a pipe at one call."""

    def __init__(self, place: int, tell: int) -> None:
        super().__init__(place, self._tell)
        self._pipe = tell

    def _tell(self, calls: object, name: str, call: Callable[[], Any], args: Any) -> Any:
        os.write(self._pipe, b"!")
        return call()


def code_of_signalled(
    folder: Path, place: int, numbers: Sequence[signal.Signals], *options: str
) -> int:
    """The exit code of a run that gets signals at a call; by the command where it has options."""
    told, tell = os.pipe()

    def train() -> int:
        with calls_in_use(TellingCalls(place, tell)):
            if options:
                return main([*arguments_in(folder), *options])
            return trial(folder, *SETTINGS).exit_code

    child = in_child(train)
    assert os.read(told, 1) == b"!"
    for number in numbers:
        os.kill(child, number)
    code = exit_code_of(child)
    os.close(told)
    os.close(tell)
    return code


@pytest.mark.parametrize(
    "numbers", thinned(SIGNALS, 3), ids=lambda numbers: "-".join(n.name for n in numbers)
)
@pytest.mark.parametrize("n_rounds", [1, pytest.param(10, marks=pytest.mark.chaos)])
def test_signal_at_a_random_instant_commits_and_goes_on(
    tmp_path: Path,
    total: int,
    expected: dict[str, Any],
    numbers: Sequence[signal.Signals],
    n_rounds: int,
) -> None:
    n_first = n_claiming(tmp_path / "claimed")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    exit_code, status = (130, "interrupted") if signal.SIGINT in numbers else (143, "preempted")
    for k in range(n_rounds):
        folder = tmp_path / str(k)
        place = draw.randrange(n_first + 1, total * 3 // 4)
        print(f"signal at call {place} of {total}")
        code = code_of_signalled(folder, place, numbers)
        paths = RunPaths(folder / "out" / "run")
        assert_sound(paths)
        # What has left its last launch behind when the signal comes gets to its end.
        assert (code, metrics_of(paths)["status"]) in ((exit_code, status), (0, "completed"))
        assert_survives(folder, expected, *SETTINGS)


def test_signal_that_ends_a_claim_leaves_a_directory_to_the_next_start(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    n_first = n_claiming(tmp_path / "claimed")
    for place in sorted({1, n_first}):
        folder = tmp_path / str(place)
        code = code_of_signalled(folder, place, (signal.SIGHUP,))
        # The signal may be late, as the process goes on after it has told its place.
        recorded = (folder / "out" / "run" / "metrics.json").exists()
        assert (code, recorded) in ((-signal.SIGHUP, False), (143, True))
        assert_survives(folder, expected, *SETTINGS)


@pytest.mark.parametrize(("heeded", "code"), [("USR2", 143), ("TERM,HUP", -signal.SIGUSR2)])
def test_only_the_signals_that_were_asked_for_are_heeded(
    heeded: str, code: int, tmp_path: Path, expected: dict[str, Any]
) -> None:
    place = n_claiming(tmp_path / "claimed") + 20
    asked = ("--preempt-signals", heeded)
    assert code_of_signalled(tmp_path, place, (signal.SIGUSR2,), *asked) == code
    assert_survives(tmp_path, expected, *SETTINGS)


def arguments_in(folder: Path) -> list[str]:
    """The command line of the run of this matrix."""
    arguments = ["--config", str(write_config(folder)), "--output-dir", str(folder / "out")]
    arguments += ["--run-name", "run", "--quiet"]
    return [*arguments, *(word for setting in SETTINGS for word in ("--set", setting))]


NOISE = b"a library shouts"


def without_streams() -> None:
    close_streams(NOISE)


def without_a_reader() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    os.dup2(writer, 2)


def without_home() -> None:
    os.environ.pop("HOME", None)
    os.environ.pop("USER", None)
    os.chdir("/")


@pytest.mark.parametrize("deprive", [without_streams, without_a_reader, without_home])
def test_run_needs_no_streams_no_reader_no_home_and_no_directory(
    tmp_path: Path, expected: dict[str, Any], deprive: Callable[[], None]
) -> None:
    arguments = arguments_in(tmp_path)

    def work() -> int:
        deprive()
        # pytest has put its own objects in the place of these.
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        return main(arguments)

    if deprive is without_streams:

        def work() -> int:
            deprive()
            return main(arguments)

    code = exit_code_of(in_child(work))
    paths = RunPaths(tmp_path / "out" / "run")
    assert metrics_of(paths)["status"] == "completed"
    assert code in (0, 1) if deprive is without_a_reader else code == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if NOISE in path.read_bytes()]
    assert_survives(tmp_path, expected, *SETTINGS)


def as_process_1(work: Callable[[], int]) -> int:
    """The exit code of work in the first process of a namespace of its own, as a container has."""
    mapping = f"0 {os.getuid()} 1"
    new_user_and_pid = 0x10000000 | 0x20000000
    if ctypes.CDLL(None).unshare(new_user_and_pid) != 0:
        return CANNOT
    Path("/proc/self/uid_map").write_text(mapping)
    return exit_code_of(in_child(lambda: work() if os.getpid() == 1 else 98))


CANNOT = 97


def test_run_that_is_process_1_heeds_a_signal(tmp_path: Path) -> None:
    """As in a container: process 1 has no default for any signal."""
    # Eagerly: a compiler would take its tens of seconds between one launch and the next.
    long = ("--set", "training.epochs=100000", "--set", "training.engine=eager")
    arguments = [*arguments_in(tmp_path), *long]
    paths = RunPaths(tmp_path / "out" / "run")
    outside = in_child(lambda: as_process_1(lambda: main(arguments)))
    children = Path(f"/proc/{outside}/task/{outside}/children")
    try:
        while not (paths.events.exists() and rows_of(paths, "epoch")):
            if os.waitid(os.P_PID, outside, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.01)
        else:
            os.kill(int(children.read_text().split()[0]), signal.SIGTERM)
    except BaseException:  # a failure must not leave a run behind
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
        raise
    if (code := exit_code_of(outside)) == CANNOT:
        pytest.skip("this machine makes no process namespaces")
    assert code == 143
    assert metrics_of(paths)["status"] == "preempted"
    assert_sound(paths)
