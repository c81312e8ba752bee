"""Going on where an earlier start of a run left off: what a commit keeps for it, and on what terms.

A commit writes the resume state to `checkpoints/last.safetensors` after the one before it was
renamed to `previous.safetensors`. Reading takes the newest that is whole.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass

import torch

from psann._device import device_name, resolve_device
from psann._origin import versions
from psann._plain_files import read_plain
from psann._tensor_file import encode
from psann.errors import ConfigError, DataError, FileFormatError
from psann.run.config.changes import config_keys, problems_of_change
from psann.run.config.model import RunConfig
from psann.run.directory.files import MAX_FILE_BYTES
from psann.run.directory.paths import RunPaths
from psann.run.directory.resume_state import RunIdentity, read_state
from psann.training.state import SavedState


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Where a run stood at a commit."""

    saved: tuple[SavedState, ...]
    """By seed, in their order."""
    identity: RunIdentity
    log_bytes: int
    """Length of `events.csv`; later rows tell of work that is not in the state."""
    done: tuple[str, ...] = ()
    """Trainings beside the main one that are over: names of their estimator files."""

    @property
    def furthest(self) -> SavedState:
        """The seed with the most epochs: one that has not stopped early, if there is one."""
        return max(self.saved, key=lambda saved: int(saved.values["epoch"]))


def run_identity(
    config: RunConfig, *, data_sha256: str, init_from_sha256: str | None
) -> RunIdentity:
    """Identity of a run on this machine.

    Parameters
    ----------
    init_from_sha256 : str or None
        Digest of the estimator that it begins from.
    """
    device, packages = resolve_device(config.device), versions()
    return RunIdentity(
        config=config_keys(config),
        data_sha256=data_sha256,
        init_from_sha256=init_from_sha256,
        environment={
            "machine": platform.machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": packages["numpy"],
            "psann": packages["psann"],
            "device": f"{device.type} {device_name(device)}",
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        },
    )


def resume_bytes(point: ResumePoint) -> bytes:
    """The file of a resume point."""
    values = json.dumps([saved.values for saved in point.saved], allow_nan=False).encode()
    # In steps of some size: safetensors makes and keeps a type for each length that it meets.
    values += b" " * (-len(values) % 65536)
    tensors = {
        f"{k}.{name}": tensor
        for k, saved in enumerate(point.saved)
        for name, tensor in saved.tensors.items()
    }
    # As a tensor: a long history would burst the header.
    tensors["values"] = torch.frombuffer(bytearray(values), dtype=torch.uint8)
    description = {
        "identity": asdict(point.identity),
        "log_bytes": point.log_bytes,
        "done": list(point.done),
    }
    return encode({"resume": description}, tensors)


def read_resume_point(paths: RunPaths) -> tuple[ResumePoint, str]:
    """The newest resume state of a run directory that is whole, and the name of its file.

    Raises
    ------
    FileFormatError
        If there is none.
    """
    problems: list[str] = []
    for path in paths.resume_states:
        try:
            return resume_point(read_plain(path, MAX_FILE_BYTES), who=str(path)), path.name
        except FileNotFoundError:
            continue
        except FileFormatError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(f"{path} cannot be read: {error}.")
    raise FileFormatError(
        [*problems, "No resume state can be read; --overwrite sets the run aside for a new start."]
    )


def resume_point(data: bytes, *, who: str) -> ResumePoint:
    """What the file of a resume point says; raises as `read_state`, which reads it."""
    state = read_state(data, who=who)
    saved = (
        SavedState(values=values, tensors={k: torch.from_numpy(a) for k, a in arrays.items()})
        for values, arrays in zip(state.values, state.arrays, strict=True)
    )
    return ResumePoint(
        saved=tuple(saved), identity=state.identity, log_bytes=state.log_bytes, done=state.done
    )


def check_resumable(then: RunIdentity, now: RunIdentity, *, phase: str | None = None) -> None:
    """Refuse to go on with another configuration or other data.

    Parameters
    ----------
    then, now : RunIdentity
        Of the start that left the state, and of this one.

    Raises
    ------
    ConfigError
        With every key that differs, and both values.
    DataError
        If the arrays are others.
    """
    problems = problems_of_change(then.config, now.config)
    if phase == "refit" and now.epochs != then.epochs:
        problems.append(
            f"training.epochs was {then.epochs} when this run began and is now {now.epochs}; it "
            "may not change any more, because the refit goes by the epoch that was chosen."
        )
    elif now.epochs < then.epochs:
        problems.append(
            f"training.epochs was {then.epochs} when this run began and is now {now.epochs}; it "
            "may only grow."
        )
    if now.init_from_sha256 != then.init_from_sha256:
        problems.append("init_from holds another estimator than when this run began.")
    if problems:
        raise ConfigError(problems)
    if now.data_sha256 != then.data_sha256:
        raise DataError(
            "the data are not those this run began with: the digest of all arrays was "
            f"{then.data_sha256[:16]}... and is now {now.data_sha256[:16]}.... Restore them, or "
            "start a new run."
        )


def differences(then: RunIdentity, now: RunIdentity) -> list[str]:
    """Why the result may differ from an uninterrupted run's in the last bits; empty if it cannot.

    Parameters
    ----------
    then, now : RunIdentity
        Of the start that left the state, and of this one.
    """
    found = [
        f"{key} was {then.environment.get(key)} and is {value}"
        for key, value in now.environment.items()
        if then.environment.get(key) != value
    ]
    schedule = json.loads(now.config["training.lr_schedule.name"])
    if now.epochs != then.epochs and schedule not in ("constant", "step"):
        found.append(
            f"the schedule {schedule} was planned for {then.epochs} epochs and goes on for "
            f"{now.epochs}"
        )
    return found
