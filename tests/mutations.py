"""Sound files made unsound: byte by byte, value by value, or as their format is built."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from psann._digest import sha256_of
from psann._tensor_file import decode, encode
from psann.run.directory.packing import LIST_NAME

Mutation = Callable[[bytes, random.Random], bytes]
# Values that have broken readers of JSON, CSV and YAML elsewhere.
NASTY: list[Any] = [
    *(1e308, -1e308, 5e-324, -0.0, 10**18, 2**63, -(2**63) - 1, 10**38, 1e17, 0.1, -1, 0, 2**31),
    *(True, None, "", "\0", "\ud800", "\U0010ffff", "\u202e", "NaT", "nan", "inf", "=1+1", "_x"),
    *("$x$", "%s%d%n", "{}", "{x!r}", "[red]", "\x1b[2J", "../../x", "a" * 5000),
    *("2025-13-45T99:99:99Z", "9999-12-31", [], {}, [[]], {"": None}, {"\0": 1}),
    *({"a": {"b": {"c": [1, "x"]}}}, [None] * 300, [1e308] * 3),
]
TOKENS: list[bytes] = [
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\n", b"\r\n", b"\r", b'"', b",", b";", b"\t", b"|", b"{"),
    *(b"}", b"[" * 200, b"]", b":", b"'", b"NaN", b"1e999", b"-1e999", b"9" * 400, b"9" * 5000),
    *(b"Infinity", b"\\ud800", b"\\u0000", b"&a *a", b"- ", b"  ", b"? ", b"|\n", b">\n", b"#"),
    *(
        b"!!python/object/apply:os.system [x]",
        b"%YAML 9.9\n---\n",
        b"\x1b[2J",
        b"?" * 70,
        b"<<: *a",
    ),
    *(b"0x", b"0o7", b"1_000", b".", b"%", b"12:30", b"31.12.1999", b"12/31/99", b"\xef\xbb\xbf"),
    *(b"\xff\xfe", b"1,5", b"1.234,5", b"(5)", b"1e5", "\u00a0".encode(), "\u0661".encode()),
]


def json_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value."""
    yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from json_places(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return new
    copy, (key, *rest) = value.copy(), path
    copy[key] = replaced(value[key], tuple(rest), new)
    return copy


# --- of any file ---------------------------------------------------------------------------------


def bent_bytes(data: bytes, draw: random.Random) -> bytes:
    """Some bytes flipped, cut, put in, doubled, moved, or turned into a number of another size."""
    bent = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
        start = draw.randrange(len(bent) + 1)
        stop = min(len(bent), start + int(2 ** draw.uniform(0, 9)))
        kind = draw.randrange(8)
        if kind == 0 and start < len(bent):
            bent[start] ^= 1 << draw.randrange(8)
        elif kind == 1:
            bent[start:start] = draw.choice(TOKENS)
        elif kind == 2:
            token = draw.choice(TOKENS)
            bent[start : start + len(token)] = token
        elif kind == 3:
            del bent[start:stop]
        elif kind == 4:
            bent[start:start] = bent[start:stop] * draw.choice((1, 2, 40))
        elif kind == 5:
            width = draw.choice((1, 2, 4, 8))
            number = draw.choice((0, 1, 2**7, 2**15, 2**31, 2**63, 2**64 - 1, draw.getrandbits(64)))
            order = draw.choice(("little", "big"))
            bent[start : start + width] = (number % 2 ** (8 * width)).to_bytes(width, order)
        elif kind == 6:
            piece = bent[start:stop]
            del bent[start:stop]
            place = draw.randrange(len(bent) + 1)
            bent[place:place] = piece
        else:
            del bent[start:]
    return bytes(bent)


def bent_lines(data: bytes, draw: random.Random) -> bytes:
    """Lines and what stands between separators of them taken out, doubled, moved, replaced."""
    lines = data.splitlines(keepends=True) or [b""]
    for _ in range(draw.choice((1, 1, 2, 5))):
        place, other = draw.randrange(len(lines)), draw.randrange(len(lines))
        kind = draw.randrange(5)
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, lines[other])
        elif kind == 2:
            lines[place], lines[other] = lines[other], lines[place]
        else:
            cells = re.split(rb"([,;:\t| ]+)", lines[place])
            cells[draw.randrange(len(cells))] = _text(draw)
            lines[place] = b"".join(cells)
    return b"".join(lines)


def _text(draw: random.Random) -> bytes:
    if draw.random() < 0.5:
        return draw.choice(TOKENS)
    value = draw.choice(NASTY)
    text = value if isinstance(value, str) and draw.random() < 0.5 else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


def bent_value(value: Any, draw: random.Random) -> Any:
    """Some values of nested ones replaced, taken out, doubled or put elsewhere."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(json_places(value))
        path = draw.choice(places)
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        if path and isinstance(holder, dict) and draw.random() < 0.3:
            trimmed = {k: v for k, v in holder.items() if k != path[-1]}
            if draw.random() < 0.5:
                trimmed[draw.choice(("", "\0", "a" * 300, "__class__", "sha256"))] = holder[
                    path[-1]
                ]
            value = replaced(value, path[:-1], trimmed)
        elif draw.random() < 0.2:
            found: Any = value
            for key in draw.choice(places):
                found = found[key]
            value = replaced(value, path, found)
        else:
            value = replaced(value, path, draw.choice(NASTY))
        if len(json.dumps(value)) > 200_000:
            break
    return value


def bent_json(data: bytes, draw: random.Random) -> bytes:
    """JSON with other values; sometimes no longer JSON."""
    kind = draw.randrange(4)
    if kind == 0:
        return bent_bytes(data, draw)
    if kind == 1:
        return bent_lines(data, draw)
    with suppress(ValueError, RecursionError):
        value = bent_value(json.loads(data), draw)
        return json.dumps(value, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    return bent_bytes(data, draw)


def bent_text(data: bytes, draw: random.Random) -> bytes:
    """A text of lines."""
    return draw.choice((bent_bytes, bent_lines, bent_lines))(data, draw)


# --- as a format is built ------------------------------------------------------------------------


def bent_table(data: bytes, draw: random.Random) -> bytes:
    """A table of text, packed or not, in one of several encodings."""
    if data[:2] == b"\x1f\x8b":
        if draw.random() < 0.3:
            return bent_bytes(data, draw)
        with suppress(OSError, EOFError, zlib.error):
            return gzip.compress(bent_text(gzip.decompress(data), draw), mtime=0)
    bent = bent_text(data, draw)
    if draw.random() < 0.1:
        with suppress(UnicodeError):
            return bent.decode().encode(draw.choice(("utf-16", "utf-32", "cp1252", "utf-8-sig")))
    return gzip.compress(bent, mtime=0) if draw.random() < 0.05 else bent


def bent_tensor_file(data: bytes, draw: random.Random) -> bytes:
    """A tensor file with another header, or other content under a digest that is right again."""
    kind = draw.randrange(5)
    n_header = int.from_bytes(data[:8], "little")
    if kind == 0 or n_header > len(data) - 8:
        return bent_bytes(data, draw)
    if kind == 1:
        header = bent_json(data[8 : 8 + n_header], draw)
        return len(header).to_bytes(8, "little") + header + data[8 + n_header :]
    if kind == 2:  # the padding of the header, and what follows the last tensor
        header = data[8 : 8 + n_header] + b" " * draw.randrange(9)
        rest = data[8 + n_header :] + bytes(draw.randrange(9))
        return len(header).to_bytes(8, "little") + header + rest
    try:
        description, tensors = decode(data, who="it")
    except ValueError:
        return bent_bytes(data, draw)
    if kind == 3 or not tensors:
        description = bent_value(description, draw)
    else:
        name = draw.choice(list(tensors))
        tensors[name] = _bent_tensor(tensors[name], draw)
        if draw.random() < 0.2:
            tensors[draw.choice(("", "x" * 300, "network.\0"))] = tensors.pop(name)
    try:
        return encode(description, tensors)
    except (TypeError, ValueError):  # no longer a mapping, or beyond Unicode
        return bent_bytes(data, draw)


def _bent_tensor(tensor: torch.Tensor, draw: random.Random) -> torch.Tensor:
    kind = draw.randrange(5)
    if kind == 0:
        return tensor.flatten()[: draw.randrange(tensor.numel() + 1)]
    if kind == 1:
        return tensor.to(draw.choice((torch.float32, torch.float64, torch.int64, torch.uint8)))
    if kind == 2:
        return torch.full_like(tensor, draw.choice((0, 1, 255)))
    if kind == 3:
        return tensor[None]
    raw = bytearray(tensor.contiguous().numpy().tobytes())
    if raw:
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    return torch.frombuffer(raw, dtype=tensor.dtype).reshape(tensor.shape) if raw else tensor


def bent_npz(data: bytes, draw: random.Random) -> bytes:
    """An archive of arrays with other members, headers or content, its checksums right again."""
    if draw.random() < 0.3:
        return bent_bytes(data, draw)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        return bent_bytes(data, draw)
    if not members:
        return bent_bytes(data, draw)
    place = draw.randrange(len(members))
    name, content = members[place]
    kind = draw.randrange(6)
    if kind == 0:
        members[place] = (name, bent_bytes(content, draw))
    elif kind == 1:
        members[place] = (name, _bent_npy(content, draw))
    elif kind == 2:
        members[place] = (
            draw.choice(("../x.npy", "a\0.npy", "x", ".npy", "net.npy", name * 9)),
            content,
        )
    elif kind == 3:
        members.append((name, content))
    elif kind == 4:
        del members[place]
    else:
        members[place] = (name, _other_array(draw))
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    bent = io.BytesIO()
    with zipfile.ZipFile(bent, "w", deflated if draw.random() < 0.3 else stored) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            info.extra = b"\0\0\4\0abcd" * (draw.random() < 0.05)
            archive.fp.write(b"x" * (draw.random() < 0.02))  # type: ignore[union-attr]
            with suppress(ValueError, UnicodeError):
                archive._writecheck = lambda info: None  # type: ignore[method-assign]
                archive.writestr(info, content)
    return bent.getvalue()


def _bent_npy(content: bytes, draw: random.Random) -> bytes:
    n_header = int.from_bytes(content[8:10], "little")
    header = bent_lines(content[10 : 10 + n_header], draw)
    if draw.random() < 0.5:
        header = re.sub(
            rb"'[<|]?[a-zA-Z]\d+'",
            repr(
                draw.choice(
                    ("<f4", ">f8", "|O", "<U0", "<U99999999", "<m8[ns]", "|V8", "<c16", "<M8[fs]")
                )
            ).encode(),
            header,
        )
    if draw.random() < 0.5:
        shape = draw.choice(
            (b"()", b"(0,)", b"(-1,)", b"(2**9,)", b"(99999999999,0)", b"(1,2,3,4,5)")
        )
        header = re.sub(rb"\([\d, ]*\)", shape, header)
    return content[:8] + len(header).to_bytes(4, "little")[:2] + header + content[10 + n_header :]


def _other_array(draw: random.Random) -> bytes:
    shape = draw.choice(((), (0,), (3,), (4, 2), (0, 5), (2, 3, 2)))
    dtype = draw.choice(("<f8", "<f4", "<f2", "<i8", "|b1", "<U3", "<M8[D]", "|S2", "<c8", "<u1"))
    array = np.zeros(shape, dtype)
    if array.size and array.dtype.kind == "f":
        array.flat[0] = draw.choice((np.nan, np.inf, -1.0, 0.0, 6e4))
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asfortranarray(array) if draw.random() < 0.3 else array)
    return content.getvalue()


def bent_archive(data: bytes, draw: random.Random) -> bytes:
    """A packed run with other headers, files or ends; sums and lists are right again, often."""
    if draw.random() < 0.15:
        return bent_bytes(data, draw)
    if draw.random() < 0.1:  # what gzip allows behind its end
        return data + draw.choice((bytes(draw.randrange(600)), gzip.compress(b"x"), data, b"x"))
    try:
        tar = bytearray(gzip.decompress(data))
    except (OSError, EOFError, zlib.error):
        return bent_bytes(data, draw)
    kind = draw.randrange(5)
    if kind == 0:
        bent = bent_bytes(bytes(tar), draw)
    elif kind == 1:
        bent = _with_bent_header(tar, draw)
    else:
        bent = _with_bent_member(tar, draw, signed=kind > 2)
    return gzip.compress(bent, compresslevel=1, mtime=0)


def _blocks(tar: bytearray) -> Iterator[int]:
    place = 0
    while place + 512 <= len(tar) and any(tar[place : place + 512]):
        yield place
        try:
            n_bytes = int(bytes(tar[place + 124 : place + 135]), 8)
        except ValueError:
            return
        place += 512 + n_bytes + -n_bytes % 512


def _with_bent_header(tar: bytearray, draw: random.Random) -> bytes:
    places = list(_blocks(tar))
    if not places:
        return bent_bytes(bytes(tar), draw)
    place = draw.choice(places)
    # Name, mode, size, time, type, link, magic, owner, prefix: where each begins and ends.
    start, stop = draw.choice(
        (
            (0, 100),
            (100, 108),
            (124, 136),
            (136, 148),
            (156, 157),
            (157, 257),
            (257, 265),
            (345, 500),
        )
    )
    new = draw.choice(
        (
            *(b"/etc/passwd", b"../x", b"run/events.csv", b"77777777777", b"\x80" + b"\xff" * 10),
            *(b"\xff" * 12, b"-1", b"1", b"2", b"5", b"L", b"x", b"g", b"S", b"0", b"\0" * 12),
        )
    )[: stop - start]
    tar[place + start : place + start + len(new)] = new
    if draw.random() < 0.8:
        tar[place + 148 : place + 156] = b" " * 8
        tar[place + 148 : place + 156] = b"%06o\0 " % sum(tar[place : place + 512])
    return bytes(tar)


def _with_bent_member(tar: bytearray, draw: random.Random, *, signed: bool) -> bytes:
    """Other files; with a list of them that is right again, where `signed`."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            found = [(info, archive.extractfile(info)) for info in archive.getmembers()]
            files = {info.name: file.read() for info, file in found if file}
    except (tarfile.TarError, KeyError, EOFError, OSError, OverflowError, ValueError):
        return bent_bytes(bytes(tar), draw)
    if not files:
        return bent_bytes(bytes(tar), draw)
    name = draw.choice(list(files))
    top = name.partition("/")[0]
    kind = draw.randrange(4)
    if kind == 0:
        del files[name]
    elif kind == 1:
        files[name] = bent_bytes(files[name], draw)
    elif kind == 2:
        files[
            f"{top}/"
            + draw.choice(("x", "checkpoints/x.so", "attempts/1/events.csv", "metrics.json"))
        ] = b"x"
    else:
        files[name] += bytes(draw.randrange(600))
    listed = f"{top}/{LIST_NAME}"
    if signed and listed in files:
        entries = {
            name.removeprefix(f"{top}/"): {"bytes": len(data), "sha256": sha256_of(data)}
            for name, data in files.items()
            if name != listed
        }
        del files[listed]
        content = {"schema_version": 1, "files": entries, "left_out": []}
        files[listed] = json.dumps(content).encode()
    bent = io.BytesIO()
    with tarfile.open(fileobj=bent, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            with suppress(ValueError, UnicodeError):
                archive.addfile(info, io.BytesIO(data))
    return bent.getvalue()
