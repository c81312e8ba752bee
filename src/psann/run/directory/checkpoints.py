"""Estimator files of a run and the manifest that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psann._digest import is_what, sha256_of
from psann._strict_json import finite_json, to_json
from psann.errors import FileFormatError
from psann.run.directory.files import read_json
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage, is_temporary

SCHEMA_VERSION = 1


class Checkpoints:
    """Writes estimators, already turned to bytes, into `checkpoints/`.

    A file is written first and the manifest after it. A kill between the two leaves a manifest
    that is one step old; each file carries its own digest. Whoever goes on drops the entries that
    are wrong by then, and writes those files again.

    Raises
    ------
    FileFormatError
        If there is a manifest that is not one of this version.
    """

    def __init__(self, storage: Storage, paths: RunPaths) -> None:
        self._storage = storage
        self._paths = paths
        storage.make_directory(paths.checkpoints)
        self._entries = {
            name: entry
            for name, entry in _read_entries(paths.manifest).items()
            if is_what(entry, paths.checkpoints / name)
        }

    def describe(self, name: str) -> dict[str, Any] | None:
        """Path from the run directory and manifest entry of a file, such as the `best` or `last`.

        None where there is none.
        """
        path = self._paths.study(name)
        if path.name not in self._entries:
            return None
        relative = path.relative_to(self._paths.root).as_posix()
        return {"path": relative, **self._entries[path.name]}

    def save(
        self, name: str, data: bytes, *, epoch: int, metric: float | None, seed: int | None = None
    ) -> None:
        """Write an estimator: the best one, replaced as training goes on, or one that stays.

        Parameters
        ----------
        name : str
            `best`, of the run; `best_seed`, of one of its seeds; `epoch`, after that; `warm_start`,
            after the supervised epochs; or the name of a training beside the main one, such as
            `fold_001`.
        epoch : int
            Epoch of its weights, 0 for the untrained candidate.
        seed : int, optional
            Its seed, where the run has several: all but the best of the run have a file of their
            own then.
        """
        paths = self._paths
        path = {"epoch": paths.epoch(epoch), "best_seed": paths.best}.get(name, paths.study(name))
        if seed is not None and name != "best":
            path = paths.of_seed(path, seed)
        whose = {} if seed is None else {"seed": seed}
        self._save(path, data, epoch=epoch, metric=metric, **whose)

    def save_kept_state(self, data: bytes, *, epoch: int) -> None:
        """Write a resume state that stays: `hisso-runs verify --replay` goes on from such."""
        self._save(self._paths.kept_state(epoch), data, epoch=epoch, metric=None)

    def save_last(self, data: bytes, *, epoch: int) -> None:
        """Write a resume state; the one before it, if it is whole, is kept as `previous`."""
        last, previous = self._paths.resume_states
        entry = self._entries.pop(last.name, None)
        # A damaged one must not take the place of what may be the only state that can be read.
        if entry is not None and is_what(entry, last):
            self._storage.rename(last, previous)
            self._entries[previous.name] = entry
        self._save(last, data, epoch=epoch, metric=None)

    def forget_resume_states(self) -> None:
        """Take resume states off the manifest; their files go when the run is on record as over."""
        for path in self._paths.resume_states:
            self._entries.pop(path.name, None)
        self._write_manifest()

    def _save(self, path: Path, data: bytes, **facts: float | None) -> None:
        self._storage.put(path, data)
        self._entries[path.name] = {"sha256": sha256_of(data), "bytes": len(data), **facts}
        self._write_manifest()

    def _write_manifest(self) -> None:
        files = dict(sorted(self._entries.items()))
        content, _ = finite_json({"schema_version": SCHEMA_VERSION, "files": files})
        self._storage.put(self._paths.manifest, to_json(content))
        self._entries = content["files"]


def remove_leftovers(paths: RunPaths, done: Mapping[str, Any]) -> None:
    """Remove what a run left that was killed right after its end, or copied just before it.

    Parameters
    ----------
    done : mapping
        Its last `metrics.json`, which names every file that is meant to stay.

    Raises
    ------
    RunLockedError
        If that process is not dead but at it.
    """
    kept = done.get("artefacts") or {}
    left = [
        path
        for path in paths.resume_states
        if path.exists() and path.relative_to(paths.root).as_posix() not in kept
    ]
    if not left and not any(is_temporary(path.name) for path in paths.root.rglob("*")):
        return
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        storage.clean()
        for path in left:
            if path.exists():
                storage.remove(path)


def _read_entries(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        content = read_json(path)
    except ValueError:
        content = {}
    entries = entries_of(content)
    if entries is None:
        raise FileFormatError(
            f"{path} must be a manifest of checkpoints (schema version {SCHEMA_VERSION}); it is "
            "not. Move the run directory away and start anew."
        )
    return entries


def entries_of(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a manifest says of each file, by name; None of what is no manifest of this version."""
    entries = content.get("files")
    is_ours = content.get("schema_version") == SCHEMA_VERSION and isinstance(entries, dict)
    return entries if is_ours else None
