"""The end of a sweep: choose on validation rows, then open the test rows once."""

from __future__ import annotations

from dataclasses import dataclass

from psann._imports import OF_THE_USER, ImportPolicy
from psann.errors import UsageError, counted, listed
from psann.run.directory.fields import Record, trials_before
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths
from psann.run.execution.claim import finished_record
from psann.run.execution.context import EXIT_DONE, Outcome, RunRequest
from psann.run.execution.runner import execute
from psann.run.sweep.config import Sweep, overrides_of
from psann.run.sweep.ledger import own_record
from psann.run.sweep.progress import is_over
from psann.run.sweep.record import (
    SweepPaths,
    SweepRecord,
    TrialRow,
    best_row,
    claimed,
    is_settled,
    n_data_sets,
    read_row,
    run_name,
    write_record,
)


@dataclass(frozen=True)
class Finished:
    """What `finish` came to."""

    record: SweepRecord
    outcome: Outcome
    """Of the run `chosen`."""
    is_new: bool
    """Whether the test rows were opened for it just now."""


def finish(
    sweep: Sweep,
    paths: SweepPaths,
    *,
    imports: ImportPolicy = OF_THE_USER,
    argv: tuple[str, ...] = (),
) -> Finished:
    """Choose the best trial by validation, and judge it on test rows as one of all candidates.

    The look at the test rows is counted before they are opened, so that no crash hides one. The
    same choice among the same candidates is not judged again.

    Raises
    ------
    UsageError
        If this is another sweep's folder, a trial is not over, its run directory is not here or of
        other data, or none has a value.
    """
    _record_there(sweep, paths)  # before a folder is made where there is none
    with claimed(paths) as storage:
        record = _record_there(sweep, paths)
        rows = _settled_rows(sweep, paths, record)
        monitor = next((name for row in rows if (name := _monitor(paths, row))), None)
        best = best_row(rows, monitor)
        if best is None:
            raise UsageError(
                f"--finish must have a trial to choose; no run in {paths.runs} has a value. "
                f"hisso-runs show {paths.runs / rows[0]['run']} says why."
            )
        n_trials = sum(row["candidates"] for row in rows) + _of_the_parent(paths, best)
        chosen = {"run": best["run"], "value": best["value"], "n_trials": n_trials}
        is_known = record["chosen"] == chosen
        done = finished_record(RunPaths(paths.chosen)) if is_known else None
        record |= {"trials": rows, "monitor": monitor, "chosen": chosen}
        record |= {"n_trials": n_trials, "n_looks": record["n_looks"] + (not is_known)}
        write_record(storage, paths, record)
    if done is not None:
        outcome = Outcome(exit_code=EXIT_DONE, paths=RunPaths(paths.chosen), record=done)
        return Finished(record, outcome, is_new=False)
    run = paths.runs / best["run"]
    outcome = execute(
        RunRequest(
            # The user's own, whose paths are of this machine; the run may be of another.
            config=sweep.config_path,
            output_dir=paths.root,
            run_name=paths.chosen.name,
            mode="evaluate",
            init_from=str(run),
            overrides=(
                *overrides_of(best["overrides"], sweep.base),
                "evaluation.withhold_test=false",
                f"evaluation.n_trials={n_trials}",
            ),
            imports=imports,
            overwrite=True,
            quiet=True,
            argv=argv,
        )
    )
    return Finished(record, outcome, is_new=True)


def looks_sentence(record: SweepRecord) -> str:
    """How often the test rows have been opened, and what that means.

    Examples
    --------
    >>> looks_sentence({"n_looks": 1, "planned": 4, "n_trials": 20})
    'The test rows have been looked at once, for the best of 20 candidates in 4 trials.'
    """
    told = f"for the best of {counted(record['n_trials'], 'candidate')} in "
    told += counted(record["planned"], "trial")
    if record["n_looks"] <= 1:
        return f"The test rows have been looked at once, {told}."
    return (
        f"The test rows have been looked at {record['n_looks']} times, now {told}: each look after "
        "the first makes them a little more of validation rows."
    )


def _record_there(sweep: Sweep, paths: SweepPaths) -> SweepRecord:
    record = own_record(sweep, paths)
    if record is None:
        raise UsageError(f"-o must be the folder of a sweep; {paths.root} has no sweep.json.")
    return record


def _settled_rows(sweep: Sweep, paths: SweepPaths, record: SweepRecord) -> list[TrialRow]:
    """The row of every trial, from its run; all of them must be over, here, and of one data set."""
    known = {row["run"]: row for row in record["trials"]}
    open_: list[str] = []
    missing: list[str] = []
    unknown: list[str] = []
    rows = []
    for number in range(max(sweep.n_trials, len(known))):
        name, run = run_name(number), paths.run(number)
        told = known.get(name)
        metrics, _ = read_metrics(run.metrics)
        if not is_settled(metrics):
            is_away = told is not None and is_over(told) and not run.root.exists()
            (missing if is_away else open_).append(name)
            continue
        if told is None and sweep.file.search == "tpe":
            unknown.append(name)
            continue
        overrides = sweep.point(number) if told is None else told["overrides"]
        rows.append(read_row(paths, number, overrides))
    problems = []
    if open_:
        problems.append(
            f"--finish wants every trial to be over; {listed(open_)} {_is(open_)} not. The command "
            "without --finish goes on with them."
        )
    if missing:
        problems.append(
            f"--finish wants every run at home; {listed(missing)} {_is(missing)} not in "
            f"{paths.runs}. Bring them by hisso-runs pack and unpack, or rsync; if they are lost, "
            f"remove {paths.journal.name}, and the command without --finish trains them again."
        )
    if unknown:
        problems.append(
            f"--finish wants what every trial sets; {paths.record} does not know "
            f"{listed(unknown)}. The command without --finish, with the --storage of its workers, "
            "writes it down."
        )
    if (n_data := n_data_sets(rows)) > 1:
        problems.append(
            f"--finish compares trials on the same data; those of {paths.runs} have "
            f"{n_data} data sets. Sweep anew, into a new folder."
        )
    if problems:
        raise UsageError(problems)
    return rows


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _metrics(paths: SweepPaths, row: TrialRow) -> Record:
    return read_metrics(RunPaths(paths.runs / row["run"]).metrics)[0]


def _monitor(paths: SweepPaths, row: TrialRow) -> str | None:
    if row["value"] is None:
        return None
    return _metrics(paths, row)["monitor"]


def _of_the_parent(paths: SweepPaths, row: TrialRow) -> int:
    """Candidates of the run that all trials fine-tune, counted once."""
    return trials_before(_metrics(paths, row)) or 0
