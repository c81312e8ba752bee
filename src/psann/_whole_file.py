"""Files that are there as a whole or not at all, for what a user asks to be written."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> Path:
    """Put a whole file in place at once, so that nobody opens half of it.

    Parameters
    ----------
    path : Path
        The file; its folder is made, what was there is replaced.

    Returns
    -------
    Path
        The same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
