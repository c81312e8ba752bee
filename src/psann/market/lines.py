"""Files of a table, and the lines of text in them."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from psann._digest import sha256_of, sha256_of_file
from psann._paths import given_path
from psann._plain_files import IS_ABSENT, what_is
from psann.errors import DataError, listed, reason_of
from psann.market.findings import paste

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
ARROW_SUFFIXES = (".parquet", ".pq", ".feather", ".arrow")
# Wider than any table, emptier than any, and far more than texts of numbers can be packed.
_MAX_LINE_LETTERS, _MAX_EMPTY_LINES = 2**20, 100_000
_MOST_NAMED = 5
_FREE_LETTERS, _MAX_EXPANSION = 4 * 2**20, 20
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def given_file(name: str, path: str | Path) -> Path:
    """The path of an option, with `~` as a home.

    Raises
    ------
    DataError
        If it is empty, or holds what nothing has filled in.
    """
    try:
        return given_path(str(path))
    except ValueError as error:
        raise DataError(f"{name} {error}.") from None


def files_of(paths: list[Path]) -> list[Path]:
    """List the files of tables: each path itself, or what a folder holds, by name.

    Raises
    ------
    DataError
        If one is absent, of another kind, or a folder without tables.
    """
    problems: list[str] = []
    files: list[Path] = []
    for path in paths:
        # Not `Path.is_dir`, which raises where a folder may not be entered.
        if os.path.isdir(path):
            try:
                inside = sorted(path.iterdir())
            except OSError as error:
                problems.append(f"{path} must be a folder that can be read; {reason_of(error)}.")
                continue
            found = [file for file in inside if _kind_of(file) and os.path.isfile(file)]
            if not found:
                problems.append(
                    f"{path} must hold tables ({', '.join(TEXT_SUFFIXES + ARROW_SUFFIXES)}, also "
                    ".gz); it has none."
                )
            files += found
        elif not os.path.isfile(path):
            why = "is neither" if os.path.exists(path) else what_is(path)
            near = _near(path) if why == IS_ABSENT else ""
            problems.append(f"{path} must be a file or a folder; it {why}.{near}")
        elif not _kind_of(path):
            problems.append(_unknown_kind(path))
        elif not os.access(path, os.R_OK):
            problems.append(f"{path} must be a file that this user may read.")
        else:
            files.append(path)
    if problems:
        raise DataError(problems)
    return files


def _kind_of(path: Path) -> str | None:
    suffix = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    known = suffix.lower() in TEXT_SUFFIXES + ARROW_SUFFIXES
    return suffix.lower() if known and not path.name.startswith(".") else None


def is_arrow(path: Path) -> bool:
    """Say whether a file is Parquet or Feather."""
    return _kind_of(path) in ARROW_SUFFIXES


def stem_of(path: Path) -> str:
    """Return a file's name without its endings: the name of its only asset."""
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return bare.stem


def digest_of(*paths: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; of several files, of their digests."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(sha256_of_file(file))
    return digests[0] if len(digests) == 1 else sha256_of("".join(digests).encode())


def lines_of(path: Path, encoding: str | None) -> Iterator[str]:
    """Read the lines of a text, unpacked and decoded, without their ends.

    Raises
    ------
    DataError
        If the bytes are not of the encoding, the archive is damaged, or what it unpacks to, a line,
        or the number of empty ones is beyond any table.
    """
    open_file = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with open_file(path, "rb") as raw:
            mark = raw.read(4)
            raw.seek(0)
            guess = _coding_of(mark)
            # newline=None ends lines at \n, \r\n and \r, and nowhere else.
            with io.TextIOWrapper(raw, encoding=encoding or guess, newline=None) as text:
                yield from _within_limits(text, path)
    except UnicodeError as error:
        other = "cp1252" if (encoding or guess).startswith("utf") else "utf-8"
        raise DataError(
            f"{path} must be text in {encoding or guess}; got bytes that are not ({error.reason}). "  # type: ignore[attr-defined]
            f"Say `{paste({'format': {'encoding': other}})}`, or the encoding it was written in."
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} must be a whole gzip archive; got one that is damaged ({error}). "
            "Fetch or pack it again."
        ) from error


def _coding_of(mark: bytes) -> str:
    """How a text is coded that begins so: by its mark, else by every second byte that is empty."""
    for bom, name in _BOMS.items():
        if mark.startswith(bom):
            return name
    if mark[1::2] == b"\0\0":  # Latin letters of two bytes, the lower one first
        return "utf-16-le"
    return "utf-16-be" if mark[::2] == b"\0\0" else "utf-8"


def _within_limits(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    n_letters = n_empty = 0
    allowed = _FREE_LETTERS + _MAX_EXPANSION * path.stat().st_size
    for number, line in enumerate(iter(partial(text.readline, _MAX_LINE_LETTERS + 1), ""), 1):
        n_letters += len(line)
        n_empty += line == "\n"
        if len(line) > _MAX_LINE_LETTERS:
            problem = (
                f"have lines of at most {_MAX_LINE_LETTERS:,} letters; line {number} is longer"
            )
        elif n_letters > allowed:
            problem = f"unpack to at most {allowed:,} letters; it goes on"
        elif n_empty > _MAX_EMPTY_LINES:
            problem = f"have at most {_MAX_EMPTY_LINES:,} empty lines; line {number} is one more"
        else:
            yield line.rstrip("\n")
            continue
        raise DataError(f"{path} must {problem}. Is this a table of prices? Save it anew as CSV.")


def _unknown_kind(path: Path) -> str:
    kinds = listed(list(TEXT_SUFFIXES + ARROW_SUFFIXES))
    cure = "Save the table as CSV"
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        cure += ", or read the sheet with pandas.read_excel and give the frame to read_prices"
    elif path.suffix.lower() in (".zip", ".bz2", ".xz", ".zst"):
        cure = "Unpack it, or pack it with gzip"
    return f"{path} must be one of {kinds} (texts also as .gz); got {path.suffix!r}. {cure}."


def _near(path: Path) -> str:
    """Name files of the same ending beside the absent one, those of its own name first."""
    if not os.path.isdir(path.parent):
        return f" There is no folder {path.parent} either."
    try:
        beside = list(path.parent.iterdir())
    except OSError:  # it may not be looked into
        return ""
    alike = {p.name for p in beside if _ending(p) == _ending(path)} - {path.name}
    others = sorted(alike, key=lambda name: (not name.startswith(path.name.split(".")[0]), name))
    return f" Beside it are {listed(others, _MOST_NAMED)}." if others else ""


def _ending(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
