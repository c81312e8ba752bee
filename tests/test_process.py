"""Settings of the process: foreign code's changes are seen, told of and undone."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from psann._process import LENT, RELIED_ON, put_back


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder, level = os.getcwd(), logging.getLogger().level
    yield
    os.chdir(folder)
    logging.getLogger().setLevel(level)


def _change_umask() -> None:
    os.umask(0o777)


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _silence_warnings() -> None:
    warnings.simplefilter("ignore")


def _change_folder() -> None:
    os.chdir("/")


def _set_variable() -> None:
    os.environ["OF_THE_LOADER"] = "1"


def _forget_variable() -> None:
    os.environ.pop("PATH")


def _silence_log() -> None:
    logging.disable(logging.CRITICAL)


def _take_output() -> None:
    sys.stdout = sys.stderr


CHANGES: list[tuple[Callable[[], None], str]] = [
    (_change_umask, "the umask"),
    (_ignore_ctrl_c, "a signal handler"),
    (_silence_warnings, "the warnings filters"),
    (_change_folder, "the current directory"),
    (_set_variable, "environment variables"),
    (_forget_variable, "environment variables"),
    (_silence_log, "the configuration of logging"),
    (_take_output, "sys.stdin, sys.stdout or sys.stderr"),
]


@pytest.mark.parametrize(("change", "name"), CHANGES)
def test_what_foreign_code_changes_is_put_back_and_told(
    change: Callable[[], None], name: str
) -> None:
    settings = (*RELIED_ON, *LENT)
    before = {setting.name: setting.get() for setting in settings}
    told = pytest.warns(UserWarning, match=f"the loader changed {name}: put back")
    with told, put_back(settings, who="the loader"):
        change()
    assert {setting.name: setting.get() for setting in settings} == before


def test_what_foreign_code_leaves_alone_is_not_told(recwarn: pytest.WarningsRecorder) -> None:
    with put_back((*RELIED_ON, *LENT), who="the loader"):
        pass
    assert not recwarn.list


def test_settings_are_put_back_when_foreign_code_fails() -> None:
    handler = signal.getsignal(signal.SIGINT)
    told, raised = pytest.warns(UserWarning), pytest.raises(ValueError, match="of the user")
    with told, raised, put_back(RELIED_ON, who="the loader"):
        _ignore_ctrl_c()
        raise ValueError("of the user")
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_setting_that_is_changed_at_every_call_is_told_once() -> None:
    told: set[str] = set()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(3):
            with put_back(RELIED_ON, who="the reward", told=told):
                _change_umask()
    assert len(seen) == 1


def test_a_file_opened_after_standard_error_was_closed_does_not_get_its_number(
    tmp_path: Path,
) -> None:
    program = (
        "import os, sys; os.close(2)\n"
        "from psann._process import fill_standard_descriptors\n"
        "fill_standard_descriptors()\n"
        "sys.stdout.write(str(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert int(done.stdout) > 2
