"""The blocks of the README and of the docs, and a reader who does what they say."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
_FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?%?")
_CLOCK = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Commands, one each; where there are prompts, what stands behind them."""
        lines = re.sub(r" *\\\n *", " ", self.text).splitlines()
        if any(line.startswith("$ ") for line in lines):
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.startswith("#")]

    @property
    def answer(self) -> list[str]:
        """Lines that a console shows, without those that stand for others."""
        lines = [line for line in self.text.splitlines() if not line.startswith("$ ")]
        return [line for line in lines if line.strip() not in ("", "...")]


@functools.cache
def blocks(page: str) -> tuple[Block, ...]:
    """All blocks of a page, in their order."""
    text = PAGES[page].read_text(encoding="utf-8")
    return tuple(
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in _FENCED.finditer(text)
    )


def block(page: str, start: str) -> Block:
    """The one block of a page that begins with these words."""
    found = [each for each in blocks(page) if each.text.startswith(start)]
    assert len(found) == 1, f"{page} has {len(found)} blocks that begin with {start!r}"
    return found[0]


def shape(line: str) -> str:
    """A line without its numbers, bars, rules and widths of columns."""
    bare = re.sub(r"─+|(?<= )#+(?= )", "", line)
    return " ".join(_NUMBER.sub("0", bare).split())


def missing_lines(shown: Block, said: str) -> list[str]:
    """Lines of a block whose like the program did not say."""
    like = {shape(line) for line in _CLOCK.sub("", said).splitlines()}
    return [line for line in shown.answer if shape(line) not in like]


class Reader:
    """Works in a folder of their own, as in a clone where `make install` is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("configs", "benchmarks"):
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv").symlink_to(sys.prefix)

    def env(self) -> dict[str, str]:
        """Of a shell with the environment activated."""
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}

    def does(self, command: str, *, code: int = 0) -> str:
        """Run a command, which must end with this code, and return all that it says."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}"
        return done.stdout

    def writes(self, name: str, *parts: Block | str) -> Path:
        """Save blocks as one file."""
        path = self.folder / name
        path.write_text("\n".join(p if isinstance(p, str) else p.text for p in parts))
        return path


def words(command: str) -> list[str]:
    """Words of a command without variables before it, `nohup` and what sends it away."""
    found = shlex.split(command, comments=True)
    while found and ("=" in found[0] or found[0] == "nohup"):
        found.pop(0)
    return found[: found.index("&")] if "&" in found else found
