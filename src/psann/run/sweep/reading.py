"""A sweep's folder, as `ls`, `compare` and `report` read it: trials by validation, varied keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from psann._terminal import Terminal
from psann.errors import UsageError, counted
from psann.presentation.content import NOTHING, Section, Table, number, printable, setting
from psann.presentation.rendering import show
from psann.run.directory.columns import sign_of
from psann.run.directory.fields import OVER
from psann.run.reading.reading import RunView, read_run
from psann.run.reading.sentences import result_sentences
from psann.run.reading.tables import result_table
from psann.run.sweep.finish import looks_sentence
from psann.run.sweep.progress import counts_text
from psann.run.sweep.record import (
    SweepPaths,
    SweepRecord,
    TrialRow,
    n_data_sets,
    number_of,
    read_record,
    read_row,
)


@dataclass(frozen=True)
class SweepView:
    """One sweep as its files are now."""

    paths: SweepPaths
    record: SweepRecord

    @cached_property
    def rows(self) -> tuple[TrialRow, ...]:
        """The trials, the best by validation first, those without a value last."""
        rows = [self._row(row) for row in self.record["trials"]]
        sign = -sign_of(self.record["monitor"])

        def place(row: TrialRow) -> tuple[bool, float]:
            value = row["value"]
            return value is None, 0.0 if value is None else sign * value

        return tuple(sorted(rows, key=place))

    @cached_property
    def chosen(self) -> RunView | None:
        """The chosen policy on test rows; None before `--finish`."""
        return read_run(self.paths.chosen) if self.paths.chosen.is_dir() else None

    @property
    def candidates_of_the_chosen(self) -> int | None:
        """Candidates of the chosen trial alone."""
        name = (self.record["chosen"] or {}).get("run")
        return next((row["candidates"] for row in self.rows if row["run"] == name), None)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return printable(self.paths.root.name)

    def _row(self, row: TrialRow) -> TrialRow:
        """As its run is now; as it was told where the run is elsewhere."""
        number = number_of(row)
        if not (root := self.paths.run(number).root).is_dir():
            return row
        now = read_row(self.paths, number, row["overrides"])
        return {**now, "status": read_run(root).status}


def read_sweep(path: Path) -> SweepView | None:
    """Read a sweep's folder; None for a folder that is none.

    Raises
    ------
    FileFormatError
        If its `sweep.json` cannot be read.
    """
    paths = SweepPaths(path.absolute())
    record = read_record(paths) if paths.record.exists() else None
    return None if record is None else SweepView(paths, record)


def winner_of(sweep: SweepView) -> Path:
    """The run directory of the chosen trial, whose policy acts.

    Raises
    ------
    UsageError
        If nothing was chosen yet, or the run is elsewhere.
    """
    name, judge = (sweep.record["chosen"] or {}).get("run"), sweep.chosen
    if name is None or judge is None or judge.status not in OVER:
        raise UsageError(
            f"RUN must be a run, or a sweep that has chosen one; {sweep.paths.root} has not. "
            f"Choose with hisso-runs sweep SWEEP.yaml -o {sweep.paths.root} --finish."
        )
    is_known = any(row["run"] == name for row in sweep.record["trials"])
    run: Path = sweep.paths.runs / name
    if not is_known or not run.is_dir():
        raise UsageError(
            f"RUN must have the run that its sweep chose, {printable(name)}; {sweep.paths.runs} "
            "has not. Copy it there."
        )
    return run


def trials_table(sweep: SweepView, *, most: int | None = None) -> Table:
    """One row per trial with what it sets, the best first; stars at the best by validation."""
    keys = sweep.record["keys"]
    rows = sweep.rows[:most]
    chosen = (sweep.record["chosen"] or {}).get("run")
    n_data = n_data_sets(sweep.record["trials"])
    best = rows[0]["value"] if rows and n_data == 1 else None
    cells = [
        (
            printable(row["run"]) + (" (chosen)" if row["run"] == chosen else ""),
            printable(row["status"]),
            *(
                setting(row["overrides"][key]) if key in row["overrides"] else NOTHING
                for key in keys
            ),
            ("* " if best is not None and row["value"] == best else "")
            + number(row["value"], ".6g"),
            number(row["best_epoch"], ".0f"),
            number(row["candidates"], ",.0f"),
        )
        for row in rows
    ]
    return Table(
        columns=(
            *("run", "status", *map(printable, keys)),
            *(value_head(sweep.record), "best epoch", "candidates"),
        ),
        rows=tuple(cells),
        n_numbers=3,
        note="* best on validation rows" if n_data < 2 else f"of {n_data} data sets: none is best",
    )


def value_head(record: SweepRecord) -> str:
    """What a trial's value is called, with the way that is better."""
    monitor = record["monitor"]
    if monitor is None:
        return "validation"
    way = "higher" if sign_of(monitor) > 0 else "lower"
    return f"{monitor} ({way} is better)"


def versions_sentences(sweep: SweepView) -> Iterator[str]:
    """What differs between trials besides what the sweep varies: the programs that trained them."""
    roots = [sweep.paths.runs / row["run"] for row in sweep.rows]
    runs = [read_run(root) for root in roots if root.is_dir()]  # others are elsewhere, or to begin
    told = [start.get("versions") for run in runs for start in run.starts]
    for name in ("psann", "torch"):
        known = {str(each[name]) for each in told if isinstance(each, dict) and name in each}
        if len(known) > 1:
            yield (
                f"The trials were trained by several versions of {name}, "
                f"{', '.join(map(printable, sorted(known)))}: a difference between them may be one "
                "between these."
            )


def sweep_sentences(sweep: SweepView) -> Iterator[str]:
    """How far the sweep is, what its order means, how often test rows were opened."""
    record = sweep.record
    yield f"{record['search']}: {counts_text(sweep.rows, record['planned'])}."
    if record["order_dependent"]:
        yield (
            "What was tried, or for how long, depended on which trial ended first: each trial can "
            "be repeated, their choice cannot."
        )
    yield from versions_sentences(sweep)
    if sweep.chosen is None:
        yield "The test rows are shut: no trial has been judged on them."
        return
    yield looks_sentence(record)
    metrics = sweep.chosen.metrics
    own = sweep.candidates_of_the_chosen
    if metrics["deflated_sharpe"] is not None and own is not None:
        yield (
            f"The chosen policy's probabilities above luck are for all "
            f"{counted(record['n_trials'], 'candidate')}, not for the {own} of its own trial."
        )


def chosen_section(sweep: SweepView) -> Section | None:
    """The chosen policy on the test rows; None before `--finish`."""
    if sweep.chosen is None:
        return None
    chosen = sweep.record["chosen"] or {}
    table = result_table(sweep.chosen)
    return Section(
        title=f"Chosen: {printable(chosen.get('run'))}",
        sentences=tuple(result_sentences(sweep.chosen.metrics)),
        tables=() if table is None else (table,),
    )


def sections_of(sweep: SweepView, *, most: int | None = None) -> list[Section]:
    """What is said of a sweep, on a terminal as on a page."""
    together = Section(
        title="Trials",
        sentences=tuple(sweep_sentences(sweep)),
        tables=(trials_table(sweep, most=most),),
    )
    return [together, *filter(None, [chosen_section(sweep)])]


def show_sweep(sweep: SweepView, terminal: Terminal) -> None:
    """Write a sweep on a terminal."""
    for place, section in enumerate(sections_of(sweep)):
        if place:
            terminal.lines(["", section.title])
        show(section, terminal)


def best_ten(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The ten best trials that have a value."""
    return [row for row in rows if row["value"] is not None][:10]
