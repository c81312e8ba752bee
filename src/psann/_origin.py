"""Where a result comes from: versions, code, machine, settings; and no secret among them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from functools import cache

from psann._git import git_state
from psann._machine import boot_id
from psann._text import mask_secrets, utc_text

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
    """Describe one start of a command; nothing in here can make it fail.

    Returns
    -------
    dict
        Argument list, versions, code, machine, process and the allowed environment variables;
        secrets masked.
    """
    entry = {
        "started_utc": utc_text(time.time()),
        # In the C locale the bytes of a path come as lone surrogates, which are no JSON text.
        "argv": [
            word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            for word in argv
        ],
        "versions": versions(),
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


def _cores() -> int | None:
    """Count the cores that this process may use, which a scheduler may have narrowed."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


@cache
def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that a result hangs on; None of one that is absent."""
    # This import costs more than all the rest.
    from importlib import metadata

    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
