"""Tar archives of plain files in gzip: the same bytes for the same files, read as a stranger's.

Order, times, owners and modes carry nothing of the machine. Reading goes block by block, as only
the plainest of headers is written: none that extends another, maps holes, or takes more than its
512 bytes. `tarfile` would follow them as far as they lead.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from psann._digest import Entry, new_digest
from psann._plain_files import open_plain
from psann._whole_file import naming, whole_file

# As for the arrays of a run: honest files compress twofold to tenfold, a bomb a thousandfold.
_FREE_BYTES = 64 * 2**20
_MAX_EXPANSION = 50
# A file costs its header and its digest in the list, which nothing compresses to less.
_FREE_FILES = 256
_MIN_BYTES = 64
_CHUNK_BYTES = 2**20
DAMAGE = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, UnicodeError, ValueError)
"""What reading an archive raises that is damaged, hostile, or none."""


@contextmanager
def new_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive that gets its name when it is whole."""
    with (
        whole_file(path) as file,
        # No name and no time in the header: nothing that is not the files'.
        gzip.GzipFile("", mode="wb", fileobj=file, compresslevel=9, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.USTAR_FORMAT) as archive,
    ):
        yield archive


def add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file of this content."""
    archive.addfile(_member(name, len(data)), io.BytesIO(data))


def add_file(archive: tarfile.TarFile, path: Path, name: str) -> Entry | None:
    """Add a file as long as it is now: a log may grow meanwhile, and its beginning stays.

    Returns
    -------
    Entry or None
        What was added; None where the file has just gone.
    """
    try:
        opened = open_plain(path)
    except FileNotFoundError:
        return None
    with opened as file:
        n_bytes = os.fstat(file.fileno()).st_size
        reading = _Digesting(file)
        archive.addfile(_member(name, n_bytes), reading)
    return {"bytes": n_bytes, "sha256": reading.sha256.hexdigest()}


def extract(path: Path, place: Callable[[str, int], Path]) -> dict[str, Entry]:
    """Write every member of an archive.

    Parameters
    ----------
    place : callable
        Told name and bytes of a member, says where it is written, or raises a ValueError.

    Returns
    -------
    dict
        What each member is, by its name.

    Raises
    ------
    DAMAGE
        If the archive is damaged, hostile, or not of this kind.
    """
    found, n_bytes = dict[str, Entry](), 0
    with open_plain(path) as file, gzip.GzipFile(fileobj=file, mode="rb") as packed:
        n_packed = os.fstat(file.fileno()).st_size
        allowed = _FREE_BYTES + _MAX_EXPANSION * n_packed
        while (member := _next_member(packed)) is not None:
            target, n_bytes = place(member.name, member.size), n_bytes + member.size
            if len(found) >= _FREE_FILES + n_packed // _MIN_BYTES:
                raise ValueError(f"it holds more than {len(found):,} files")
            if n_bytes > allowed:
                raise ValueError(
                    f"it expands to more than {allowed:,} bytes (64 MiB plus {_MAX_EXPANSION} "
                    "times its size)"
                )
            if member.name in found:
                raise ValueError(f"{member.name.partition('/')[2]!r} is in it twice")
            found[member.name] = _write(packed, member.size, target)
        _check_end(packed)
        # Of the one stream that is the file: other streams or zeros behind it end otherwise.
        file.seek(-4, os.SEEK_END)
        if int.from_bytes(file.read(4), "little") != packed.tell() % 2**32:
            raise ValueError("it goes on after its end")
    if not found:
        raise ValueError("it is empty")
    return found


def _member(name: str, n_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = n_bytes
    member.mode = 0o644
    return member


class _Digesting(io.RawIOBase):
    """A file of which a digest is taken as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.sha256 = new_digest()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


def _next_member(packed: gzip.GzipFile) -> tarfile.TarInfo | None:
    """The next header, None where a block of zeros ends the archive."""
    block = _exactly(packed, tarfile.BLOCKSIZE)
    if not any(block):
        return None
    member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    if member.type != tarfile.REGTYPE or member.size < 0:
        raise ValueError(f"{member.name[:80]!r} is no plain file")
    return member


def _write(packed: gzip.GzipFile, n_bytes: int, target: Path) -> Entry:
    target.parent.mkdir(parents=True, exist_ok=True)
    sha256, rest = new_digest(), n_bytes
    with naming(target), target.open("xb") as file:
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
