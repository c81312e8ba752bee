"""Which device computes, with how many threads; facts about both for the record."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import torch

from psann.errors import DeviceError

# Below this many multiply-adds per update one thread is as fast as several, and on a busy
# machine much faster: idle OpenMP workers spin.
_WORK_PER_THREAD = 50_000_000


def resolve_device(name: str) -> torch.device:
    """Torch device of a name; `auto` is the first CUDA device, else the CPU.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.

    Raises
    ------
    DeviceError
        If the name is none of these, or a CUDA device that this machine does not have: an
        explicit device never falls back in silence.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda(?::([0-9]+))?", name)
    if match is None:
        raise DeviceError(f"device must be cpu, cuda, cuda:N or auto; got {name!r}.")
    index = int(match[1] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise DeviceError(
            f"device must be one that this machine has; got {name!r} with {count} CUDA devices "
            f"(torch {torch.__version__}). Use auto or cpu, or check the driver."
        )
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """Name of the device for a person: the card's, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def hardware_facts(
    device: torch.device, *, threads: int | None = None, engine: str | None = None
) -> dict[str, Any]:
    """Facts of the machine; `threads` and `engine` are what training takes of those at hand."""
    import resource  # not on Windows, where runs are only read

    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return {
        "device": str(device),
        "device_name": device_name(device),
        "cores": os.cpu_count(),
        "threads": threads,
        "engine": engine,
        "threads_available": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit,
    }


def choose_threads(*, n_products: int, rows_per_update: int, available: int) -> int:
    """Threads that an update of this size can use; a pure function of the shapes.

    Parameters
    ----------
    n_products : int
        Multiply-adds of a row's forward pass; an update does three times as many.
    rows_per_update : int
        Rows in one forward pass.
    available : int
        Cores at hand.

    Returns
    -------
    int
        Between 1 and `available`.
    """
    work = 3 * n_products * rows_per_update
    return max(1, min(available, work // _WORK_PER_THREAD))


@contextlib.contextmanager
def thread_count(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
