"""What a report says of several runs together, before it tells of each."""

from __future__ import annotations

from collections.abc import Sequence

from psann.run.reading import RunView
from psann.run.report.content import Report, printable
from psann.run.report.run_sections import run_sections


def report_of(runs: Sequence[RunView], *, points: int) -> Report:
    """Gather the content of a report.

    Parameters
    ----------
    runs : sequence of RunView
        One or more.
    points : int
        Most points per line in the pictures.
    """
    (run,) = runs
    return Report(
        title=printable(run.metrics["run_name"] or run.name),
        status=printable(run.status),
        sections=run_sections(run, level=2, points=points),
    )
