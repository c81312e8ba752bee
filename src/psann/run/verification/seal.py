"""A seal: a second file by which every change of the record is noticed.

`metrics.json` has the digest of every other file; nothing had its own. The seal holds the SHA-256
of its canonical content, so that damage and a careless edit are noticed, or with a key an HMAC, so
that nobody without the key can have written what is there.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from psann._digest import sha256_of
from psann._plain_files import read_plain
from psann.errors import UsageError
from psann.run.directory.fields import OVER
from psann.run.directory.files import read_json
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import to_json
from psann.run.directory.storage import Storage
from psann.run.verification.verify import verify_run

SCHEMA_VERSION = 1
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
            f"seal needs a run that has ended and verifies; {root} is none: {found}. See "
            "hisso-runs verify."
        )
    paths = RunPaths(root)
    content = {
        "schema_version": SCHEMA_VERSION,
        "kind": _kind(key),
        "digest": digest_of(read_json(paths.metrics), key=key),
    }
    with Storage(root) as storage:
        storage.lock(paths.lock)
        storage.put(paths.seal, to_json(content))
    return paths.seal


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
        raise UsageError(f"--key must be a file that holds a key; {path}: {error}.") from None
    if len(key) < 16:
        raise UsageError(
            f"--key must hold at least 16 bytes; {path} holds {len(key)}. Make one with "
            "openssl rand -hex 32."
        )
    return key


def digest_of(metrics: Mapping[str, object], *, key: bytes | None = None) -> str:
    """SHA-256 or HMAC of a record's canonical content: spaces and the order of keys do not count.

    Examples
    --------
    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(metrics, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return sha256_of(text) if key is None else hmac.digest(key, text, "sha256").hex()


def problem_of_seal(root: Path, *, key: bytes | None = None) -> str | None:
    """Say what is wrong with the seal of a run; None if it is the record's.

    Parameters
    ----------
    key : bytes, optional
        What it must have been sealed with; without one there may be no seal.
    """
    paths = RunPaths(root)
    try:
        content, metrics = read_json(paths.seal), read_json(paths.metrics)
    except FileNotFoundError:
        return None if key is None else "there is no seal; hisso-runs seal makes one"
    except (OSError, ValueError) as error:
        return f"the seal cannot be read: {error}"
    if content.get("schema_version") != SCHEMA_VERSION or content.get("kind") != _kind(key):
        return f"the seal is of kind {str(content.get('kind'))[:40]!r}, not {_kind(key)!r}"
    told, found = str(content.get("digest")), digest_of(metrics, key=key)
    if not hmac.compare_digest(told.encode("utf-8", "replace"), found.encode()):
        return "metrics.json is not what was sealed"
    return None


def _kind(key: bytes | None) -> str:
    return "sha256" if key is None else "hmac-sha256"
