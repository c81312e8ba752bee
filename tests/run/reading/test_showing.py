"""One run on a terminal, finished or alive."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreign import change
from psann._terminal import Terminal
from psann._text import utc_text
from psann.run.directory.paths import RunPaths
from psann.run.reading.reading import read_run
from psann.run.reading.showing import (
    show_run,
    show_status,
    status_lines,
    to_json_text,
    watch_run,
)
from trials import TROUBLE, finished, metrics_of, trial


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("whole"), "training.epochs=3")


@pytest.fixture
def paths(whole: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy that may be hurt."""
    shutil.copytree(whole.root, tmp_path / "out" / "run")
    return RunPaths(tmp_path / "out" / "run")


def shown(path: Path) -> str:
    stream = io.StringIO()
    show_run(read_run(path), Terminal(stream))
    return stream.getvalue()


def test_finished_run_is_shown_with_numbers_curve_configuration_and_origin(
    paths: RunPaths,
) -> None:
    text = shown(paths.root)
    assert text.startswith("run: completed. The run has ended.\ntrain, cpu, seed 42\n")
    assert f"{metrics_of(paths)['val_reward_mean']:.4g}" in text
    assert "val_reward_mean by epoch" in text
    assert "training.epochs                  3\n" in text or "training.epochs" in text
    assert "torch 2" in text
    assert "buy and hold" in text
    assert "problems" not in text
    assert "\nerror\n" not in text


def test_diverged_run_is_shown_with_its_error(tmp_path: Path) -> None:
    TROUBLE.plan(3)
    trial(tmp_path, "hisso.reward=trials.troubled")
    text = shown(tmp_path / "out" / "run")
    assert text.startswith("run: diverged.")
    assert "Not complete: diverged after epoch 1 of 4." in text
    assert "DivergedError" in text.rpartition("\nerror\n")[2]


def test_run_of_several_seeds_shows_the_curve_of_one(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.epochs=2", "training.seeds=2")
    text = shown(paths.root)
    assert "val_reward_mean of seed 42 by epoch" in text
    assert "of the best seed (mean of 2 seeds: val_reward " in text


def test_long_error_is_cut_to_its_end(paths: RunPaths) -> None:
    change(paths, status="failed", error="\n".join(f"line {n}" for n in range(100)))
    text = shown(paths.root)
    assert "(70 lines before)" in text
    assert text.endswith("  line 99\n")


def test_dead_run_is_called_dead_and_half_a_copy_tells_what_it_lacks(paths: RunPaths) -> None:
    old = {"status": "running", "heartbeat": "2001-01-01T00:00:00.000Z", "finished_utc": None}
    change(paths, **old)
    text = shown(paths.root)
    assert "Not complete: dead after epoch 3 of 3." in text
    paths.best.unlink()
    assert "  checkpoints/best.safetensors is missing: the copy is not complete." in shown(
        paths.root
    )
    paths.metrics.unlink()
    assert shown(paths.root).startswith("run: unknown.")


def test_json_is_strict_and_whole(paths: RunPaths) -> None:
    content = json.loads(to_json_text(read_run(paths.root)))
    assert content["metrics"] == metrics_of(paths)
    assert content["config"]["training"]["epochs"] == 3
    assert content["starts"][-1]["versions"]["python"]


def test_number_beyond_range_in_a_configuration_is_told_and_kept_out_of_json(
    paths: RunPaths,
) -> None:
    text = paths.config_resolved.read_text()
    paths.config_resolved.write_text(text.replace(" epochs: ", " epochs: 1e999 #"))
    content = json.loads(to_json_text(read_run(paths.root)))
    assert content["config"]["training"]["epochs"] == "inf"
    [problem] = [text for text in content["problems"] if "training.epochs" in text]
    assert "training.epochs must be a finite number" in problem


def test_status_is_a_few_lines(paths: RunPaths) -> None:
    stream = io.StringIO()
    run = show_status(paths.root, Terminal(stream))
    assert run.status == "completed"
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("evaluation epoch 3 of 3, best epoch ")


def test_status_of_a_run_that_is_setting_up_names_its_phase(tmp_path: Path) -> None:
    outcome = trial(tmp_path, "data.loader=trials.raising")
    assert outcome.paths is not None
    change(outcome.paths, error=None, status="running")
    lines = status_lines(read_run(outcome.paths.root))
    assert lines[-1].partition(",")[0] == "setup"


def test_watching_ends_with_the_run_and_reads_only_what_is_new(paths: RunPaths) -> None:
    data = paths.events.read_bytes()
    whole = metrics_of(paths)
    rows = data.splitlines(keepends=True)
    change(paths, status="running", finished_utc=None, heartbeat=utc_text(time.time()))
    first_epoch = next(n for n, line in enumerate(rows) if b"epoch 1 of 3" in line)
    stages = [
        b"".join(rows[:first_epoch]),
        b"".join(rows[: first_epoch + 2]) + rows[first_epoch + 2][:30],
        b"".join(rows[: first_epoch + 1]),  # a resume cuts back ...
        b"".join(rows[: first_epoch + 1]).replace(b"hisso,42", b"hisso,43") + rows[first_epoch + 2],
        data,
    ]
    seen = []
    paths.events.write_bytes(stages[0])
    for number, (run, epochs) in enumerate(watch_run(paths.root, every_s=0.0), start=1):
        seen.append((run.status, [row["epoch"] for row in epochs]))
        if number < len(stages):
            paths.events.write_bytes(stages[number])
        else:
            change(paths, **whole)
    assert seen == [
        ("running", []),
        ("running", [1, 2]),
        ("running", [1]),
        ("running", [1, 3]),
        ("running", [1, 2, 3]),
        ("completed", [1, 2, 3]),
    ]


def test_watching_waits_for_a_record_that_is_not_there_yet(paths: RunPaths) -> None:
    data = paths.metrics.read_bytes()
    paths.metrics.unlink()
    watching = watch_run(paths.root, every_s=0.0)
    assert next(watching)[0].status == "unknown"
    paths.metrics.write_bytes(data)
    assert [run.status for run, _ in watching] == ["completed"]


def test_log_that_a_resume_rewrote_meanwhile_is_read_anew(paths: RunPaths) -> None:
    data = paths.events.read_bytes()
    change(paths, status="running", finished_utc=None, heartbeat=utc_text(time.time()))
    watching = watch_run(paths.root, every_s=0.0)
    assert len(next(watching)[1]) == 3
    # As long as before, then longer: only its end tells that it is another.
    paths.events.write_bytes(data[:-4] + b"X" + data[-3:] + data.partition(b"\n")[2])
    assert len(next(watching)[1]) == 6
    paths.events.unlink()
    assert len(next(watching)[1]) == 6
    watching.close()


def test_terminal_is_drawn_anew_and_a_pipe_gets_news_only(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    whole = metrics_of(paths)
    streams = (Tty(), io.StringIO())
    for stream in streams:
        change(paths, status="running", finished_utc=None, heartbeat=utc_text(time.time()))
        pauses = iter(range(5))

        def pause(seconds: float, pauses: Iterator[int] = pauses) -> None:
            assert seconds == 0.1
            if next(pauses) == 3:
                change(paths, **whole)

        monkeypatch.setattr(time, "sleep", pause)
        assert show_status(paths.root, Terminal(stream), every_s=0.1).status == "completed"
    live, pipe = (stream.getvalue() for stream in streams)
    assert live.count("\x1b[5A\x1b[J") >= 2
    assert all(len(line) <= 40 for line in live.replace("\x1b[5A\x1b[J", "").splitlines())
    assert [line.split()[1] for line in pipe.splitlines()] == ["running.", "completed."]
    assert "\x1b" not in pipe
