"""Whether a run directory is what it claims to be; reads everything, executes and changes nothing.

The directory may come from a stranger: links are not followed, sizes are looked at before files
are read, and whatever is wrong becomes a finding.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from psann._strict_json import parse_strict
from psann.errors import ConfigError, FileFormatError, RunLockedError, UsageError
from psann.run.config.load import dump_resolved, load_run_config
from psann.run.directory.fields import problems_of_record
from psann.run.directory.lock import check_lock
from psann.run.directory.packing import MAX_LIST_BYTES, check_packing
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import is_temporary
from psann.run.verification.findings import Finding, Verdict
from psann.run.verification.log import check_best, check_log

_MAX_ENTRIES = 100_000
_MAX_JSON_BYTES = 64 * 2**20
_MAX_FILE_BYTES = 4 * 2**30
_OVER = ("completed", "early_stopped")
_SEED = r"(_seed[0-9]+)?"
_CHECKPOINT = re.compile(
    rf"checkpoints/((best|warm_start|epoch_[0-9]{{6,}}|(fold|placebo)_[0-9]{{3}}){_SEED}"
    r"|state_[0-9]{6,})\.safetensors"
)


def verify_run(root: Path | str) -> Verdict:
    """Check everything that a run directory promises.

    Parameters
    ----------
    root : Path or str
        The run directory, finished, stopped, killed or alive.

    Returns
    -------
    Verdict
        Findings on metrics.json (strict JSON, fields, status), artefacts (bytes, sha256, nothing
        unlisted), checkpoints (digests, manifest), log (rows, epochs, best epoch), configuration.

    Raises
    ------
    UsageError
        If there is no directory.
    """
    if not Path(root).is_dir():
        raise UsageError(f"RUN_DIR must be a run directory; {root} is none.")
    return _Inspection(RunPaths(Path(root))).verdict()


class _Inspection:
    """One look at one directory."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self.findings: list[Finding] = []
        self.sizes: dict[str, int] = {}
        """Bytes of each regular file, by its path from the run directory."""
        self.log_lengths: dict[str, int] = {}
        """Length of the log by the resume state that vouches for it."""
        self.left_out: frozenset[str] = frozenset()
        """Files that an archive was made without."""

    def verdict(self) -> Verdict:
        self._scan()
        metrics = self._metrics()
        if metrics is not None:
            self._check_packing()
            is_over = metrics["status"] in _OVER
            if is_over and self._is_torn_copy(metrics["artefacts"]):
                is_over, metrics = False, {**metrics, "artefacts": None}
            self._check_liveness(metrics)
            self._check_manifest(metrics, is_over=is_over)
            self._check_tensors()
            log = self._read("events.csv", _MAX_FILE_BYTES)
            self._check_artefacts(metrics, log, is_over=is_over)
            self._check_log(metrics, log, is_over=is_over)
            self._check_evaluation(metrics, is_over=is_over)
            self._check_config()
            self._check_provenance()
        status = None if metrics is None else metrics["status"]
        return Verdict(findings=tuple(self.findings), n_files=len(self.sizes), status=status)

    def error(self, file: str, message: str) -> None:
        self.findings.append(Finding(file, message, True))

    def note(self, file: str, message: str) -> None:
        self.findings.append(Finding(file, message, False))

    # --- files -----------------------------------------------------------------------------------

    def _scan(self) -> None:
        """List regular files; everything else but plain directories is an error."""
        folders, n_entries = [self.paths.root], 0
        while folders:
            folder = folders.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as problem:
                self.error(self._name(folder), f"cannot be listed: {problem.strerror}")
                continue
            n_entries += len(entries)
            if n_entries > _MAX_ENTRIES:
                self.error(".", f"holds more than {_MAX_ENTRIES} files; the rest is not checked")
                return
            for entry in entries:
                self._enter(Path(entry.path), folders)

    def _enter(self, path: Path, folders: list[Path]) -> None:
        name = self._name(path)
        try:
            status = path.lstat()
        except FileNotFoundError:
            return  # a live process has just replaced it
        except OSError as problem:
            self.error(name, f"cannot be looked at: {problem.strerror}")
            return
        if stat.S_ISREG(status.st_mode):
            self.sizes[name] = status.st_size
        elif stat.S_ISDIR(status.st_mode):
            folders.append(path)
        else:
            kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no file"
            self.error(name, f"is {kind}; a run directory holds plain files only")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.paths.root).as_posix()

    def _read(self, name: str, max_bytes: int) -> bytes | None:
        """A file's content, None where that is missing or told as an error."""
        if name not in self.sizes:
            return None
        if self.sizes[name] > max_bytes:
            self.error(name, f"has {self.sizes[name]} bytes, too many for what it should be")
            return None
        try:
            fd = os.open(self.paths.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                return file.read(max_bytes)
        except FileNotFoundError:
            return None
        except (OSError, MemoryError) as problem:
            self.error(name, f"cannot be read: {problem}")
            return None

    def _json(self, name: str) -> dict[str, Any] | None:
        data = self._read(name, _MAX_JSON_BYTES)
        if data is None:
            return None
        try:
            return parse_strict(data)
        except ValueError as problem:
            self.error(name, f"is not strict JSON: {problem}")
            return None

    # --- metrics.json ----------------------------------------------------------------------------

    def _metrics(self) -> dict[str, Any] | None:
        """The record, None if nothing can be judged by it."""
        name = "metrics.json"
        if name not in self.sizes:
            self.error(name, "is missing: this is no run directory, or the run never began")
            return None
        metrics = self._json(name)
        if metrics is None:
            return None
        problems = problems_of_record(metrics)
        for problem in problems:
            self.error(name, problem)
        return None if problems else metrics

    def _check_liveness(self, metrics: Mapping[str, Any]) -> None:
        is_alive = False
        if ".lock" in self.sizes:
            try:
                check_lock(self.paths.lock)
            except RunLockedError:
                is_alive = True
            except OSError as problem:
                self.error(".lock", f"cannot be opened: {problem.strerror}")
        if is_alive:
            self.note("metrics.json", f"status {metrics['status']}, and a live process works here")
        elif metrics["status"] == "running":
            self.note(
                "metrics.json",
                "status running, but no process holds the lock: the run was killed; --resume goes "
                "on with it",
            )

    def _check_packing(self) -> None:
        """Every file of a run that came by archive is the one that was packed."""
        name = self._name(self.paths.packing_list)
        data = self._read(name, MAX_LIST_BYTES)
        if data is None:
            return
        read = partial(self._read, max_bytes=_MAX_FILE_BYTES)
        self.left_out = check_packing(data, sizes=self.sizes, read=read, error=self.error)
        if self.left_out:
            self.note(name, f"{len(self.left_out)} files of the run were not packed")

    # --- artefacts and checkpoints ---------------------------------------------------------------

    def _is_torn_copy(self, listed: Mapping[str, Any] | None) -> bool:
        """Whether this is a copy that was made while the run ended: the record is the last file."""
        states = {self._name(path) for path in self.paths.resume_states}
        if listed is None or not (states & set(self.sizes)) - set(listed):
            return False
        n_findings = len(self.findings)
        for name, entry in listed.items():
            self._check_artefact(name, entry)
        is_torn = len(self.findings) > n_findings
        del self.findings[n_findings:]
        if is_torn:
            self.note("metrics.json", "tells of an end that other files lack; --resume goes on")
        return is_torn

    def _check_artefacts(
        self, metrics: Mapping[str, Any], log: bytes | None, *, is_over: bool
    ) -> None:
        """The last version of the record lists every file; before, only known names may be."""
        listed = metrics["artefacts"]
        if listed is None:
            if is_over:
                self.error("metrics.json", "must list its artefacts: the run has ended")
            listed = {}
        for name, entry in listed.items():
            if name == "events.csv" and not is_over and self._is_other_log(entry, log):
                continue
            self._check_artefact(name, entry)
        for name in self.sizes:
            if name not in listed:
                self._check_unlisted(name, is_over=is_over)

    def _check_artefact(self, name: str, entry: Any) -> None:
        if not isinstance(entry, dict) or set(entry) != {"bytes", "sha256"}:
            self.error("metrics.json", f"artefacts: {name!r} must have bytes and sha256")
            return
        size = self.sizes.get(name)
        if size is None and name in self.left_out:
            return
        if size is None:
            self.error(name, "is missing; metrics.json lists it")
        elif size != entry["bytes"]:
            self.error(name, f"must have {entry['bytes']} bytes; it has {size}")
        elif (data := self._read(name, _MAX_FILE_BYTES)) is not None and (
            hashlib.sha256(data).hexdigest() != entry["sha256"]
        ):
            self.error(name, "is not the file that metrics.json lists: another sha256")

    def _is_other_log(self, entry: Any, log: bytes | None) -> bool:
        """Whether the log of a stopped run is as a resume left it that was killed as it began."""
        if log is None or not isinstance(entry, dict) or not isinstance(entry.get("bytes"), int):
            return False
        n_bytes = entry["bytes"]
        has_grown = 0 <= n_bytes < len(log) and (
            hashlib.sha256(log[:n_bytes]).hexdigest() == entry.get("sha256")
        )
        is_cut_back = len(log) < n_bytes and len(log) in self.log_lengths.values()
        if has_grown or is_cut_back:
            self.note("events.csv", "a resume had begun to work on it when it was killed")
        return has_grown or is_cut_back

    def _check_unlisted(self, name: str, *, is_over: bool) -> None:
        states = {self._name(path) for path in self.paths.resume_states}
        if name in ("metrics.json", ".lock", "packed.json") or name.startswith("attempts/"):
            return
        if is_temporary(name.rpartition("/")[2]):
            self.note(name, "is a temporary file of a killed process; --resume removes it")
        elif is_over and name in states:
            self.note(name, "is left over: the run ended, and was killed before it could remove it")
        elif is_over or not self._is_known(name):
            self.error(name, "is no file of this run: metrics.json does not list it")

    def _is_known(self, name: str) -> bool:
        paths = self.paths
        files = (
            paths.events,
            paths.config_resolved,
            paths.provenance,
            paths.profile,
            paths.evaluation,
            paths.walk_forward,
        )
        known = {self._name(path) for path in (*files, paths.manifest, *paths.resume_states)}
        return name in known or _CHECKPOINT.fullmatch(name) is not None

    def _check_manifest(self, metrics: Mapping[str, Any], *, is_over: bool) -> None:
        """Entries match files; the manifest of an unfinished run may be one step old."""
        name = self._name(self.paths.manifest)
        content = self._json(name)
        found = {
            file for file in self.sizes if file.startswith("checkpoints/") and self._is_known(file)
        } - {name}
        if content is None:
            if name not in self.sizes and found:
                tell = self.error if is_over else self.note
                tell(name, "is missing; there are checkpoints")
            return
        files = content.get("files")
        if content.get("schema_version") != 1 or not isinstance(files, dict):
            self.error(name, "must be of schema version 1 and list files")
            return
        tell = self.error if is_over else self.note
        for file, entry in files.items():
            self._check_entry(f"checkpoints/{file}", entry, tell)
        if is_over:
            leftover = {self._name(path) for path in self.paths.resume_states}
            for file in sorted(found - leftover - {f"checkpoints/{file}" for file in files}):
                self.error(file, "is not in the manifest")
            best, entry = metrics["best"], files.get("best.safetensors")
            if best is not None and best != {
                "path": self._name(self.paths.best),
                **_mapping(entry),
            }:
                self.error("metrics.json", "best must be what the manifest says of it")

    def _check_entry(self, file: str, entry: Any, tell: Callable[[str, str], None]) -> None:
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            self.error("checkpoints/manifest.json", f"{file!r} must have a sha256")
        elif file in self.left_out:
            return
        elif file not in self.sizes:
            tell(file, "is missing; the manifest lists it")
        elif (data := self._read(file, _MAX_FILE_BYTES)) is not None and (
            hashlib.sha256(data).hexdigest() != entry["sha256"] or len(data) != entry.get("bytes")
        ):
            tell(file, "is not the file that the manifest lists")

    def _check_tensors(self) -> None:
        """Estimators and resume states are whole by their own digest."""
        names = [name for name in self.sizes if _is_tensor_file(name)]
        if not names:
            return
        # Only here: torch takes seconds, and most directories are refused before.
        from psann._tensor_file import decode
        from psann.run.execution.resume import resume_point

        states = {self._name(path) for path in self.paths.resume_states}
        for name in names:
            data = self._read(name, _MAX_FILE_BYTES)
            if data is None:
                continue
            try:
                if name in states:
                    self.log_lengths[name] = resume_point(data, who="it").log_bytes
                else:
                    decode(data, who="it")
            except FileFormatError as problem:
                self.error(name, str(problem).rstrip("."))

    # --- log, configuration, provenance ----------------------------------------------------------

    def _check_log(self, metrics: Mapping[str, Any], log: bytes | None, *, is_over: bool) -> None:
        name = "events.csv"
        if log is None:
            if name not in self.sizes and (is_over or self.log_lengths):
                self.error(name, "is missing")
            return
        error, note = partial(self.error, name), partial(self.note, name)
        rows = check_log(log, error=error, note=note, is_over=is_over)
        for state, n_bytes in self.log_lengths.items():
            if len(log) < n_bytes and not is_over:
                note(f"is shorter than {state} says, as in a copy; --resume writes the rest again")
            elif not log[:n_bytes].endswith(b"\n"):
                error(f"must have whole rows up to byte {n_bytes}, as {state} says")
        error, note = partial(self.error, "metrics.json"), partial(self.note, "metrics.json")
        check_best(rows, metrics, error=error, note=note, is_over=is_over)

    def _check_evaluation(self, metrics: Mapping[str, Any], *, is_over: bool) -> None:
        """The series of a finished run end where its figures say."""
        self._check_series(self.paths.evaluation, metrics, is_over=is_over)
        self._check_series(self.paths.walk_forward, metrics["walk_forward"] or {}, is_over=is_over)

    def _check_series(self, path: Path, figures: Mapping[str, Any], *, is_over: bool) -> None:
        name = self._name(path)
        has_figures = figures.get("portfolio_metrics") is not None
        if name not in self.sizes:
            if is_over and has_figures:
                self.error(name, "is missing; metrics.json has portfolio figures")
            return
        if self.sizes[name] > _MAX_FILE_BYTES:
            self.error(name, f"has {self.sizes[name]} bytes, too many for what it should be")
            return
        # Only here: most directories are refused before NumPy is needed.
        from psann.run.verification.series import problems_of_evaluation

        for problem in problems_of_evaluation(path, figures, is_over=is_over):
            self.error(name, problem)

    def _check_config(self) -> None:
        """The resolved configuration says everything: feeding it back gives it again."""
        name = "config_resolved.yaml"
        data = self._read(name, 2**20)
        if data is None:
            return
        try:
            resolved = dump_resolved(load_run_config(self.paths.root / name))
        except ConfigError as problem:
            if all("holds a masked secret" in text for text in problem.problems):
                self.note(name, "has masked secrets, so that it cannot be fed back as it is")
            else:
                self.error(name, "cannot be fed back: " + "; ".join(problem.problems))
            return
        if resolved.encode() != data:
            self.error(name, "must resolve to itself; fed back it gives another")

    def _check_provenance(self) -> None:
        name = "provenance.json"
        content = self._json(name)
        if content is None:
            return
        if content.get("schema_version") != 1 or not isinstance(content.get("starts"), list):
            self.error(name, "must be of schema version 1 and list the starts of the run")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_tensor_file(name: str) -> bool:
    return name.endswith(".safetensors") and not name.startswith("attempts/")
