"""Whether a run that says it is running does: the lock, the process, the boot, the heartbeat.

A killed process cannot say that it is dead, and a copy does not know of its original. Both are
told from facts in the run directory and on this machine; nothing is written.
"""

from __future__ import annotations

import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from psann._machine import boot_id, booted_at, is_alive
from psann._text import seconds_of
from psann.run.directory.fields import OVER, Record
from psann.run.directory.lock import STALE_AFTER_S, is_locked, read_holder
from psann.run.directory.paths import RunPaths
from psann.run.directory.provenance import read_starts

CLOCKS_DIFFER_S = 10.0
"""A heartbeat that is this far in the future was written by another clock."""
DEAD, STALE, UNKNOWN = "dead", "stale", "unknown"
_COPY = "this is a copy that was made while it ran"


@dataclass(frozen=True)
class Liveness:
    """The true status of a run, and in one sentence how it is known."""

    status: str
    """As in `metrics.json`, or `dead` (killed; --resume goes on), `stale` (was running when it
    was copied or last seen), `unknown` (no readable record)."""
    reason: str


def judge(paths: RunPaths, metrics: Record, *, now: float | None = None) -> Liveness:
    """Find the true status of a run.

    Parameters
    ----------
    metrics : mapping
        The fields `status` and `heartbeat` of `metrics.json`, None where it has none.
    now : float, optional
        Seconds since 1970; the clock's by default.

    Returns
    -------
    Liveness
        A run that has ended keeps its status, unless a resume holds the lock.
    """
    status = metrics["status"]
    if status is None:
        return Liveness(UNKNOWN, "metrics.json tells no status.")
    if status in OVER:
        return Liveness(status, "The run has ended.")
    if _is_locked(paths.lock):
        return Liveness("running", "A live process holds the lock.")
    if status != "running":
        return Liveness(status, "The run has ended.")
    heartbeat_s = seconds_of(metrics["heartbeat"])
    pid, host, boot = _owner(paths)
    if host is not None and host == platform.node():
        if pid is not None and boot in (None, boot_id()) and not is_alive(pid, heartbeat_s):
            gone = f"Its process {pid} is gone from this machine without a last word: it was killed"
            return Liveness(
                DEAD, f"{gone}, or code that it called ended it (os._exit), or {_COPY}."
            )
        if heartbeat_s is not None and heartbeat_s < booted_at():
            anew = "This machine has been started anew since: it was killed"
            return Liveness(DEAD, f"{anew}, or {_COPY}.")
    where = "an unknown machine" if host is None else host
    return _by_heartbeat(heartbeat_s, time.time() if now is None else now, where)


def _by_heartbeat(heartbeat_s: float | None, now: float, where: str) -> Liveness:
    """What is known of a run on another machine, or of a copy."""
    if heartbeat_s is None:
        return Liveness(STALE, f"It was running on {where}; the record does not say when.")
    age_s = now - heartbeat_s
    if age_s < -CLOCKS_DIFFER_S:
        return Liveness(
            STALE,
            f"It was running on {where}, whose clock was {_age(-age_s)} ahead of this one: its "
            "heartbeat, from the future, proves nothing.",
        )
    if age_s <= STALE_AFTER_S:
        return Liveness("running", f"It ran on {where} {_age(age_s)} ago.")
    return Liveness(
        STALE,
        f"It was running on {where} {_age(age_s)} ago, by the newest record here: refresh the "
        "copy, or look on that machine whether it lives.",
    )


def _is_locked(lock: Path) -> bool:
    try:
        return is_locked(lock)
    except OSError:  # no right to open it
        return False


def _owner(paths: RunPaths) -> tuple[int | None, str | None, str | None]:
    """Process id, host, and boot of the newest start, by its lock, else by its provenance."""
    named = read_holder(paths.lock)
    if not (isinstance(named.get("pid"), int) and isinstance(named.get("host"), str)):
        named = {}
        with suppress(OSError, ValueError):  # told of where provenance is read
            last = (read_starts(paths.provenance) or [{}])[-1]
            told = [last.get("machine"), last.get("process")]
            named = {k: v for part in told if isinstance(part, dict) for k, v in part.items()}
    pid, host, boot = (named.get(name) for name in ("pid", "host", "boot_id"))
    return (
        pid if type(pid) is int and 0 < pid < 2**31 else None,
        host if isinstance(host, str) else None,
        boot if isinstance(boot, str) else None,
    )


def _age(seconds: float) -> str:
    for limit_s, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit_s:
            return f"{max(0, seconds) / unit_s:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
