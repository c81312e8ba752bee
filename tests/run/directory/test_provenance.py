from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from psann.errors import FileFormatError
from psann.run.directory.provenance import boot_id, describe_start, save_start
from psann.run.directory.storage import Storage

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


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "a.txt").write_text("one")
    for command in (["init", "-q"], ["add", "a.txt"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_commit_and_changes_of_the_repository_are_recorded(repository: Path) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    (repository / "untracked").touch()
    assert describe_start([])["git"] == {"commit": commit.strip(), "dirty": False}
    (repository / "a.txt").write_text("two")
    assert describe_start([])["git"] == {"commit": commit.strip(), "dirty": True}


def test_looking_at_a_repository_runs_nothing_that_it_names(repository: Path) -> None:
    trap = repository / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", str(trap)], check=True)
    assert describe_start([])["git"] is not None
    assert not (repository / "sprung").exists()


@pytest.mark.parametrize("case", ["no repository", "no git", "no commit", "no directory"])
def test_missing_git_is_recorded_as_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    expected = None
    if case == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif case == "no commit":
        subprocess.run(["git", "init", "-q"], check=True)
        expected = {"commit": None, "dirty": False}
    elif case == "no directory":
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
    try:
        assert describe_start([])["git"] == expected
    finally:
        monkeypatch.chdir(tmp_path)


def test_each_start_adds_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    with Storage(tmp_path) as storage:
        for number in (1, 2, 3):
            save_start(storage, path, {"argv": [str(number)]})
    content = json.loads(path.read_bytes())
    assert content["schema_version"] == 1
    assert [start["argv"] for start in content["starts"]] == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1, "starts": 3}', "\xff"])
def test_damaged_file_is_refused_and_kept(content: str, tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    path.write_text(content, encoding="latin-1")
    with Storage(tmp_path) as storage, pytest.raises(FileFormatError, match=r"provenance\.json"):
        save_start(storage, path, {})
    assert path.read_text(encoding="latin-1") == content
