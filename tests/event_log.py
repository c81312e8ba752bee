"""A log for tests: opened for a logger, and read back row by row."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from psann.run.directory.columns import COLUMNS
from psann.run.directory.log import EventLog, Forwarder
from psann.run.directory.storage import Storage, SystemCalls


def attach(logger: logging.Logger, path: Path, calls: SystemCalls | None = None) -> EventLog:
    storage = Storage(path.parent, calls)
    log = EventLog(storage, path)
    storage.close()
    logger.addHandler(Forwarder(log.take))
    return log


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    assert tuple(rows[0]) == COLUMNS
    assert {len(row) for row in rows} == {len(COLUMNS)}
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]
