from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from psann._text import mask_secrets, utc_text
from psann.errors import FileFormatError
from psann.run.directory.provenance import boot_id, describe_start, save_start
from psann.run.directory.storage import Storage

SECRET = "hunter2"
SECRETS: list[Any] = [
    {"password": SECRET},
    {"db_Password": SECRET},
    {"api_key": SECRET},
    {"apiKey": SECRET},
    {"X-API-KEY": SECRET},
    {"HF_TOKEN": SECRET},
    {"client_secret": {"value": SECRET}},
    {"credentials": [SECRET, SECRET]},
    {"sentry_dsn": SECRET},
    {"outer": [{"inner": {"token": SECRET}}]},
    ["--set", f"data.kwargs.password={SECRET}"],
    ["--set", f"data.kwargs.password=two words {SECRET}"],
    ["--set", f"data.kwargs={{token: {SECRET}, name: nyse_o}}"],
    ["--api-key", SECRET],
    [f"--token={SECRET}"],
    f"postgres://me:{SECRET}@db.example/prices",
    f"postgres://me:a/{SECRET}@b@db.example/prices",
    f"https://{SECRET}@example.org/repository.git",
    f"cannot read s3://key:{SECRET}@bucket/a.npz, tried twice",
    f'{{"user": "me", "secret": "{SECRET}"}}',
    f"{{'passwd': 'a \\'quoted\\' {SECRET}', 'n': 1}}",
    f"connect(user='me', password='{SECRET}', port=1)",
    f"Authorization: Bearer {SECRET}",
    f"line one\ntoken = {SECRET}\nline three",
    (f"AWS_SECRET_ACCESS_KEY={SECRET}",),
]
HARMLESS: list[Any] = [
    {"password": None, "token": "", "secret": False, "seed": 3},
    {"y_key": "y_train", "monitor": "val_reward", "device": "cuda:0"},
    ["--config", "configs/hisso/nyse_o.yaml", "--set", "training.epochs=5", "--seed", "42"],
    "hisso.window must be a whole number of at least 2; got 1.",
    "https://www.rfc-editor.org/rfc/rfc4180",
    "see http://localhost:8080/runs and mail me at a@b.example",
    "pkg.mod:function",
    [1, 2.5, None, True],
]


@pytest.mark.parametrize("value", SECRETS, ids=str)
def test_secrets_are_masked_wherever_they_hide(value: Any) -> None:
    masked = json.dumps(mask_secrets(value))
    assert SECRET not in masked
    assert "***" in masked


@pytest.mark.parametrize("value", HARMLESS, ids=str)
def test_what_is_no_secret_stays_as_it_is(value: Any) -> None:
    assert mask_secrets(value) == value


def test_what_stands_around_a_secret_stays_readable() -> None:
    assert (
        mask_secrets(f"connect(user='me', password='{SECRET}', port=1)")
        == "connect(user='me', password='***', port=1)"
    )
    assert mask_secrets(f"get https://me:{SECRET}@host/a") == "get https://***@host/a"
    assert mask_secrets(["--token", SECRET, "--seed", "1"]) == ["--token", "***", "--seed", "1"]


def test_masking_changes_no_argument() -> None:
    value = {"a": [{"password": SECRET}]}
    mask_secrets(value)
    assert value == {"a": [{"password": SECRET}]}


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000 + " token", "token" * 20_000, "a://" * 25_000, "a." * 50_000 + "token"],
    ids=lambda text: text[:8],
)
def test_masking_a_huge_text_takes_no_quadratic_time(text: str) -> None:
    start_s = time.process_time()
    mask_secrets([text])
    assert time.process_time() - start_s < 5


def test_times_are_iso_8601_in_utc() -> None:
    assert utc_text(1_761_642_307.25) == "2025-10-28T09:05:07.250Z"


def test_a_start_says_versions_machine_process_and_facts() -> None:
    entry = describe_start(["hisso-log-run", "--seed", "1"], {"device": "cpu", "threads": 1})
    assert entry["argv"] == ["hisso-log-run", "--seed", "1"]
    assert entry["versions"]["python"] == sys.version.split()[0]
    assert {"psann", "torch", "numpy", "scikit-learn"} <= entry["versions"].keys()
    assert None not in entry["versions"].values()
    assert entry["machine"]["host"] == os.uname().nodename
    assert entry["process"] == {"pid": os.getpid(), "boot_id": boot_id()}
    assert (entry["device"], entry["threads"]) == ("cpu", 1)
    json.dumps(entry, allow_nan=False)


def test_only_allowed_environment_variables_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("MY_PRIVATE_THING", SECRET)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    entry = describe_start([], {})
    assert entry["environment"]["OMP_NUM_THREADS"] == "3"
    assert entry["environment"]["SLURM_JOB_ID"] == "77"
    assert "CUDA_VISIBLE_DEVICES" not in entry["environment"]
    assert SECRET not in json.dumps(entry)


def test_argument_list_and_facts_are_masked() -> None:
    entry = describe_start([f"--set=data.kwargs.token={SECRET}"], {"dsn": SECRET})
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
    assert describe_start([], {})["git"] == {"commit": commit.strip(), "dirty": False}
    (repository / "a.txt").write_text("two")
    assert describe_start([], {})["git"] == {"commit": commit.strip(), "dirty": True}


def test_looking_at_a_repository_runs_nothing_that_it_names(repository: Path) -> None:
    trap = repository / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", str(trap)], check=True)
    assert describe_start([], {})["git"] is not None
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
        assert describe_start([], {})["git"] == expected
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
