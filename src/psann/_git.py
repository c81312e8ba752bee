"""Which commit the current directory is at, asked so that the directory has no say.

A repository's own configuration names programs: filters, hooks, monitors, remotes. Its `HEAD` is
read here, and git is asked about changes in a scratch repository without any configuration but the
user's, that borrows index and objects.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_TIMEOUT_S = 2.0
_MAX_BYTES = 2**24
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"ref: (refs/[\w./-]+)")
_STATUS = ("git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2")
_OPTIONS = ("--untracked-files=no", "--ignore-submodules=all")


def git_state() -> dict[str, Any] | None:
    """Commit and cleanliness of the repository around the current directory.

    Returns
    -------
    dict or None
        `commit` (None before the first) and `dirty` (None if git cannot tell: it is not there, or
        takes more than 2 s); None without a repository.
    """
    try:
        here = Path.cwd()
        tree = next(path for path in (here, *here.parents) if (path / ".git").exists())
        own = tree / ".git"
        if own.is_file():  # of a further work tree
            own = tree / _read(own).removeprefix("gitdir: ").strip()
        shared = own / (_read(own / "commondir").strip() or ".")
        head = _read(own / "HEAD").strip()
        if (ref := _REF.fullmatch(head)) is not None:
            head = _read(own / ref[1]).strip() or _read(shared / ref[1]).strip()
            head = head or _packed(shared, ref[1])
        commit = head if _COMMIT.fullmatch(head) else None
        return {"commit": commit, "dirty": _is_dirty(tree, own, shared, commit)}
    except (OSError, StopIteration, ValueError):
        return None


def _read(path: Path) -> str:
    """A file of the repository, empty if there is none."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8") as file:
        return file.read(_MAX_BYTES)


def _packed(shared: Path, ref: str) -> str:
    lines = _read(shared / "packed-refs").splitlines()
    return next((line[: -len(ref) - 1] for line in lines if line.endswith(f" {ref}")), "")


def _is_dirty(tree: Path, own: Path, shared: Path, commit: str | None) -> bool | None:
    with tempfile.TemporaryDirectory(prefix="psann-git-") as scratch:
        home = Path(scratch)
        (home / "refs").mkdir()
        (home / "HEAD").write_text(f"{commit or 'ref: refs/heads/main'}\n")
        if commit is not None and len(commit) == 64:
            version = "[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = sha256\n"
            (home / "config").write_text(version)
        borrowed = {
            "GIT_DIR": scratch,
            "GIT_WORK_TREE": str(tree),
            "GIT_INDEX_FILE": str(own / "index"),
            "GIT_OBJECT_DIRECTORY": str(shared / "objects"),
            # Only looking: no lock is taken, and nothing fetched.
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
        }
        try:
            done = subprocess.run(
                [*_STATUS, *_OPTIONS],
                cwd=scratch,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=True,
                env={**os.environ, **borrowed},
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return bool(done.stdout)
