"""A seal: a second file by which every change of the record is noticed.

A run that gets to its end writes one by itself, so that damage and a careless edit are noticed;
with a key it is an HMAC, so that nobody without the key can have written what is there.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from psann._plain_files import read_plain
from psann._strict_json import to_json
from psann.errors import UsageError, file_and_reason, reason_of
from psann.run.directory.fields import OVER
from psann.run.directory.files import read_json
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import seal_of
from psann.run.directory.storage import Storage
from psann.run.verification.verify import verify_run

_MAX_KEY_BYTES = 4096


def seal(root: Path, *, key: bytes | None = None) -> Path:
    """Seal a finished run that verifies.

    Parameters
    ----------
    key : bytes, optional
        A secret of at least 16 bytes, as from `read_key`.

    Returns
    -------
    Path
        The seal, `seal.json`.

    Raises
    ------
    UsageError
        If the run has not ended, or verification finds an error.
    """
    verdict = verify_run(root)
    if verdict.status not in OVER or verdict.errors:
        found = str(verdict.errors[0]) if verdict.errors else f"its status is {verdict.status}"
        raise UsageError(
            f"seal needs a run that has ended and verifies; {root} is none: "
            f"{found.rstrip('.')}. See hisso-runs verify."
        )
    paths = RunPaths(root.resolve())  # nothing is written by way of a link
    content = seal_of(read_json(paths.metrics), key=key)
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        storage.put(paths.seal, to_json(content))
    return RunPaths(root).seal


def read_key(path: Path | None) -> bytes | None:
    """Read the key that a file holds, without its last line end; None without a file.

    Raises
    ------
    UsageError
        If there is none, or it is too short to be one.
    """
    if path is None:
        return None
    try:
        key = read_plain(path, _MAX_KEY_BYTES).rstrip(b"\r\n")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--key must be a file that holds a key; {path} cannot be read: {reason_of(error)}."
        ) from None
    if len(key) < 16:
        raise UsageError(
            f"--key must hold at least 16 bytes; {path} holds {len(key)}. Make one with "
            "openssl rand -hex 32."
        )
    return key


def problem_of_seal(root: Path, *, key: bytes | None = None) -> str | None:
    """Say what is wrong with the seal of a run; None if it is the record's.

    Parameters
    ----------
    key : bytes, optional
        What it must have been sealed with; without one there may be no seal.
    """
    paths = RunPaths(root)
    if not os.path.exists(paths.seal):  # nor where it may not be looked for, which is told of
        return None if key is None else "there is no seal; hisso-runs seal makes one"
    try:
        content, metrics = read_json(paths.seal), read_json(paths.metrics)
    except (OSError, ValueError) as error:
        return f"the seal cannot be held against the record: {file_and_reason(error)}"
    found = seal_of(metrics, key=key)
    told = {name: str(content.get(name))[:64] for name in found}
    if (told["schema_version"], told["kind"]) != (str(found["schema_version"]), found["kind"]):
        return f"the seal is of kind {told['kind']!r}, not {found['kind']!r}"
    if not hmac.compare_digest(told["digest"].encode("utf-8", "replace"), found["digest"].encode()):
        return "metrics.json is not what was sealed"
    return None
