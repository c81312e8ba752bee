"""`.npz` archives: reading one that nobody vouches for, and writing the same bytes every time.

Reading knows no pickle and no surprise in size: numpy's own reader trusts sizes and would run out
of memory on a small hostile file. Here the zip directory and each array's header are read and
compared first; only then is memory reserved.
"""

from __future__ import annotations

import ast
import io
import math
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from psann._digest import sha256_of_file
from psann._plain_files import open_plain
from psann._typing import Array
from psann.errors import DataError, reason_of

# An archive may expand to this much plus a multiple of its own size. Prices and features compress
# two- to tenfold; a file of zeros a thousandfold.

_FREE_BYTES = 64 * 2**20
_MAX_EXPANSION = 50
# A thousand arrays with names of sixty letters; a million entries of nothing would take seconds.
_MAX_DIRECTORY_BYTES = 128 * 2**10
_MAX_HEADER_BYTES = 512  # numpy writes 128, of as many dimensions as there can be 256
_CHUNK_BYTES = 2**20
_END_BYTES, _ZIP64_PLACE_BYTES, _ZIP64_END_BYTES = 22, 20, 56
_DTYPE = re.compile(r"[<>|=]([biufcSU]\d+|[mM]8(\[\w+\])?)")
# What zipfile raises on bytes that are not what they claim to be.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class NpzContent:
    """What an archive holds.

    `arrays` by key, `broken` one problem per member that cannot be read, `sha256` of the file.
    """

    arrays: Mapping[str, Array]
    broken: Mapping[str, str]
    sha256: str


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    """`C` or `F`."""


def read_npz(path: str | Path, *, mmap: bool = False) -> NpzContent:
    """Read all arrays of an archive, refusing what numpy would unpickle or choke on.

    Parameters
    ----------
    mmap : bool
        Leave arrays in the file, as read-only memory maps, where they lie there as they are used:
        not compressed, row-major, native float32 or float64. Checksums are compared all the same.
        The file must not change while the arrays are in use.

    Returns
    -------
    NpzContent
        The arrays; members that cannot be read are listed with the reason, not raised, so that
        the caller can report them beside other problems.

    Raises
    ------
    DataError
        If the file is absent, is no zip archive, goes on after its end, has a directory of more
        than 128 KiB, or would expand beyond 64 MiB plus 50 times its size.
    """
    path = Path(path)
    try:
        with open_plain(path, follow=True) as file:
            sha256 = sha256_of_file(file)
            n_bytes = file.tell()
            file.seek(0)
            if file.read(6) == b"\x93NUMPY":
                raise DataError(
                    f"data.npz must be an archive of named arrays; {path} is a single .npy array. "
                    "Write it with numpy.savez(path, X_train=..., ...)."
                )
            _check_directory(file, n_bytes)
            with zipfile.ZipFile(file) as archive:
                _check_expansion(archive, path, n_bytes)
                arrays, broken = _read_members(archive, file if mmap else None)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(
            f"data.npz must be an .npz file; {path} does not exist. Correct the path."
        ) from None
    except _DAMAGE as error:
        raise DataError(
            f"data.npz must be a readable .npz archive; {path} is not: {reason_of(error)}. "
            "Copy or write the file again (numpy.savez)."
        ) from error
    return NpzContent(arrays=arrays, broken=broken, sha256=sha256)


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Write arrays as an archive whose bytes depend on nothing but them.

    Stored without compression and without times: another zlib or another clock gives the same.

    Returns
    -------
    bytes
        What `read_npz` and `numpy.load` read.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            member = io.BytesIO()
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{key}.npy")  # of 1980, as every entry without a time
            info.create_system = 3  # Unix, wherever it is written
            archive.writestr(info, member.getvalue())
    return content.getvalue()


def _check_directory(file: BinaryIO, n_bytes: int) -> None:
    """Refuse a directory that would make more entries than any archive of arrays has.

    References
    ----------
    PKWARE, ".ZIP file format specification", sections 4.3.14 to 4.3.16
    """
    tail_bytes = min(n_bytes, _ZIP64_END_BYTES + _ZIP64_PLACE_BYTES + _END_BYTES)
    file.seek(n_bytes - tail_bytes)
    tail = file.read(tail_bytes)
    end, before = tail[-_END_BYTES:], tail[:-_END_BYTES]
    if end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise ValueError("it does not end as an archive does")
    (directory_bytes,) = struct.unpack_from("<I", end, 12)
    if before[_ZIP64_END_BYTES:][:4] == b"PK\x06\x07":  # of more than 4 GiB: the true sizes
        (directory_bytes,) = struct.unpack_from("<Q", before, 40)
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ValueError(
            f"its directory has {directory_bytes:,} bytes, more than {_MAX_DIRECTORY_BYTES:,}"
        )
    file.seek(0)


def _check_expansion(archive: zipfile.ZipFile, path: Path, n_bytes: int) -> None:
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    allowed = _FREE_BYTES + _MAX_EXPANSION * n_bytes
    if total > allowed:
        largest = max(members, key=lambda member: member.file_size)
        raise DataError(
            f"data.npz must not expand to more than {allowed:,} bytes (64 MiB plus "
            f"{_MAX_EXPANSION} times its size); {path} has {n_bytes:,} bytes and claims {total:,}, "
            f"most of them in {largest.filename!r}. If this is honest data, write it without "
            "compression (numpy.savez)."
        )


def _read_members(
    archive: zipfile.ZipFile, mapped: BinaryIO | None
) -> tuple[dict[str, Array], dict[str, str]]:
    arrays: dict[str, Array] = {}
    broken: dict[str, str] = {}
    copies = Counter(member.filename for member in archive.infolist())
    for member in archive.infolist():
        key = member.filename.removesuffix(".npy")
        problem = _refusal(member, copies[member.filename])
        if problem is None:
            try:
                with archive.open(member) as file:
                    arrays[key] = _read_array(file, member, mapped)
            except _DAMAGE as error:
                problem = f"{key} must be a readable array; {error}. Write the file again."
        if problem is not None:
            broken[key] = problem
    return arrays, broken


def _refusal(member: zipfile.ZipInfo, n_copies: int) -> str | None:
    name = member.filename
    if n_copies > 1:
        return (
            f"{name.removesuffix('.npy')} must be in the archive once; got {n_copies} members of "
            "that name. Write the file again."
        )
    if not name.endswith(".npy"):
        return f"{name!r} must be an array (.npy) to be in the archive. Take it out."
    if member.flag_bits & 0x1:
        return f"{name.removesuffix('.npy')} must not be encrypted. Write it with numpy.savez."
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return (
            f"{name.removesuffix('.npy')} must be stored or deflated; got compression method "
            f"{member.compress_type}. Write it with numpy.savez or numpy.savez_compressed."
        )
    return None


def _read_array(file: IO[bytes], member: zipfile.ZipInfo, mapped: BinaryIO | None) -> Array:
    """Read or map one `.npy` member; `ValueError` says what is wrong with it."""
    header = _read_header(file)
    header_bytes = file.tell()
    n_values = math.prod(header.shape)  # Python integers: a product that cannot wrap around
    claimed = n_values * header.dtype.itemsize
    present = member.file_size - header_bytes
    if claimed != present:
        raise ValueError(
            f"its header claims {claimed:,} bytes (shape {header.shape}, {header.dtype}), "
            f"but {present:,} are there"
        )
    if mapped is not None and claimed and _can_be_mapped(member, header):
        offset = _content_offset(mapped, member) + header_bytes
        array: Array = np.memmap(mapped, header.dtype, mode="r", offset=offset, shape=header.shape)
        for _ in _pieces(file, claimed):  # for the checksum
            pass
    else:
        array = np.empty(n_values, dtype=header.dtype)
        buffer = array.view(np.uint8).data if claimed else memoryview(b"")
        done = 0
        for piece in _pieces(file, claimed):
            buffer[done : done + len(piece)] = piece
            done += len(piece)
        array = array.reshape(header.shape, order="F" if header.order == "F" else "C")
    if file.read(1):  # the last read also makes zipfile compare the checksum
        raise ValueError("there are bytes after its end")
    return array


def _pieces(file: IO[bytes], n_bytes: int) -> Iterator[bytes]:
    """So many bytes of a file, a few at a time."""
    done = 0
    while done < n_bytes:
        piece = file.read(min(_CHUNK_BYTES, n_bytes - done))
        if not piece:
            raise ValueError(f"it ends after {done:,} of {n_bytes:,} bytes")
        done += len(piece)
        yield piece


def _can_be_mapped(member: zipfile.ZipInfo, header: _Header) -> bool:
    is_usable = header.dtype in (np.float32, np.float64) and header.dtype.isnative
    return member.compress_type == zipfile.ZIP_STORED and header.order == "C" and is_usable


def _content_offset(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin in the archive, by its local header.

    References
    ----------
    PKWARE, ".ZIP file format specification", section 4.3.7
    """
    file.seek(member.header_offset + 26)
    name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
    offset: int = member.header_offset + 30 + name_bytes + extra_bytes
    return offset


def _read_header(file: IO[bytes]) -> _Header:
    """Parse the header of the NPY format, versions 1 and 2.

    References
    ----------
    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError("it does not begin as an .npy array of version 1.0 or 2.0")
    width, code = (2, "<H") if start[6] == 1 else (4, "<I")
    (length,) = struct.unpack(code, file.read(width))
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"its header claims {length:,} bytes, more than {_MAX_HEADER_BYTES:,}")
    text = file.read(length).decode("latin-1")
    try:
        fields = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"its header cannot be read: {text[:60]!r}") from error
    match fields:
        case {"descr": descr, "fortran_order": bool(fortran), "shape": tuple(shape)} if all(
            type(n) is int and n >= 0 for n in shape
        ):
            return _Header(_dtype(descr), shape, "F" if fortran else "C")
    raise ValueError(f"its header is not that of an array: {text[:60]!r}")


def _dtype(descr: object) -> np.dtype[Any]:
    if isinstance(descr, str) and "O" in descr:
        raise ValueError(
            "it holds Python objects (dtype object), which are never unpickled; convert it to "
            "numbers with .astype(float)"
        )
    if not isinstance(descr, str) or not _DTYPE.fullmatch(descr):
        raise ValueError(f"its dtype {str(descr)[:60]!r} is none of numbers, text or time")
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        raise ValueError(f"its dtype {descr!r} is unknown") from error
    if dtype.itemsize == 0:  # any number of them would fit into no bytes
        raise ValueError(f"its dtype {descr!r} holds nothing")
    return dtype
