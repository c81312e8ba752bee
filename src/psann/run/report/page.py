"""The report of one run, or of several, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psann.errors import UsageError
from psann.presentation.page import write_page
from psann.run.directory.paths import check_output
from psann.run.reading.reading import RunView

FORMATS = ("html", "markdown")
_POINTS, _FEWEST_POINTS = 500, 100


def write_report(
    runs: Sequence[RunView], output: Path | str, *, format: str = "html"
) -> list[Path]:
    """Write a report of one run, or a comparison of several.

    The same runs give the same bytes, wherever they lie and whenever it is written.

    Parameters
    ----------
    output : Path or str
        The file. Markdown puts its pictures beside it in `<name>-figures/`.

    Raises
    ------
    UsageError
        If there is no run, or no such format, or `output` is a directory or lies in a run's.
    PsannError
        If jinja2 is not installed.
    """
    output = Path(output)
    if not runs:
        raise UsageError("A report needs at least one run.")
    if format not in FORMATS:
        raise UsageError(f"--format must be one of {', '.join(FORMATS)}; got {format!r}.")
    check_output(output, *(run.path for run in runs))
    from psann.run.report.comparison import report_of

    return write_page(report_of(runs, points=points_of(len(runs))), output, format=format)


def points_of(n_runs: int) -> int:
    """Most points per line in the pictures of a page about so many runs."""
    return max(_FEWEST_POINTS, _POINTS // n_runs)
