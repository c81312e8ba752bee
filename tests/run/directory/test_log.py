from __future__ import annotations

import csv
import errno
import io
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from event_log import attach, read_rows
from faults import exit_code_of, in_child
from foreign import FORMULAS
from psann.errors import FileFormatError
from psann.run import directory
from psann.run.directory.columns import COLUMNS, EVENTS
from psann.run.directory.log import EventLog, Forwarder, listening, log_event
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage, SystemCalls
from thinning import thinned

HOSTILE = [
    *FORMULAS,
    *('a "quoted" word', "a, b, c", "two\nlines", "two\r\nlines", "nul\0byte", "\x1b[31mred"),
    *("line\u2028separator\u2029", "next\x85line", "\ud800 lone", "é 中 🙂", '"', '""', ",", ""),
    *("vertical\x0btab\x0cfeed\x1c\x1d\x1e", "'quoted'", "C:\\new\\table", "x" * 102_400),
    *("\n" * 60_000, 'tail ends in quote"', "%s %d", "{}"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.csv"


def test_every_log_record_is_a_row(logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    logger.debug("plain %s", "record")
    log_event(logger, logging.INFO, "epoch", "epoch 1", epoch=1, val_loss=0.25, is_best=True)
    first, second = read_rows(path)
    assert (first["schema"], first["seq"], first["level"], first["event"]) == (
        *("1", "1", "DEBUG", "log"),
    )
    assert first["message"] == "plain record"
    assert (second["seq"], second["epoch"], second["val_loss"]) == ("2", "1", "0.25")
    assert (second["is_best"], second["train_loss"]) == ("true", "")


@pytest.mark.parametrize("text", thinned(HOSTILE, 3), ids=map(str, range(len(HOSTILE))))
def test_hostile_text_is_one_physical_line_that_csv_and_pandas_read(
    text: str, logger: logging.Logger, path: Path
) -> None:
    attach(logger, path)
    log_event(logger, logging.INFO, "data", text, phase=text, epoch=7)
    logger.info("after")
    data = path.read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") == 3
    assert len(data.decode("utf-8").splitlines()) == 3
    row, after = read_rows(path)
    assert (row["epoch"], after["message"]) == ("7", "after")
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    assert list(table.columns) == list(COLUMNS)
    assert list(table["message"]) == [row["message"], "after"]
    assert list(table["phase"]) == [row["phase"], ""]


def test_message_of_100_kb_is_kept_and_a_longer_one_is_cut_to_what_csv_reads(
    logger: logging.Logger, path: Path
) -> None:
    attach(logger, path)
    logger.info("%s", "x" * 102_400)
    logger.info("%s", "y" * 200_000)
    kept, cut = read_rows(path)
    assert kept["message"] == "x" * 102_400
    assert cut["message"].endswith("... [70000 more characters]")
    assert len(cut["message"]) < csv.field_size_limit()


@pytest.mark.parametrize("text", ["two words", "C:\\new", "é 中 🙂", "'quoted'", '"', "a, b"])
def test_harmless_text_stays_as_it_is(text: str, logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    logger.info("%s", text)
    assert read_rows(path)[0]["message"] == text


def test_secrets_are_masked(logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    logger.info("connect to postgres://me:hunter2@db with token=hunter2")
    assert b"hunter2" not in path.read_bytes()


@pytest.mark.parametrize(
    "value",
    [*(0.1, -0.1, 1e-300, 5e-324, 1.7976931348623157e308, 1 / 3, -0.0), *(3, 10**18, -7)],
)
def test_numbers_come_back_with_the_same_bits(
    value: float, logger: logging.Logger, path: Path
) -> None:
    attach(logger, path)
    log_event(logger, logging.INFO, "epoch", "", val_loss=value, lr=np.float64(value))
    row = read_rows(path)[0]
    assert float(row["lr"]) == float(value)
    assert repr(type(value)(row["val_loss"])) == repr(value)
    assert list(pd.read_csv(path, dtype=str)["lr"].map(float)) == [float(value)]


def test_negative_numbers_are_not_neutralised(logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    log_event(logger, logging.INFO, "epoch", "", train_loss=-0.5, episodes=-3)
    row = read_rows(path)[0]
    assert (row["train_loss"], row["episodes"]) == ("-0.5", "-3")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_number_that_is_not_finite_is_empty_and_named(
    value: float, logger: logging.Logger, path: Path
) -> None:
    attach(logger, path)
    log_event(logger, logging.INFO, "epoch", "epoch 1", train_loss=value, lr=0.1)
    row = read_rows(path)[0]
    assert row["train_loss"] == ""
    assert row["message"] == f"epoch 1 [not finite: train_loss={value}]"


def test_unknown_event_or_column_is_our_bug(logger: logging.Logger) -> None:
    with pytest.raises(KeyError, match="epocj"):
        log_event(logger, logging.INFO, "epocj", "")
    with pytest.raises(KeyError, match="loss"):
        log_event(logger, logging.INFO, "epoch", "", loss=1.0)
    with pytest.raises(KeyError, match="seq"):
        log_event(logger, logging.INFO, "epoch", "", seq=1)


@pytest.mark.parametrize(
    "column", [{"epoch": "1"}, {"epoch": True}, {"is_best": 1}, {"phase": 1}, {"lr": [0.1]}]
)
def test_value_of_another_kind_is_our_bug(
    column: dict[str, Any], logger: logging.Logger, path: Path
) -> None:
    attach(logger, path)
    with pytest.raises(TypeError, match=next(iter(column))):
        log_event(logger, logging.INFO, "epoch", "", **column)


def test_traceback_of_a_record_is_part_of_its_message(logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    try:
        raise ValueError("the reason")
    except ValueError:
        logger.exception("it failed")
    message = read_rows(path)[0]["message"]
    assert message.startswith("it failed\\nTraceback")
    assert message.endswith("ValueError: the reason")


def test_seq_rises_by_one_and_elapsed_time_by_the_clock(tmp_path: Path) -> None:
    time_s = [50.0]
    logger = logging.Logger("alone")
    with Storage(tmp_path) as storage:
        log = EventLog(storage, tmp_path / "events.csv", clock=lambda: time_s[0])
    logger.addHandler(Forwarder(log.take))
    for _ in range(3):
        time_s[0] += 1.5
        logger.info("x")
    log.close()
    rows = read_rows(tmp_path / "events.csv")
    assert [row["seq"] for row in rows] == ["1", "2", "3"]
    assert [row["elapsed_s"] for row in rows] == ["1.5", "3.0", "4.5"]


def test_existing_file_is_continued_under_its_header(logger: logging.Logger, path: Path) -> None:
    for text in ("one", "two"):
        log = attach(logger, path)
        logger.info(text)
        assert log.size_bytes == path.stat().st_size
        logger.handlers.clear()
        log.close()
    assert [(row["seq"], row["message"]) for row in read_rows(path)] == [("1", "one"), ("2", "two")]


@pytest.mark.parametrize("keep", [0, 1, 40, -1, -2, -20])
def test_torn_last_row_is_cut_when_the_file_is_continued(
    keep: int, logger: logging.Logger, path: Path
) -> None:
    log = attach(logger, path)
    logger.info("one")
    logger.info("two")
    logger.handlers.clear()
    log.close()
    path.write_bytes(path.read_bytes()[:keep])
    n_whole = max(0, path.read_bytes().count(b"\n") - 1)
    attach(logger, path)
    logger.info("three")
    rows = read_rows(path)
    assert [row["seq"] for row in rows] == [str(n + 1) for n in range(n_whole + 1)]
    assert rows[-1]["message"] == "three"


def test_file_with_other_columns_is_refused_and_kept(path: Path) -> None:
    path.write_bytes(b"a,b\r\n1,2\r\n")
    with Storage(path.parent) as storage, pytest.raises(FileFormatError, match=r"events\.csv"):
        EventLog(storage, path)
    assert path.read_bytes() == b"a,b\r\n1,2\r\n"


def test_full_disk_stops_whoever_logs_and_leaves_whole_rows(
    logger: logging.Logger, path: Path
) -> None:
    calls = SystemCalls()
    attach(logger, path, calls)
    logger.info("one")

    def write(fd: int, data: Any) -> int:
        if len(data) > 10:
            return os.write(fd, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    calls.write = write
    with pytest.raises(OSError, match=r"No space left on device.*events\.csv"):
        logger.info("two")
    assert [row["message"] for row in read_rows(path)] == ["one"]


def test_sync_waits_for_the_disk(logger: logging.Logger, path: Path) -> None:
    calls = SystemCalls()
    synced = []
    calls.fsync = lambda fd: synced.append(fd)
    log = attach(logger, path, calls)
    synced.clear()
    logger.info("one")
    assert synced == []
    log.sync()
    assert len(synced) == 1


def test_every_event_name_can_be_logged(logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    for event in EVENTS:
        log_event(logger, logging.INFO, event, "x")
    assert tuple(row["event"] for row in read_rows(path)) == EVENTS


def test_log_modules_import_neither_torch_nor_numpy_nor_rich() -> None:
    folder = Path(directory.__file__).parent
    modules = [
        f"directory.{path.stem}" for path in folder.glob("*.py") if path.stem != "resume_state"
    ]
    code = f"""
import importlib, sys
import psann._signals, psann._terminal, psann.training.console
for name in {modules!r}:
    importlib.import_module("psann.run." + name)
print([name for name in ("torch", "numpy", "sklearn", "pydantic", "rich") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rows_read_the_same_through_a_string(logger: logging.Logger, path: Path) -> None:
    attach(logger, path)
    logger.info('say "hi", twice')
    text = path.read_text(encoding="utf-8")
    assert next(iter(csv.DictReader(io.StringIO(text))))["message"] == 'say "hi", twice'


def test_a_logging_call_with_a_wrong_format_is_a_row_and_no_error(
    logger: logging.Logger, path: Path
) -> None:
    attach(logger, path)
    logger.warning("reward is %d", "high")
    assert read_rows(path)[0]["message"] == "reward is %d % ('high',) [bad format]"


def test_a_process_that_is_forked_off_logs_without_an_error_and_into_no_file(
    tmp_path: Path,
) -> None:
    paths = RunPaths(tmp_path / "run")
    logger = logging.getLogger("psann.helper")

    def help_out() -> int:
        log_event(logger, logging.INFO, "log", "of a helper")
        logger.warning("of a helper")
        return 0

    with Storage(paths.root) as storage:
        events = EventLog(storage, paths.events)
        with listening(events.take):
            assert exit_code_of(in_child(help_out)) == 0
            log_event(logger, logging.INFO, "log", "of the run")
        events.close()
    assert paths.events.read_text().splitlines()[1:][0].endswith(",of the run")
    assert "helper" not in paths.events.read_text()


def test_a_warning_of_a_logger_that_nobody_has_set_up_is_a_row(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logger, standard = logging.getLogger("own_loader"), logging.lastResort
    with Storage(path.parent) as storage:
        events = EventLog(storage, path)
        with listening(events.take):
            logger.warning("reads %s", "db://me:pa55w0rd@host/prices")
            logger.info("of no weight")
            in_helper = in_child(lambda: 0 if logging.lastResort is standard else 1)
            assert exit_code_of(in_helper) == 0
        events.close()
    (row,) = read_rows(path)
    assert (row["event"], row["level"]) == ("log", "WARNING")
    assert row["message"] == "reads db://***@host/prices"
    assert logging.lastResort is standard


def test_who_sets_up_logging_has_its_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    own, heard, taken = logging.Handler(), [], []
    monkeypatch.setattr(own, "emit", heard.append)
    monkeypatch.setattr(logging.getLogger(), "handlers", [own])
    with listening(taken.append):
        logging.getLogger("own_loader").warning("to be seen")
    assert (len(heard), taken) == (1, [])
