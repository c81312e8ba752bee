"""Code of the user's may leave anything of the process changed: the run is the same to the bit."""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import meddling
import trials
from faults import exit_code_of, in_child
from psann.run.directory.paths import RunPaths
from psann.run.verification.verify import verify_run
from thinning import thinned
from trials import bit_differences, metrics_of, rows_of, write_config

PLACES = {
    "import": "data.loader=meddling_at_import.market",
    "loader": "data.loader=meddling.market",
    "reward": "hisso.reward=meddling.log_growth",
}
# Of these a run need not tell: nothing that a process has one of is changed.
UNTOLD = ("fork", "thread", "level names", "log record factory", "logging.shutdown")


def in_a_process(folder: Path, place: str, names: str) -> RunPaths:
    """A run in a process of its own, whose whole life is its own; it must end with exit code 0."""
    folder.mkdir(exist_ok=True)
    write_config(folder)

    def work() -> int:
        os.environ[meddling.WITH] = names
        sys.modules.pop("meddling_at_import", None)  # of another test in this process
        warnings.resetwarnings()  # of the suite, in which each is an error
        outcome = trials.trial(folder, "training.threads=1", "training.epochs=2", PLACES[place])
        return outcome.exit_code

    assert exit_code_of(in_child(work)) == 0
    return RunPaths(folder / "out" / "run")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunPaths]:
    """By place, the run without meddling, made once."""
    # What torch imports when determinism is switched: here, so that no child has to.
    importlib.import_module("torch._inductor.config")
    folder = tmp_path_factory.mktemp("undisturbed")
    return cache(lambda place: in_a_process(folder / place, place, "nothing"))


def rows_but_for_told(paths: RunPaths) -> list[tuple[str, ...]]:
    kept = ("level", "event", "phase", "epoch", "message")
    rows = [tuple(row[name] for name in kept) for row in rows_of(paths)]
    return [row for row in rows if "put back" not in row[-1] and "sha256" not in row[-1]]


def rows_of_the_table() -> Iterator[Any]:
    """Every setting alone at every place; in the fast suite all at once, and six of them."""
    names = [*meddling.MEDDLERS]
    for place in PLACES:
        for name in names:
            yield pytest.param(name, place, marks=pytest.mark.slow, id=f"{name}-{place}")
        marks = [pytest.mark.slow] if place == "loader" else []
        yield pytest.param("everything", place, marks=marks, id=f"everything-{place}")
    n_groups = -(-len(names) // 6)
    for number, place in zip(range(n_groups), itertools.cycle(PLACES), strict=False):
        group = names[number::n_groups]
        marks = [pytest.mark.slow] if number else []
        yield pytest.param(",".join(group), place, marks=marks, id=f"{', '.join(group)}-{place}")


@pytest.mark.parametrize(("names", "place"), [*rows_of_the_table()])
def test_a_run_is_the_same_to_the_bit_whatever_foreign_code_changes(
    names: str, place: str, tmp_path: Path, undisturbed: Callable[[str], RunPaths]
) -> None:
    paths = in_a_process(tmp_path, place, names)
    plain = undisturbed(place)
    assert rows_but_for_told(paths)[1:] == rows_but_for_told(plain)[1:]
    assert bit_differences(plain, paths) == []
    assert verify_run(paths.root).findings == ()
    assert {oct(path.stat().st_mode & 0o777) for path in paths.root.glob("*.json")} == {"0o644"}
    told = [row["message"] for row in rows_of(paths) if "put back" in row["message"]]
    settings = [each for message in told for each in message.split(": put")[0].split(", ")]
    n_told = sum(name not in UNTOLD for name in names.split(","))
    assert len(settings) >= n_told and bool(settings) == bool(n_told)
    assert len(set(told)) == len(told)


def test_code_that_closes_descriptors_of_others_ends_the_run_and_spoils_no_other_file(
    tmp_path: Path,
) -> None:
    """As code that makes itself a daemon does; what it opens then has the numbers of our files."""
    write_config(tmp_path)
    told, tell = os.pipe()

    def work() -> int:
        def close_all(rewards: Tensor) -> Tensor:
            held = os.dup2(tell, 1000)
            os.closerange(3, 500)
            for number in range(40):
                os.open(tmp_path / f"theirs-{number}", os.O_RDWR | os.O_CREAT)
            assert held == 1000
            trials.TROUBLE.plan(0)
            return rewards

        trials.TROUBLE.plan(3, close_all)
        outcome = trials.trial(tmp_path, "training.checkpoint_every_s=1e-6", trials.TROUBLED)
        os.write(1000, str(outcome.message).encode())
        return outcome.exit_code

    child = in_child(work)
    os.close(tell)
    message = os.read(told, 10_000).decode()
    os.close(told)
    assert exit_code_of(child) == 1
    assert "code that the run called has closed descriptors that it did not open" in message
    theirs = list(tmp_path.glob("theirs-*"))
    assert len(theirs) == 40
    assert {path.stat().st_size for path in theirs} == {0}
    assert verify_run(tmp_path / "out" / "run").errors == ()


@pytest.mark.parametrize("place", thinned(reversed(PLACES)))
def test_signals_are_heeded_after_foreign_code_took_them(place: str, tmp_path: Path) -> None:
    write_config(tmp_path)

    def work() -> int:
        os.environ[meddling.WITH] = "signals"
        warnings.resetwarnings()
        endless = ("training.epochs=100000", "training.engine=eager")
        return trials.trial(tmp_path, *endless, PLACES[place]).exit_code

    child = in_child(work)
    wait_for(lambda: len(rows_of(RunPaths(tmp_path / "out" / "run"), "epoch")) > 5)
    os.kill(child, signal.SIGTERM)
    assert exit_code_of(child) == 143
    assert metrics_of(RunPaths(tmp_path / "out" / "run"))["status"] == "preempted"


def wait_for(condition: Callable[[], bool]) -> None:
    while True:
        try:
            if condition():
                return
        except FileNotFoundError:
            continue
