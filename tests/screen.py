"""What a person sees: a program on a pseudo-terminal, and the screen that its output leaves."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path

_STEP = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?\d+[hl]|[\r\n]|[^\x1b\r\n]")


def seen(command: Sequence[str], *, width: int, press: str, when: str, cwd: Path) -> list[str]:
    """Lines of the screen after a command that was sent keys once it had written some text."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(cwd)
        sizes = ("COLUMNS", "LINES")
        os.execve(command[0], command, {k: v for k, v in os.environ.items() if k not in sizes})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 500, width, 0, 0))
    written, is_pressed, deadline_s = b"", False, time.monotonic() + 300
    while time.monotonic() < deadline_s:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            written += os.read(terminal, 65_536)
        except OSError:  # Linux answers EIO once the program has gone
            break
        if not is_pressed and re.search(when, written.decode(errors="ignore")):
            os.write(terminal, press.encode())
            is_pressed = True
    os.close(terminal)
    os.waitpid(child, 0)
    return screen(written.decode(), width=width)


def screen(text: str, *, width: int) -> list[str]:
    """Lines after the text was written, wrapped where the terminal ends."""
    lines, row, column = [""], 0, 0
    for found in _STEP.finditer(text):
        step, number, kind = found[0], int(found[1] or 1), found[2]
        if step == "\r":
            column = 0
        elif kind == "A":
            row = max(0, row - number)
        elif kind == "K":
            lines[row], column = ("", 0) if found[1] == "2" else (lines[row][:column], column)
        elif step == "\n" or (not step.startswith("\x1b") and column == width):
            row, column = row + 1, 0 if step != "\n" else column
            lines += [""] * (row + 1 - len(lines))
        if len(step) == 1 and step not in "\r\n":
            line = lines[row].ljust(column)
            lines[row] = line[:column] + step + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
