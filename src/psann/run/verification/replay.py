"""Training a run again from its resolved configuration, and comparing two runs bit by bit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from psann._imports import ImportPolicy
from psann._plain_files import read_plain
from psann._strict_json import to_json
from psann.errors import UsageError
from psann.run.directory.files import MAX_FILE_BYTES
from psann.run.directory.paths import RunPaths
from psann.run.directory.rows import cells_of, split_log
from psann.run.directory.storage import Storage
from psann.run.execution.claim import finished_record
from psann.run.execution.context import EXIT_DONE, EXIT_RUINED, RunRequest
from psann.run.execution.resume import resume_bytes, resume_point
from psann.run.execution.runner import execute
from psann.run.reading.differences import circumstances
from psann.run.reading.reading import read_run
from psann.run.reading.sameness import bit_differences, results_of


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """What training again brought to light."""

    begun_from: str
    """`the start`, or the epoch whose kept state was gone on from."""
    differences: list[str]
    """Empty if everything is the same to the bit."""
    failure: str = ""
    """Why there is nothing to compare, if it did not get to its end."""


def replay(root: Path, *, last_epochs: int, allow_import: Sequence[str] = ()) -> Repetition:
    """Train the end of a finished run again in a scratch directory and compare.

    This runs the loader, the reward and whatever else the configuration names.

    Parameters
    ----------
    root : Path
        The run directory; nothing in it is changed.
    last_epochs : int
        How many epochs before the end the repetition must begin at least. It begins at the newest
        resume state that `--keep-checkpoints` kept so early, without one at the start.
    allow_import : sequence of str
        Prefixes of modules that may be imported: the configuration is the run's, which may be a
        stranger's, so that only psann's own are without being named.

    Raises
    ------
    UsageError
        If the run was not trained to its end, or has fewer epochs.
    FileFormatError
        If the kept state is damaged.
    """
    paths = RunPaths(root)
    record = finished_record(paths)
    if record is None or record.get("mode") == "evaluate":
        raise UsageError(f"--replay needs a run that was trained to its end; {root} was not.")
    n_epochs = record.get("epoch") or 0
    if last_epochs > n_epochs:
        raise UsageError(
            f"--replay must be at most the {n_epochs} epochs of the run; got {last_epochs}."
        )
    with tempfile.TemporaryDirectory(prefix="psann-replay-") as scratch:
        epoch = max((e for e in _kept_epochs(paths) if e <= n_epochs - last_epochs), default=None)
        if epoch is not None:
            _return_to(epoch, paths, RunPaths(Path(scratch) / "replay"))
        outcome = execute(
            RunRequest(
                config=paths.config_resolved,
                output_dir=Path(scratch),
                run_name="replay",
                keep_checkpoints=paths.last.exists(),
                resume=epoch is not None,
                imports=ImportPolicy(allow=tuple(allow_import), is_of_a_file=True),
                argv=("hisso-runs", "verify", "--replay", str(last_epochs)),
            )
        )
        begun_from = "the start" if epoch is None else f"the state kept after epoch {epoch}"
        if outcome.exit_code not in (EXIT_DONE, EXIT_RUINED) or outcome.paths is None:
            failure = f"it ended with exit code {outcome.exit_code}: {outcome.message}"
            return Repetition(begun_from=begun_from, differences=[], failure=failure)
        ours, theirs = read_run(root), read_run(outcome.paths.root)
        if found := bit_differences(ours, theirs):
            around = circumstances((ours, theirs))
            told = ((each.key, *each.values) for each in around)
            found = [
                *(f"(the run had {key} {a!r}, the repetition {b!r})" for key, a, b in told),
                *found,
            ]
    return Repetition(begun_from=begun_from, differences=found)


def _epoch_of(path: Path) -> int:
    """The epoch of a kept estimator, 0 of any other file."""
    kind, _, rest = path.stem.partition("_")
    return int(rest.partition("_")[0]) if kind == "epoch" else 0


def _kept_epochs(paths: RunPaths) -> list[int]:
    """Epochs whose resume states were kept."""
    return [int(path.stem.removeprefix("state_")) for path in paths.checkpoints.glob("state_*")]


def _return_to(epoch: int, paths: RunPaths, target: RunPaths) -> None:
    """Make a run directory that is as the run's was when a killed process had kept that state."""
    state = paths.kept_state(epoch)
    point = resume_point(read_plain(state, MAX_FILE_BYTES), who=str(state))
    log = _log_until(paths, phase=point.furthest.phase, epoch=epoch)
    with Storage(target.root) as storage:
        storage.make_directory(target.checkpoints)
        for path in results_of(paths).values():
            is_later = path.stem.startswith("best") or _epoch_of(path) > epoch
            if path.parent != paths.checkpoints or is_later:
                continue
            storage.put(target.checkpoints / path.name, read_plain(path, MAX_FILE_BYTES))
        storage.put(target.events, log)
        # The log of this directory: what was logged before that state may have been repeated.
        storage.put(target.last, resume_bytes(replace(point, log_bytes=len(log))))
        storage.put(target.metrics, to_json({**read_run(paths.root).metrics, "status": "running"}))


def _log_until(paths: RunPaths, *, phase: str, epoch: int) -> bytes:
    """The log up to the row of one epoch, or all of it."""
    header, lines, _ = split_log(read_plain(paths.events, MAX_FILE_BYTES))
    assert header is not None
    kept = [header + b"\r"]
    for line in lines:
        kept.append(line)
        row = cells_of(line, header.decode().split(","))
        if (row["event"], row["phase"], row["epoch"]) == ("epoch", phase, str(epoch)):
            break
    return b"\n".join([*kept, b""])
