"""What watching costs: log, console, metrics.json and commits, against the same training alone.

Run from the repository root, with one thread as in the recorded results::

    OMP_NUM_THREADS=1 python benchmarks/overhead.py

Both sides train the same estimator on the same arrays in one process, in turn, so that a busy
moment of the machine meets both. One side is a whole run at its defaults on a terminal: a row per
event in events.csv, a progress bar, metrics.json every 2 s, a commit every 30 s and at the end,
everything synced to the disk. The other is `fit` without observers. Each pair gives a ratio; the
figure is their median, and means something on a quiet machine only.

The share by CPU time is taken within the watched run: whatever the process computes outside of
training itself (observers, handlers, the thread of the progress bar) over training itself. A busy
machine slows both alike. It leaves out the wait for the disk, which the wall time has.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import pty
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from psann.run.execution import training as stages
from psann.run.execution.context import RunRequest
from psann.run.execution.runner import execute
from psann.training.history import Decision, EpochRecord
from psann.training.observers import Observer
from psann.training.state import TrainState

GOAL = 0.02
RESULT = Path(__file__).parent / "results" / "overhead.json"


class Meter(Observer):
    """Hands everything on to the observers of a run, and times them."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self.cpu_s = 0.0

    def _tell(self, event: str, *what: Any) -> None:
        began_s = time.thread_time()
        try:
            for observer in self._observers:
                getattr(observer, event)(*what)
        finally:
            self.cpu_s += time.thread_time() - began_s

    def on_decision(self, decision: Decision) -> None:
        """Pass on."""
        self._tell("on_decision", decision)

    def on_phase_start(self, state: TrainState) -> None:
        """Pass on."""
        self._tell("on_phase_start", state)

    def on_launch(self, state: TrainState) -> None:
        """Pass on."""
        self._tell("on_launch", state)

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        """Pass on."""
        self._tell("on_epoch", record, state)

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        """Pass on."""
        self._tell("on_phase_end", phase, state)


class Stopwatch:
    """Times the stage `train` of a run, watched or alone."""

    def __init__(self, *, is_watched: bool) -> None:
        self._train, self._fit = stages.train, stages.fit_together
        self._is_watched = is_watched
        self.wall_s = self.training_cpu_s = self.watching_cpu_s = 0.0
        self.weights = ""

    def train(
        self, context: Any, config: Any, estimators: Any, splits: Any, **going_on: Any
    ) -> Any:
        """Train in the place of `stages.train`."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        if self._is_watched:
            self._train(context, config, estimators, splits, **going_on)
        else:
            self._fit(
                estimators,
                **stages.training_rows(config, splits),
                hisso=config.hisso,
                evaluation=config.evaluation.options,
            )
        self.wall_s = time.perf_counter() - wall_s
        self.watching_cpu_s = time.process_time() - cpu_s - self.training_cpu_s
        digest = hashlib.sha256()
        for estimator in estimators:
            for tensor in estimator.network_.state_dict().values():
                digest.update(tensor.numpy().tobytes())
        self.weights = digest.hexdigest()
        return [estimator.fit_result_ for estimator in estimators]

    def fit(self, *members: Any, observers: Sequence[Observer], **what: Any) -> None:
        """Fit in the place of `stages.fit_together`."""
        meter, began_s = Meter(observers), time.thread_time()
        self._fit(*members, observers=(meter,), **what)
        self.training_cpu_s = time.thread_time() - began_s - meter.cpu_s


@contextmanager
def terminal() -> Iterator[None]:
    """Standard output and error are a terminal that somebody reads."""
    reader, writer = pty.openpty()

    def read() -> None:
        try:
            while os.read(reader, 65536):
                pass
        except OSError:  # the last writer has gone
            os.close(reader)

    threading.Thread(target=read, daemon=True).start()
    before = sys.stdout, sys.stderr
    with open(writer, "w") as both:
        sys.stdout = sys.stderr = both
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def timed(config: Path, epochs: int, *, is_watched: bool) -> Stopwatch:
    """One training."""
    stopwatch = Stopwatch(is_watched=is_watched)
    with (
        tempfile.TemporaryDirectory() as folder,
        terminal(),
        patch.object(stages, "train", stopwatch.train),
        patch.object(stages, "fit_together", stopwatch.fit),
    ):
        outcome = execute(
            RunRequest(
                config=config,
                output_dir=Path(folder),
                run_name="run",
                device="cpu",
                overrides=(f"training.epochs={epochs}",),
            )
        )
    if outcome.exit_code != 0:
        sys.exit(f"the run ended with exit code {outcome.exit_code}: {outcome.message}")
    return stopwatch


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, default=Path("configs/hisso/nyse_o_same_close.yaml"))
    parser.add_argument(
        "--epochs",
        type=int,
        nargs="+",
        default=[60, 600],
        help="lengths of training: in a short one, what start and end cost weighs more",
    )
    parser.add_argument("--repeats", type=int, default=7, help="pairs of the shortest")
    options = parser.parse_args()
    timed(options.config, min(options.epochs), is_watched=True)  # what only the first one pays
    result = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "config": options.config.as_posix(),
        "goal": GOAL,
        "runs": [
            measured(
                options.config,
                epochs,
                repeats=max(3, options.repeats * options.epochs[0] // epochs),
            )
            for epochs in options.epochs
        ],
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['config']}, load {result['load']:.1f}, {result['cores']} cores")


def measured(config: Path, epochs: int, *, repeats: int) -> dict[str, Any]:
    """Train in turn watched and alone, and print what watching adds."""
    pairs = []
    for k in range(repeats):
        # Who goes first changes, so that a drift of the machine favours neither.
        order = (True, False) if k % 2 else (False, True)
        runs = {each: timed(config, epochs, is_watched=each) for each in order}
        pairs.append((runs[True], runs[False]))
    wall = [watched.wall_s / alone.wall_s - 1 for watched, alone in pairs]
    cpu = [watched.watching_cpu_s / watched.training_cpu_s for watched, _ in pairs]
    alone_s = statistics.median(alone.wall_s for _, alone in pairs)
    has_same_weights = len({run.weights for pair in pairs for run in pair}) == 1
    print(f"{epochs} epochs, {repeats} pairs; training alone {alone_s:.2f} s (median)")
    for name, of in (("wall", wall), ("CPU", cpu)):
        print(
            f"  overhead in {name} time: median {statistics.median(of):+.2%} "
            f"(lowest {min(of):+.2%}, highest {max(of):+.2%}); goal {GOAL:.0%}"
        )
    print(f"  the same weights in all: {'yes' if has_same_weights else 'NO'}", flush=True)
    return {
        "epochs": epochs,
        "overhead_wall": wall,
        "overhead_cpu": cpu,
        "median_overhead_wall": statistics.median(wall),
        "median_overhead_cpu": statistics.median(cpu),
        "watched_wall_s": [watched.wall_s for watched, _ in pairs],
        "alone_wall_s": [alone.wall_s for _, alone in pairs],
        "has_same_weights": has_same_weights,
    }


if __name__ == "__main__":
    main()
