"""The queue of a sweep: who tries what. The only file that imports Optuna.

A trial of Optuna is a claim: its number names the run directory. Optuna's journal knows no
heartbeat, so a killed worker's trial stays there as running; the run's own lock tells who lives.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from psann._file_lock import NO_LOCKS
from psann._machine import is_alive, is_of_this_boot, this_process
from psann.errors import PsannError, UsageError, unavailable
from psann.run.directory.columns import sign_of
from psann.run.directory.lock import STALE_AFTER_S
from psann.run.sweep.config import Sweep
from psann.run.sweep.record import PRUNED, TrialRow
from psann.run.sweep.space import Choices, Dimension

try:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.storages.journal import JournalFileSymlinkLock
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    why = unavailable(error, install="pip install 'psann[sweep]'")
    raise PsannError(f"A sweep needs Optuna, and {why}") from None

YOUNG_S = 30.0
"""So long a claim of a live process of this machine is left alone: its run is about to begin."""
_OWNER, _CLAIMED, _ROW = "owner", "claimed_s", "row"


@dataclass(frozen=True)
class Claim:
    """A trial that is this process's to run."""

    number: int
    overrides: dict[str, Any]


class Queue:
    """The trials of one sweep, shared by every worker that opens the same storage.

    Parameters
    ----------
    storage : BaseStorage
        Of `open_storage`.
    """

    def __init__(self, sweep: Sweep, storage: BaseStorage) -> None:
        self._sweep, self._storage = sweep, storage
        self._name = f"psann-{sweep.sha256[:24]}"
        with _quiet():
            optuna.create_study(
                study_name=self._name, storage=storage, direction="maximize", load_if_exists=True
            )
        self._study_id = storage.get_study_id_from_name(self._name)

    def claim(self) -> Claim | None:
        """Take the next trial that nobody has; None when all that are planned are taken."""
        if len(self._trials()) >= self._sweep.n_trials:
            return None
        # One append: nobody ever sees a claim without its owner.
        template = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=_owner())
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        number = self._storage.get_trial_number_from_id(trial_id)
        if number >= self._sweep.n_trials:  # several workers took the last one at once
            self._storage.set_trial_state_values(trial_id, state=TrialState.FAIL)
            return None
        return Claim(number, self._overrides(trial_id, number))

    def running(self, but: Collection[int] = ()) -> Iterator[FrozenTrial]:
        """Trials that somebody began and nobody finished."""
        for trial in self._trials():
            if trial.state == TrialState.RUNNING and trial.number not in but:
                yield trial

    def adopt(self, trial: FrozenTrial) -> Claim | None:
        """Make an orphan this process's own; the lock of its run arbitrates between adopters.

        None where another has told meanwhile what became of it.
        """
        trial_id = self._id(trial.number)
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._set(trial_id, _owner())
            return Claim(trial.number, self._overrides(trial_id, trial.number))
        return None

    def release(self, number: int) -> None:
        """Leave a trial to whoever wants it."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._set(self._id(number), {_OWNER: {}, _CLAIMED: 0.0})

    def beat(self, number: int) -> None:
        """Tell workers that cannot see the run directory that its worker lives."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._set(self._id(number), {_CLAIMED: time.time()})

    def tell(self, number: int, row: TrialRow, monitor: str | None) -> None:
        """Write down what became of a trial; a second time, by an adopter, it changes nothing."""
        trial_id, value = self._id(number), row["value"]
        state, values = TrialState.FAIL, None
        if value is not None:
            # Losses with their sign changed: the search always maximises.
            values = [sign_of(monitor) * value]
            state = TrialState.COMPLETE
        elif row["status"] == PRUNED:
            state = TrialState.PRUNED
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(trial_id, _ROW, {**row, "monitor": monitor})
            self._storage.set_trial_state_values(trial_id, state=state, values=values)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Tell how good a trial is after an epoch; `value` is better if higher."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_trial_intermediate_value(self._id(number), epoch, value)

    def curves(self) -> dict[int, dict[int, float]]:
        """What was reported of each trial, by number and epoch."""
        return {trial.number: dict(trial.intermediate_values) for trial in self._trials()}

    def rows(self) -> dict[int, dict[str, Any]]:
        """What was told of each trial that is over, and the overrides of those that are not."""
        found: dict[int, dict[str, Any]] = {}
        for trial in self._trials():
            if trial.number < self._sweep.n_trials:
                overrides = trial.user_attrs.get("overrides", {})
                found[trial.number] = trial.user_attrs.get(_ROW) or {"overrides": overrides}
        return found

    def restore(self, rows: Sequence[TrialRow]) -> None:
        """Tell a new journal what an old one knew, trial by trial."""
        for number, row in enumerate(rows):
            if number >= len(self._trials()):
                attrs = {_OWNER: {}, _CLAIMED: 0.0, "overrides": row["overrides"]}
                template = optuna.trial.create_trial(
                    state=TrialState.RUNNING,
                    user_attrs=attrs,
                    params=self._params(row["overrides"]),
                    distributions=self._distributions() if row["overrides"] else {},
                )
                self._storage.create_new_trial(self._study_id, template_trial=template)

    def _set(self, trial_id: int, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            self._storage.set_trial_user_attr(trial_id, key, value)

    def _trials(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study_id, deepcopy=False)

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _overrides(self, trial_id: int, number: int) -> dict[str, Any]:
        """What a trial sets: a function of its number, or what the search suggests, once."""
        known = self._storage.get_trial(trial_id).user_attrs.get("overrides")
        if known:
            return dict(known)
        if self._sweep.file.search != "tpe":
            overrides = self._sweep.point(number)
        else:
            overrides = self._suggested(trial_id, number)
        self._storage.set_trial_user_attr(trial_id, "overrides", overrides)
        return overrides

    def _suggested(self, trial_id: int, number: int) -> dict[str, Any]:
        """Suggestions of TPE, drawn by seed and number: given what is known, always the same."""
        with _quiet():
            sampler = optuna.samplers.TPESampler(
                seed=(self._sweep.file.seed * 1_000_003 + number) % 2**32,
                multivariate=True,
                constant_liar=True,
            )
            # Loaded anew: a study that is not asked keeps the trials that it saw first.
            study = optuna.load_study(study_name=self._name, storage=self._storage, sampler=sampler)
            trial = optuna.Trial(study, trial_id)
            return {key: _suggestion(trial, key, each) for key, each in self._sweep.space.items()}

    def _distributions(self) -> dict[str, Any]:
        kinds = optuna.distributions
        return {
            key: kinds.CategoricalDistribution(range(len(each.values)))
            if isinstance(each, Choices)
            else kinds.IntDistribution(int(each.low), int(each.high))
            if each.is_whole
            else kinds.FloatDistribution(each.low, each.high, log=each.is_log)
            for key, each in self._sweep.space.items()
        }

    def _params(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: each.values.index(overrides[key]) if isinstance(each, Choices) else overrides[key]
            for key, each in self._sweep.space.items()
            if key in overrides
        }


def _suggestion(trial: optuna.Trial, key: str, each: Dimension) -> object:
    """What TPE suggests for a key; once it has, always the same."""
    if isinstance(each, Choices):
        return each.values[trial.suggest_categorical(key, range(len(each.values)))]
    if each.is_whole:
        return trial.suggest_int(key, int(each.low), int(each.high))
    return each.written(trial.suggest_float(key, each.low, each.high, log=each.is_log))


def is_claimed_here(trial: FrozenTrial) -> bool:
    """Whether a live process of this machine has just taken a trial, whose run is to begin."""
    owner, age_s = _owner_and_age(trial)
    return is_of_this_boot(owner) and abs(age_s) < YOUNG_S and is_alive(owner["pid"])


def may_live_elsewhere(trial: FrozenTrial) -> bool:
    """Whether the worker of a trial may be alive whose directory is not here.

    On another machine, or with another folder on this one.
    """
    owner, age_s = _owner_and_age(trial)
    is_known = is_alive(owner["pid"]) if is_of_this_boot(owner) else bool(owner)
    # Clocks may differ by minutes; a claim from further in the future proves nothing.
    return abs(age_s) <= STALE_AFTER_S and is_known


def _owner_and_age(trial: FrozenTrial) -> tuple[dict[str, Any], float]:
    owner = trial.user_attrs.get(_OWNER) or {}
    return owner, time.time() - trial.user_attrs.get(_CLAIMED, 0.0)


def _owner() -> dict[str, Any]:
    return {_OWNER: this_process(), _CLAIMED: time.time()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log, and its warnings of what is experimental."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def open_storage(journal: Path, url: str | None = None) -> BaseStorage:
    """The storage behind a queue: the journal beside the runs, or what an address names.

    Parameters
    ----------
    url : str, optional
        `grpc://host:port` of Optuna's proxy, or an address that SQLAlchemy takes.

    Raises
    ------
    UsageError
        If the address leads nowhere.
    """
    with _quiet():
        if url is None:
            backend = _Journal(str(journal), lock_obj=cast(Any, JournalLock(journal)))
            return optuna.storages.JournalStorage(backend)
        with answering("--storage must be an address that answers", UsageError):
            return _remote(url)


def _remote(url: str) -> BaseStorage:
    if not url.startswith("grpc://"):
        try:
            return optuna.storages.RDBStorage(url)
        except ImportError as error:
            raise UsageError(
                f"--storage must be of a database that is known here: {error}"
            ) from None
    host, _, port = url.removeprefix("grpc://").rpartition(":")
    if not port.isdecimal():
        raise UsageError(f"--storage must be grpc://HOST:PORT, or of a database; got {url!r}.")
    proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port))
    proxy.get_all_studies()
    return proxy


@contextlib.contextmanager
def answering(who: str, kind: type[PsannError]) -> Iterator[None]:
    """Say in words that what keeps a queue does not answer."""
    from sqlalchemy.exc import SQLAlchemyError  # Optuna's own requirement

    trouble: list[type[Exception]] = [SQLAlchemyError, optuna.exceptions.StorageInternalError]
    with contextlib.suppress(ImportError):  # as is grpc, but for what needs it alone
        from grpc import RpcError  # type: ignore[import-untyped]

        trouble.append(RpcError)
    try:
        yield
    except tuple(trouble) as error:
        details = getattr(error, "details", None)  # of grpc
        told = str(error.__cause__ or error) if details is None else str(details())
        raise kind(f"{who}: {told.splitlines()[0]}") from None


class _Journal(optuna.storages.journal.JournalFileBackend):
    """Optuna's file, of which also a reader hears when it is gone."""

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Read what was written from a place on."""
        try:
            yield from super().read_logs(log_number_from)
        except FileNotFoundError:
            raise _removed(self._file_path) from None


def _removed(journal: object) -> PsannError:
    return PsannError(
        f"{journal} was removed while this worker used it. Start the command again: it goes on "
        "with what the runs tell."
    )


class JournalLock:
    """The kernel's lock, which the death of its holder frees; Optuna's own lasts half a minute.

    Where a file system has none, Optuna's stands for it. Whoever gets it cuts off what a killed
    writer had written of a line.
    """

    def __init__(self, journal: Path) -> None:
        self._journal, self._fd, self._opened = journal, -1, -1
        self._otherwise: JournalFileSymlinkLock | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        import fcntl  # not on Windows, where runs are only read

        # Not `.lock`: the file of Optuna's own lock would then seem to be held already.
        self._fd = os.open(f"{self._journal}.flock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            self._close()
            if error.errno not in NO_LOCKS:
                raise
            self._otherwise = JournalFileSymlinkLock(str(self._journal))
            self._otherwise.acquire()
        self._check_identity()
        self._mend()
        return True

    def _check_identity(self) -> None:
        """Refuse to write on where the file is another than it was: its history is lost."""
        try:
            if self._opened < 0:
                # Kept open, so that no other file can come to look like this one.
                self._opened = os.open(self._journal, os.O_RDONLY)
            is_same = os.path.samestat(os.fstat(self._opened), os.stat(self._journal))
        except FileNotFoundError:
            is_same = False
        if not is_same:
            self.release()
            raise _removed(self._journal)

    def release(self) -> None:
        """Let the next writer in."""
        if self._otherwise is not None:
            self._otherwise.release()
            self._otherwise = None
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _mend(self) -> None:
        with open(self._journal, "ab+") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            if size_bytes == 0:
                return
            file.seek(size_bytes - 1)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
