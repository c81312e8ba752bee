"""Processes and the boot of this machine: the facts by which a process is known to be dead."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path


def boot_id() -> str | None:
    """Identity of this boot of the machine: with host and pid it tells a dead process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def this_process() -> dict[str, object]:
    """What tells this process from every other, on any machine."""
    return {"pid": os.getpid(), "host": platform.node(), "boot_id": boot_id()}


def is_of_this_boot(who: Mapping[str, object]) -> bool:
    """Whether a process was one of this machine since it was started: its death shows here then.

    Parameters
    ----------
    who : mapping
        As from `this_process`, maybe of another machine; another boot may be one of that name.
    """
    here = this_process()
    return all(who.get(name) == here[name] for name in ("host", "boot_id"))


def booted_at() -> float:
    """When this machine was started, in seconds since 1970; 0 where it does not say."""
    try:
        return time.time() - float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError):
        return 0.0


def is_alive(pid: int, beat_s: float | None = None) -> bool:
    """Whether a process lives; one that is over and that nobody has waited for does not.

    Parameters
    ----------
    beat_s : float, optional
        A time, in seconds since 1970, at which it lived: its number may be another's by now.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _answers(pid)
    # The name in brackets may hold anything; after it: state, then from field 4 on numbers.
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return False
    started_s = booted_at() + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return beat_s is None or started_s <= beat_s + 1.0


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
