"""Every file name of a run directory, and which names a run may have."""

from __future__ import annotations

import functools
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psann._plain_files import what_is
from psann.errors import UsageError

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# The time and the random part take 24 characters of the 100; the stem keeps the rest readable.
_STEM_LENGTH = 60
_SEED = r"(_seed[0-9]{1,10})?"
_CHECKPOINT = re.compile(
    rf"checkpoints/((best|warm_start|epoch_[0-9]{{6,9}}|(fold|placebo)_[0-9]{{3}}){_SEED}"
    r"|state_[0-9]{6,9})\.safetensors"
)
_ATTEMPT = re.compile(r"attempts/[0-9]{3,9}/")


class _Place:
    """A file or directory that every run has at the same place."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, paths: RunPaths, _: type[RunPaths]) -> Path:
        return paths.root / self._name


@dataclass(frozen=True)
class RunPaths:
    """The files of one run directory.

    Parameters
    ----------
    root : Path
        The run directory. Reading accepts any directory; a new one comes from `in_output`.

    Examples
    --------
    >>> RunPaths(Path("runs/first")).epoch(10).as_posix()
    'runs/first/checkpoints/epoch_000010.safetensors'
    """

    root: Path

    metrics = _Place("metrics.json")
    """The structured summary, valid at every instant."""
    events = _Place("events.csv")
    """The log, one row per event."""
    config_resolved = _Place("config_resolved.yaml")
    """The effective configuration."""
    provenance = _Place("provenance.json")
    """Where each start came from."""
    evaluation = _Place("evaluation.npz")
    """The series behind the portfolio figures."""
    recipe = _Place("recipe.json")
    """How prices became the rows of the run, for `hisso-runs act`."""
    profile = _Place("profile.json.gz")
    """Trace of a few updates, with `--profile`."""
    walk_forward = _Place("walk_forward.npz")
    """The series behind the walk-forward figures."""
    checkpoints = _Place("checkpoints")
    """Directory of the checkpoints."""
    best = _Place("checkpoints/best.safetensors")
    """The estimator of the best epoch."""
    warm_start = _Place("checkpoints/warm_start.safetensors")
    """The estimator after its supervised epochs."""
    last = _Place("checkpoints/last.safetensors")
    """The newest resume state."""
    previous = _Place("checkpoints/previous.safetensors")
    """The resume state before it."""
    manifest = _Place("checkpoints/manifest.json")
    """What the checkpoints are, with digests."""
    attempts = _Place("attempts")
    """Directory of what earlier starts left."""
    lock = _Place(".lock")
    """The file whose lock the live process holds."""
    lock_by_file = _Place(".lock.held")
    """The file that stands for the lock where the file system has none."""
    packing_list = _Place("packed.json")
    """What `pack` wrote of the files of a run that came by archive."""
    seal = _Place("seal.json")
    """Digest of the record of a run that got to its end."""

    @classmethod
    def in_output(cls, output_dir: Path | str, run_name: str) -> RunPaths:
        """Name a run directory below an output directory, whatever it holds by now.

        Parameters
        ----------
        output_dir : Path or str
            Directory of runs; it may be a link, the run directory itself may not.
        run_name : str
            A letter or digit, then at most 99 letters, digits, dots, underscores, hyphens.

        Returns
        -------
        RunPaths
            Absolute paths, so that a loader that changes the working directory moves nothing.

        Raises
        ------
        UsageError
            If the name is not allowed, or a link or a file is in its place.
        """
        if not is_run_name(run_name):
            raise UsageError(
                "--run-name must be 1 to 100 ASCII letters, digits, '.', '_' or '-', the first one "
                f"a letter or digit; got {run_name[:120]!r}."
            )
        root = Path(output_dir).absolute() / run_name
        try:
            mode = root.lstat().st_mode  # once: another starter may set the directory aside
        except (FileNotFoundError, NotADirectoryError):
            return cls(root)
        if stat.S_ISLNK(mode):
            raise UsageError(
                f"The run directory must be a real directory; {root} is a symbolic link, and "
                "nothing is written through links. Choose another --run-name or remove the link."
            )
        if not stat.S_ISDIR(mode):
            raise UsageError(
                f"The run directory must be a directory; {root} is a file. "
                "Choose another --run-name."
            )
        return cls(root)

    @property
    def resume_states(self) -> tuple[Path, Path]:
        """Both resume states, the newest first."""
        return self.last, self.previous

    @property
    def studies(self) -> Path:
        """Folder beside the run of what workers have trained for it, with one for each study."""
        return self.root.with_name(f"{self.root.name}.studies")

    def study(self, name: str) -> Path:
        """Name the estimator of a training beside the main one, such as `fold_001`."""
        return self.checkpoints / f"{name}.safetensors"

    def epoch(self, epoch: int) -> Path:
        """Name the estimator after one epoch, kept on request."""
        return self.checkpoints / f"epoch_{epoch:06d}.safetensors"

    def kept_state(self, epoch: int) -> Path:
        """Name the resume state after one epoch, kept beside its estimator."""
        return self.checkpoints / f"state_{epoch:06d}.safetensors"

    @staticmethod
    def of_seed(path: Path, seed: int) -> Path:
        """Name the file that one of several seeds has in place of another.

        Examples
        --------
        >>> RunPaths.of_seed(Path("checkpoints/best.safetensors"), 7).as_posix()
        'checkpoints/best_seed7.safetensors'
        """
        return path.with_name(f"{path.stem}_seed{seed}{path.suffix}")

    def is_of_a_run(self, name: str) -> bool:
        """Whether a path from the run directory is one that this version writes.

        Examples
        --------
        >>> paths = RunPaths(Path("runs/first"))
        >>> paths.is_of_a_run("events.csv"), paths.is_of_a_run("checkpoints/evil.so")
        (True, False)
        """
        return name in _fixed_names() or _CHECKPOINT.fullmatch(name) is not None

    def may_be_packed(self, name: str) -> bool:
        """Whether an archive of a run may hold a path: its own files, and those of earlier starts.

        Examples
        --------
        >>> paths = RunPaths(Path("runs/first"))
        >>> paths.may_be_packed("attempts/001/metrics.json"), paths.may_be_packed("setup.py")
        (True, False)
        """
        inner = _ATTEMPT.sub("", name, count=1) if _ATTEMPT.match(name) else name
        return self.is_of_a_run(inner) or inner in (self.packing_list.name, self.seal.name)

    def contents(self) -> list[Path]:
        """List what one start left, the way it must be archived.

        Returns
        -------
        list of Path
            Everything but the lock and the archive. `metrics.json` comes first: once it has
            moved, no instant of the move shows a finished run that is no longer whole.
        """
        kept = {self.lock, self.lock_by_file, self.attempts}
        entries = [path for path in sorted(self.root.iterdir()) if path not in kept]
        return sorted(entries, key=lambda path: path != self.metrics)


@functools.cache
def _fixed_names() -> frozenset[str]:
    own = RunPaths(Path())
    files = (
        *(own.metrics, own.events, own.config_resolved, own.provenance, own.recipe, own.profile),
        *(own.evaluation, own.walk_forward, own.manifest, *own.resume_states),
    )
    return frozenset(path.as_posix() for path in files)


def is_run_name(name: str) -> bool:
    """Whether a run may be called so: 1 to 100 of ``A-Za-z0-9._-``, a letter or digit first."""
    return _RUN_NAME.fullmatch(name) is not None


def check_directory(path: Path, who: str = "RUN", what: str = "a run directory") -> None:
    """Refuse what is no directory, and name the run that it is of.

    Raises
    ------
    UsageError
        If it is none.
    """
    if not path.is_dir():
        raise UsageError(f"{who} must be {what}; {path} {what_is(path)}.{hint_of_run(path)}")


def hint_of_run(path: Path) -> str:
    """Say which run was meant by a path that is none: one that it is in, or that is in it."""
    homes = (each for each in path.absolute().parents if os.path.isfile(RunPaths(each).metrics))
    if (home := next(homes, None)) is not None:
        return f" Give the run that it is of, {home}."
    if path.suffix == ".safetensors" and os.path.isfile(path):
        return " Read it by load of its estimator's class."
    inner = path.glob(str(RunPaths(Path("*")).metrics)) if os.path.isdir(path) else ()
    first = min(inner, default=None)
    return "" if first is None else f" Give one of the runs in it, such as {first.parent}."


def check_output(output: Path, *roots: Path, option: str = "-o") -> None:
    """Refuse to write a user's file in place of a directory, or where only runs write.

    Parameters
    ----------
    *roots : Path
        Run directories, or those that hold some.

    Raises
    ------
    UsageError
        If it is a directory, or lies in one of them.
    """
    if output.is_dir():
        raise UsageError(f"{option} must be a file; {output} is a directory.")
    for root in roots:
        if output.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"{option} must lie outside of {root}, which holds files of runs only; got "
                f"{output}."
            )


def default_run_name(config: Path | str, *, now: datetime | None = None) -> str:
    """Name a run after its configuration, the time, and six random hexadecimal digits.

    Parameters
    ----------
    config : Path or str
        The configuration file; its name without the suffix leads, made safe.
    now : datetime, optional
        The time in UTC; the clock's by default.

    Returns
    -------
    str
        `<config stem>-<UTC time>-<6 hex>`, always an allowed run name.

    Examples
    --------
    >>> default_run_name("configs/nyse_o.yaml", now=datetime(2025, 10, 28, 9, 5, 7))[:24]
    'nyse_o-20251028T090507Z-'
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(config).stem).strip("._-")
    time = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    return f"{stem[:_STEM_LENGTH] or 'run'}-{time}-{os.urandom(3).hex()}"
