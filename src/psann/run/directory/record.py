"""`metrics.json`: what a run knows about itself, valid from its first second."""

from __future__ import annotations

import hmac
import json
import math
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from psann._digest import sha256_of
from psann._strict_json import finite_json, to_json
from psann._text import utc_text
from psann.run.directory.fields import FIELDS, SCHEMA_VERSION, STATUSES, Record
from psann.run.directory.storage import Storage

FLUSH_INTERVAL_S = 2.0

_OWN = frozenset(
    {
        *("schema_version", "started_utc", "updated_utc", "finished_utc", "heartbeat"),
        *("duration_seconds", "nonfinite"),
    }
)


class RunRecord:
    """The summary of a run in memory, and its file once there is a directory for it.

    Every field of `FIELDS` is there from the first write, null until it is known.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    now : callable
        Seconds since 1970.

    Examples
    --------
    >>> record = RunRecord()
    >>> record.update(val_loss=float("nan"), best_epoch=3)
    >>> record.as_dict()["val_loss"], record.as_dict()["nonfinite"]
    (None, ['val_loss'])
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._now = now
        self._start_s = clock()
        self._storage: Storage | None = None
        self._path = Path()
        self._flushed_s = -math.inf
        self._flushed_status: str | None = None
        self._fields: dict[str, Any] = dict.fromkeys(FIELDS)
        self._nonfinite: dict[str, list[str]] = {}
        self._has_news = True
        self._updated_s = now()
        self._fields |= {
            "schema_version": SCHEMA_VERSION,
            "status": "running",
            "started_utc": utc_text(self._updated_s),
        }

    def go_on_from(self, earlier: Record) -> None:
        """Be the same run as an earlier start of it."""
        # All of it stays true until training knows more, but for how that start ended.
        ending = {*_OWN, "status", "error", "artefacts"} - {"started_utc"}
        known = {name: value for name, value in earlier.items() if value is not None}
        self._take({name: value for name, value in known.items() if name not in ending})
        self._fields["resumes"] = (earlier["resumes"] or 0) + 1
        self._start_s -= earlier["duration_seconds"] or 0.0

    def attach(self, storage: Storage, path: Path) -> None:
        """Give the record its file and write it."""
        self._storage = storage
        self._path = path
        self.flush(force=True)

    def close(self) -> None:
        """Leave the file as it is: whatever goes wrong now, a finished run stays finished."""
        self._storage = None

    @property
    def is_attached(self) -> bool:
        """Whether there is a file to write to."""
        return self._storage is not None

    @property
    def has_news(self) -> bool:
        """Whether it was told anything that its file does not say."""
        return self._has_news

    def update(self, **fields: Any) -> None:
        """Set fields in memory; `flush` writes them.

        Parameters
        ----------
        **fields : Any
            Values of `FIELDS`, but for the times and `nonfinite`, which the record keeps itself.

        Raises
        ------
        KeyError
            If a field does not exist, or the status is none of `STATUSES`: a bug of the caller.
        TypeError
            As `finite_json`.
        """
        unknown = [name for name in fields if name not in FIELDS or name in _OWN]
        if unknown or fields.get("status", "running") not in STATUSES:
            raise KeyError(f"metrics.json has no fields {unknown} or no such status: {fields}")
        self._take(fields)
        self._updated_s = self._now()
        if "status" in fields:
            is_over = fields["status"] != "running"
            self._fields["finished_utc"] = utc_text(self._updated_s) if is_over else None

    def _take(self, fields: Mapping[str, Any]) -> None:
        """Keep values as the file shows them: told once, they are written many times."""
        for name, value in fields.items():
            shown, self._nonfinite[name] = finite_json({name: value})
            self._fields |= shown
        self._has_news = True

    def fail(self, error: BaseException, *, status: str = "failed") -> None:
        """Record what ended the run."""
        self.update(status=status, error="".join(traceback.format_exception(error)))

    def flush(self, *, force: bool = False) -> None:
        """Write the file if that is due; cheap otherwise, so call it as often as convenient.

        Due is the first write, every change of status, and 2 s since the last write. Without a
        file this does nothing.

        Parameters
        ----------
        force : bool
            Write in any case: at a commit and at the end.

        Raises
        ------
        OSError
            If writing failed; the old file is still whole.
        """
        time_s = self._clock()
        is_due = (
            force
            or self._fields["status"] != self._flushed_status
            or time_s - self._flushed_s >= FLUSH_INTERVAL_S
        )
        if self._storage is None or not is_due:
            return
        self._storage.put(self._path, to_json(self.as_dict()))
        self._flushed_s, self._has_news = time_s, False
        self._flushed_status = self._fields["status"]

    def as_dict(self) -> Record:
        """Copy the record as its file shows it now: finite, masked, with its times.

        Returns
        -------
        dict
            Every field of `FIELDS`, in their order.
        """
        living = {
            "updated_utc": utc_text(self._updated_s),
            "heartbeat": utc_text(self._now()),
            "duration_seconds": round(self._clock() - self._start_s, 6),
        }
        nonfinite = [place for name in self._fields for place in self._nonfinite.get(name, ())]
        return cast(Record, {**self._fields, **living, "nonfinite": nonfinite})


def seal_of(metrics: Mapping[str, object], *, key: bytes | None = None) -> dict[str, Any]:
    """The content of `seal.json`: a digest of a record, or an HMAC; the order of keys is nothing.

    Examples
    --------
    >>> seal_of({"a": 1, "b": 2}) == seal_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(metrics, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    digest = sha256_of(text) if key is None else hmac.digest(key, text, "sha256").hex()
    kind = "sha256" if key is None else "hmac-sha256"
    return {"schema_version": SCHEMA_VERSION, "kind": kind, "digest": digest}
