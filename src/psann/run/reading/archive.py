"""`hisso-runs pack` and `unpack`: a run as one file that is the same bytes for the same run.

The archive (`_plain_tar.py`) holds plain files under one directory. Its last member, `packed.json`,
lists every other one with size and SHA-256, so that an archive that was cut ends without it.
Unpacking trusts nothing: it writes only files that a run has, below a directory of a run's name
that did not exist, and keeps none of them unless all are what the list says.
"""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from psann._digest import Entry
from psann._plain_files import read_plain
from psann._plain_tar import DAMAGE, add_bytes, add_file, extract, new_archive
from psann.errors import FileFormatError, UsageError
from psann.run.directory.files import MAX_JSON_BYTES, entries_below, limit_of
from psann.run.directory.packing import (
    LIST_NAME,
    SCHEMA_VERSION,
    PackingList,
    left_out_of,
    parse_list,
)
from psann.run.directory.paths import RunPaths, check_directory, hint_of_run, is_run_name
from psann.run.directory.storage import is_temporary


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What became of packing or unpacking."""

    path: Path
    """The archive, or the run directory."""
    n_files: int
    n_bytes: int
    """Of the files together."""
    left_out: tuple[str, ...]
    """Files of the run that are not in the archive, by `--best-only`."""
    skipped: tuple[str, ...] = ()
    """Links and the like, and files that are none of a run's: no archive of ours holds them."""


def pack(root: Path, output: Path, *, best_only: bool = False) -> Packed:
    """Write a run directory as one archive.

    Parameters
    ----------
    root : Path
        The run directory; a living run is packed as it is at this moment.
    output : Path
        The archive to make, outside the run directory.
    best_only : bool
        Of the checkpoints, pack the best estimator only, and leave out `attempts/`.

    Raises
    ------
    UsageError
        If there is no such directory, nothing in it, or `output` exists or lies within.
    """
    _check_places(root, output)
    names, skipped = _files_of(root)
    if not names:
        raise UsageError(f"RUN must be a run directory; {root} holds no file.{hint_of_run(root)}")
    kept = [name for name in names if not best_only or _is_essential(name)]
    left_out = sorted({*left_out_of(RunPaths(root)), *names} - set(kept))
    listed: dict[str, Entry] = {}
    top = root.resolve().name
    with new_archive(output) as archive:
        for name in kept:
            entry = add_file(archive, root / name, f"{top}/{name}")
            if entry is not None:  # else a living run has just removed it
                listed[name] = entry
        content = {"schema_version": SCHEMA_VERSION, "files": listed, "left_out": left_out}
        data = json.dumps(content, indent=2).encode() + b"\n"
        add_bytes(archive, f"{top}/{LIST_NAME}", data)
    n_bytes = sum(entry["bytes"] for entry in listed.values())
    return Packed(
        path=output,
        n_files=len(listed),
        n_bytes=n_bytes,
        left_out=tuple(left_out),
        skipped=tuple(skipped),
    )


def unpack(archive: Path, folder: Path) -> Packed:
    """Write the run directory that an archive holds.

    Parameters
    ----------
    folder : Path
        Where the run directory goes, under its own name; made when missing.

    Returns
    -------
    Packed
        The run directory; every file is what the archive's list says.

    Raises
    ------
    UsageError
        If there is no archive, or something of that name is there already.
    FileFormatError
        If the archive is damaged, hostile, or not of this kind; nothing is left then.
    """
    if not archive.is_file():
        raise UsageError(f"ARCHIVE must be a file that pack wrote; {archive} is none.")
    folder.mkdir(parents=True, exist_ok=True)
    # A directory beside the target, so that taking its name is one step.
    scratch = Path(tempfile.mkdtemp(prefix=".unpack-", suffix=".tmp", dir=folder))
    try:
        try:
            top, found = _extract(archive, scratch)
            packed = _check_extracted(scratch / top, found)
        except DAMAGE as error:
            raise FileFormatError(
                f"{archive} must be an archive that pack wrote, whole: {error}. Nothing was kept; "
                "copy or pack it again."
            ) from error
        target = folder / top
        if target.exists() or target.is_symlink():
            raise UsageError(
                f"unpack must make a new directory; {target} exists. Move it away, or give "
                "--output-dir."
            )
        (scratch / top).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Packed(
        path=target,
        n_files=len(packed.files),
        n_bytes=sum(entry["bytes"] for entry in packed.files.values()),
        left_out=packed.left_out,
    )


# --- packing -------------------------------------------------------------------------------------


def _check_places(root: Path, output: Path) -> None:
    check_directory(root)
    name = root.resolve().name
    if not is_run_name(name):
        raise UsageError(
            "RUN must have a name that a run may have, letters, digits, '.', '_' and '-' after a "
            f"letter or digit; got {name[:120]!r}. Rename the directory."
        )
    if output.exists() or output.is_symlink():
        raise UsageError(f"-o must be a new file; {output} exists.")
    if output.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"-o must lie outside the run directory; {output} does not.")


def _files_of(root: Path) -> tuple[list[str], list[str]]:
    """The files of a run by relative path, and what else there is."""

    def refuse(name: str, what: str) -> NoReturn:
        raise UsageError(f"RUN must be a run directory that can be read; {root / name} {what}.")

    paths, names, skipped = RunPaths(root), list[str](), list[str]()
    for name, status in entries_below(root, tell=refuse):
        if not stat.S_ISREG(status.st_mode):
            skipped.append(name)
        elif paths.may_be_packed(name):
            names.append(name)
        elif not is_temporary(name.rpartition("/")[2]) and root / name != paths.lock:
            skipped.append(name)
    return sorted(name for name in names if name != LIST_NAME), sorted(skipped)


def _is_essential(name: str) -> bool:
    paths = RunPaths(Path())
    return "/" not in name or name in (paths.best.as_posix(), paths.manifest.as_posix())


# --- unpacking -----------------------------------------------------------------------------------


def _extract(path: Path, scratch: Path) -> tuple[str, dict[str, Entry]]:
    """Write the files below `scratch`; the name of their one directory, and what they are."""
    tops: set[str] = set()

    def place(member: str, n_bytes: int) -> Path:
        top, _, name = member.partition("/")
        # Only what a run has is written anywhere.
        if not is_run_name(top) or not RunPaths(Path()).may_be_packed(name):
            raise ValueError(f"{member[:120]!r} is no file of a run")
        tops.add(top)
        if len(tops) > 1:
            raise ValueError("it holds more than one run")
        if n_bytes > limit_of(name):
            raise ValueError(f"{name!r} has {n_bytes:,} bytes, more than {limit_of(name):,}")
        return scratch / top / name

    found = extract(path, place)
    (top,) = tops
    return top, {name.partition("/")[2]: entry for name, entry in found.items()}


def _check_extracted(root: Path, found: dict[str, Entry]) -> PackingList:
    """The list of an unpacked run, held against every file."""
    if found.pop(LIST_NAME, None) is None:
        raise ValueError("its list of files is missing: it was cut, or pack did not write it")
    packed = parse_list(read_plain(RunPaths(root).packing_list, MAX_JSON_BYTES))
    for name in sorted(found.keys() | packed.files.keys()):
        if name not in found or name not in packed.files:
            raise ValueError(f"{name[:80]!r} is not both in it and in its list")
        if found[name] != packed.files[name]:
            raise ValueError(f"{name[:80]!r} is not what its list says")
    return packed
