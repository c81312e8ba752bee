"""`hisso-runs pack` and `unpack`: a run as one file that is the same bytes for the same run.

The archive is a tar of plain files under one directory, compressed by gzip; order, times, owners
and modes carry nothing of the machine. Its last member, `packed.json`, lists every other one with
size and SHA-256, so that an archive that was cut ends without it. Unpacking trusts nothing: it
writes plain files only, below a directory that did not exist, and keeps none of them unless all
are what the list says.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from psann._digest import new_digest
from psann.errors import FileFormatError, UsageError
from psann.run.directory.digests import Entry, is_what
from psann.run.directory.files import open_plain, read_plain
from psann.run.directory.packing import (
    MAX_LIST_BYTES,
    SCHEMA_VERSION,
    PackingList,
    left_out_of,
    list_name,
    parse_list,
)
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import is_temporary

# As for the arrays of a run: honest files compress twofold to tenfold, a bomb a thousandfold.
_FREE_BYTES = 64 * 2**20
_MAX_EXPANSION = 50
_MAX_MEMBERS = 100_000
_CHUNK_BYTES = 2**20
_DAMAGE = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, UnicodeError, ValueError)


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
    """Links and the like, which no archive of ours holds."""


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
        raise UsageError(f"RUN must be a run directory; {root} holds no file.")
    kept = [name for name in names if not best_only or _is_essential(name)]
    left_out = sorted({*left_out_of(RunPaths(root).packing_list), *names} - set(kept))
    listed: dict[str, Entry] = {}
    top = root.resolve().name
    with (
        _new_file(output) as file,
        # No name and no time in the header: nothing that is not the run's.
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=9, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in kept:
            entry = _add_file(archive, root / name, f"{top}/{name}")
            if entry is not None:  # else a living run has just removed it
                listed[name] = entry
        content = {"schema_version": SCHEMA_VERSION, "files": listed, "left_out": left_out}
        data = json.dumps(content, indent=2).encode() + b"\n"
        archive.addfile(_member(f"{top}/{list_name()}", len(data)), io.BytesIO(data))
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
            top = _extract(archive, scratch)
            packed = _check_extracted(scratch / top)
        except _DAMAGE as error:
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
    if not root.is_dir():
        raise UsageError(f"RUN must be a run directory; {root} is none.")
    name = root.resolve().name
    if not name or not _is_text(name):
        raise UsageError(f"RUN must have a name of its own; {str(root)!r} has none. Rename it.")
    if output.exists() or output.is_symlink():
        raise UsageError(f"-o must be a new file; {output} exists.")
    if output.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"-o must lie outside the run directory; {output} does not.")


def _files_of(root: Path) -> tuple[list[str], list[str]]:
    """Plain files by relative path, and what else there is."""
    paths = RunPaths(root)
    not_packed = {paths.lock, paths.packing_list}
    names, skipped = [], []
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder) / name
            kind = path.lstat().st_mode
            if stat.S_ISREG(kind) and _is_text(name):
                if path not in not_packed and not is_temporary(name):
                    names.append(path.relative_to(root).as_posix())
            elif not stat.S_ISDIR(kind):
                skipped.append(path.relative_to(root).as_posix())
    return sorted(names), sorted(skipped)


def _is_text(name: str) -> bool:
    """Whether a file name is text: one of other bytes has no name in JSON."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_essential(name: str) -> bool:
    paths = RunPaths(Path())
    return "/" not in name or name in (paths.best.as_posix(), paths.manifest.as_posix())


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, scratch = tempfile.mkstemp(prefix=".pack-", suffix=".tmp", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(scratch, 0o666 & ~umask)  # the scratch file was for its owner only
        os.replace(scratch, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(scratch)


def _member(name: str, n_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = n_bytes
    member.mode = 0o644
    return member


def _add_file(archive: tarfile.TarFile, path: Path, name: str) -> Entry | None:
    """Add a file as long as it is now: a log may grow meanwhile, and its beginning stays."""
    try:
        opened = open_plain(path)
    except FileNotFoundError:
        return None
    with opened as file:
        n_bytes = os.fstat(file.fileno()).st_size
        reading = _Digesting(file)
        archive.addfile(_member(name, n_bytes), reading)
    return {"bytes": n_bytes, "sha256": reading.sha256.hexdigest()}


class _Digesting(io.RawIOBase):
    """A file of which a digest is taken as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.sha256 = new_digest()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


# --- unpacking -----------------------------------------------------------------------------------


def _extract(path: Path, scratch: Path) -> str:
    """Write the members below `scratch`; the name of their one directory."""
    allowed = _FREE_BYTES + _MAX_EXPANSION * path.stat().st_size
    tops: set[str] = set()
    n_members = n_bytes = 0
    # Not r|gz, by which tarfile stops at the last member and never sees the checksum behind it.
    with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            n_members += 1
            n_bytes += member.size
            if n_members > _MAX_MEMBERS:
                raise ValueError(f"it holds more than {_MAX_MEMBERS:,} files")
            if n_bytes > allowed:
                raise ValueError(
                    f"it expands to more than {allowed:,} bytes (64 MiB plus {_MAX_EXPANSION} "
                    "times its size)"
                )
            parts = _safe_parts(member)
            tops.add(parts[0])
            if len(tops) > 1:
                raise ValueError("it holds more than one run")
            _write(archive, member, scratch.joinpath(*parts))
        if len(packed.read(tarfile.RECORDSIZE)) == tarfile.RECORDSIZE:
            raise ValueError("it goes on after its last file")
    if not tops:
        raise ValueError("it is empty")
    return tops.pop()


def _safe_parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    """Path of a plain file below one directory; anything else is refused."""
    name = member.name
    if not member.isreg():
        raise ValueError(f"{name[:80]!r} is no plain file")
    parts = PurePosixPath(name).parts
    is_plain = (
        len(parts) >= 2
        and name == "/".join(parts)
        and all(part not in (".", "..") and "\0" not in part for part in parts)
        and not name.startswith("/")
        and len(name.encode()) < 4096
    )
    if not is_plain:
        raise ValueError(f"the name {name[:80]!r} leads elsewhere")
    return parts


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise ValueError(f"{member.name[:80]!r} has no content")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source, target.open("xb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ValueError(f"{member.name[:80]!r} is in it twice") from None


def _check_extracted(root: Path) -> PackingList:
    """The list of an unpacked run, after every file has been held against it."""
    path = RunPaths(root).packing_list
    if not path.is_file():
        raise ValueError("its list of files is missing: it was cut, or pack did not write it")
    packed = parse_list(read_plain(path, MAX_LIST_BYTES))
    others = sorted(set(_files_of(root)[0]) ^ packed.files.keys())
    if others:
        raise ValueError(f"{others[0][:80]!r} is not both in it and in its list")
    for name, entry in packed.files.items():
        if not is_what(entry, root / name):
            raise ValueError(f"{name[:80]!r} is not what its list says")
    return packed
