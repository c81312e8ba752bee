from __future__ import annotations

import contextlib
import io
import logging
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rich.progress  # noqa: F401 (here, and not in each of the children)

from forked import Forked
from psann._terminal import Terminal as Table
from psann.run.directory.log import Forwarder
from psann.training.console import ConsoleProgress
from psann.training.history import Decision, EpochRecord
from screen import seen
from thinning import thinned


class Terminal(io.StringIO):
    """A text file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Phase:
    phase: str = "hisso"
    epochs_total: int = 60
    epoch: int = 0
    seed: int = 42
    monitor: str | None = "val_reward"
    closes_epoch: bool = True

    @property
    def group(self) -> list[Phase]:
        return [self]


@dataclass
class Seed:
    """One of several states."""

    seed: int
    phase: str = "hisso"
    epochs_total: int = 60
    epoch: int = 0
    closes_epoch: bool = True
    monitor: str | None = "val_reward"
    group: Any = ()


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def epoch(number: int, **fields: Any) -> EpochRecord:
    values: dict[str, Any] = {
        **{"phase": "hisso", "epoch": number, "epochs_total": 60, "update": number},
        **{"episodes": 32 * number, "lr": 5e-4, "train_loss": -0.125, "reward_mean": 0.125},
        **{"val_reward_mean": 0.0625, "episodes_per_s": 5230.4},
    }
    return EpochRecord(**{**values, **fields})


def train(
    stream: io.StringIO, *, epochs: int = 60, seconds: float = 1.0, total: int = 60, **kwargs: Any
) -> str:
    clock = Time()
    console = ConsoleProgress(stream, clock=clock, **kwargs)
    state = Phase(epochs_total=total)
    console.on_phase_start(state)
    for number in range(1, epochs + 1):
        clock.s += seconds
        console.on_launch(state)
        console.on_epoch(epoch(number, epochs_total=total, is_best=number % 7 == 0), state)
    console.on_phase_end("hisso", state)
    return stream.getvalue()


def shown_epochs(text: str) -> list[int]:
    return [int(line.split("hisso ")[1].split("/")[0]) for line in text.splitlines()]


def test_pipe_gets_plain_lines_for_the_first_the_last_and_each_tenth_of_the_epochs() -> None:
    text = train(io.StringIO())
    assert shown_epochs(text) == [1, 7, 13, 19, 25, 31, 37, 43, 49, 55, 60]
    assert "\x1b" not in text
    assert text.isascii()
    line = text.splitlines()[2]
    assert line[8:] == (
        " INFO hisso 13/60  reward 0.125  val 0.0625  best 7  00:47 left"
        "  5,230 episodes/s  lr 0.0005"
    )


def test_several_seeds_share_a_line_with_mean_and_range() -> None:
    stream, clock = io.StringIO(), Time()
    console = ConsoleProgress(stream, clock=clock)
    states = [Seed(seed=seed) for seed in (42, 43, 44)]
    for state in states:
        state.group = states
        console.on_phase_start(state)
    clock.s = 1.0
    for number, (state, reward) in enumerate(zip(states, (0.1, 0.2, 0.6), strict=True)):
        state.closes_epoch = state is states[-1]
        record = epoch(1, reward_mean=reward, is_best=number > 0)
        console.on_epoch(record, state)
    (line,) = stream.getvalue().splitlines()
    assert line[8:] == (
        " INFO hisso 1/60  reward 0.3 (0.1 ... 0.6)  val 0.0625 (0.0625 ... 0.0625)  best 1"
        "  3 of 3 seeds  5,230 episodes/s  lr 0.0005"
    )


def stale(
    best: int,
    *,
    monitor: str | None = "val_reward",
    phase: str = "hisso",
    begun: int = 0,
    **how: Any,
) -> list[str]:
    """Lines about a training of 60 epochs whose best one is `best`, that nothing has improved."""
    stream = io.StringIO()
    console = ConsoleProgress(stream, clock=Time(), **how)
    state = Phase(phase=phase, epoch=begun, monitor=monitor)
    console.on_phase_start(state)
    for number in range(begun + 1, 61):
        console.on_epoch(epoch(number, is_best=number == best), state)
    console.on_phase_end("hisso", state)
    return [line for line in stream.getvalue().splitlines() if "no epoch was better" in line]


def test_one_line_says_that_nothing_has_improved_for_half_of_the_epochs() -> None:
    (line,) = stale(7)
    assert line[8:] == " INFO no epoch was better since epoch 7; training.patience stops then"
    (line,) = stale(0)
    assert line[8:] == " INFO no epoch was better since the start; training.patience stops then"
    assert len(line) <= 80
    assert stale(29) and not stale(30)
    # Nobody looks for a best in a refit; what was before a resume is not known; quiet is quiet.
    assert not stale(0, phase="refit") and not stale(7, monitor=None)
    assert not stale(0, begun=31) and not stale(7, quiet=True)


def test_slow_epochs_get_a_line_every_ten_seconds() -> None:
    assert shown_epochs(train(io.StringIO(), epochs=9, seconds=5.0, total=1000)) == [1, 3, 5, 7, 9]


def test_fast_epochs_do_not_flood_a_log() -> None:
    text = train(io.StringIO(), epochs=10_000, seconds=0.001, total=10_000)
    assert len(text.splitlines()) == 11


def test_last_epoch_is_shown_when_training_stops_early() -> None:
    assert shown_epochs(train(io.StringIO(), epochs=16))[-1] == 16


def test_last_epoch_is_shown_once() -> None:
    assert shown_epochs(train(io.StringIO(), epochs=13))[-2:] == [7, 13]


def test_each_phase_begins_anew() -> None:
    stream = io.StringIO()
    console = ConsoleProgress(stream)
    for phase in ("warm_start", "hisso"):
        console.on_phase_start(Phase(phase, 2))
        for number in (1, 2):
            record = epoch(number, phase=phase, epochs_total=2, is_best=phase == "warm_start")
            console.on_epoch(record, Phase())
        console.on_phase_end(phase, Phase())
    text = stream.getvalue()
    assert [line.split()[2:4] for line in text.splitlines()] == [
        *(["warm_start", "1/2"], ["warm_start", "2/2"], ["hisso", "1/2"], ["hisso", "2/2"]),
    ]
    assert "best" not in text.splitlines()[2]


def test_time_left_counts_this_process_s_epochs_but_not_the_first_which_may_compile() -> None:
    stream, clock = io.StringIO(), Time()
    console = ConsoleProgress(stream, clock=clock)
    console.on_phase_start(Phase(epoch=50))
    clock.s = 60.0
    console.on_epoch(epoch(51), Phase())
    assert "left" not in stream.getvalue()
    clock.s = 62.0
    console.on_epoch(epoch(52), Phase())
    console.close()
    assert "00:16 left" in stream.getvalue()


def test_time_left_does_not_count_what_is_announced_to_take_long_once() -> None:
    stream, clock = io.StringIO(), Time()
    console = ConsoleProgress(stream, clock=clock)
    state = Phase()
    console.on_phase_start(state)
    for number in range(1, 12):
        if number in (2, 7):  # as where a network grows, and the update is compiled again
            console.on_decision(Decision(phase="hisso", message="compiling the update"))
            clock.s += 600.0
        clock.s += 2.0
        console.on_epoch(epoch(number), state)
    console.close()
    left = [part for part in stream.getvalue().split("  ") if "left" in part]
    assert left
    assert all(part < "02:00 left" for part in left)
    assert left[-1] == "01:38 left"


class Tee:
    """A stream as many a script has one: `write`, and nothing else."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def getvalue(self) -> str:
        return self.text


def test_a_stream_is_whatever_has_write() -> None:
    stream: Any = Tee()
    train(stream)
    assert "hisso 60/60" in stream.text
    console = ConsoleProgress(stream)
    console.take(logging.LogRecord("psann", logging.INFO, "", 0, "über", None, None))
    assert stream.text.endswith("INFO über\n")


def test_a_bar_is_drawn_while_standard_output_has_nothing_but_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", Tee())
    monkeypatch.setattr(sys, "stderr", Tee())
    assert "60/60" in train(Terminal())


def test_supervised_epochs_show_losses() -> None:
    stream = io.StringIO()
    console = ConsoleProgress(stream)
    console.on_phase_start(Phase("supervised", 3))
    console.on_epoch(
        epoch(1, epochs_total=3, reward_mean=None, train_loss=0.5, val_loss=0.25), Phase()
    )
    assert "loss 0.5  val loss 0.25" in stream.getvalue()
    assert "reward" not in stream.getvalue()


def test_terminal_gets_a_bar_with_the_same_figures() -> None:
    text = train(Terminal())
    assert "\x1b[" in text
    for part in ("hisso", "60/60", "reward 0.125", "val 0.0625", "best 56", "5,230 episodes/s"):
        assert part in text
    assert text.endswith("\x1b[?25h"), "the cursor is back"


def test_narrow_terminal_keeps_phase_epoch_and_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    last = train(Terminal(), epochs=30).split("\x1b[2K")[-1]
    assert "hisso" in last
    assert "30/60" in last
    assert "reward 0.125" in last


@pytest.mark.parametrize(
    ("columns", "last"),
    [("104", "lr 0.0005"), ("92", "5,230 episodes/s"), ("80", "00:30 left"), ("60", "best 28")],
)
def test_figures_drop_out_whole_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: str, last: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    line = train(Terminal(), epochs=30).split("\x1b[2K")[-1].split("\n")[0]
    assert line.rstrip().endswith(last)


def test_bar_is_redrawn_a_few_times_a_second_at_most() -> None:
    assert train(Terminal(), epochs=1000, seconds=0.001, total=10_000).count("\x1b[2K") < 12


def test_bar_ends_when_training_breaks_off() -> None:
    stream = Terminal()
    console = ConsoleProgress(stream)
    console.on_phase_start(Phase())
    console.on_epoch(epoch(1), Phase())
    console.close()
    console.close()
    assert stream.getvalue().endswith("\x1b[?25h")
    assert stream.getvalue().count("\x1b[?25h") == 1


def test_log_lines_appear_above_the_bar(logger: logging.Logger) -> None:
    stream = Terminal()
    console = ConsoleProgress(stream)
    logger.addHandler(Forwarder(console.take))
    console.on_phase_start(Phase())
    console.on_epoch(epoch(1), Phase())
    logger.info("a line with [bold]brackets[/bold]")
    console.close()
    assert "INFO a line with [bold]brackets[/bold]\n" in stream.getvalue()


def test_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in train(Terminal())


def test_log_records_from_info_up_are_shown(logger: logging.Logger) -> None:
    stream = io.StringIO()
    logger.addHandler(Forwarder(ConsoleProgress(stream).take))
    logger.debug("hidden")
    logger.info("shown %d", 1)
    logger.warning("two\nlines")
    lines = stream.getvalue().splitlines()
    assert [line[8:] for line in lines[:2]] == [" INFO shown 1", " WARNING two"]
    assert lines[2] == "lines"


def test_decision_is_left_to_the_log_record() -> None:
    stream = io.StringIO()
    ConsoleProgress(stream).on_decision(Decision(phase="hisso", message="x"))
    assert stream.getvalue() == ""


def test_quiet_shows_warnings_only(logger: logging.Logger) -> None:
    for stream in (io.StringIO(), Terminal()):
        console = ConsoleProgress(stream, quiet=True)
        logger.addHandler(Forwarder(console.take))
        logger.info("hidden")
        assert train(stream, quiet=True) == ""
        logger.warning("shown")
        assert "shown" in stream.getvalue()
        logger.handlers.clear()


def test_colour_only_on_a_terminal_that_wants_it(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal()
    logger.addHandler(Forwarder(ConsoleProgress(stream).take))
    logger.warning("careful")
    assert stream.getvalue().startswith("\x1b[33m")
    logger.handlers.clear()
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    logger.addHandler(Forwarder(ConsoleProgress(stream).take))
    logger.warning("careful")
    assert "\x1b" not in stream.getvalue()


# By what the environment says: on a file, a pipe and a terminal C for colour, B for a bar.
WISHES: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {"file": "", "pipe": "", "terminal": "CB"}),
    ({"NO_COLOR": "1"}, {"file": "", "pipe": "", "terminal": "B"}),
    ({"NO_COLOR": "", "FORCE_COLOR": ""}, {"file": "", "pipe": "", "terminal": "CB"}),
    ({"FORCE_COLOR": "1"}, {"file": "C", "pipe": "C", "terminal": "CB"}),
    ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, {"file": "", "pipe": "", "terminal": "B"}),
    ({"FORCE_COLOR": "1", "TERM": "dumb"}, {"file": "C", "pipe": "C", "terminal": "C"}),
    ({"TTY_COMPATIBLE": "1"}, {"file": "C", "pipe": "C", "terminal": "CB"}),
    ({"TTY_COMPATIBLE": "0"}, {"file": "", "pipe": "", "terminal": ""}),
    ({"TTY_COMPATIBLE": "0", "FORCE_COLOR": "1"}, {"file": "C", "pipe": "C", "terminal": "C"}),
    ({"TTY_COMPATIBLE": "1", "NO_COLOR": "1"}, {"file": "", "pipe": "", "terminal": "B"}),
]


@pytest.mark.parametrize(("wishes", "expected"), thinned(WISHES, every=2))
def test_the_environment_says_who_gets_colours_and_a_bar(
    wishes: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    main_end, other_end = pty.openpty()

    def show() -> int:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
            os.environ.pop(name, None)
        os.environ.update(wishes)
        show_here()  # on the pipes of a child
        files = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in ("out", "err")]
        for ends in (files, [other_end] * 2):
            for number, end in enumerate(ends, 1):
                os.dup2(end, number)
            show_here()
        return 0

    def show_here() -> None:
        sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
        console = ConsoleProgress()
        console.take(logging.makeLogRecord({"levelno": logging.WARNING, "levelname": "WARNING"}))
        console.on_phase_start(Phase())
        console.close()
        Table().table(["status"], [["dead"]])
        sys.stdout.flush()

    process = Forked(show)
    os.close(other_end)
    shown = {"terminal": os.read(main_end, 65536).decode()}
    shown["pipe"] = "".join(process.communicate())
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(main_end, 65536):
            shown["terminal"] += data.decode()
    os.close(main_end)
    shown["file"] = "".join((tmp_path / name).read_text() for name in ("out", "err"))
    assert {kind: parts_of(text) for kind, text in shown.items()} == expected


def parts_of(text: str) -> str:
    """C where both texts have their colour, B where there is a bar."""
    assert "WARNING" in text
    assert "dead" in text
    colours = {"\x1b[33m" in text, "\x1b[31mdead" in text}
    has_bar = "\x1b[?25l" in text
    assert len(colours) == 1, text
    if not has_bar:
        assert not re.search("\x1b\\[[^m]*[^m0-9;]", text), "a cursor is moved"
    if colours == {False} and not has_bar:
        assert "\x1b" not in text
    return "C" * (True in colours) + "B" * has_bar


def test_message_can_neither_command_the_terminal_nor_leak_a_secret(logger: logging.Logger) -> None:
    stream = Terminal()
    logger.addHandler(Forwarder(ConsoleProgress(stream).take))
    logger.info("\x1b]0;title\x07 \x9b2J \r token=hunter2")
    assert stream.getvalue()[8:] == " INFO \\x1b]0;title\\x07 \\x9b2J \\r token=***\n"


class Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "EIO"), ValueError("closed")])
def test_console_that_is_gone_never_ends_a_run(error: Exception, logger: logging.Logger) -> None:
    stream = Broken(error)
    logger.addHandler(Forwarder(ConsoleProgress(stream).take))
    logger.info("x")
    train(stream)


def test_closed_or_missing_console_is_silence(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    ConsoleProgress(closed).on_epoch(epoch(1), Phase())
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    logger.addHandler(Forwarder(ConsoleProgress().take))
    logger.info("x")


def test_ascii_console_gets_escapes_for_what_it_cannot_show(logger: logging.Logger) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    logger.addHandler(Forwarder(ConsoleProgress(stream).take))
    logger.info("größe")
    stream.flush()
    assert raw.getvalue().endswith(b"INFO gr\\xf6\\xdfe\n")


def test_real_terminal_shows_bar_and_table(tmp_path: Path) -> None:
    """Through a pseudo-terminal, as a person has it, with prints of user code in between."""
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
import psann.training.console as console
from psann.training.history import EpochRecord
from types import SimpleNamespace
progress = console.ConsoleProgress()
state = SimpleNamespace(phase="hisso", seed=0, epochs_total=2, epoch=0, closes_epoch=True,
                        monitor="val_reward")
state.group = [state]
progress.on_phase_start(state)
for n in (1, 2):
    print("user print", n)
    progress.on_epoch(EpochRecord(phase="hisso", epoch=n, epochs_total=2, update=n, episodes=n,
                                  lr=0.1, train_loss=0.5, reward_mean=0.25), state)
progress.on_phase_end("hisso", state)
print("after")
"""
    leader, follower = os.openpty()
    done = subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower)
    os.close(follower)
    output = b""
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:  # Linux answers EIO once the other side is closed
            break
        if not part:
            break
        output += part
    os.close(leader)
    assert done.wait() == 0
    text = output.decode()
    for expected in ("user print 1", "user print 2", "2/2", "reward 0.25", "after"):
        assert expected in text, text


@pytest.mark.slow
def test_after_ctrl_c_one_line_of_progress_stays_and_no_number_is_broken(tmp_path: Path) -> None:
    """On a real terminal of 80 columns."""
    config = Path(__file__).parents[2] / "configs" / "hisso" / "dense_cpu_smoke.yaml"
    command = [sys.executable, "-m", "psann.scripts.hisso_log_run", "--config", str(config)]
    command += ["--output-dir", "runs", "--run-name", "first", "--set", "training.epochs=5000"]
    command += ["--set", "estimator.params.engine=eager"]
    lines = seen(command, width=80, press="\x03", when=r"[2-9]\d/5000", cwd=tmp_path)
    bars = [line for line in lines if line.startswith("hisso ")]
    assert len(bars) == 1, "\n".join(lines)
    parts = re.split(r"  +", bars[0].partition("/5000 ")[2])
    known = r"reward \S+|val \S+|best \d+|[\d:]+ left|[\d,]+ episodes/s|lr \S+"
    assert len(parts) >= 3 and all(re.fullmatch(known, part) for part in parts), bars
    assert not [line for line in lines if "WARNING" in line or "Traceback" in line]
    text = "\n".join(lines)
    assert re.search(r"trained\sby\sportfolio\s\(psann\s0\.12\stook\sminus\sthe\smean", text)
    ended = r"first: interrupted, training reward \S+, validation reward \S+,\sbest\sepoch\s\d+\n"
    assert re.search(ended, text), text
