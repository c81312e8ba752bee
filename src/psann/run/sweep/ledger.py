"""What a worker writes down of a sweep: its record, made anew from the runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from psann._text import mask_secrets
from psann._yaml_text import to_yaml
from psann.errors import UsageError
from psann.run.directory.fields import Record
from psann.run.directory.metrics import read_metrics
from psann.run.directory.storage import is_temporary
from psann.run.sweep.config import Sweep
from psann.run.sweep.record import (
    SCHEMA_VERSION,
    SweepPaths,
    SweepRecord,
    TrialRow,
    claimed,
    is_settled,
    number_of,
    read_record,
    read_row,
    trial_row,
    write_record,
)

if TYPE_CHECKING:
    from psann.run.sweep.queue import Claim, Queue


def join(sweep: Sweep, paths: SweepPaths) -> None:
    """Make a sweep's folder, or join the sweep that is there.

    Raises
    ------
    UsageError
        If another sweep is there.
    """
    with claimed(paths) as storage:
        # Of this folder alone: what lies deeper is of runs, which may be alive.
        for path in [each for each in paths.root.iterdir() if is_temporary(each.name)]:
            storage.remove(path)
        record = own_record(sweep, paths)
        if record is None and paths.runs.exists() and any(paths.runs.iterdir()):
            _check_runs_of_before(sweep, paths)
        storage.make_directory(paths.runs)
        storage.put(paths.sweep, to_yaml(mask_secrets(sweep.resolved())).encode())
        write_record(storage, paths, record or _first_record(sweep))


def own_record(sweep: Sweep, paths: SweepPaths) -> SweepRecord | None:
    """Record of the sweep in its folder; None where there is none yet.

    Raises
    ------
    UsageError
        If another sweep is there.
    """
    record = read_record(paths)
    if record is not None and record["sweep_sha256"] != sweep.sha256:
        raise UsageError(
            f"-o must be the folder of this very sweep; {paths.root} holds another: compare "
            f"{paths.sweep} with your file, and its configuration with what it was. Only `trials` "
            "may change; another sweep needs a folder of its own."
        )
    return record


def _check_runs_of_before(sweep: Sweep, paths: SweepPaths) -> None:
    """Runs whose record is lost may be taken for trials where a trial is known by its number."""
    if sweep.file.search == "tpe":
        raise UsageError(
            f"{paths.record} is missing, and what the trials of a tpe search set is known by it "
            "alone. Choose a new folder."
        )


def _first_record(sweep: Sweep) -> SweepRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "sweep_sha256": sweep.sha256,
        "data_sha256": None,
        "search": sweep.file.search,
        "order_dependent": sweep.is_order_dependent,
        "monitor": None,
        "keys": list(sweep.space),
        "planned": sweep.n_trials,
        "trials": [],
        "chosen": None,
        "n_trials": 0,
        "n_looks": 0,
    }


class Ledger:
    """Tells queue and record what came of trials; what is settled is read once.

    Parameters
    ----------
    queue : Queue
        Shared with all other workers.
    """

    def __init__(self, sweep: Sweep, paths: SweepPaths, queue: Queue) -> None:
        self._sweep, self._paths, self._queue = sweep, paths, queue
        self._settled: dict[int, TrialRow] = {}
        self._monitor: str | None = None

    def tell_if_settled(self, claim: Claim) -> bool:
        """Whether the run of a trial is over; if it is, that is told."""
        metrics, _ = read_metrics(self._paths.run(claim.number).metrics)
        if not is_settled(metrics):
            return False
        self._tell(claim, metrics)
        return True

    def _tell(self, claim: Claim, metrics: Record) -> None:
        self._monitor = self._monitor or metrics["monitor"]
        row = trial_row(claim.number, claim.overrides, metrics)
        self._queue.tell(claim.number, row, metrics["monitor"])

    def restore(self) -> None:
        """Tell a new journal what TPE had suggested: no run can tell that by its number."""
        with claimed(self._paths):
            known = read_record(self._paths)
            if known is not None and self._sweep.file.search == "tpe":
                self._queue.restore(known["trials"])

    def refresh(self) -> SweepRecord:
        """Write `sweep.json` anew from the runs; what is settled was read before."""
        with claimed(self._paths) as storage:
            record = read_record(self._paths) or _first_record(self._sweep)
            rows = self._rows()
            known = [row["data_sha256"] for row in rows if row["data_sha256"] is not None]
            record |= {
                "planned": max(record["planned"], self._sweep.n_trials),
                "trials": rows,
                "monitor": record["monitor"] or self._monitor,
                "data_sha256": record["data_sha256"] or next(iter(known), None),
                "n_trials": sum(row["candidates"] for row in rows),
            }
            write_record(storage, self._paths, record)
        return record

    def _rows(self) -> list[TrialRow]:
        """One row per trial that somebody began."""
        told = self._queue.rows()
        if self._sweep.file.search != "tpe":  # runs of a journal that was lost
            for number in range(self._sweep.n_trials):
                if number not in told and self._paths.run(number).root.exists():
                    told[number] = {"overrides": self._sweep.point(number)}
        for number, row in told.items():
            if number in self._settled:
                continue
            metrics, _ = read_metrics(self._paths.run(number).metrics)
            if metrics["status"] is None and "status" in row:  # run where no disk is shared
                found = {name: row[name] for name in TrialRow.__annotations__}
                self._monitor = self._monitor or row.get("monitor")
                self._settled[number] = found  # type: ignore[assignment]
            elif is_settled(metrics):
                self._monitor = self._monitor or metrics["monitor"]
                self._settled[number] = trial_row(number, _overrides_of(row), metrics)
        return [
            self._settled.get(number) or read_row(self._paths, number, _overrides_of(row))
            for number, row in sorted(told.items())
        ]

    def glance(self, record: SweepRecord) -> SweepRecord:
        """The record with what the runs say by now, to be looked at; nothing is written."""
        rows = [
            row if number in self._settled else read_row(self._paths, number, row["overrides"])
            for row in record["trials"]
            for number in [number_of(row)]
        ]
        return {**record, "trials": rows}


def _overrides_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return row.get("overrides") or {}
