"""Several runs in one report."""

from __future__ import annotations

from pathlib import Path

from made_runs import made_run
from psann.run.reading import read_run
from psann.run.report.comparison import report_of


def test_report_of_one_run_is_named_after_it(tmp_path: Path) -> None:
    report = report_of([read_run(made_run(tmp_path / "first"))], points=100)
    assert (report.title, report.status) == ("first", "completed")
