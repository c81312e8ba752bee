"""`metrics.json`: what a run knows about itself, valid from its first second."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from psann._text import mask_secrets, utc_text
from psann.run.paths import RunPaths
from psann.run.storage import Storage

SCHEMA_VERSION = 1
FLUSH_INTERVAL_S = 2.0
STATUSES = (
    "running",
    "completed",
    "early_stopped",
    "preempted",
    "interrupted",
    "diverged",
    "failed",
)

FIELDS = {
    "schema_version": "version of this table, a whole number",
    "status": "running, completed, early_stopped, preempted, interrupted, diverged or failed",
    "mode": "train, fine_tune or evaluate",
    "phase": "what the run is doing or did last",
    "run_id": "identity of the run, kept when it is resumed or moved",
    "run_name": "name of the run directory when the run began",
    "seed": "the seed in force; of several, the first",
    "monitor": "the quantity that chooses the best epoch",
    "monitor_value": "its value at the best epoch; of several seeds the mean, as for all figures",
    "epoch": "epochs done in the present phase",
    "epochs_total": "epochs planned in the present phase",
    "best_epoch": "epoch of the weights in best; 0 is the untrained candidate",
    "temperature": "what the outputs of the weights in best are divided by; null if not chosen",
    "train_loss": "mean over the updates of the best epoch of what the run minimises",
    "val_loss": "validation loss of the weights in best",
    "test_loss": "test loss of the weights in best",
    "reward_mean": "mean reward of the best epoch's training episodes",
    "reward_std": "their population standard deviation",
    "val_reward_mean": "reward per step over the validation span, weights in best",
    "test_reward_mean": "reward per step over the test span, weights in best",
    "episodes": "episodes sampled in the whole run",
    "transition_penalty": "cost per unit of traded weight in the training reward",
    "min_improvement": "what an epoch had to gain over epoch 0 to be kept",
    "trans_cost": "cost per unit of traded weight in validation and test figures",
    "throughput_eps_per_sec": "episodes per second of training",
    "device": "device that computed, as torch names it",
    "duration_seconds": "wall time of all starts up to this version of the file",
    "started_utc": "when the process began",
    "updated_utc": "when a value last changed",
    "finished_utc": "when the run ended; null while it runs",
    "heartbeat": "when the process was last alive to write this file",
    "best": "path, sha256 and epoch of the best estimator",
    "last": "path and epoch of the newest resume state",
    "resumes": "how often the run was resumed",
    "resume_exact": "whether every resume continued bit for bit; null without one",
    "resume_differences": "why a resume could not be exact",
    "portfolio_metrics": "of the actions of the weights in best on the evaluation prices",
    "portfolio_metrics_delay_1": "the same actions executed one row later",
    "baselines": "the same figures by baseline, on the same dates at the same cost",
    "versus_uniform": "annual log growth over 1/N, with a 95 % bootstrap interval",
    "versus_uniform_delay_1": "the same for the actions executed one row later",
    "deflated_sharpe": "probability that the true Sharpe ratio beats n_trials lucky ones",
    "n_trials": "candidates that this run compared to choose the policy; null in mode evaluate",
    "walk_forward": "figures of the folds' actions as one sequence; null if not asked for",
    "placebo": "growth over 1/N of trainings on shuffled moves; null if not asked for",
    "per_seed": "the figures of each of several seeds, in their order; null for a single one",
    "spread": "standard deviation (ddof=1) over the seeds of each figure; null for a single one",
    "ensemble": "figures of the mean of the seeds' actions; null for a single one",
    "timing": "seconds by kind of work",
    "hardware": "device name, cores, threads, engine, memory",
    "parent": "run id and sha256 of the estimator that training began from",
    "config_sha256": "digest of the configuration",
    "data_sha256": "digest of the data",
    "nonfinite": "names of the fields that are null because their value was not finite",
    "artefacts": "bytes and sha256 of each file, in the final version",
    "error": "full stack trace of what ended the run",
}
# Identity, times and machine: everything else is the same in every repetition of a run.
FIELDS_OF_THE_START = frozenset(
    {
        *("run_id", "run_name", "started_utc", "updated_utc", "finished_utc", "heartbeat"),
        *("duration_seconds", "throughput_eps_per_sec", "resumes", "resume_exact"),
        *("resume_differences", "timing", "hardware", "artefacts", "last"),
    }
)
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
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._now = now
        self._start_s = clock()
        self._storage: Storage | None = None
        self._path = Path()
        self._flushed_s = -math.inf
        self._flushed_status: str | None = None
        self._fields: dict[str, Any] = dict.fromkeys(FIELDS)
        self._updated_s = now()
        self._fields |= {
            "schema_version": SCHEMA_VERSION,
            "status": "running",
            "started_utc": utc_text(self._updated_s),
        }

    def go_on_from(self, earlier: Mapping[str, Any]) -> None:
        """Be the same run as an earlier start of it.

        Parameters
        ----------
        earlier : mapping
            Its `metrics.json`.
        """
        # All of it stays true until training knows more, but for how that start ended.
        ending = {*_OWN, "status", "error", "artefacts"} - {"started_utc"}
        self._fields |= {n: v for n, v in earlier.items() if n in FIELDS and n not in ending}
        self._fields["resumes"] = (earlier.get("resumes") or 0) + 1
        self._start_s -= earlier.get("duration_seconds") or 0.0

    def attach(self, storage: Storage, path: Path) -> None:
        """Give the record its file and write it.

        Parameters
        ----------
        storage : Storage
            The run directory.
        path : Path
            `metrics.json` in it.
        """
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
        """
        unknown = [name for name in fields if name not in FIELDS or name in _OWN]
        if unknown or fields.get("status", "running") not in STATUSES:
            raise KeyError(f"metrics.json has no fields {unknown} or no such status: {fields}")
        self._fields |= fields
        self._updated_s = self._now()
        if "status" in fields:
            is_over = fields["status"] != "running"
            self._fields["finished_utc"] = utc_text(self._updated_s) if is_over else None

    def fail(self, error: BaseException, *, status: str = "failed") -> None:
        """Record what ended the run.

        Parameters
        ----------
        error : BaseException
            The exception, with its traceback.
        status : str
            `failed` or `diverged`.
        """
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
        self._flushed_s = time_s
        self._flushed_status = self._fields["status"]

    def as_dict(self) -> dict[str, Any]:
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
        values, nonfinite = finite_json({**self._fields, **living})
        return {**values, "nonfinite": nonfinite}


def finite_json(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Turn values into what strict JSON can hold, with secrets masked.

    Parameters
    ----------
    fields : mapping
        Numbers, texts, flags, None, paths, and mappings and sequences of these.

    Returns
    -------
    values : dict
        The same with null for numbers that are not finite.
    nonfinite : list of str
        Dotted names of those numbers.

    Raises
    ------
    TypeError
        If a value is of another kind: a bug of the caller.
    """
    nonfinite: list[str] = []
    values = {str(key): _plain(item, str(key), nonfinite) for key, item in fields.items()}
    masked: dict[str, Any] = mask_secrets(values)
    return masked, nonfinite


def to_json(content: Mapping[str, Any]) -> bytes:
    """Encode as JSON for a person to read; NaN is an error."""
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def describe_artefacts(
    paths: RunPaths, *, leaving_out: Collection[Path] = ()
) -> dict[str, dict[str, Any]]:
    """Measure every file of a finished run, for `artefacts` in the last `metrics.json`.

    Parameters
    ----------
    paths : RunPaths
        The run directory.
    leaving_out : collection of Path
        Files that are about to go.

    Returns
    -------
    dict
        `bytes` and `sha256` by relative path; without `metrics.json` itself, the lock, and what
        earlier starts left.
    """
    found = {}
    for folder, _, names in os.walk(paths.root):
        for name in names:
            path = Path(folder) / name
            if path in (paths.metrics, paths.lock, *leaving_out) or path.is_relative_to(
                paths.attempts
            ):
                continue
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = path.stat().st_size
            relative = path.relative_to(paths.root).as_posix()
            found[relative] = {"bytes": size_bytes, "sha256": digest}
    return dict(sorted(found.items()))


def is_vouched_for(paths: RunPaths, record: Mapping[str, Any]) -> bool:
    """Whether every file that the record of a finished run names is there and is what it says.

    Parameters
    ----------
    paths : RunPaths
        The run directory.
    record : mapping
        Its `metrics.json`.
    """
    named = record.get("artefacts") or {}
    found = describe_artefacts(paths)
    return all(found.get(name) == entry for name, entry in named.items())


def _plain(value: Any, name: str, nonfinite: list[str]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | Path):
        # A lone surrogate, as in a file name of odd bytes, is no legal JSON text.
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if math.isfinite(value):
            return float(value)
        nonfinite.append(name)
        return None
    if isinstance(value, Mapping):
        items = value.items()
        return {str(key): _plain(item, f"{name}.{key}", nonfinite) for key, item in items}
    if isinstance(value, Sequence):
        return [_plain(item, f"{name}.{i}", nonfinite) for i, item in enumerate(value)]
    raise TypeError(f"JSON cannot hold {name} = {value!r}")
