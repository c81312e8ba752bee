"""Where the code came from, asked of a repository that may be a stranger's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from psann._git import git_state

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b")


def git(*command: str) -> str:
    done = subprocess.run([*GIT, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "repository"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (home / "a.txt").write_text("one")
    git("init", "-q", "-b", "main")
    git("add", "a.txt")
    git("commit", "-q", "-m", "one")
    return home


def test_commit_and_changes_of_the_repository_are_told(repository: Path) -> None:
    commit = git("rev-parse", "HEAD")
    (repository / "untracked").touch()
    assert git_state() == {"commit": commit, "dirty": False}
    (repository / "a.txt").write_text("two")
    assert git_state() == {"commit": commit, "dirty": True}


@pytest.mark.parametrize("place", ["below", "packed", "detached", "work tree", "sha256"])
def test_the_commit_is_found_wherever_it_is_written(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "below":
        (repository / "deep").mkdir()
        monkeypatch.chdir(repository / "deep")
    elif place == "packed":
        git("pack-refs", "--all")
        assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    elif place == "detached":
        git("checkout", "-q", "--detach")
    elif place == "work tree":
        git("worktree", "add", "-q", str(tmp_path / "other"))
        monkeypatch.chdir(tmp_path / "other")
    else:
        monkeypatch.chdir(tmp_path)
        git("init", "-q", "--object-format=sha256", "large")
        monkeypatch.chdir(tmp_path / "large")
        git("commit", "-q", "--allow-empty", "-m", "one")
    assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}


def test_looking_at_a_repository_runs_nothing_that_it_names(repository: Path) -> None:
    trap = repository / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\ncat\n")
    trap.chmod(0o755)
    for hook in ("post-index-change", "post-checkout", "pre-commit", "fsmonitor-watchman"):
        (repository / ".git" / "hooks" / hook).symlink_to(trap)
    for key in (
        *("core.fsmonitor", "filter.f.clean", "filter.f.process", "core.sshCommand", "core.pager"),
        *("diff.external", "diff.d.textconv", "diff.d.command", "core.editor", "pager.status"),
    ):
        git("config", key, str(trap))
    (repository / ".gitattributes").write_text("*.txt filter=f diff=d\n")
    (repository / "a.txt").write_text("two")
    assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": True}
    assert not (repository / "sprung").exists()


def test_what_git_does_not_say_is_recorded_as_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git("rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert git_state() == {"commit": commit, "dirty": None}
    (repository / ".git" / "HEAD").write_bytes(b"\xff")
    assert git_state() is None
    (repository / ".git" / "HEAD").unlink()
    os.mkfifo(repository / ".git" / "HEAD")  # nothing waits for a writer
    assert git_state() == {"commit": None, "dirty": None}


def test_without_a_repository_there_is_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_state() is None
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert git_state() is None
    monkeypatch.chdir(tmp_path)
