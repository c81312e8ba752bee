"""What every test may rely on."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import runpy
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.doctest import DoctestModule
from _pytest.runner import runtestprotocol

# What distributes the tests runs none: it shall not wait for torch and pandas.
if TYPE_CHECKING:
    from acting_runs import ActingRuns

# Two workers on two cores need no threads of their own; and a forked child of a process that has
# some would wait for them for ever.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started under nohup or in the background of a script, the suite would inherit an ignored SIGHUP or
# SIGINT, which the command rightly leaves ignored; the tests of signals mean a process that was
# started plainly.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


# With `WITHOUT_LOCKS=ENOLCK` no process of the suite can lock a file.
runpy.run_path(str(Path(__file__).parent / "without_locks" / "sitecustomize.py"))


def pytest_configure(config: pytest.Config) -> None:
    """Let the fast suite write its many small files into memory, where that has room."""
    memory = Path("/dev/shm")
    if "not slow" not in config.option.markexpr or not os.access(memory, os.W_OK):
        return
    if shutil.disk_usage(memory).free > 4 * 2**30:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Of each test a worker tells how it went, not when it began, was set up, and was over.

    Six messages for each of thousands of tests are seconds of both processes.
    """
    if not hasattr(item.config, "workerinput"):
        return None
    for report in runtestprotocol(item, nextitem=nextitem, log=False):
        if report.when == "call" or not report.passed or report.duration > 0.05:
            report.keywords = {}  # a third of what it says of one that passed, and nobody reads it
            item.ihook.pytest_runtest_logreport(report=report)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """The examples that are run are those of the source: none are looked for in tests."""
    return [each for each in (yield) if not isinstance(each, DoctestModule)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names with an address in them: two workers would not agree on what there is to run."""
    nameless = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if nameless:
        raise pytest.UsageError(f"give {nameless[0]} and its likes ids of their own")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage pass over what stays to the end: modules, and the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_finish() -> None:
    """A thousand runs of a few markets ask the same three things: they are told once each.

    Not by fixtures, which would be asked for before each of thousands of tests. `test_git.py`,
    `evaluation/test_judgement.py` and `test_strict_yaml.py` ask without this.
    """
    from psann import _origin
    from psann.run.config import changes, load
    from psann.run.execution import figures, studies
    from psann.run.reading import reading
    from psann.run.sweep import config

    read = _of_the_same_bytes_once(load.read_config_file)
    for module in (changes, load, reading, config):
        vars(module)["read_config_file"] = read
    _origin.git_state = _of_this_repository_once(_origin.git_state)
    once = _of_the_same_rows_once(figures.judge_baselines)
    figures.judge_baselines = studies.judge_baselines = once


def _of_this_repository_once(
    ask: Callable[[], dict[str, Any] | None],
) -> Callable[[], dict[str, Any] | None]:
    """It is a process each time."""
    here, state = Path.cwd(), ask()

    def git_state() -> dict[str, Any] | None:
        with suppress(OSError):
            if Path.cwd() == here:
                return state
        return ask()

    return git_state


def _of_the_same_bytes_once(read: Callable[..., Any]) -> Callable[..., Any]:
    """The tree of a configuration is a function of what is in its file, and of the file's name."""
    trees: dict[tuple[str, bytes], bytes] = {}

    def read_config_file(path: str | os.PathLike[str], data: bytes | None = None) -> Any:
        from psann._strict_yaml import _read

        data = _read(os.fspath(path)) if data is None else data
        key = (os.path.basename(path), data)
        if key not in trees:
            trees[key] = pickle.dumps(read(path, data))
        return pickle.loads(trees[key])

    return read_config_file


def _of_the_same_rows_once(judge: Callable[..., Any]) -> Callable[..., Any]:
    """What stands beside a policy is a function of what it is given, and a sixth of a small run."""
    judged: dict[bytes, bytes] = {}

    def judge_baselines(*rows: Any, **how: Any) -> Any:
        key = pickle.dumps((rows, how))
        if key not in judged:
            judged[key] = pickle.dumps(judge(*rows, **how))
        return pickle.loads(judged[key])

    return judge_baselines


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger whose handlers are closed in the end."""
    # Outside the tree of loggers, so that pytest does not collect (and pass on) hostile texts.
    logger = logging.Logger("psann.test", logging.DEBUG)
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def pytest_runtest_teardown() -> None:
    """No trouble is left; a fixture would be set up and torn down for each of thousands."""
    if "trials" in sys.modules:
        sys.modules["trials"].TROUBLE.plan(0)


@pytest.fixture
def own_prices(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the table `prices.csv` of `own_prices.yaml`, in what is the working directory then."""
    from made_tables import prices, wide

    folder = tmp_path_factory.mktemp("own")
    monkeypatch.chdir(folder)
    return wide(folder / "prices.csv", prices(750, 5), ["AAA", "BBB", "CCC", "DDD", "EEE"])


@pytest.fixture(scope="session")
def acting_runs(tmp_path_factory: pytest.TempPathFactory) -> ActingRuns:
    """Small runs whose policies act; to be read only."""
    from acting_runs import ActingRuns

    return ActingRuns(tmp_path_factory.mktemp("acting"))


@pytest.fixture(scope="session")
def runs_of_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the golden runs of before the rooms; to be read only."""
    import golden_runs

    folder = tmp_path_factory.mktemp("before")
    golden_runs.unpack(folder, golden_runs.BEFORE)
    return folder


@pytest.fixture(scope="session")
def runs_of_now(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the golden runs as they are made now; to be read only."""
    import golden_runs

    folder = tmp_path_factory.mktemp("now")
    golden_runs.unpack(folder, golden_runs.NOW)
    return folder
