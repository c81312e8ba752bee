"""Where a result comes from, told without secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from psann._machine import boot_id
from psann._origin import describe_start

SECRET = "hunter2"


def test_a_start_says_versions_machine_and_process() -> None:
    entry = describe_start(["hisso-log-run", "--seed", "1"])
    assert entry["argv"] == ["hisso-log-run", "--seed", "1"]
    assert entry["versions"]["python"] == sys.version.split()[0]
    assert {"psann", "torch", "numpy", "scikit-learn"} <= entry["versions"].keys()
    assert None not in entry["versions"].values()
    assert entry["machine"]["host"] == os.uname().nodename
    assert entry["process"] == {"pid": os.getpid(), "boot_id": boot_id()}
    json.dumps(entry, allow_nan=False)


def test_only_allowed_environment_variables_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("MY_PRIVATE_THING", SECRET)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    entry = describe_start([])
    assert entry["environment"]["OMP_NUM_THREADS"] == "3"
    assert entry["environment"]["SLURM_JOB_ID"] == "77"
    assert "CUDA_VISIBLE_DEVICES" not in entry["environment"]
    assert SECRET not in json.dumps(entry)


def test_argument_list_is_masked() -> None:
    entry = describe_start([f"--set=data.kwargs.token={SECRET}"])
    assert SECRET not in json.dumps(entry)


def test_commit_and_changes_of_the_repository_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe_start([])["git"] is None
    subprocess.run(["git", "init", "-q"], check=True)
    assert describe_start([])["git"] == {"commit": None, "dirty": False}


def test_a_path_of_the_c_locale_is_written_as_what_it_is() -> None:
    argv = ["run", *(each.decode("ascii", "surrogateescape") for each in ("ä".encode(), b"x\xff"))]
    assert describe_start(argv)["argv"] == ["run", "ä", "x\\xff"]
