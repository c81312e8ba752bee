"""`hisso-runs pack` and `unpack`: a run as one file that is the same bytes for the same run.

The archive is a tar of plain files under one directory, compressed by gzip; order, times, owners
and modes carry nothing of the machine. Its last member, `packed.json`, lists every other one with
size and SHA-256, so that an archive that was cut ends without it. Unpacking trusts nothing: it
writes only files that a run has, below a directory of a run's name that did not exist, and keeps
none of them unless all are what the list says.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psann._digest import new_digest
from psann._plain_files import open_plain, read_plain
from psann.errors import FileFormatError, UsageError
from psann.run.directory.digests import Entry
from psann.run.directory.files import MAX_JSON_BYTES, files_below, limit_of
from psann.run.directory.packing import (
    SCHEMA_VERSION,
    PackingList,
    left_out_of,
    list_name,
    parse_list,
)
from psann.run.directory.paths import RunPaths, is_run_name
from psann.run.directory.storage import is_temporary

# As for the arrays of a run: honest files compress twofold to tenfold, a bomb a thousandfold.
_FREE_BYTES = 64 * 2**20
_MAX_EXPANSION = 50
# A file costs its header and its digest in the list, which nothing compresses to less.
_FREE_FILES = 256
_MIN_BYTES = 64
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
        raise UsageError(f"RUN must be a run directory; {root} holds no file.")
    kept = [name for name in names if not best_only or _is_essential(name)]
    left_out = sorted({*left_out_of(RunPaths(root).packing_list), *names} - set(kept))
    listed: dict[str, Entry] = {}
    top = root.resolve().name
    with (
        _new_file(output) as file,
        # No name and no time in the header: nothing that is not the run's.
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=9, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.USTAR_FORMAT) as archive,
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
            top, found = _extract(archive, scratch)
            packed = _check_extracted(scratch / top, found)
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
    paths, names = RunPaths(root), []
    plain, skipped = files_below(root)
    for name in plain:
        if paths.may_be_packed(name):
            names.append(name)
        elif not is_temporary(name.rpartition("/")[2]) and root / name != paths.lock:
            skipped.append(name)
    return [name for name in names if name != list_name()], sorted(skipped)


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


def _extract(path: Path, scratch: Path) -> tuple[str, dict[str, Entry]]:
    """Write the members below `scratch`; the name of their one directory, and what they are.

    Read block by block, as `pack` writes only the plainest of headers: none that extends another,
    maps holes, or takes more than its 512 bytes. `tarfile` would follow them as far as they lead.
    """
    top, found, n_bytes = "", dict[str, Entry](), 0
    with open_plain(path) as file, gzip.GzipFile(fileobj=file, mode="rb") as packed:
        n_packed = os.fstat(file.fileno()).st_size
        allowed = _FREE_BYTES + _MAX_EXPANSION * n_packed
        while (member := _next_member(packed)) is not None:
            name, n_bytes = _checked_name(member, top), n_bytes + member.size
            if len(found) >= _FREE_FILES + n_packed // _MIN_BYTES:
                raise ValueError(f"it holds more than {len(found):,} files")
            if n_bytes > allowed:
                raise ValueError(
                    f"it expands to more than {allowed:,} bytes (64 MiB plus {_MAX_EXPANSION} "
                    "times its size)"
                )
            if name in found:
                raise ValueError(f"{name!r} is in it twice")
            top = member.name.partition("/")[0]
            found[name] = _write(packed, member.size, scratch / top / name)
        _check_end(packed)
    if not found:
        raise ValueError("it is empty")
    return top, found


def _next_member(packed: gzip.GzipFile) -> tarfile.TarInfo | None:
    """The next header, None where a block of zeros ends the archive."""
    block = _exactly(packed, tarfile.BLOCKSIZE)
    if not any(block):
        return None
    member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    if member.type != tarfile.REGTYPE or member.size < 0:
        raise ValueError(f"{member.name[:80]!r} is no plain file")
    return member


def _checked_name(member: tarfile.TarInfo, top: str) -> str:
    """Path of a member from the run directory; only what a run has is written anywhere."""
    first, _, name = member.name.partition("/")
    if not is_run_name(first) or not RunPaths(Path()).may_be_packed(name):
        raise ValueError(f"{member.name[:120]!r} is no file of a run")
    if top not in ("", first):
        raise ValueError("it holds more than one run")
    if member.size > limit_of(name):
        raise ValueError(f"{name!r} has {member.size:,} bytes, more than {limit_of(name):,}")
    return name


def _write(packed: gzip.GzipFile, n_bytes: int, target: Path) -> Entry:
    target.parent.mkdir(parents=True, exist_ok=True)
    sha256, rest = new_digest(), n_bytes
    with target.open("xb") as file:
        while rest:
            data = _exactly(packed, min(rest, _CHUNK_BYTES))
            sha256.update(data)
            file.write(data)
            rest -= len(data)
    if any(_exactly(packed, -n_bytes % tarfile.BLOCKSIZE)):
        raise ValueError("there is something between its files")
    return {"bytes": n_bytes, "sha256": sha256.hexdigest()}


def _check_end(packed: gzip.GzipFile) -> None:
    """Refuse what follows the end: two blocks of zeros, and more up to a whole record."""
    n_least = packed.tell() + tarfile.BLOCKSIZE
    n_whole = n_least + -n_least % tarfile.RECORDSIZE
    rest = packed.read(n_whole - packed.tell() + 1)
    if any(rest) or packed.tell() != n_whole:
        raise ValueError("it goes on after its last file, or ends before its end")


def _exactly(packed: gzip.GzipFile, n_bytes: int) -> bytes:
    data = packed.read(n_bytes)
    if len(data) != n_bytes:
        raise ValueError("it was cut")
    return data


def _check_extracted(root: Path, found: dict[str, Entry]) -> PackingList:
    """The list of an unpacked run, held against every file."""
    if found.pop(list_name(), None) is None:
        raise ValueError("its list of files is missing: it was cut, or pack did not write it")
    packed = parse_list(read_plain(RunPaths(root).packing_list, MAX_JSON_BYTES))
    for name in sorted(found.keys() | packed.files.keys()):
        if name not in found or name not in packed.files:
            raise ValueError(f"{name[:80]!r} is not both in it and in its list")
        if found[name] != packed.files[name]:
            raise ValueError(f"{name[:80]!r} is not what its list says")
    return packed
