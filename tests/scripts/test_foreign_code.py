"""Code of the user's that a command calls may print, meddle, raise or leave: results stay whole."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from acting_runs import ActingRuns
from psann.errors import DataError, PsannError
from psann.run.acting.policy import Policy
from psann.scripts._foreign_code import with_foreign_code
from psann.scripts.hisso_runs import main


def test_what_code_of_the_users_prints_and_warns_of_is_not_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def talk() -> int:
        sys.stdout.write("printed\n")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("warned of db://me:pa55w0rd@host", stacklevel=1)
        return 7

    assert with_foreign_code(talk) == 7
    told = capsys.readouterr()
    assert told.out == ""
    assert "printed\n" in told.err and "WARNING warned of db://***@host" in told.err


def test_code_that_leaves_or_fails_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PsannError, match=r"ended Python: sys\.exit\(3\) \(at test_foreign_code"):
        with_foreign_code(lambda: sys.exit(3))
    with pytest.raises(PsannError, match=r"(?s)^Traceback.*in leave.*ZeroDivisionError"):
        with_foreign_code(leave)
    with pytest.raises(DataError, match=r"^a problem of the data$"):
        with_foreign_code(lambda: refuse("a problem of the data"))


def leave() -> float:
    return 1 / 0


def refuse(text: str) -> None:
    raise DataError(text)


def test_what_is_closed_or_replaced_is_there_again() -> None:
    code = """
import os, signal, sys
from psann.scripts._foreign_code import with_foreign_code

def meddle():
    os.chdir("/"), os.umask(0o777), signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ["COLUMNS"] = "7"
    os.close(0), os.close(1), os.close(2)
    sys.stderr = None

before = os.getcwd()
with_foreign_code(meddle)
assert (os.getcwd(), os.environ.get("COLUMNS")) == (before, None)
assert os.umask(0) != 0o777 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
print("written")
"""
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (0, "written\n"), done.stderr
    assert "the current directory" in done.stderr


def test_act_writes_its_table_whatever_the_policys_code_does(
    acting_runs: ActingRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(acting_runs.folder)
    words = ["act", str(acting_runs("prices")), "--data", "prices.csv", "--last"]
    assert main(words) == 0
    plain = capsys.readouterr().out
    act = Policy.act

    def meddling(*args: Any, **how: Any) -> Any:
        sys.stdout.write("here I am\n")
        weights = act(*args, **how)
        os.chdir(tmp_path)
        return weights

    monkeypatch.setattr(Policy, "act", meddling)
    assert main([*words, "--journal", str(tmp_path / "kept.jsonl")]) == 0
    told = capsys.readouterr()
    assert told.out == plain
    assert "here I am" in told.err and "changed the current directory: put back" in told.err
    assert Path.cwd() == acting_runs.folder
