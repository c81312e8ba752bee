"""Where a run came from: versions, code, machine, settings; and no secret among them."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psann._text import mask_secrets, utc_text
from psann.errors import FileFormatError
from psann.run.directory.files import read_json
from psann.run.directory.lock import boot_id
from psann.run.directory.storage import Storage

SCHEMA_VERSION = 1

_PACKAGES = ("psann", "torch", "numpy", "scikit-learn", "pydantic", "safetensors", "PyYAML")
_ENVIRONMENT = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_ID",
    "SLURM_JOB_NODELIST",
    "SLURM_RESTART_COUNT",
)
_GIT_TIMEOUT_S = 2.0


def describe_start(argv: Sequence[str]) -> dict[str, Any]:
    """Describe one start of a run; nothing in here can make the run fail.

    Returns
    -------
    dict
        Argument list, versions, code, machine, process and the allowed environment variables;
        secrets masked.
    """
    entry = {
        "started_utc": utc_text(time.time()),
        "argv": list(argv),
        "versions": _versions(),
        "git": _git_state(),
        "machine": {
            "host": platform.node(),
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "cores": _cores(),
        },
        "process": {"pid": os.getpid(), "boot_id": boot_id()},
        "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    }
    masked: dict[str, Any] = mask_secrets(entry)
    return masked


def save_start(storage: Storage, path: Path, entry: Mapping[str, Any]) -> None:
    """Add one start to the list in `provenance.json`.

    Raises
    ------
    FileFormatError
        If the file is there and is not a list of starts of this version.
    """
    try:
        starts = read_starts(path) if path.exists() else []
    except ValueError as error:
        raise FileFormatError(
            f"{path} must hold the starts of a run (schema version {SCHEMA_VERSION}): {error}. "
            "Move the run directory away and start anew."
        ) from None
    content = {"schema_version": SCHEMA_VERSION, "starts": [*starts, dict(entry)]}
    storage.put(path, json.dumps(content, indent=2, allow_nan=False).encode() + b"\n")


def read_starts(path: Path) -> list[dict[str, Any]]:
    """Read `provenance.json`: what `describe_start` returned at each start, the newest last.

    Raises
    ------
    OSError
        If the file is not there, or cannot be read.
    ValueError
        If it does not list the starts of a run.
    """
    content = read_json(path)
    starts = content.get("starts")
    if (
        content.get("schema_version") != SCHEMA_VERSION
        or not isinstance(starts, list)
        or not all(isinstance(start, dict) for start in starts)
    ):
        raise ValueError("it must list the starts of a run")
    return starts


def _cores() -> int | None:
    """Count the cores that this process may use, which a scheduler may have narrowed."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _versions() -> dict[str, str | None]:
    # This import and the next cost more than the rest of the module, which every command loads.
    from importlib import metadata

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _git_state() -> dict[str, Any] | None:
    """Commit and cleanliness of the working directory's repository, None without one."""
    import subprocess

    command = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch"]
    try:
        # Only looking: no lock is taken, no watcher that the repository names is started.
        done = subprocess.run(
            [*command, "--untracked-files=no"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_TIMEOUT_S,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    heads = [line.removeprefix("# branch.oid ") for line in lines if "branch.oid" in line]
    commit = heads[0] if heads and heads[0] != "(initial)" else None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
