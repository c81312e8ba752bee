"""The files of a run directory as verification sees them, and what it has found in them.

The directory may come from a stranger: links are not followed, sizes are looked at before files
are read, and whatever is wrong becomes a finding.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from psann._digest import departure, entry_of
from psann._plain_files import read_plain
from psann._strict_json import parse_strict
from psann.errors import reason_of
from psann.run.directory.files import Tell, entries_below, limit_of
from psann.run.directory.findings import Finding
from psann.run.directory.paths import RunPaths

MAX_FINDINGS = 1000
_T = TypeVar("_T")


class RunFiles:
    """One look at the files of a directory."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self.findings: list[Finding] = []
        self.sizes: dict[str, int] = {}
        """Bytes of each plain file, by its path from the run directory."""
        self.left_out: frozenset[str] = frozenset()
        """Files that an archive was made without."""
        self._scan()

    def error(self, file: str, message: str) -> None:
        """Note a broken promise."""
        self._tell(Finding(file, message, True))

    def note(self, file: str, message: str) -> None:
        """Note what is worth knowing and breaks none."""
        self._tell(Finding(file, message, False))

    def _tell(self, finding: Finding) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        elif len(self.findings) == MAX_FINDINGS:
            self.findings.append(Finding(".", "has more findings, which are not told", True))

    def name(self, path: Path) -> str:
        """Path from the run directory."""
        return path.relative_to(self.paths.root).as_posix()

    def read(self, name: str) -> bytes | None:
        """A file's content, None where that is missing or told as an error."""
        return self._careful(name, lambda: read_plain(self.paths.root / name, limit_of(name)))

    def _careful(self, name: str, read: Callable[[], _T]) -> _T | None:
        if name not in self.sizes:
            return None
        try:
            return read()
        except FileNotFoundError:
            return None  # a live process has just replaced it
        except (OSError, ValueError, MemoryError) as problem:
            self.error(name, f"cannot be read: {reason_of(problem)}")
            return None

    def json(self, name: str) -> dict[str, object] | None:
        """The object that a file holds, None where it is missing or told as an error."""
        data = self.read(name)
        if data is None:
            return None
        try:
            return parse_strict(data)
        except ValueError as problem:
            self.error(name, f"is not strict JSON: {problem}")
            return None

    def hold(self, name: str, entry: Mapping[str, object], *, by: str, tell: Tell) -> None:
        """Hold a file against what a list says of it.

        Parameters
        ----------
        entry : mapping
            `bytes` and `sha256`.
        by : str
            What the list is called in a sentence.
        tell : callable
            Told of a file that is missing or another.
        """
        if name not in self.sizes:
            if name not in self.left_out:
                tell(name, f"is missing; {by} lists it")
        elif how := departure(entry, self.sizes[name], lambda: self._digest(name)):
            tell(name, f"is not the file that {by} lists: {how}")

    def _digest(self, name: str) -> str | None:
        path, limit = self.paths.root / name, limit_of(name)
        return self._careful(name, lambda: entry_of(path, max_bytes=limit)["sha256"])

    def _scan(self) -> None:
        """List plain files; everything else but plain directories is an error."""
        for name, status in entries_below(self.paths.root, tell=self.error):
            if stat.S_ISREG(status.st_mode):
                self.sizes[name] = status.st_size
            elif name.rpartition("/")[2].startswith(".") and name != self.paths.lock.name:
                self.note(name, "is not ours, and no plain file")  # such as the lock of an editor
            else:
                kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no file"
                self.error(name, f"is {kind}; a run directory holds plain files only")
