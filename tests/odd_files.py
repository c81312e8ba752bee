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
        # By way of its folder, as the paths of pytest are too long for an address.
        folder = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
