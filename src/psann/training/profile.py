"""Where the time of training goes: a trace of a few updates, and a table for one screen.

`torch.profiler` records operations and Python calls together, so that nothing in the training code
has to be marked, and a run that is not profiled pays nothing. Recording makes an update several
times slower: the trace says how an update divides, the run's own clocks how long everything takes.
"""

from __future__ import annotations

import gzip
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from psann.training.observers import Observer
from psann.training.state import TrainState

_logger = logging.getLogger(__name__)

# Recording ends with the first launch after so many updates: about 0.4 MB of trace for a small
# network. A launch is never cut, so that one of 0.1 s may bring up to a hundred.
TRACED_UPDATES = 20

_LAUNCH = "update"
# File and function -> what an update does there, less what it calls of the others.
_PARTS = {
    ("training/engine.py", "launch"): _LAUNCH,
    ("training/engine.py", "launch_group"): _LAUNCH,
    ("hisso/objective.py", "_rows"): "data",
    ("hisso/objective.py", "_context"): "data",
    ("hisso/objective.py", "_outputs"): "data",
    ("training/at_host.py", "call"): "forward",
    ("training/engine.py", "call"): "forward",
    ("hisso/objective.py", "__call__"): "reward",
    ("training/supervised.py", "__call__"): "reward",
    ("training/gradient.py", "gradients"): "backward",
    ("training/optimizer.py", "step"): "optimizer",
}


class ProfileObserver(Observer):
    """Traces some updates of the main phase, from the second launch on.

    The first launch pays for the compiler and for cold caches.

    Parameters
    ----------
    path : Path
        Where the trace goes, compressed by gzip.
    put : callable
        Writes it there.

    Attributes
    ----------
    shares : dict of str to float
        Share of an update by part, summing to 1; empty until the trace is written.
    n_updates : int
        Updates that were traced.
    """

    def __init__(self, path: Path, put: Callable[[Path, bytes], None]) -> None:
        self._path, self._put = path, put
        self._recording: ExitStack | None = None
        self._profile: profile | None = None
        self._first_update = 0
        self._started_s = time.perf_counter()
        self._setup_s: float | None = None
        self._own_s = 0.0
        self.shares: dict[str, float] = {}
        self.n_updates = 0

    def on_phase_start(self, state: TrainState) -> None:
        """Take the time that everything before training took."""
        if self._setup_s is None:
            self._setup_s = time.perf_counter() - self._started_s

    def on_launch(self, state: TrainState) -> None:
        """Begin to record, or end when enough is recorded."""
        if state.phase == "warm_start" or self.shares:
            return
        with self._own_time():
            if self._profile is None:
                self._begin(state)
            elif state.update - self._first_update >= TRACED_UPDATES:
                self._end(state)

    def on_phase_end(self, phase: str, state: TrainState) -> None:
        """End with what there is of a short phase."""
        if self._recording is not None and state.update > self._first_update:
            with self._own_time():
                self._end(state)

    @contextmanager
    def _own_time(self) -> Iterator[None]:
        """What a block takes is of the profiler, not of training."""
        started = time.perf_counter()
        yield
        self._own_s += time.perf_counter() - started

    def close(self) -> None:
        """Stop recording, whatever ended training; say so if nothing was recorded."""
        if self._recording is not None:
            self._recording.close()
            self._recording = None
        if not self.shares:
            _logger.warning(
                "--profile recorded nothing: training ended within its first two launches"
            )

    def timing(self, timing: Mapping[str, float]) -> dict[str, Any]:
        """Seconds of training by part, for the field `profile` of `timing`.

        Returns
        -------
        dict
            ``setup_s data_s forward_s reward_s backward_s optimizer_s update_s val_s
            checkpoint_s other_s``, where ``update_s`` is what lies between the parts of an update,
            and ``traced_updates``; empty if nothing was traced.
        """
        if not self.shares:
            return {}
        total_s = time.perf_counter() - self._started_s - self._own_s
        parts = {f"{name}_s": timing["step_s"] * share for name, share in self.shares.items()}
        parts["data_s"] += timing["data_s"]
        parts |= {
            "setup_s": self._setup_s or 0.0,
            "val_s": timing["val_s"],
            "checkpoint_s": timing["checkpoint_s"],
        }
        parts["other_s"] = max(0.0, total_s - sum(parts.values()))
        return {**parts, "traced_updates": self.n_updates}

    def _begin(self, state: TrainState) -> None:
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        self._recording = ExitStack()
        self._recording.enter_context(warnings.catch_warnings())
        # The profiler looks at gradients that nobody keeps, and torch warns of that; torch 2.10 of
        # cycles, too, of which there is one.
        for of_torch in (r"The \.grad attribute of a Tensor", "Warning: Profiler clears"):
            warnings.filterwarnings("ignore", message=of_torch)
        self._profile = self._recording.enter_context(
            profile(activities=activities, with_stack=True)
        )
        self._first_update = state.update

    def _end(self, state: TrainState) -> None:
        assert self._recording is not None and self._profile is not None
        self._recording.close()
        self._recording = None
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "profile.json.gz"
            self._profile.export_chrome_trace(str(file))
            data = file.read_bytes()
        self._put(self._path, data)
        self.n_updates = state.update - self._first_update
        self.shares = update_shares(json.loads(gzip.decompress(data))["traceEvents"])
        _logger.info("%s: %d updates traced", self._path.name, self.n_updates)


def update_shares(events: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """How the time of the launches in a trace divides.

    Parameters
    ----------
    events : iterable of mapping
        ``traceEvents`` of a Chrome trace with Python calls; times ``ts`` and ``dur`` in
        microseconds.

    Returns
    -------
    dict
        ``data forward reward backward optimizer update``: shares of the launches, summing to 1.
        A call counts for its part less what it calls of others; ``update`` is the rest, and all
        there is where no part can be told.
    """
    own_us = dict.fromkeys(("data", "forward", "reward", "backward", "optimizer", _LAUNCH), 0.0)
    calls = [
        (event["tid"], event["ts"], -event["dur"], part)
        for event in events
        if event.get("cat") == "python_function" and (part := _part(event["name"])) is not None
    ]
    open_calls: list[tuple[Any, float, str]] = []  # thread, end, part
    for thread, start, minus_duration, part in sorted(calls, key=lambda call: call[:3]):
        while open_calls and (open_calls[-1][0] != thread or open_calls[-1][1] <= start):
            open_calls.pop()
        if not open_calls and part != _LAUNCH:
            continue  # a forward pass of the validation, say
        own_us[part] -= minus_duration
        if open_calls:
            own_us[open_calls[-1][2]] += minus_duration
        open_calls.append((thread, start - minus_duration, part))
    total_us = sum(own_us.values())
    if not total_us:
        return own_us | {_LAUNCH: 1.0}
    return {part: us / total_us for part, us in own_us.items()}


def _part(name: str) -> str | None:
    """Part of an update that a call such as ``.../training/optimizer.py(60): step`` belongs to."""
    place, _, function = name.partition("): ")
    file = place.rpartition("(")[0].replace("\\", "/")
    return _PARTS.get(("/".join(file.split("/")[-2:]), function))


_ROWS = {
    "setup": "checks, scalers, first weights",
    "data": "windows: drawn, and gathered from the series",
    "forward": "the network",
    "reward": "transform and reward, or loss",
    "backward": "the gradient",
    "optimizer": "clip and step",
    "update": "between these; all of a compiled update",
    "val": "validation passes",
    "checkpoint": "estimator and resume state to disk",
    "other": "log, console, start and end of phases",
}


def profile_table(timing: Mapping[str, Any]) -> str:
    """Lay out where the time of training went."""
    seconds = {name: timing[f"{name}_s"] for name in _ROWS}
    total_s = sum(seconds.values()) or 1.0
    lines = [f"Where the time went (an update as in the {timing['traced_updates']} traced ones)"]
    for name, what in _ROWS.items():
        share = seconds[name] / total_s
        bar = "#" * round(20 * share)
        lines.append(f"  {name:<11}{seconds[name]:>9.2f} s {share:>6.1%}  {bar:<20}  {what}")
    return "\n".join(lines)
