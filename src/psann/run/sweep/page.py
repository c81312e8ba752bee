"""The page about a sweep: its trials in pictures, then the chosen run in full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from psann.presentation.content import Report, Section, printable
from psann.presentation.page import write_page
from psann.run.directory.paths import check_output
from psann.run.report.page import points_of
from psann.run.report.run_sections import run_sections
from psann.run.sweep.pictures import pictures_of
from psann.run.sweep.reading import SweepView, sections_of

_MOST_ROWS = 200


def write_sweep_report(sweep: SweepView, output: Path, *, format: str) -> list[Path]:
    """Write a page, or markdown, about a sweep.

    Raises
    ------
    UsageError
        If `output` is a directory, or lies in a run's.
    PsannError
        If jinja2 is not installed.
    """
    check_output(output, sweep.paths.runs, sweep.paths.chosen)
    trials, *_ = sections_of(sweep, most=_MOST_ROWS)
    sections = [replace(trials, pictures=pictures_of(sweep))]
    if sweep.chosen is not None:
        name = printable((sweep.record["chosen"] or {}).get("run"))
        sections.append(Section(title=f"Chosen: {name}, on test rows"))
        sections += run_sections(sweep.chosen, level=3, points=points_of(1))
    report = Report(title=f"Sweep {sweep.name}", status="", sections=tuple(sections))
    return write_page(report, output, format=format)
