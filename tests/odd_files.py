"""What may stand in place of a plain file."""

from __future__ import annotations

import os
import socket
from pathlib import Path

KINDS = ("pipe", "link", "socket", "directory")


def make(kind: str, path: Path) -> None:
    """Put one of KINDS somewhere; the link leads to a device."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(path))  # absolute ones of pytest are too long for it
