"""Where a run came from: versions, code, machine, settings; and no secret among them."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from psann._machine import boot_id
from psann._text import mask_secrets, utc_text
from psann.errors import FileFormatError
from psann.run.directory.files import read_json
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


def describe_start(argv: Sequence[str]) -> dict[str, object]:
    """Describe one start of a run; nothing in here can make the run fail.

    Returns
    -------
    dict
        Argument list, versions, code, machine, process and the allowed environment variables;
        secrets masked.
    """
    # This import costs more than the rest of the module, which every command loads.
    from psann._git import git_state

    entry = {
        "started_utc": utc_text(time.time()),
        "argv": list(argv),
        "versions": _versions(),
        "git": git_state(),
        "machine": {
            "host": platform.node(),
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "cores": _cores(),
        },
        "process": {"pid": os.getpid(), "boot_id": boot_id()},
        "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    }
    masked: dict[str, object] = mask_secrets(entry)
    return masked


def save_start(storage: Storage, path: Path, entry: Mapping[str, object]) -> None:
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


def read_starts(path: Path) -> list[dict[str, object]]:
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


@cache
def _versions() -> dict[str, str | None]:
    # As the import above.
    from importlib import metadata

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
