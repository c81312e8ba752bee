"""A log that is read while its run goes on."""

from __future__ import annotations

from pathlib import Path

from psann._plain_files import open_plain
from psann.run.directory.rows import Row, parse_log


class GrowingLog:
    """The rows of a log that may grow, be cut back by a resume, or be renewed by a copy."""

    def __init__(self, path: Path) -> None:
        self.rows: list[Row] = []
        self._path = path
        self._forget()

    def read_on(self) -> None:
        """Take in what is new; a log that was cut back or replaced is read anew."""
        if not self._take_new_rows():
            self._forget()
            self._take_new_rows()

    def _forget(self) -> None:
        self.rows = []
        self._header = b""
        self._last_line, self._last_line_at = b"", 0

    def _take_new_rows(self) -> bool:
        """Whether what was read before still stands: its last line is where it was."""
        try:
            with open_plain(self._path) as file:
                file.seek(self._last_line_at)
                data = file.read()
        except (OSError, ValueError):
            return True  # not there yet, or not there for a moment
        if not data.startswith(self._last_line):
            return False
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        new = lines[1:] if self._header else lines
        if new:
            self._header = self._header or new.pop(0)
            self.rows += parse_log(self._header + b"".join(new))[0]
            self._last_line = lines[-1]
            self._last_line_at += sum(map(len, lines[:-1]))
        return True
