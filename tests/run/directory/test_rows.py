"""Rows of logs, whole, torn or foreign."""

from __future__ import annotations

from pathlib import Path

from made_runs import made_run
from psann.run.directory.columns import COLUMNS
from psann.run.directory.rows import monitor_values, parse_log


def test_torn_last_row_is_left_out(tmp_path: Path) -> None:
    data = (made_run(tmp_path / "run") / "events.csv").read_bytes()
    rows, problems = parse_log(data)
    for cut in (data[:-1], data[:-2], data[:-40]):
        assert parse_log(cut) == (rows[:-1], problems)
    assert parse_log(data[:50]) == parse_log(b"") == ([], [])


def test_cells_are_read_as_the_kinds_of_their_columns() -> None:
    header = "seq,time_utc,event,epoch,val_loss,is_best,shuffle,message,mood"
    line = '7,2026-01-02T03:04:05.000Z,epoch,1,0.1,true,false,"a, ""b""",good'
    (row,), (problem,) = parse_log(f"{header}\r\n{line}\r\n".encode())
    assert list(row) == [*COLUMNS, "mood"]
    assert {name: value for name, value in row.items() if value is not None} == {
        **{"seq": 7, "time_utc": "2026-01-02T03:04:05.000Z", "event": "epoch", "epoch": 1},
        **{"val_loss": 0.1, "is_best": True, "shuffle": False, "message": 'a, "b"'},
        "mood": "good",
    }
    assert problem == "has the columns of another version: those in common are read"


def test_file_that_is_no_log_is_told_and_gives_no_rows() -> None:
    rows, problems = parse_log(b"a,b\r\n1,2\r\n")
    assert rows == []
    assert problems == ["must begin with the header of a run's log; its first line is another"]


def test_rows_that_cannot_be_read_are_counted() -> None:
    header = ",".join(COLUMNS)
    text = f'{header}\r\n1,1\r\n"\r\n{"," * (len(COLUMNS) - 1)}\r\n'
    rows, problems = parse_log(text.encode())
    assert len(rows) == 1
    assert problems == [
        "has 2 rows that cannot be read, of which the first is told: "
        f"line 2 must have {len(COLUMNS)} cells; it has 2"
    ]


def test_a_log_of_other_lines_is_not_read_to_its_end() -> None:
    lines = "1\r\n" * 1001 + "," * (len(COLUMNS) - 1) + "\r\n"
    rows, (problem,) = parse_log(f"{','.join(COLUMNS)}\r\n{lines}".encode())
    assert rows == []
    assert problem.startswith("has more than 1,000 rows that cannot be read, and is read no furth")


def test_main_phase_of_the_first_seed_and_fold_is_the_curve() -> None:
    rows = [
        {"phase": "warm_start", "seed": 1, "fold": None, "val_loss": 9.0},
        {"phase": "hisso", "seed": 1, "fold": None, "val_loss": 1.0},
        {"phase": "hisso", "seed": 2, "fold": None, "val_loss": 2.0},
        {"phase": "hisso", "seed": 1, "fold": None, "val_loss": None},
        {"phase": "walk_forward", "seed": 1, "fold": 1, "val_loss": 3.0},
    ]
    assert monitor_values(rows, "val_loss") == [1.0, None]
