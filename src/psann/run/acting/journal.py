"""A journal of what a policy said, line by line: appended, never rewritten.

JSON, one object a line; the first names run and policy, each later one is a row of weights, or what
was judged. Every line has the digest of the line before it, so that a line that was changed, taken
out or put in shows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from psann._digest import sha256_of
from psann._file_lock import take_lock
from psann._plain_files import read_plain
from psann._strict_json import parse_strict
from psann._typing import Floats
from psann._whole_file import naming
from psann.errors import FileFormatError, UsageError
from psann.run.acting.weights import Weights
from psann.run.directory.files import MAX_LOG_BYTES

_SAME = 1e-6  # between what was said and what would be said now
_OF_HEAD = ("run_id", "run_name", "policy", "policy_sha256", "delay", "cash")


@dataclass(frozen=True, kw_only=True)
class Said:
    """One row of weights, as it stands in a journal."""

    label: str
    """Date of the row."""
    weights: tuple[float, ...]
    said_utc: str
    """When it was written down."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    """What a journal holds."""

    head: Mapping[str, Any]
    assets: tuple[str, ...]
    said: tuple[Said, ...]
    """In time."""
    last_sha256: str
    """Digest of the last line."""

    @property
    def values(self) -> Floats:
        """Weights ``(n, M)``."""
        return np.array([each.weights for each in self.said]).reshape(-1, len(self.assets))


def read_journal(path: Path) -> Journal | None:
    """Read a journal, and hold every line against the next; None where there is no file.

    Raises
    ------
    FileFormatError
        If it is none, or a line is not as it was written.
    """
    try:
        data = read_plain(path, MAX_LOG_BYTES, follow=True)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FileFormatError(f"--journal must be a file; {path}: {error}.") from None
    lines = data.split(b"\n")
    rest = lines.pop()
    entries, before = [], ""
    for number, line in enumerate(lines, start=1):
        try:
            entry = parse_strict(line)
        except ValueError as error:
            raise _damaged(path, number, str(error)) from None
        if entry.get("before") != before:
            raise _damaged(path, number, "it does not follow the line before it")
        entries.append(entry)
        before = sha256_of(line)
    if rest:
        raise _damaged(path, len(lines) + 1, "it is torn")
    if not entries:
        return None
    try:
        return _journal_of(entries, before)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, 1, f"it lacks or has another {error}") from None


def _journal_of(entries: Sequence[Mapping[str, Any]], last_sha256: str) -> Journal:
    head, assets = entries[0], tuple(map(str, entries[0]["assets"]))
    said = tuple(
        Said(
            label=str(entry["row"]),
            weights=tuple(map(float, entry["weights"])),
            said_utc=str(entry["said_utc"]),
        )
        for entry in entries[1:]
        if entry["kind"] == "said"
    )
    if any(len(each.weights) != len(assets) for each in said):
        raise ValueError("number of weights")
    return Journal(head=head, assets=assets, said=said, last_sha256=last_sha256)


def _damaged(path: Path, number: int, why: str) -> FileFormatError:
    return FileFormatError(
        f"--journal must be as it was written; {path}, line {number}: {why}. Restore the file, or "
        "begin another."
    )


def keep(
    path: Path, weights: Weights, *, now: datetime, sees_held: bool = False
) -> tuple[Journal, list[str]]:
    """Append the rows that a journal does not have yet.

    Parameters
    ----------
    path : Path
        The journal, begun where there is none.
    weights : Weights
        What the policy says of the rows now.
    now : datetime
        In UTC.
    sees_held : bool
        Whether what was held may have changed what it said.

    Returns
    -------
    journal : Journal
        With the new rows.
    differences : list of str
        Where the policy would say something else by now than it did, and why.

    Raises
    ------
    FileFormatError
        If the journal was changed.
    UsageError
        If it is of another run or policy.
    """
    if weights.rows.dtype.kind != "M":
        raise UsageError("--journal needs rows with dates; these have none. Give time with them.")
    known = read_journal(path)
    told = weights.provenance.model_dump()
    head: dict[str, Any] = {name: told[name] for name in _OF_HEAD}
    head["assets"] = list(weights.assets)
    if known is not None and {name: known.head.get(name) for name in head} != head:
        other = [name for name in head if known.head.get(name) != head[name]]
        raise UsageError(
            f"--journal must be of this run and policy; {path} has another {', '.join(other)}. "
            "Begin another journal."
        )
    lines: list[dict[str, Any]] = [] if known is not None else [{"kind": "journal", **head}]
    # Rows are in time, and so are their texts: what is not after the last one has been said.
    last = known.said[-1].label if known is not None and known.said else ""
    first = sum(label <= last for label in weights.labels)
    said_utc = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    for label, row in zip(weights.labels[first:], weights.values[first:].tolist(), strict=True):
        line = {"kind": "said", "row": label, "weights": row, "said_utc": said_utc}
        lines.append({**line, "data_sha256": told["data_sha256"]})
    append(path, lines, before="" if known is None else known.last_sha256)
    journal = read_journal(path)
    assert journal is not None
    why = "the data were revised" + (", or something else was held" if sees_held else "")
    return journal, _differences(known, weights, why)


def append(path: Path, lines: Sequence[Mapping[str, Any]], *, before: str) -> None:
    """Append lines to a journal, each with the digest of the one before it, in one write.

    Parameters
    ----------
    before : str
        Digest of the last line that was read; empty for a new file.

    Raises
    ------
    UsageError
        If another command has written, or is about to: the chain of digests would part.
    """
    data, read = b"", before
    for line in lines:
        text = json.dumps({**line, "before": before}, separators=(",", ":"), allow_nan=False)
        before = sha256_of(text.encode())
        data += text.encode() + b"\n"
    if not data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("a+b") as file:
        is_free = True
        try:
            take_lock(file.fileno())
        except BlockingIOError:
            is_free = False
        except (ImportError, OSError):
            pass  # there are no locks here
        file.seek(0)
        *_, last, _ = (b"\n" + file.read()).split(b"\n")
        if not is_free or (sha256_of(last) if last else "") != read:
            raise UsageError(
                f"--journal must be written by one command at a time; another has {path}. Do it "
                "again."
            )
        start = file.seek(0, os.SEEK_END)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(start)
            raise


def _differences(known: Journal | None, weights: Weights, why: str) -> list[str]:
    if known is None:
        return []
    now = dict(zip(weights.labels, weights.values, strict=True))
    found = [
        (each.label, float(np.abs(now[each.label] - np.array(each.weights)).max()))
        for each in known.said
        if each.label in now
    ]
    return [
        f"of {label} the policy would say something else by now, by up to {difference:.4f}: {why}. "
        "What it said stands."
        for label, difference in found
        if difference > _SAME
    ]
