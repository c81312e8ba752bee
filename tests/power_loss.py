"""A disk that can lose power: what it may hold at any instant, from the calls that were made.

The model: a file holds what was last synced and any first part of what was written to it since,
the last write possibly torn; names (made, renamed, removed) are kept in order, up to some point
after the last one whose directory was synced. That is what journalling file systems promise.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import SETTINGS, assert_survives, bury, calls_in_use
from psann.run.directory.storage import SystemCalls
from trials import finished


@dataclass(frozen=True)
class Step:
    """One change of a disk: of names in some directories, or of the content of a file."""

    kind: str
    paths: tuple[str, ...] = ()
    file: int = -1
    content: Any = None

    @property
    def folders(self) -> set[str]:
        return {str(Path(path).parent) for path in self.paths}


class Journal(SystemCalls):
    """Makes the calls, and keeps what the disk was told below a folder.

    Parameters
    ----------
    folder : Path
        What it holds by now is taken as safe on the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.steps: list[Step] = []
        self._names: dict[str, int] = {}
        self._files: dict[int, int] = {}
        self._n_files = 0
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_dir():
                self.steps.append(Step("mkdir", (name,)))
            else:
                self._create(name)
                number = self._names[name]
                self.steps.append(Step("write", file=number, content=path.read_bytes()))
                self.steps.append(Step("sync file", file=number))
            self.steps.append(Step("sync folder", (str(Path(name).parent),)))

    def _name(self, path: Any, dir_fd: int | None = None) -> str:
        home = Path() if dir_fd is None else Path(os.readlink(f"/proc/self/fd/{dir_fd}"))
        return str((home / path).relative_to(self._folder))

    def _create(self, name: str) -> None:
        self._n_files += 1
        self._names[name] = self._n_files
        self.steps.append(Step("create", (name,), file=self._n_files))

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = os.open(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            name = self._name(path, dir_fd)
            if name not in self._names:
                self._create(name)
            self._files[fd] = self._names[name]
        return fd

    def close(self, fd: int) -> None:
        self._files.pop(fd, None)
        os.close(fd)

    def write(self, fd: int, data: Any) -> int:
        n_bytes = os.write(fd, data)
        self.steps.append(Step("write", file=self._files[fd], content=bytes(data[:n_bytes])))
        return n_bytes

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)
        self.steps.append(Step("truncate", file=self._files[fd], content=size))

    def fsync(self, fd: int) -> None:
        os.fsync(fd)
        if fd in self._files:
            self.steps.append(Step("sync file", file=self._files[fd]))
        else:
            self.steps.append(Step("sync folder", (self._name(".", fd),)))

    def rename(
        self,
        source: Any,
        target: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
    ) -> None:
        names = self._name(source, src_dir_fd), self._name(target, dst_dir_fd)
        os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._names = _renamed(self._names, *names)
        self.steps.append(Step("rename", names))

    def link(self, source: Any, target: Any, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        names = self._name(source, src_dir_fd), self._name(target, dst_dir_fd)
        os.link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._names[names[1]] = self._names[names[0]]
        self.steps.append(Step("create", names[1:], file=self._names[names[1]]))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        name = self._name(path, dir_fd)
        os.unlink(path, dir_fd=dir_fd)
        self._names.pop(name, None)
        self.steps.append(Step("unlink", (name,)))

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        os.mkdir(path, mode, dir_fd=dir_fd)
        self.steps.append(Step("mkdir", (self._name(path, dir_fd),)))


def journal_of(folder: Path, **request: Any) -> list[Step]:
    """What a run tells the disk."""
    folder.mkdir(exist_ok=True)
    journal = Journal(folder)
    with calls_in_use(journal):
        finished(folder, *SETTINGS, **request)
    return journal.steps


def assert_survives_power_loss(
    folder: Path,
    steps: list[Step],
    expected: dict[str, Any],
    *,
    n_losses: int,
    draw: random.Random,
    n_safe: int = 0,
) -> None:
    """Lose power at instants spread over the steps after the safe ones; each must be survived."""
    for k in range(n_losses):
        width = (len(steps) - n_safe) / n_losses
        instant = n_safe + int((k + draw.random()) * width) + 1
        print(f"loss {k} at step {instant} of {len(steps)}: {steps[instant - 1].kind}")
        home = folder / f"loss-{k}"
        home.mkdir()
        lose_power(steps[:instant], home, draw)
        assert_survives(home, expected, *SETTINGS)


def lose_power(steps: list[Step], target: Path, draw: random.Random) -> None:
    """Lay out under `target` what a disk may hold that was told these steps and no more."""
    names, folders = _kept_names(steps, draw)
    for folder in sorted(folders):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for name, file in sorted(names.items()):
        (target / name).write_bytes(_kept_content(steps, file, draw))
    bury(target)


def _kept_names(steps: list[Step], draw: random.Random) -> tuple[dict[str, int], set[str]]:
    changes: list[Step] = []
    n_safe = 0
    for step in steps:
        if step.kind == "sync folder":
            of_folder = [k for k, one in enumerate(changes, 1) if step.paths[0] in one.folders]
            n_safe = max([n_safe, *of_folder])
        elif step.paths:
            changes.append(step)
    names: dict[str, int] = {}
    folders: set[str] = set()
    for step in changes[: draw.randint(n_safe, len(changes))]:
        if step.kind == "create":
            names[step.paths[0]] = step.file
        elif step.kind == "mkdir":
            folders.add(step.paths[0])
        elif step.kind == "unlink":
            names.pop(step.paths[0], None)
        else:
            names = _renamed(names, *step.paths)
            folders = set(_renamed(dict.fromkeys(folders, 0), *step.paths))
    return names, folders


def _kept_content(steps: list[Step], file: int, draw: random.Random) -> bytes:
    changes: list[Step] = []
    n_safe = 0
    for step in steps:
        if step.file != file or step.kind == "create":
            continue
        if step.kind == "sync file":
            n_safe = len(changes)
        else:
            changes.append(step)
    n_kept = draw.randint(n_safe, len(changes))
    content = b""
    for k, step in enumerate(changes[:n_kept], 1):
        if step.kind == "truncate":
            content = content[: step.content]
            continue
        is_torn = k == n_kept > n_safe and draw.random() < 0.5
        size = draw.randrange(len(step.content)) if is_torn else len(step.content)
        content += step.content[:size]
    return content


def _renamed(names: dict[str, int], source: str, target: str) -> dict[str, int]:
    """Move a file, or a directory with all below it."""
    moved = {}
    for name, file in names.items():
        if name == source or name.startswith(f"{source}/"):
            moved[target + name[len(source) :]] = file
    stay = {name: file for name, file in names.items() if not _is_within(name, source)}
    return {**stay, **moved}


def _is_within(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")
