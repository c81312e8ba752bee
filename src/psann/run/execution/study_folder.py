"""Studies of one run that other processes train: a folder beside the run, with a file for each.

The run stays the only writer of its directory. What it finds here it takes as if it had trained it:
the same estimators, the same rows of the log. Whoever trains a study holds its lock.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from psann._plain_files import read_plain
from psann._tensor_file import MAX_FILE_BYTES, decode, encode
from psann.errors import FileFormatError, RunLockedError, reason_of
from psann.run.config.changes import problems_of_change
from psann.run.directory.columns import COLUMNS, EVENTS
from psann.run.directory.log import log_event
from psann.run.directory.paths import RunPaths
from psann.run.directory.resume_state import RunIdentity
from psann.run.directory.storage import Storage

_NAP_S = 0.2
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What the training of a study leaves."""

    estimators: tuple[bytes, ...]
    """Their files, by seed."""
    best: tuple[tuple[int, float | None], ...]
    """Epoch of the kept weights, and the monitor there, by seed."""


@dataclass(frozen=True, kw_only=True)
class SharedResult(StudyResult):
    """What another process has left."""

    events: tuple[dict[str, Any], ...]
    """Rows that the run would have logged: `level`, `message`, `event` and the columns."""
    identity: RunIdentity
    """Of the run, as that process saw it."""
    worker: str
    """That process, in words."""


@dataclass(frozen=True)
class StudyFolder:
    """The folder `<run>.studies`, which is there once a worker has been.

    Parameters
    ----------
    run : RunPaths
        The run whose studies are shared.
    identity : RunIdentity
        What they must be studies of.
    """

    run: RunPaths
    identity: RunIdentity

    @property
    def root(self) -> Path:
        """The folder."""
        return self.run.studies

    def result(self, name: str) -> SharedResult | None:
        """What a worker left of a study; None of none, or of another configuration or other data.

        Raises
        ------
        FileFormatError
            If the file is damaged.
        """
        path = self._file(name)
        try:
            data = read_plain(path, MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{path} cannot be read: {reason_of(error)}.") from None
        found = _decoded(data, who=str(path))
        return found if _is_same(found.identity, self.identity) else None

    @contextmanager
    def claimed(self, name: str) -> Iterator[Storage]:
        """The right to train a study, and to leave it here.

        Raises
        ------
        RunLockedError
            If another process is at it.
        """
        with Storage(self._file(name).parent) as storage:
            storage.lock(storage.root / ".lock")
            storage.clean()
            yield storage

    @contextmanager
    def turn(self, name: str, *, alive: Callable[[], None]) -> Iterator[Storage | None]:
        """Wait while a worker trains a study, and keep others from it until the block ends.

        Parameters
        ----------
        alive : callable
            Called again and again meanwhile.
        """
        storage, has_told = None, False
        with ExitStack() as until_done:
            while self.root.is_dir() and storage is None:
                try:
                    storage = until_done.enter_context(self.claimed(name))
                except RunLockedError:
                    if not has_told:
                        told = f"waiting for {name}, which another process trains"
                        log_event(_logger, logging.INFO, "log", told)
                        has_told = True
                    alive()
                    time.sleep(_NAP_S)
                except OSError:  # to be read only: no worker can be at it here
                    break
            yield storage

    def keep(self, storage: Storage, name: str, result: SharedResult) -> None:
        """Leave a study to the run."""
        storage.put(self._file(name), _encoded(result))

    def _file(self, name: str) -> Path:
        return self.root / name / "result.safetensors"


def _is_same(then: RunIdentity, now: RunIdentity) -> bool:
    """Whether two runs train the same studies, whatever the machine."""
    return (
        (then.data_sha256, then.init_from_sha256) == (now.data_sha256, now.init_from_sha256)
        and then.epochs == now.epochs
        and not problems_of_change(then.config, now.config)
    )


def _encoded(result: SharedResult) -> bytes:
    description = {
        "identity": asdict(result.identity),
        "best": [list(each) for each in result.best],
        "worker": result.worker,
    }
    # As bytes: what was not finite in an epoch stays so.
    parts = {"events": json.dumps(result.events).encode()}
    parts |= {f"estimator.{k}": data for k, data in enumerate(result.estimators)}
    tensors = {
        name: torch.frombuffer(bytearray(data), dtype=torch.uint8) for name, data in parts.items()
    }
    return encode({"study": description}, tensors)


def _is_logged(row: Mapping[str, object]) -> bool:
    """Whether a row is one that the log of a run can take."""
    needed = {"level", "message", "event"}
    return needed <= row.keys() <= {*needed, *COLUMNS} and row["event"] in EVENTS


def _decoded(data: bytes, *, who: str) -> SharedResult:
    description, tensors = decode(data, who=who)
    try:
        facts = description["study"]
        best = tuple((int(epoch), metric) for epoch, metric in facts["best"])
        events = tuple(json.loads(tensors["events"].numpy().tobytes()))
        if not all(_is_logged(row) for row in events):
            raise KeyError("events")
        return SharedResult(
            estimators=tuple(tensors[f"estimator.{k}"].numpy().tobytes() for k in range(len(best))),
            best=best,
            events=events,
            identity=RunIdentity(**facts["identity"]),
            worker=str(facts["worker"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{who} is no study of a run.") from error
