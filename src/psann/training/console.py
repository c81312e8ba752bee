"""What a person sees while a run goes on: log lines and progress.

On a terminal a bar that moves; in a pipe or a file plain lines at a quiet pace, without escape
codes. A console that is gone (closed, dropped, full) falls silent and never ends a run. rich is
imported when the first bar is drawn: a bad command line must not wait for it.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from psann._terminal import CarefulStream, folded, has_colour, is_terminal, rich_console
from psann._text import (
    clock_text,
    escape_controls,
    labelled,
    level_name,
    mask_secrets,
    message_of,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from psann.training.history import Decision, EpochRecord

LINE_INTERVAL_S = 10.0
LINES_PER_PHASE = 10
# Half of fewer epochs than twice as many says nothing.
_FEWEST_STALE = 5
_REFRESH_INTERVAL_S = 1.0
_BAR_WIDTH = 10
_ECHO = 4
"""Columns left free for the `^C` of a person, which would else begin a line that stays."""
_GAP = "  "
_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}


class PhaseState(Protocol):
    """What the console reads of a phase of training."""

    phase: str
    seed: int
    epochs_total: int
    epoch: int
    monitor: str | None

    @property
    def group(self) -> Sequence[object]:
        """The states of all seeds, this one among them."""

    @property
    def closes_epoch(self) -> bool:
        """Whether this is the last seed that is told of its latest epoch."""


class ConsoleProgress:
    """Observer of a run's console, which also shows its log.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = CarefulStream(sys.stderr if stream is None else stream)
        self._quiet = quiet
        self._clock = clock
        self._has_colour = has_colour(self._stream)
        self._bar: _Bar | None = None
        self._started_s = 0.0
        self._first_epoch = -1  # none yet
        self._n_seeds = 1
        self._best_epochs: dict[int, int] = {}
        self._fresh_epoch = 0  # of the newest best, or where this process began
        self._is_stale = False
        self._shown_s = -math.inf
        self._shown_epoch = 0
        self._records: list[EpochRecord] = []
        self._hidden: list[EpochRecord] = []

    @property
    def _is_tty(self) -> bool:
        return self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def on_phase_start(self, state: PhaseState) -> None:
        """Begin a bar or a block of lines."""
        if state is not state.group[-1]:
            return
        self.close()
        self._shown_epoch = self._fresh_epoch = state.epoch
        # Nobody looks for a best then; a refit knows the monitor of the choice before it.
        self._is_stale = state.monitor is None or state.phase == "refit"
        self._first_epoch = -1
        self._n_seeds = len(state.group)
        self._best_epochs = {}
        self._shown_s = -math.inf
        if self._is_tty and not self._quiet:
            self._bar = _Bar(self._stream, state)

    def on_launch(self, state: object) -> None:
        """Show nothing: epochs are often enough."""

    def on_decision(self, decision: Decision) -> None:
        """Measure anew: what is announced may take long, once. The log record shows it."""
        self._first_epoch = -1

    def on_epoch(self, record: EpochRecord, state: PhaseState) -> None:
        """Move the bar, or write a line when one is due: one for all seeds."""
        self._records.append(record)
        if record.is_best:
            self._best_epochs[state.seed] = self._fresh_epoch = record.epoch
        if not state.closes_epoch:
            return
        records, self._records = self._records, []
        self._hidden = records
        time_s = self._clock()
        if self._first_epoch < 0:  # it may have been compiled in, which no later one is
            self._first_epoch, self._started_s = record.epoch, time_s
        since_s = time_s - self._shown_s
        is_last = record.epoch >= record.epochs_total
        if self._bar is not None:
            is_due = is_last or since_s >= _REFRESH_INTERVAL_S
        else:
            n_epochs = record.epoch - self._shown_epoch
            is_step = n_epochs * LINES_PER_PHASE >= record.epochs_total
            is_due = is_last or is_step or since_s >= LINE_INTERVAL_S
        if is_due:
            self._show(records, time_s)
        self._say_stale(record)

    def _say_stale(self, record: EpochRecord) -> None:
        """Once, where no epoch has been the best for half of all of them."""
        n_stale = record.epoch - self._fresh_epoch
        if self._is_stale or n_stale < max(record.epochs_total / 2, _FEWEST_STALE):
            return
        self._is_stale = True
        since = f"epoch {self._fresh_epoch}" if self._fresh_epoch else "the start"
        message = f"no epoch was better since {since}; training.patience stops then"
        if not self._quiet and record.epoch < record.epochs_total:
            self._write_line(f"{_clock(time.time())} INFO {message}")

    def on_phase_end(self, phase: str, state: object) -> None:
        """Show the last epoch, if it was not, and end the bar."""
        self.close()

    def close(self) -> None:
        """End what is shown, however the phase ended; a second call does nothing."""
        if self._hidden:
            self._show(self._hidden, self._clock())
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, records: Sequence[EpochRecord], time_s: float) -> None:
        figures, record = self._figures(records, time_s), records[0]
        if self._bar is not None:
            self._bar.move(record.epoch, figures)
        elif not self._quiet:
            parts = [f"{record.phase} {record.epoch}/{record.epochs_total}", *figures]
            self._write_line(f"{_clock(time.time())} INFO {_GAP.join(parts)}")
        self._shown_s, self._shown_epoch, self._hidden = time_s, record.epoch, []

    def _figures(self, records: Sequence[EpochRecord], time_s: float) -> list[str]:
        """What is known of an epoch, the most important first."""
        record = records[0]
        figures = {"reward": "reward_mean", "val": "val_reward_mean"}
        if record.reward_mean is None:
            figures = {"loss": "train_loss", "val loss": "val_loss"}
        parts = [
            _mean_and_range(label, [getattr(each, name) for each in records])
            for label, name in figures.items()
        ]
        if self._best_epochs:
            first, last = min(self._best_epochs.values()), max(self._best_epochs.values())
            parts.append(f"best {first}" if first == last else f"best {first} ... {last}")
        if self._n_seeds > 1:
            parts.append(f"{len(records)} of {self._n_seeds} seeds")
        n_done = record.epoch - self._first_epoch
        n_left = record.epochs_total - record.epoch
        if n_left > 0 and n_done > 0:
            left_s = (time_s - self._started_s) / n_done * n_left
            parts.append(f"{clock_text(left_s)} left")
        if record.episodes_per_s is not None:
            parts.append(f"{record.episodes_per_s:,.0f} episodes/s")
        parts.append(f"lr {record.lr:.2g}")
        return [part for part in parts if part]

    def take(self, record: logging.LogRecord) -> None:
        """Show a record from INFO up (quiet: WARNING): `HH:MM:SS LEVEL message`, above the bar."""
        if record.levelno < (logging.WARNING if self._quiet else logging.INFO):
            return
        text = f"{_clock(record.created)} {level_name(record)} {message_of(record)}"
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        # A message may hold anything; only line ends reach the terminal as they are.
        text = "\n".join(escape_controls(line) for line in mask_secrets(text).split("\n"))
        text = folded(text, self._stream)
        if self._has_colour and record.levelno in _COLOURS:
            text = f"{_COLOURS[record.levelno]}{text}\x1b[0m"
        self._write_line(text)

    def _write_line(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write_above(line)
        else:
            self._stream.write(f"{line}\n")
            self._stream.flush()


class _Bar:
    """A bar on a terminal; drawn only when told to, so that no thread runs beside training."""

    def __init__(self, stream: CarefulStream, state: PhaseState) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        fixed = Column(no_wrap=True, overflow="ignore")
        rest = Column(no_wrap=True, overflow="crop")
        self._n_fixed = sum(
            len(f"{part} ")
            for part in (
                state.phase,
                _BAR_WIDTH * "-",
                f"{state.epochs_total}/{state.epochs_total}",
            )
        )

        self._console = rich_console(stream)
        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=fixed),
            BarColumn(bar_width=_BAR_WIDTH, table_column=Column(min_width=_BAR_WIDTH)),
            MofNCompleteColumn(table_column=fixed),
            TextColumn("{task.fields[figures]}", markup=False, table_column=rest),
            console=self._console,
            auto_refresh=False,
            # What user code prints to a terminal must not break the bar; a file must stay a file.
            redirect_stdout=is_terminal(sys.stdout),
            redirect_stderr=is_terminal(sys.stderr),
        )
        self._task: TaskID = self._progress.add_task(
            state.phase, total=state.epochs_total, completed=state.epoch, figures=""
        )
        self._progress.start()

    def move(self, epoch: int, figures: Sequence[str]) -> None:
        # On a narrow terminal the last figures drop out; half a number would be another number.
        shown = list(figures)
        room = self._console.width - self._n_fixed - _ECHO
        while len(shown) > 1 and len(_GAP.join(shown)) > room:
            shown.pop()
        line = _GAP.join(shown)
        self._progress.update(self._task, completed=epoch, figures=line, refresh=True)

    def write_above(self, line: str) -> None:
        from rich.text import Text

        self._console.print(Text.from_ansi(line), soft_wrap=True)

    def stop(self) -> None:
        self._progress.stop()


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _mean_and_range(label: str, values: Sequence[float | None]) -> str:
    """One value as it is; of several the mean, and the least and greatest in brackets."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return ""
    text = labelled(label, sum(known) / len(known))
    return text if len(known) == 1 else f"{text} ({min(known):.4g} ... {max(known):.4g})"
