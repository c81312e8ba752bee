"""Estimator files of a run and the manifest that says what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from psann.errors import FileFormatError
from psann.run.paths import RunPaths
from psann.run.record import finite_json, to_json
from psann.run.storage import Storage

SCHEMA_VERSION = 1


class Checkpoints:
    """Writes estimators, already turned to bytes, into `checkpoints/`.

    A file is written first and the manifest after it. A kill between the two leaves a manifest
    that is one step old; the estimator file carries its own digest.

    Parameters
    ----------
    storage : Storage
        The run directory.
    paths : RunPaths
        Its file names.
    keep_checkpoints : bool
        Keep every checkpoint; otherwise only the best and the warm start are kept.

    Raises
    ------
    FileFormatError
        If there is a manifest that is not one of this version.
    """

    def __init__(self, storage: Storage, paths: RunPaths, *, keep_checkpoints: bool) -> None:
        self._storage = storage
        self._paths = paths
        self.keep_checkpoints = keep_checkpoints
        storage.make_directory(paths.checkpoints)
        self._entries = _read_entries(paths.manifest)

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        """The manifest's entries by file name."""
        return {name: dict(entry) for name, entry in self._entries.items()}

    def describe_best(self) -> dict[str, Any] | None:
        """Path from the run directory and manifest entry of the best estimator, if there is one."""
        path = self._paths.best
        if path.name not in self._entries:
            return None
        relative = path.relative_to(self._paths.root).as_posix()
        return {"path": relative, **self._entries[path.name]}

    def save_best(self, data: bytes, *, epoch: int, metric: float | None) -> None:
        """Replace the best estimator.

        Parameters
        ----------
        data : bytes
            The estimator file.
        epoch : int
            Epoch of its weights, 0 for the untrained candidate.
        metric : float or None
            Value of the monitor.
        """
        self._save(self._paths.best, data, epoch=epoch, metric=metric)

    def save_warm_start(self, data: bytes, *, epoch: int, metric: float | None) -> None:
        """Write the estimator after its supervised epochs; the parameters are `save_best`'s."""
        self._save(self._paths.warm_start, data, epoch=epoch, metric=metric)

    def save_epoch(self, data: bytes, *, epoch: int, metric: float | None) -> None:
        """Write the estimator after one epoch if checkpoints are kept, else nothing.

        The parameters are `save_best`'s.
        """
        if self.keep_checkpoints:
            self._save(self._paths.epoch(epoch), data, epoch=epoch, metric=metric)

    def _save(self, path: Path, data: bytes, *, epoch: int, metric: float | None) -> None:
        self._storage.put(path, data)
        entry = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "epoch": epoch,
            "metric": metric,
        }
        files = dict(sorted({**self._entries, path.name: entry}.items()))
        content, _ = finite_json({"schema_version": SCHEMA_VERSION, "files": files})
        self._storage.put(self._paths.manifest, to_json(content))
        self._entries = content["files"]


def _read_entries(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
        is_ours = content["schema_version"] == SCHEMA_VERSION
        entries = content["files"]
    except (ValueError, KeyError, TypeError):
        is_ours, entries = False, None
    if not is_ours or not isinstance(entries, dict):
        raise FileFormatError(
            f"{path} must be a manifest of checkpoints (schema version {SCHEMA_VERSION}); it is "
            "not. Move the run directory away and start anew."
        )
    return entries
