"""What a worker shows: a table that is drawn anew, silence in a pipe, and what comes next."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from psann._terminal import Terminal
from psann.run.sweep.progress import Progress, closing_lines, counts_text, progress_lines
from psann.run.sweep.record import SweepPaths, SweepRecord, TrialRow


def row(number: int, status: str, value: float | None = None) -> TrialRow:
    return {
        **{"run": f"t{number:04d}", "overrides": {"training.lr": number / 8}, "status": status},
        **{"value": value, "best_epoch": 1, "candidates": 5, "data_sha256": None},
    }  # type: ignore[typeddict-item]


def record(*rows: TrialRow, planned: int = 6) -> SweepRecord:
    told: Any = {"trials": list(rows), "planned": planned, "monitor": "val_reward"}
    return told


SOME = record(
    row(0, "completed", 0.25),
    row(1, "failed"),
    row(2, "running"),
    row(3, "early_stopped", 0.5),
    row(4, "preempted"),
)


def test_the_table_counts_every_kind_and_names_the_best_and_what_runs() -> None:
    lines = progress_lines(SOME, left_s=75.0)
    assert lines == [
        "2 of 6 trials done, 1 running, 1 failed, 1 preempted, 1 waiting, about 01:15 left",
        "best on validation: t0003, val_reward 0.5, training.lr=0.375",
        "  t0002  training.lr=0.25",
    ]


def test_trials_that_are_as_good_as_the_best_are_counted_beside_it() -> None:
    alike = record(*(row(n, "completed", value) for n, value in enumerate([0.5, 0.25, 0.5, 0.5])))
    assert progress_lines(alike, left_s=None)[1] == (
        "best on validation: t0000 (and 2 others alike), val_reward 0.5, training.lr=0.0"
    )


def test_of_trials_on_several_data_none_is_called_best(tmp_path: Path) -> None:
    mixed = record(row(0, "completed", 0.25), row(1, "completed", 0.5), planned=2)
    mixed["trials"][1]["data_sha256"] = "another"
    told = "trials are of 2 data sets, so none is best: sweep anew, into a new folder"
    assert progress_lines(mixed, left_s=None)[1:] == [told]
    lines = list(closing_lines(mixed, Path("sweep.yaml"), SweepPaths(tmp_path)))
    assert lines[1:] == [f"  {told}"]


def test_many_running_trials_are_cut() -> None:
    many = record(*(row(n, "running") for n in range(12)), planned=12)
    lines = progress_lines(many, left_s=None)
    assert lines[0] == "0 of 12 trials done, 12 running"
    assert lines[-1] == "  and 4 more"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_drawn_anew_and_a_pipe_stays_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    pipe, tty = io.StringIO(), Tty()
    for stream in (pipe, tty):
        progress = Progress(Terminal(stream))
        progress.look(SOME)
        progress.look(SOME)
    assert pipe.getvalue() == ""
    assert tty.getvalue().count("2 of 6 trials done") == 2
    assert "\x1b[3A" in tty.getvalue()


def test_the_time_left_is_told_at_the_pace_of_this_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    monkeypatch.setattr("psann.run.sweep.progress.time.monotonic", lambda: now[0])
    tty = Tty()
    progress = Progress(Terminal(tty))
    progress.look(record(row(0, "completed", 0.25)))
    assert "left" not in tty.getvalue()
    now[0] = 110.0
    progress.look(record(row(0, "completed", 0.25), row(1, "completed", 0.1)))
    assert "about 00:40 left" in tty.getvalue()  # four more at ten seconds each


def test_the_end_says_what_failed_and_what_comes_next() -> None:
    paths = SweepPaths(Path("/sweeps/lr"))
    text = "\n".join(closing_lines(SOME, Path("sweep.yaml"), paths))
    assert "failed: t0001, training.lr=0.125" in text
    assert "the same command goes on with the rest" in text
    over = record(row(0, "completed", 0.25), planned=1)
    assert "--finish" in list(closing_lines(over, Path("sweep.yaml"), paths))[-1]
    # Where nothing can be chosen, --finish would be refused.
    lost = record(row(0, "failed"), row(1, "diverged"), planned=2)
    *_, last = closing_lines(lost, Path("sweep.yaml"), paths)
    assert last == "  why: hisso-runs show /sweeps/lr/runs/t0000"


def test_nothing_done_yet_is_said_too() -> None:
    assert counts_text([], 4) == "0 of 4 trials done, 4 waiting"
