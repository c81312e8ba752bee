"""A log is read on from where it was, and anew where it is another."""

from __future__ import annotations

from pathlib import Path

from psann.run.directory.columns import COLUMNS, header_of
from psann.run.reading.growing_log import GrowingLog

HEADER = header_of(COLUMNS) + b"\r\n"


def line(epoch: int) -> bytes:
    known = {"schema": "1", "seq": str(epoch), "event": "epoch", "epoch": str(epoch)}
    return ",".join(known.get(name, "") for name in COLUMNS).encode() + b"\r\n"


def test_rows_come_as_they_are_written_and_torn_ones_when_they_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    log = GrowingLog(file)
    log.read_on()
    assert log.rows == []
    file.write_bytes(HEADER + line(1) + line(2)[:9])
    log.read_on()
    assert [row["epoch"] for row in log.rows] == [1]
    file.write_bytes(HEADER + line(1) + line(2) + line(3))
    log.read_on()
    log.read_on()
    assert [row["epoch"] for row in log.rows] == [1, 2, 3]


def test_a_log_that_was_cut_back_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    log = GrowingLog(file)
    file.write_bytes(HEADER + line(1) + line(2) + line(3))
    log.read_on()
    file.write_bytes(HEADER + line(1) + line(7))
    log.read_on()
    assert [row["epoch"] for row in log.rows] == [1, 7]


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "events.csv")
    log = GrowingLog(tmp_path / "events.csv")
    log.read_on()
    assert log.rows == []
