"""Proof for one's own configuration that a run cannot be lost: kill it, again and again.

The configuration is run once in peace. Then it is run in a second directory by processes that are
killed (SIGKILL) at random instants, verified after every kill, and resumed, until it is finished;
at the end both directories must hold the same to the bit.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from psann._strict_json import to_json
from psann._text import utc_text
from psann.errors import ConfigError, UsageError
from psann.run.directory.findings import Verdict
from psann.run.directory.paths import RunPaths
from psann.run.directory.rows import Row
from psann.run.directory.storage import Storage
from psann.run.reading.growing_log import GrowingLog
from psann.run.reading.reading import read_run
from psann.run.reading.sameness import bit_differences
from psann.run.verification.verify import verify_run

CERTIFICATE = "certificate.json"
_COMMAND = (sys.executable, "-m", "psann.scripts.hisso_log_run")
_POLL_S = 0.002
# Enough commits for kills to find the run in every kind of place.
_COMMITS_PER_RUN = 20

Tell = Callable[[str], None]


@dataclass(kw_only=True)
class Certificate:
    """What was done to a configuration and what came of it."""

    config: str
    seed: int
    """Of the random instants."""
    kills_asked: int
    started_utc: str = field(default_factory=lambda: utc_text(time.time()))
    psann: str = field(default_factory=lambda: version("psann"))
    torch: str = field(default_factory=lambda: version("torch"))
    run: dict[str, object] = field(default_factory=dict)
    """Of the uninterrupted run: seconds, epoch rows, and the digests that identify it."""
    checkpoint_every_s: float | None = None
    """Commit interval of the tortured run."""
    kills_landed: int = 0
    kills: list[dict[str, object]] = field(default_factory=list)
    """Each with its round, epoch rows at that instant and findings."""
    runs_compared: int = 0
    resumes: int = 0
    artefacts_checked: int = 0
    findings: list[str] = field(default_factory=list)
    """Errors that verification found after a kill or at an end."""
    differences: list[str] = field(default_factory=list)
    """Between an uninterrupted and a tortured run."""
    duration_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether all kills landed and nothing was wrong."""
        return self.kills_landed == self.kills_asked and not (self.findings or self.differences)

    def verify(self, paths: RunPaths, place: str) -> Verdict:
        """Verify a run, and take over what that finds."""
        verdict = verify_run(paths.root)
        self.artefacts_checked += verdict.n_files
        self.findings += [f"{place}: {finding}" for finding in verdict.errors]
        return verdict


@dataclass(frozen=True, kw_only=True)
class _Timeline:
    """When an uninterrupted run wrote its epoch rows and ended, in seconds of its log."""

    epochs_s: tuple[float, ...]
    end_s: float

    def instant(self, generator: random.Random) -> tuple[int, float]:
        """A random instant between the first epoch row and the end: rows, and seconds after."""
        moment_s = generator.uniform(self.epochs_s[0], self.end_s)
        n_rows = sum(row_s <= moment_s for row_s in self.epochs_s)
        return n_rows, moment_s - self.epochs_s[n_rows - 1]


def torture(config: Path, *, kills: int, seed: int, folder: Path, tell: Tell) -> Certificate:
    """Kill a run of a configuration at random instants, and compare it with one left in peace.

    Parameters
    ----------
    kills : int
        How many kills must land, at least 1. A run that ends before is compared, and another
        begun for the rest.
    folder : Path
        An empty or missing directory; it receives the runs and `certificate.json`.

    Raises
    ------
    UsageError
        If the directory is in use.
    ConfigError
        If a start fails by itself.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--output-dir must be a new or empty directory; {folder} is not.")
    certificate = Certificate(config=str(config.absolute()), seed=seed, kills_asked=kills)
    began_s = time.monotonic()
    tell(f"seed {seed}; first the run in peace")
    whole = RunPaths(folder.absolute() / "whole")
    with _start(config, whole, None) as process:
        process.wait()
        _check_ending(process)
    timeline = _timeline(whole)
    _describe(whole, timeline, certificate)
    _Torture(config, whole, timeline, certificate, tell=tell).go_on()
    certificate.duration_s = round(time.monotonic() - began_s, 3)
    with Storage(folder.absolute()) as storage:
        storage.put(folder.absolute() / CERTIFICATE, to_json(asdict(certificate)))
    return certificate


def _describe(whole: RunPaths, timeline: _Timeline, certificate: Certificate) -> None:
    run = read_run(whole.root)
    names = ("config_sha256", "data_sha256", "seed", "device", "duration_seconds", "status")
    certificate.run = {name: run.value(name) for name in names}
    certificate.run["epoch_rows"] = len(timeline.epochs_s)
    training_s = timeline.end_s - timeline.epochs_s[0]
    certificate.checkpoint_every_s = max(1e-3, round(training_s / _COMMITS_PER_RUN, 3))
    certificate.verify(whole, "whole")


@dataclass
class _Torture:
    """Rounds of one tortured run each, until enough kills have landed."""

    config: Path
    whole: RunPaths
    timeline: _Timeline
    certificate: Certificate
    tell: Tell

    def __post_init__(self) -> None:
        self._generator = random.Random(self.certificate.seed)
        self._began_s = time.monotonic()

    def go_on(self) -> None:
        """Do rounds until enough kills have landed, or three in a row see none land."""
        certificate, n_fruitless = self.certificate, 0
        while certificate.kills_landed < certificate.kills_asked and n_fruitless < 3:
            n_before = certificate.kills_landed
            name = f"tortured-{certificate.runs_compared + 1}"
            self._round(RunPaths(self.whole.root.with_name(name)))
            n_fruitless = n_fruitless + 1 if certificate.kills_landed == n_before else 0

    def _round(self, paths: RunPaths) -> None:
        certificate = self.certificate
        is_finished = False
        while not is_finished:
            may_kill = certificate.kills_landed < certificate.kills_asked
            stamp = _stamp(paths.provenance)
            with _start(self.config, paths, certificate.checkpoint_every_s) as process:
                rows = _epoch_rows(process, paths, stamp)
                is_finished = not (may_kill and self._kill(process, rows))
                process.wait()
                if is_finished:
                    _check_ending(process)
            self._verify(paths, is_finished=is_finished)
        found = bit_differences(read_run(self.whole.root), read_run(paths.root))
        certificate.differences += [f"{paths.root.name}: {text}" for text in found]
        certificate.runs_compared += 1
        certificate.resumes += read_run(paths.root).metrics["resumes"] or 0
        self.tell(f"{paths.root.name} is finished; differences from the run in peace: {len(found)}")

    def _kill(self, process: subprocess.Popen[bytes], rows: Iterator[int]) -> bool:
        """Kill at a random instant; False if the process ended before."""
        n_rows, after_s = self.timeline.instant(self._generator)
        deadline_s = None
        for n_done in rows:
            if n_done >= n_rows and deadline_s is None:
                deadline_s = time.monotonic() + after_s
            if deadline_s is not None and time.monotonic() >= deadline_s:
                process.send_signal(signal.SIGKILL)
                break
        if process.wait() != -signal.SIGKILL:
            return False
        self.certificate.kills_landed += 1
        return True

    def _verify(self, paths: RunPaths, *, is_finished: bool) -> None:
        certificate = self.certificate
        place = paths.root.name if is_finished else f"kill {certificate.kills_landed}"
        verdict = certificate.verify(paths, place)
        if is_finished:
            return
        n_rows = _count_epochs(read_run(paths.root).events)
        kill = {"run": paths.root.name, "epoch_rows": n_rows, "errors": len(verdict.errors)}
        certificate.kills.append(kill)
        landed, asked = certificate.kills_landed, certificate.kills_asked
        seconds = time.monotonic() - self._began_s
        self.tell(
            f"kill {landed} of {asked}: after {n_rows} epoch rows, {verdict.n_files} files, "
            f"{len(verdict.errors)} errors; {60 * landed / seconds:.0f} kills a minute, about "
            f"{seconds / landed * (asked - landed):.0f} s left"
        )


def _start(
    config: Path, paths: RunPaths, checkpoint_every_s: float | None
) -> subprocess.Popen[bytes]:
    """Start the command, or go on with it; its output is kept for the case that it fails."""
    paths.root.parent.mkdir(parents=True, exist_ok=True)
    command = [*_COMMAND, *_arguments(config, paths, checkpoint_every_s)]
    with paths.root.with_name(f"{paths.root.name}.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _arguments(config: Path, paths: RunPaths, checkpoint_every_s: float | None) -> list[str]:
    arguments = ["--config", str(config), "--output-dir", str(paths.root.parent)]
    arguments += ["--run-name", paths.root.name, "--resume", "--quiet"]
    if checkpoint_every_s is not None:
        arguments += ["--set", f"training.checkpoint_every_s={checkpoint_every_s}"]
    return arguments


def _check_ending(process: subprocess.Popen[bytes]) -> None:
    if process.returncode != 0:
        raise ConfigError(
            f"The run must end well by itself; it ended with exit code {process.returncode}. Run "
            "hisso-log-run --check on the configuration, or see the .log files in --output-dir."
        )


def _timeline(paths: RunPaths) -> _Timeline:
    rows = read_run(paths.root).events
    epochs_s = tuple(_elapsed_s(row) for row in rows if row["event"] == "epoch")
    if not epochs_s:
        raise ConfigError("The configuration must train; its run has no epochs.")
    return _Timeline(epochs_s=epochs_s, end_s=_elapsed_s(rows[-1]))


def _elapsed_s(row: Row) -> float:
    elapsed_s = row["elapsed_s"]
    assert isinstance(elapsed_s, float)
    return elapsed_s


def _epoch_rows(
    process: subprocess.Popen[bytes], paths: RunPaths, stamp: tuple[int, int] | None
) -> Iterator[int]:
    """Epoch rows in the log, polled while the process lives and once it has begun to train.

    A start writes `provenance.json` after it has cut the log back; while that is as it was when
    the process began (`stamp`), the rows are those of the start before.
    """
    log = GrowingLog(paths.events)
    while process.poll() is None:
        if _stamp(paths.provenance) not in (None, stamp):
            stamp = None
            log.read_on()
            yield _count_epochs(log.rows)
        time.sleep(_POLL_S)


def _count_epochs(rows: Iterable[Row]) -> int:
    return sum(row["event"] == "epoch" for row in rows)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes whenever a file is replaced; None without it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
