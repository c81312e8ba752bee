r"""`events.csv`: every log record is one row, every row is one physical line.

RFC 4180 (2005, https://www.rfc-editor.org/rfc/rfc4180): a header, commas, CRLF line ends, quotes
where needed; UTF-8. Text is made safe in three steps: control characters become escapes (`\n`,
`\x1b`), so that `tail` and `wc` see one line per row; secrets are masked; a cell that a
spreadsheet would run as a formula gets a leading apostrophe. Numbers are written so that reading
them back gives the same bits. None is an empty cell; NaN and infinities are too, and the message
names them.

Rows do not travel through the loggers of the standard library, which any code may silence or close:
`log_event` hands them to whoever listens by `listening`.
"""

from __future__ import annotations

import csv
import itertools
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from psann._plain_files import read_plain
from psann._text import level_name, message_of, safe_cell, utc_text
from psann.errors import FileFormatError
from psann.run.directory.columns import (
    COLUMNS,
    EVENTS,
    SCHEMA_VERSION,
    columns_of,
    header_of,
    kind_of,
)
from psann.run.directory.files import MAX_FILE_BYTES
from psann.run.directory.rows import cells_of, split_log, values_of
from psann.run.directory.storage import Storage

_OWN = frozenset({"schema", "seq", "time_utc", "elapsed_s", "level", "event", "message"})
Listener = Callable[[logging.LogRecord], None]
_listeners: list[Listener] = []
_LAST_RESORT = logging.lastResort


def _leave() -> None:
    _listeners.clear()
    logging.lastResort = _LAST_RESORT


# A process that user code forks off has no part in the run.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)


@contextmanager
def listening(*listeners: Listener) -> Iterator[None]:
    """Hand every record of a run to listeners, what others log below `psann`, and warnings.

    Those of loggers that nobody has set up would go to standard error as they are, with whatever
    they tell. Who sets up logging in a program keeps what they asked for.
    """
    logger, handler = logging.getLogger("psann"), Forwarder(*listeners)
    level, propagate, last_resort = logger.level, logger.propagate, logging.lastResort
    logging.lastResort = Forwarder(*listeners, level=logging.WARNING)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    _listeners.extend(listeners)
    try:
        yield
    finally:
        del _listeners[-len(listeners) :]
        logging.lastResort = last_resort
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class Forwarder(logging.Handler):
    """Hands the records of a logger on; it has nothing that `logging.shutdown` could close."""

    def __init__(self, *listeners: Listener, level: int = logging.DEBUG) -> None:
        super().__init__(level)
        self._listeners, self._pid = listeners, os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to every listener; the errors of a listener propagate."""
        if os.getpid() == self._pid:  # else a helper of the user's, which has no part in the run
            for listener in self._listeners:
                listener(record)


def log_event(logger: logging.Logger, level: int, event: str, message: str, **columns: Any) -> None:
    """Log a message as a row of a given kind with values in its columns.

    Parameters
    ----------
    level : int
        Level of the record; the console shows INFO and above.
    **columns : Any
        Values by column: numbers, True or False for flags, text for `phase` and `state_reset`,
        None for nothing.

    Raises
    ------
    KeyError
        If the event or a column does not exist: a bug of the caller.
    """
    unknown = [name for name in columns if name not in COLUMNS or name in _OWN]
    if event not in EVENTS or unknown:
        raise KeyError(f"events.csv has no event {event!r} or no columns {unknown}")
    # Not by the logger, which may be switched off, and would walk up the stack to find this line.
    record = logging.LogRecord(logger.name, level, __file__, 0, "%s", (message,), None)
    record.event = {"event": event, **columns}
    for listener in _listeners:
        listener(record)
    if not _listeners and logger.isEnabledFor(level):
        logger.handle(record)


class _Echo:
    """A file for `csv.writer` that hands every row back."""

    def write(self, row: str) -> str:
        return row


class CsvFormatter:
    """Turns a log record into one row; numbers the rows and times them.

    Parameters
    ----------
    columns : tuple of str
        Those of the file: a log that an earlier release began lacks the later ones.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        *,
        columns: tuple[str, ...] = COLUMNS,
        first_seq: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._columns = columns
        self._seq = itertools.count(first_seq)
        self._clock = clock
        self._start_s = clock()
        self._writer: Any = csv.writer(_Echo(), lineterminator="\r\n")

    def format(self, record: logging.LogRecord) -> str:
        """Write the row, with its line end."""
        given = record.__dict__.get("event", {"event": "log"})
        values = {name: value for name, value in given.items() if value is not None}
        cells = {name: _cell(name, value) for name, value in values.items() if name not in _OWN}
        lost = [f"{name}={value}" for name, value in values.items() if _is_non_finite(value)]
        message = message_of(record)
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        message += f" [not finite: {', '.join(lost)}]" if lost else ""
        cells |= {
            "schema": str(SCHEMA_VERSION),
            "seq": str(next(self._seq)),
            "time_utc": utc_text(record.created),
            "elapsed_s": repr(round(self._clock() - self._start_s, 6)),
            "level": safe_cell(level_name(record)),
            "event": values["event"],
            "message": safe_cell(message),
        }
        row: str = self._writer.writerow([cells.get(name, "") for name in self._columns])
        return row


class EventLog:
    """Appends every record to `events.csv`.

    An existing file is continued: its header is kept, a last row that a killed process tore is
    cut, and `seq` goes on.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.

    Raises
    ------
    FileFormatError
        If the file has other columns than this version writes, or a row that cannot be read.

    Notes
    -----
    The standard library prints the errors of its handlers and goes on, and closes them when asked
    by anyone. Here errors propagate to whoever logs, and only the run closes its log: a run whose
    log cannot be written must not look like one that can.
    """

    def __init__(
        self, storage: Storage, path: Path, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = storage.append(path)
        self._clock = clock
        self._prepare()

    def rows_after(self, size_bytes: int) -> bytes:
        """Read what `cut_back` would take away."""
        return read_plain(self._file.path, MAX_FILE_BYTES)[size_bytes:]

    def cut_back(self, size_bytes: int) -> None:
        """Take back rows that tell of lost work; the numbers of the rows go on from there.

        Parameters
        ----------
        size_bytes : int
            Length to keep; a log that is no longer is left alone.
        """
        if size_bytes < self._file.size_bytes:
            self._file.cut(size_bytes)
            self._prepare()

    def n_epochs(self) -> Counter[tuple[str, int]]:
        """Count the rows of epochs by phase and seed."""
        rows = (cells_of(line, self._columns) for line in self._read()[1])
        return Counter((row["phase"], int(row["seed"])) for row in rows if row["event"] == "epoch")

    @property
    def size_bytes(self) -> int:
        """Length of the file: all rows so far."""
        return self._file.size_bytes

    def take(self, record: logging.LogRecord) -> None:
        """Append the record's row in one write."""
        self._file.write(self._formatter.format(record).encode())

    def sync(self) -> None:
        """Wait until the disk holds every row."""
        self._file.sync()

    def close(self) -> None:
        """Sync and close the file."""
        self._file.close()

    def _prepare(self) -> None:
        """Go on with a file, cut to its last whole row; begin a new one with the header."""
        header, lines, n_torn = self._read()
        if n_torn:
            self._file.cut(self._file.size_bytes - n_torn)
        if header is None:
            header = header_of(COLUMNS)
            self._file.write(header + b"\r\n")
        columns = columns_of(header)
        if columns is None:
            raise self._damaged(
                f"must have the columns of version {SCHEMA_VERSION}; its first line is another"
            )
        n_rows = 0
        for n_rows, line in enumerate(lines, start=1):
            try:
                values_of(cells_of(line, columns))
            except ValueError as problem:
                raise self._damaged(f"is damaged: line {n_rows + 1} {problem}") from None
        self._columns = columns
        self._formatter = CsvFormatter(columns=columns, first_seq=n_rows + 1, clock=self._clock)

    def _damaged(self, what: str) -> FileFormatError:
        self._file.close()
        return FileFormatError(
            f"{self._file.path} {what}. Put back a sound copy of it, or move it away: the run goes "
            "on from its checkpoints without it, and writes the epochs so far again."
        )

    def _read(self) -> tuple[bytes | None, Iterator[bytes], int]:
        return split_log(read_plain(self._file.path, MAX_FILE_BYTES))


def _is_non_finite(value: Any) -> bool:
    # The built-in types first: asking the abstract ones took most of the time of a row.
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, int | str):
        return False
    return isinstance(value, Real) and not isinstance(value, Integral) and not math.isfinite(value)


def _cell(name: str, value: Any) -> str:
    """Write one value the way its column is read; a value of another kind is our bug."""
    kind = kind_of(name)
    if kind == "text":
        if isinstance(value, str):
            return safe_cell(value)
    elif kind == "flag":
        if isinstance(value, bool):
            return "true" if value else "false"
    elif _is_non_finite(value):
        return ""
    elif not isinstance(value, bool):
        if isinstance(value, float):
            return repr(float(value))
        if isinstance(value, Integral):
            return str(int(value))
        if isinstance(value, Real):
            return repr(float(value))
    raise TypeError(f"column {name} of events.csv cannot hold {value!r}")
